"""Losses and gradients of the zoo's recurrent networks, in float64, against PyTorch and JAX, from 1 to 50 steps."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from .helpers import run
from .recurrent import SIZES, data, module

pytestmark = pytest.mark.oracles

FRAMEWORKS = ("torch", "jax")
TOLERANCE = 1e-9
STEPS = (1, 2, 7, 50)


def framework(name: str) -> ModuleType:
    """The same networks in another framework; the test is skipped where that is absent."""
    pytest.importorskip(name)
    return import_module(f".{name}_recurrent", __package__)


def error(name: str, other: ModuleType, params: Any, inputs: Any) -> float:
    """The largest max |a − b| / max |b| of the loss and of every gradient; b is the framework's.

    Of a gradient that vanishes beside the others, |a − b| is measured by these.
    """
    loss, grads = run(module(name), {**params, **inputs})
    if name == "ctc":  # y as a softmax of its own logarithm, through which ∂L/∂y goes on
        y, dy = params["y"], grads["y"]
        params, grads = (
            {"logits": np.log(y)},
            {"logits": y * (dy - (dy * y).sum(-1, keepdims=True))},
        )
    want, others = other.value_and_grad(name, params, inputs)
    assert set(others) == set(grads)
    least = 1e-4 * max(np.abs(g).max() for g in others.values())  # that of the bias of keys is 0
    pairs = [(loss, want), *((grads[key], g) for key, g in others.items())]
    return max(np.abs(a - b).max() / max(np.abs(b).max(), least) for a, b in pairs)


@pytest.mark.parametrize("which", FRAMEWORKS)
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("steps", STEPS)
def test_losses_and_gradients(name: str, steps: int, which: str) -> None:
    assert error(name, framework(which), *data(name, steps)) <= TOLERANCE


@pytest.mark.parametrize("layers", [1, 12, 48])
def test_gpt2_of_any_depth(layers: int) -> None:
    """One module, in which the number of layers is a size."""
    assert error("gpt2", framework("torch"), *data("gpt2", 5, L=layers)) <= TOLERANCE
