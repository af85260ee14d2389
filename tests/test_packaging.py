"""The built wheel: complete, and at work from a folder that holds nothing but a model."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from symbp import __version__

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pip") is None, reason="needs pip, to build and install a wheel"),
]


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints on standard output, run without the caller's Python settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel, which borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return folder


def test_wheel_carries_templates_and_nothing_astray(wheel: Path) -> None:
    assert wheel.name == f"symbp-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    templates = {
        p.relative_to(ROOT / "templates") for p in (ROOT / "templates").rglob("*") if p.is_file()
    }
    assert templates
    assert {f"symbp/_templates/{p.as_posix()}" for p in templates} <= names
    assert {n.partition("/")[0] for n in names} == {"symbp", f"symbp-{__version__}.dist-info"}
    assert not [n for n in names if n.endswith(".pyc")]


def test_installed_symbp_derives_in_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    python = environment / "bin" / "python"
    where = run(python, "-c", "import symbp; print(symbp.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment), "this is another copy of symbp"

    shutil.copy(ROOT / "symbp" / "zoo" / "mlp.py", tmp_path / "model.py")
    run(environment / "bin" / "symbp", "derive", "model.py", cwd=tmp_path)
    written = sorted(p.name for p in (tmp_path / "generated").iterdir())
    assert written == ["mlp.py", "mlp.tex"]
    assert "backward" in run(
        python, "-c", "import mlp; print(dir(mlp))", cwd=tmp_path / "generated"
    )
