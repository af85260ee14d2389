"""The command line: what each command prints and writes, and one clear line for each mistake."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from symbp import __version__
from symbp.cli import main

Write = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"

# A model that is right; each mistake below is one more statement, on its last line.
GOOD = """\
import sympy
from sympy import Max, Sum, exp, log
from symbp import Network, indices, sizes

n, d, h = sizes("n d h")
s, j, a = indices("s", n), indices("j", d), indices("a", h)
net = Network("small")
x = net.input("x", s, j)
W1, b1 = net.param("W1", a, j), net.param("b1", a)
z1 = net.define("z1", (s, a), Sum(W1[a, j] * x[s, j], j) + b1[a])
"""
LAST = GOOD.count("\n") + 1
LOSS = "net.loss(Sum(z1[s, a] ** 2, s, a) / n)"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes model.py into a folder of its own, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def write(source: str) -> Path:
        path = Path("model.py")
        path.write_text(source, encoding="utf-8")
        return path

    return write


def complaint(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line that a command complains with."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err.rstrip("\n")


# Mistakes in the model

MISTAKES = {
    "free index on the right": ('net.define("q", s, z1[s, a])', "q.* a "),
    "index over another size": (
        'net.define("q", s, Sum(W1[s, j] * x[s, j], j))',
        "W1.*n.*h|W1.*h.*n",
    ),
    "too few indices": ('net.define("q", s, Sum(W1[a] * b1[a], a))', "W1.*2"),
    "too many indices": ('net.define("q", s, Sum(b1[a, s], a))', "b1.*1"),
    "name declared twice": ('net.param("W1", a)', "W1 is declared twice"),
    "Python keyword": ('net.param("lambda", a)', "lambda"),
    "no identifier": ('net.param("W 1", a)', "W 1"),
    "code in a name": ("net.param(\"w = __import__('os')\", a)", "__import__"),
    "undeclared tensor": ('net.define("q", a, sympy.IndexedBase("V")[a])', "V"),
    "unknown function": ('net.define("q", a, sympy.Function("wobble")(b1[a]))', "wobble"),
    "loss that is no scalar": ("net.loss(z1[s, a])", "scalar.*a"),
    "negative index": ('net.define("q", a, W1[a, -1])', "W1.*-1"),
    "fractional index": ('net.define("q", (a, j), W1[a, j / 2])', "W1.*j/2"),
    "float index": ('net.define("q", a, W1[a, 1.0])', r"W1.*1\.0"),
    "bool index": ('net.define("q", a, W1[a, True])', "W1.*True"),
    "bare tensor in a function": ('net.define("q", a, exp(b1))', "b1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_name_file_line_tensor_and_index(
    mistake: str, model: Write, capsys: Capture
) -> None:
    statement, pattern = MISTAKES[mistake]
    path = model(f"{GOOD}{statement}\n")
    line = complaint(capsys, "derive", str(path))
    assert line.startswith(f"model.py:{LAST}: error: ")
    assert re.search(pattern, line.removeprefix(f"model.py:{LAST}: error: ")), line
    assert not Path("generated").exists()


BROKEN_FILES = {
    "does not parse": ("x = (1\n", "model.py:1: error: "),
    "null bytes": ("\0\0", "model.py.*: error: "),
    "raises": (
        "def f():\n    raise KeyError('nothing\\nhere')\nf()\n",
        "model.py:2: error: KeyError: .*nothing",
    ),
    "raises inside a library": (
        "import math\nmath.sqrt(-1)\n",
        "model.py:2: error: ValueError: math domain error",
    ),
    "raises without a text": ("raise RuntimeError\n", "model.py:1: error: RuntimeError$"),
    "asks to exit": ("import sys\nsys.exit(0)\n", "model.py:2: error: .*exits"),
    "imports what is not there": ("import no_such_module\n", "model.py:1: error: .*no_such_module"),
    "no net": ("import symbp\n", "model.py: error: .*`net`"),
    "net is no Network": ("net = 3\n", "model.py: error: `net` is an int, not a Network"),
    "neither loss nor output": (GOOD, r"model.py:7: error: .*neither a loss nor an output"),
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_broken_files_are_named_with_their_line(kind: str, model: Write, capsys: Capture) -> None:
    source, pattern = BROKEN_FILES[kind]
    assert re.match(pattern, complaint(capsys, "derive", str(model(source))))


@pytest.mark.parametrize("command", ["derive", "latex", "show", "verify"])
@pytest.mark.parametrize("name", ["absent.py", "."])
def test_file_that_cannot_be_read(command: str, name: str, capsys: Capture) -> None:
    assert complaint(capsys, command, name).startswith(f"{name}: error: ")


def test_model_sees_its_folder_and_leaves_nothing_behind(model: Write, capsys: Capture) -> None:
    Path("shared_by_models.py").write_text("size = 3\n", encoding="utf-8")
    before = sys.path[:]
    path = model("import shared_by_models\nprint(__name__, shared_by_models.size)\nnet = None\n")
    assert main(["latex", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "", "what a model prints does not mix with the document"
    assert captured.err.splitlines()[0] == "model 3"
    assert sys.path == before and "model" not in sys.modules


# Mistakes on the command line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["derive"], "MODEL.py"),
        (["drive", "model.py"], "drive"),
        (["derive", "model.py", "--fast"], "--fast"),
        (["show", "model.py", "--format", "pdf"], "pdf"),
        (["show", "model.py", "-o", "a.doc"], "suffixes .txt, .tex, .html, .md, .pdf"),
        (
            ["show", "model.py", "--format", "html", "-o", "a.pdf"],
            "compiled from tex, not from html",
        ),
        (
            ["derive", "model.py", "--docs", "html,doc"],
            "'doc' is unknown; known are txt, tex, html",
        ),
    ],
)
def test_wrong_commands(arguments: list[str], named: str, capsys: Capture) -> None:
    line = complaint(capsys, *arguments)
    assert line.startswith("symbp: error: ") and named in line


# Commands


def test_derive_writes_both_files_and_prints_all(model: Write, capsys: Capture) -> None:
    path = model(GOOD + LOSS + "\n")
    assert main(["derive", str(path), "-o", "here/deep"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert sorted(p.name for p in Path("here/deep").iterdir()) == ["small.py", "small.tex"]
    for piece in (
        "z1[s,a]",
        "∂L/∂W1[a,j]",
        "∂L/∂b1[a]",
        "here/deep/small.py",
        "here/deep/small.tex",
    ):
        assert piece in captured.out


def test_an_optimizer_is_derived_printed_and_verified(model: Write, capsys: Capture) -> None:
    path = str(model(f"{GOOD}{LOSS}\n"))
    assert main(["derive", path, "--optimizer", "clip, adam"]) == 0
    written = Path("generated/small.py")
    assert 'OPTIMIZER = ("clip", "adam")' in written.read_text(encoding="utf-8")
    assert re.search(r"^  step +\S+e-", capsys.readouterr().out, re.MULTILINE)
    assert main(["verify", path]) == 0  # the module says which it has
    for command in ("show", "latex"):
        assert main([command, path, "--optimizer", "adam"]) == 0
        assert "Kingma" in capsys.readouterr().out
    line = complaint(capsys, "derive", path, "--optimizer", "adamx")
    assert line == (
        "model.py: error: optimizer: 'adamx' is unknown; known are adam, adamw, clip, momentum, sgd"
    )
    written.write_text(
        written.read_text(encoding="utf-8").replace('"adam")', '"adamx")'), encoding="utf-8"
    )
    assert "'adamx' is unknown" in complaint(capsys, "verify", path, code=1)


def test_output_folder_in_the_way(model: Write, capsys: Capture) -> None:
    path = model(GOOD + LOSS + "\n")
    Path("generated").write_text("mine", encoding="utf-8")
    assert complaint(capsys, "derive", str(path)).startswith("generated: error: ")
    assert Path("generated").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("obstacle", ["folder", "full disk"])
def test_both_files_are_written_or_neither(
    obstacle: str, model: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(GOOD + LOSS + "\n")
    folder = Path("generated")
    assert main(["derive", str(path)]) == 0
    before = (folder / "small.py").read_bytes()
    capsys.readouterr()
    if obstacle == "folder":
        (folder / "small.tex").unlink()
        (folder / "small.tex").mkdir()
    else:
        synced = os.fsync

        def fill_up(descriptor: int) -> None:
            synced(descriptor)
            if any(".small.tex." in p.name for p in folder.iterdir()):
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fill_up)
    line = complaint(capsys, "derive", str(path), "--optimizer", "adam")
    assert line.startswith("generated/small.tex: error: ")
    assert (folder / "small.py").read_bytes() == before
    assert {p.name for p in folder.iterdir()} == {"small.py", "small.tex"}


def test_an_edited_file_is_not_overwritten_without_a_word(model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    assert main(["derive", path]) == 0
    before = {p: p.read_bytes() for p in Path("generated").iterdir()}
    assert main(["derive", path]) == 0
    edited = Path("generated/small.py")
    edited.write_bytes(before[edited] + b"# mine\n")
    capsys.readouterr()
    line = complaint(capsys, "derive", path)
    assert line == (
        "generated/small.py: error: is not as symbp wrote it; --force, or force=True, overwrites it"
    )
    assert edited.read_bytes() == before[edited] + b"# mine\n"
    assert main(["derive", path, "--force"]) == 0
    assert {p: p.read_bytes() for p in Path("generated").iterdir()} == before


def test_no_mistake_overwrites(model: Write, capsys: Capture) -> None:
    assert main(["derive", str(model(GOOD + LOSS + "\n"))]) == 0
    before = {p: p.read_bytes() for p in Path("generated").iterdir()}
    capsys.readouterr()
    complaint(capsys, "derive", str(model(GOOD + LOSS + "\nnet.loss(x)\n")))
    assert {p: p.read_bytes() for p in Path("generated").iterdir()} == before


def test_failed_verification_writes_nothing(
    model: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that comes out wrong: exit 1, the table, and the old files as they were."""
    import symbp.pipeline

    path = model(GOOD + LOSS + "\n")
    assert main(["derive", str(path)]) == 0
    before = {p: p.read_bytes() for p in Path("generated").iterdir()}
    capsys.readouterr()

    emit = symbp.pipeline.emit
    monkeypatch.setattr(symbp.pipeline, "emit", lambda *a, **k: sabotage(emit(*a, **k)))
    assert main(["derive", str(path)]) == 1
    captured = capsys.readouterr()
    assert "W1" in captured.out and "Written" not in captured.out
    assert captured.err.count("\n") == 1 and "verification failed" in captured.err
    assert {p: p.read_bytes() for p in Path("generated").iterdir()} == before


