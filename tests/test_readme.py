"""What the README shows is what a reader gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from symbp.model_file import load_model
from symbp.pipeline import derive

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def block(heading: str, number: int = 0) -> str:
    """A fenced block under a heading."""
    section = re.split(r"(?m)^#+ ", README.split(f"# {heading}\n")[1])[0]
    return re.findall(r"(?s)```\w+\n(.*?)```", section)[number]


def test_example_is_what_symbp_derives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The formulas and the code under the first model are parts of what comes out of it."""
    model, formulas, forward, backward = (block("From equations to code", n) for n in range(4))
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(model, encoding="utf-8")
    derivation = derive(load_model("model.py"))
    printed = [line.strip() for line in derivation.text.splitlines()]
    assert [line for line in map(str.strip, formulas.splitlines()) if line not in printed] == []
    assert forward in derivation.source
    assert backward in derivation.source
    assert f"generated/{derivation.name}.py" in README


def test_python_api(tmp_path: Path) -> None:
    run([sys.executable, "-c", block("From Python")], tmp_path)
    assert sorted(p.name for p in (tmp_path / "generated").iterdir()) == ["mlp.py", "mlp.tex"]


def test_digits_reach_97_percent(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    script = block("Handwritten digits")
    assert len(script.splitlines()) < 15
    derive(load_model(ROOT / "symbp" / "zoo" / "mlp.py")).write(tmp_path / "generated")
    assert float(run([sys.executable, "-c", script], tmp_path)) >= 0.97


def test_first_command_derives_and_trains(tmp_path: Path) -> None:
    """The first set-up command from `symbp derive` on, with stand-ins for the environment it makes."""
    command = block("Two commands")
    steps = command[command.index(".venv/bin/symbp") :]
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, code in (
        ("python", '"$@"'),
        ("symbp", '-c "from symbp.cli import main; exit(main())" "$@"'),
    ):
        (programs / name).write_text(
            f'#!/bin/sh\nexec "{sys.executable}" {code}\n', encoding="utf-8"
        )
        (programs / name).chmod(0o755)
    (tmp_path / "symbp").symlink_to(ROOT / "symbp")
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    printed = run(["bash", "-c", steps], tmp_path)
    assert "generated/mlp.py" in printed
    assert float(re.findall(r"([\d.]+) ?%", printed)[-1]) >= 95


def run(command: list[str], folder: Path) -> str:
    """What a command prints, run in a folder that it can import from."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
