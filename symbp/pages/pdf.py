"""LaTeX documents as PDF, by whichever LaTeX program is present."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from symbp.errors import ModelError

_QUIET = ("-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape")
PROGRAMS = {
    "pdflatex": _QUIET,
    "lualatex": _QUIET,
    "tectonic": ("--untrusted", "--chatter=minimal"),
}
"""LaTeX programs in the order in which they are looked for, with their options."""

_RUNS = 3  # until references and the widths of tables are settled


def pdf(latex: str) -> bytes:
    """A complete LaTeX document as PDF. Raises OSError where no LaTeX program is there, ModelError where it fails."""
    program = next((name for name in PROGRAMS if shutil.which(name)), None)
    if program is None:
        names = ", ".join(PROGRAMS)
        raise OSError(errno.ENOENT, f"a PDF needs a LaTeX program: none of {names} is here", "pdf")
    with TemporaryDirectory() as folder:
        source = Path(folder, "derivation.tex")
        source.write_text(latex, encoding="utf-8")
        for _ in range(_RUNS):
            command = (program, *PROGRAMS[program], source.name)
            done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
            said = (done.stdout + done.stderr).decode(errors="replace")
            if done.returncode:
                raise ModelError(f"{program} failed: {_complaint(said)}")
            if "Rerun" not in said:
                break
        return source.with_suffix(".pdf").read_bytes()


def _complaint(said: str) -> str:
    """The first error that a LaTeX program reports."""
    found = re.search(r"^(?:! |error: )(.*)$", said, re.MULTILINE)
    return found[1] if found else "it gave no reason"