def sabotage(source: str) -> str:
    """The module with the gradient of W1 twice as large."""
    wrong = re.sub(r"(?m)^(    dW1 = )(.*?)(  #.*)?$", r"\g<1>2 * (\g<2>)", source)
    assert wrong != source
    return wrong


def test_latex_and_show(model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    assert main(["latex", path]) == 0
    document = capsys.readouterr().out
    assert document.startswith("\\documentclass") and document.rstrip().endswith("\\end{document}")

    assert main(["show", path, "--format", "tex", "-o", "out/small.tex"]) == 0
    written = Path("out/small.tex").read_text(encoding="utf-8")
    assert written.partition("\n")[2].rstrip() == document.rstrip()
    assert main(["show", path, "--format", "tex", "-o", "out/small.tex"]) == 0
    Path("out/small.tex").write_text(written + "mine", encoding="utf-8")
    complaint(capsys, "show", path, "--format", "tex", "-o", "out/small.tex")
    assert main(["show", path, "--format", "tex", "-o", "out/small.tex", "--force"]) == 0
    assert Path("out/small.tex").read_text(encoding="utf-8") == written

    assert main(["show", path]) == 0
    assert "∂L/∂W1[a,j] = " in capsys.readouterr().out
    assert not Path("generated").exists()


BEGINNINGS = {
    "txt": "The gradient of small\n",
    "tex": "\\documentclass",
    "html": "<!DOCTYPE html>",
    "md": "# The gradient of `small`\n",
}


@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_a_file_has_the_form_of_its_suffix(suffix: str, model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    assert main(["show", path, "-o", f"new/small.{suffix}"]) == 0
    assert capsys.readouterr().out == ""
    text = Path(f"new/small.{suffix}").read_text(encoding="utf-8")
    text = text if suffix == "txt" else text.partition("\n")[2]  # without its digest
    assert text.startswith(BEGINNINGS[suffix])
    if suffix != "txt":
        assert main(["show", path, "--format", suffix]) == 0
        assert capsys.readouterr().out.rstrip() == text.rstrip()


def test_brief_and_wrt(model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    shown = []
    for options in ([], ["--brief"], ["--brief", "--wrt", "b1"]):
        for command in ("show", "latex"):
            assert main([command, path, *options]) == 0
            shown.append(capsys.readouterr().out)
    assert len(shown[4]) < len(shown[2]) < len(shown[0])
    assert len(shown[5]) < len(shown[3]) < len(shown[1])
    assert "∂L/∂W1[a,j]" not in shown[4]
    assert main(["show", path, "--wrt", "x, z1"]) == 0  # of any real tensor, not parameters alone
    assert "∂L/∂x[s,j] = " in capsys.readouterr().out
    assert "'W9' is no real tensor" in complaint(capsys, "show", path, "--wrt", "W1,W9")


def test_documents_beside_the_module(model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    assert main(["derive", path, "--docs", "html, md,txt"]) == 0
    written = {p.name for p in Path("generated").iterdir()}
    assert written == {"small.py", "small.html", "small.md", "small.txt"}
    printed = capsys.readouterr().out
    assert all(f"generated/{name}" in printed for name in written)


def test_without_latex_no_pdf_and_no_file(
    model: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    monkeypatch.setenv("PATH", "")
    assert "needs a LaTeX program" in complaint(capsys, "show", path, "-o", "small.pdf")
    assert "needs a LaTeX program" in complaint(capsys, "derive", path, "--docs", "tex,pdf")
    assert not Path("small.pdf").exists() and not Path("generated").exists()


def test_verify(model: Write, capsys: Capture) -> None:
    path = str(model(GOOD + LOSS + "\n"))
    assert complaint(capsys, "verify", path).startswith(
        "generated/small.py: error: "
    )  # not there yet
    assert main(["derive", path]) == 0
    assert main(["verify", path]) == 0

    edited = Path("edited.py")
    edited.write_text(sabotage(Path("generated/small.py").read_text("utf-8")), encoding="utf-8")
    capsys.readouterr()
    assert "edited.py" in complaint(capsys, "verify", path, str(edited), code=1)


@pytest.mark.parametrize(
    "source", ["def backward(:\n", "import numpy as np\n", "raise OSError('gone')\n"]
)
def test_verify_of_a_broken_module(source: str, model: Write, capsys: Capture) -> None:
    path = model(GOOD + LOSS + "\n")
    Path("edited.py").write_text(source, encoding="utf-8")
    assert complaint(capsys, "verify", str(path), "edited.py", code=1).startswith("edited.py")


def test_internal_errors_are_one_line(
    model: Write, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import symbp.pipeline

    def fail(*_: object, **__: object) -> None:
        raise IndexError("out of\nreach")

    monkeypatch.setattr(symbp.pipeline, "derive", fail)
    line = complaint(capsys, "derive", str(model(GOOD + LOSS + "\n")), code=1)
    assert (
        "internal error" in line and "IndexError at test_cli.py:" in line and "out of reach" in line
    )


# The process


MAIN = "import sys; from symbp.cli import main; sys.exit(main())"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}


def run(
    *arguments: str | Path, script: str = MAIN, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=ENVIRONMENT | environment,
    )


def test_help_imports_no_sympy() -> None:
    imported = "import sys; from symbp.cli import main; main(); sys.exit('sympy' in sys.modules)"
    assert run("--help", script=imported).returncode == 0
    assert run("derive", "--help", script=imported).returncode == 0


def test_help_is_enough_to_start(model: Write, capsys: Capture) -> None:
    """The model in the help is whole, and the commands under it work."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    source = text[text.index("    from sympy") : text.index("  To derive it")]
    model(textwrap.dedent(source))
    for command in re.findall(r"    symbp (\w+ model\.py)  ", text):
        assert main(command.split()) == 0
    assert sorted(p.name for p in Path("generated").iterdir()) == ["line.py", "line.tex"]


def test_version_and_bare_command(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"symbp {__version__}\n"
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_piped_output_is_plain_and_unwrapped() -> None:
    done = run("show", ZOO / "mlp.py", COLUMNS="20")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 40


def test_output_in_a_poor_encoding() -> None:
    done = run("show", ZOO / "mlp.py", PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert "?L/?W1" in done.stdout


def test_reader_that_goes_away() -> None:
    show = f"{sys.executable} -c 'from symbp.cli import main; exit(main())' show {ZOO / 'mlp.py'}"
    script = f"set -o pipefail; {show} | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("seconds", "shown"), [(1.6, True), (0, False)])
def test_stage_is_shown_after_a_second_on_a_terminal(
    seconds: float, shown: bool, model: Write
) -> None:
    path = model(f"import time\ntime.sleep({seconds})\n{GOOD}{LOSS}\n")
    reader, terminal = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "show", path],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=ENVIRONMENT | {"TERM": "xterm"},
    )
    os.write(terminal, b".")  # so that there is something to read
    os.close(terminal)
    assert done.returncode == 0
    assert ("load …" in os.read(reader, 10_000).decode()) is shown
    os.close(reader)
