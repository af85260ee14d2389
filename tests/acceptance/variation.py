"""A model and its definition in one function; the decorator makes tests of it.

The function declares the network and returns the definition: the same mathematics, written naively
over arrays of mpmath numbers (see `exact`). Values and gradients of the emitted module are compared
with it on random arrays, and at the extremes given, in float64 and in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest

from symbp import Network

from . import exact
from .helpers import Arrays, assert_close, frozen, load, run

SIZES = {"n": 2, "d": 3, "h": 4, "k": 5, "v": 9}
Definition = Callable[..., Any]
Build = Callable[[Network], Definition]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]

DIGITS = 60  # exp(−1000) beside 1 takes 435: a definition with log(1 − y) needs more
RTOL = {
    ("ordinary", "float64"): 1e-12,
    ("ordinary", "float32"): 2e-5,
    ("extremes", "float64"): 1e-13,
    ("extremes", "float32"): 4e-6,
}


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(0.5, 2.0, shape)


def distribution(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Positive, summing to one over the last axis."""
    a = rng.uniform(0.5, 2.0, shape)
    return a / a.sum(axis=-1, keepdims=True)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


def variation(
    *,
    draw: Mapping[str, Draw] | None = None,
    extremes: Sequence[Arrays] = (),
    digits: int = DIGITS,
) -> Callable[[Build], Callable[..., None]]:
    """Make a test of a function that builds a network and returns its definition."""

    def decorate(build: Build) -> Callable[..., None]:
        derived = cache(lambda: derive_all(build))

        @pytest.mark.parametrize("dtype", ["float64", "float32"])
        @pytest.mark.parametrize("kind", ["ordinary", "extremes"] if extremes else ["ordinary"])
        def test(kind: str, dtype: str) -> None:
            module, definition = derived()
            points = extremes if kind == "extremes" else [random_arrays(module, draw or {})]
            for point in points:
                with mpmath.workdps(digits):
                    compare(module, definition, frozen(point, dtype), RTOL[kind, dtype])

        test.__name__, test.__doc__ = build.__name__, build.__doc__
        test.__module__ = build.__module__
        return test

    return decorate


def derive_all(build: Build) -> tuple[ModuleType, Definition]:
    """The module with the gradients of every parameter and input, and the definition."""
    net = Network(build.__name__.removeprefix("test_"))
    definition = build(net)
    declared = net.declared()
    names = [x.name for x in (*declared.of_kind("param"), *declared.of_kind("input"))]
    return load(net, wrt=names), definition


def random_arrays(module: ModuleType, draw: Mapping[str, Draw]) -> dict[str, Any]:
    """An array for each parameter and input, its axes of the lengths in SIZES."""
    rng = np.random.default_rng(1)
    return {
        name: draw.get(name, normal)(rng, tuple(eval(size, {}, SIZES) for size in axes))
        for name, axes in (*module.PARAMETERS.items(), *module.INPUTS.items())
    }


def weighted(value: Any, adjoint: Any) -> Any:
    """Σ of adjoint times output, over one output or several: what backward differentiates."""
    if isinstance(value, dict):
        return sum(weighted(value[name], adjoint[name]) for name in value)
    return np.sum(adjoint * value)


def random_adjoint(value: Any, dtype: Any) -> Any:
    """Numbers of the shape of an output, or of each output in a dict."""
    if isinstance(value, dict):
        return {name: random_adjoint(output, dtype) for name, output in value.items()}
    return np.asarray(np.random.default_rng(2).uniform(0.5, 1.5, np.shape(value)), dtype)


def compare(module: ModuleType, definition: Definition, arrays: Arrays, rtol: float) -> None:
    """Values and gradients of the module against the definition, to rtol × max(1, largest)."""
    dtype = next(iter(arrays.values())).dtype
    at = {name: exact.array(a) for name, a in arrays.items()}
    want = definition(**at)
    layer = not hasattr(module, "value_and_grad")
    adjoint = random_adjoint(want, dtype) if layer else None
    value, grads = run(module, arrays, adjoint)
    several = isinstance(want, dict)
    for name in want if several else ["value"]:
        got, right = (value[name], want[name]) if several else (value, want)
        assert np.asarray(got).dtype == dtype
        assert_close(got, exact.floats(right), rtol, floor=1.0, what=name)

    assert set(grads) == set(arrays)
    for name, got in grads.items():

        def scalar(x: Any, name: str = name) -> Any:
            outputs = definition(**{**at, name: x})
            return weighted(outputs, adjoint) if layer else outputs

        slope = exact.floats(exact.gradient(scalar, at[name]))
        assert got.dtype == dtype
        assert_close(got, slope, rtol, floor=1.0, what=f"the gradient in {name}")
