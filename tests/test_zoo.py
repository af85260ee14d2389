"""The zoo: what it derives is what `generated/` holds, and its gradients are right."""

from __future__ import annotations

import importlib
import inspect
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symbp import derive
from symbp.model_file import load_model
from symbp.pipeline import Derivation

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "generated"
MODELS = sorted(p for p in (ROOT / "symbp" / "zoo").glob("*.py") if p.stem != "__init__")
KINKS = {"mlp", "dropout_mlp", "character_mlp"}  # of a ReLU, or of a maximum
ANALYTIC = [p for p in MODELS if p.stem not in KINKS]

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)


@cache
def derivation(model: Path) -> Derivation:
    return derive(load_model(model))


@every_model
def test_derived_again_it_is_what_generated_holds(
    model: Path, tmp_path: Path, update_generated: bool
) -> None:
    paths = derivation(model).write(GENERATED if update_generated else tmp_path)
    assert [path.name for path in paths] == [f"{model.stem}.py", f"{model.stem}.tex"]
    for path in paths:
        golden = GENERATED / path.name
        assert golden.exists(), f"{golden.name} is missing: run pytest --update-generated"
        assert path.read_text("utf-8") == golden.read_text("utf-8")
        assert path.read_bytes() == golden.read_bytes()


@every_model
def test_a_second_derivation_is_the_same(model: Path) -> None:
    """Nothing depends on what was derived before, nor on the order of a set."""
    again = derive(load_model(model))
    assert again.source == derivation(model).source
    assert again.latex == derivation(model).latex


@every_model
def test_it_is_right(model: Path) -> None:
    report = derivation(model).verify()
    assert report.ok, str(report)
    gradients = [r for r in report.rows if r.check == "gradient"]
    assert {r.tensor for r in gradients} == set(derivation(model).load().PARAMETERS)
    ordinary = [r for r in gradients if r.dtype == "float64" and not r.extreme]
    assert ordinary
    if model in ANALYTIC:
        assert {r.method for r in ordinary} == {"complex steps"}
        assert max(r.error for r in ordinary) <= 1e-12


@every_model
def test_no_array_is_larger_than_its_tensors(model: Path) -> None:
    """With all sizes 128 a matrix takes 128 KiB, and an array with three axes 16 MiB."""
    module = derivation(model).load()
    declared = importlib.import_module(f"symbp.zoo.{model.stem}").net.declared().declarations
    arrays: dict[str, np.ndarray] = {}
    for name, axes in (module.PARAMETERS | module.INPUTS).items():
        shape = tuple(int(size) if size.isdigit() else 128 for size in axes)
        arrays[name] = np.zeros(shape, int) if declared[name].integer else np.full(shape, 1 / 128)
    taken = inspect.signature(module.value_and_grad).parameters
    params = {name: arrays[name] for name in module.PARAMETERS}
    inputs: dict[str, Any] = {name: arrays[name] for name in module.INPUTS if name in taken}
    if "rng" in taken:
        inputs["rng"] = np.random.default_rng(0)
    module.value_and_grad(params, **inputs)
    tracemalloc.start()
    try:
        module.value_and_grad(params, **inputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


@every_model
def test_it_is_importable_and_named_after_its_file(model: Path) -> None:
    module = importlib.import_module(f"symbp.zoo.{model.stem}")
    assert module.net.name == model.stem
    assert module.__doc__


def test_generated_holds_the_zoo_and_nothing_else() -> None:
    names = {f"{model.stem}{suffix}" for model in MODELS for suffix in (".py", ".tex")}
    assert {path.name for path in GENERATED.iterdir() if path.is_file()} == names


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("linear_neuron", "∂L/∂net = o (1 − o) (o − t)"),
        ("linear_regression", "∂L/∂f[s] = 2 (f[s] − y[s]) / n"),
        ("logistic_regression", "∂L/∂z[s] = (y[s] − t[s]) / n"),
        ("softmax_regression", "∂L/∂z[s,i] = (y[s,i] − t[s,i]) / n"),
        ("mlp", "∂L/∂z1[s,a] = [h1[s,a] > 0] Σ_i ∂L/∂z2[s,i] W2[i,a]"),
        ("fan_out", "∂L/∂t = 2 t (2 x + y) + x cos(t)"),
        ("dropout_mlp", "∂L/∂z2[s,i] = (y[s,i] − δ_{i,t[s]}) / n"),
        ("character_mlp", "∂L/∂b1[a] = 0"),
        ("autoencoder", "∂L/∂z[s,a] = (1 − h[s,a]²) Σ_j ∂L/∂r[s,j] W[a,j]"),
    ],
)
def test_its_gradient_reads_as_in_a_textbook(model: str, line: str) -> None:
    assert f"# {line}" in derivation(ROOT / "symbp" / "zoo" / f"{model}.py").source


def test_what_a_normalisation_does_not_see_has_gradient_zero() -> None:
    """A softmax does not see the shift of its row, nor batch normalisation the bias before it."""
    derived = derivation(ROOT / "symbp" / "zoo" / "character_mlp.py")
    assert derived.gradient("logit_maxes") == 0
    assert derived.gradient("b1") == 0
