"""Outputs and gradients of every layer, in float64, against PyTorch and JAX.

`tests/benchmarks/layer_accuracy.py` prints the figures.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .helpers import frozen, run
from .layers import LAYERS, derivation

pytestmark = pytest.mark.oracles

FRAMEWORKS = ("torch", "jax")
TOLERANCE = 1e-10

# What PyTorch does not differentiate in.
CONSTANT = {("torch", "batch_norm_running"): {"mean", "variance"}}


def framework(name: str) -> ModuleType:
    """The same layers in another framework; the test is skipped where that is absent."""
    pytest.importorskip(name)
    return import_module(f".{name}_layers", __package__)


def errors(name: str, other: ModuleType) -> dict[str, float]:
    """max |a − b| / max |b| of the output y and of every gradient, for one layer; b is the framework's."""
    arrays = LAYERS[name][1]
    real = {key: a for key, a in arrays.items() if a.dtype.kind == "f"}
    given = {**arrays, **frozen(real)}
    noise = {key: given[key] for key in given if key.endswith("_mask")}
    shape = np.shape(LAYERS[name][2](**arrays))
    adjoint = np.random.default_rng(0).normal(size=shape)
    y, grads = run(derivation(name).load(), given, adjoint, **noise)
    want, others = other.vjp(other.LAYERS[name], arrays, adjoint)
    others = {key: g for key, g in others.items() if key not in noise}
    constant = CONSTANT.get((other.__name__.split(".")[-1].removesuffix("_layers"), name), set())
    assert set(others) == set(grads) - constant
    return {"y": relative(y, want)} | {key: relative(grads[key], g) for key, g in others.items()}


def relative(a: Any, b: Any) -> float:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and a.dtype == b.dtype == np.float64
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("which", FRAMEWORKS)
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients(name: str, which: str) -> None:
    found = errors(name, framework(which))
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_no_layer_is_left_out(which: str) -> None:
    assert set(framework(which).LAYERS) == set(LAYERS)
