"""An emitted module runs where NumPy is the only package that can be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symbp.model_file import load_model
from symbp.pipeline import derive

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"

TRAIN = """
import sys
sys.path[:0] = [SITE, FOLDER]
import numpy as np
import mlp

rng = np.random.default_rng(0)
x, t = rng.normal(size=(8, 3)), np.eye(2)[rng.integers(2, size=8)]
params = mlp.init(rng, d=3, h=5, k=2)
first, _ = mlp.value_and_grad(params, x, t)
for _ in range(20):
    loss, grads = mlp.value_and_grad(params, x, t)
    mlp.step(params, grads, 0.1)
assert loss < first
assert mlp.predict(params, x).shape == (8, 2)
"""


def run_with_numpy_alone(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a Python that sees its standard library, NumPy, and `folder`."""
    site = folder / "site"
    site.mkdir()
    numpy = Path(np.__file__).parent
    for package in (
        numpy,
        numpy.with_name("numpy.libs"),
    ):  # the second: its bundled shared libraries
        if package.exists():
            (site / package.name).symlink_to(package)
    prologue = f"SITE, FOLDER = {str(site)!r}, {str(folder)!r}\n"
    # -I ignores the environment and the user's packages, -S the installed ones.
    command = [sys.executable, "-I", "-S", "-c", prologue + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_module_trains_where_only_numpy_is_importable(tmp_path: Path) -> None:
    derive(load_model(ZOO / "mlp.py")).write(tmp_path)
    done = run_with_numpy_alone(TRAIN, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["sympy", "jinja2", "typer", "symbp"])
def test_no_other_package_is_importable_there(package: str, tmp_path: Path) -> None:
    (tmp_path / "mlp.py").write_text(f"import {package}\n", encoding="utf-8")
    done = run_with_numpy_alone(TRAIN, tmp_path)
    assert f"No module named '{package}'" in done.stderr
