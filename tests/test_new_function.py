"""There is no table of backward rules: functions that symbp never saw have right gradients.

The functions are made here, from what the language has, and differentiated by complex steps.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from symbp import Network, derive, indices, sizes

n = sizes("n")
s = indices("s", n)

Function = Callable[[Any, Any], Any]
"""f(m, x): with m = sympy on an expression, with m = NUMPY on an array."""

NUMPY = SimpleNamespace(
    **{name: getattr(np, name) for name in "exp log sqrt sin cos tanh sinh cosh".split()}
)

ODD: dict[str, Function] = {
    "mish": lambda m, x: x * m.tanh(m.log(1 + m.exp(x))),
    "damped wave": lambda m, x: m.sin(3 * x) / (1 + x**2) * m.exp(-(x**2) / 2),
    "bent root": lambda m, x: m.sqrt(1 + x**2) * m.cos(x) - m.log(1 + m.cosh(x)),
    "nested": lambda m, x: m.sin(m.tanh(m.exp(m.sin(x)) - 1) * m.log(2 + m.cos(x))),
    "tower": lambda m, x: (1 + m.exp(-(x**2))) ** m.sin(x),
    "fraction": lambda m, x: (x**3 - x) / (m.exp(x) + m.exp(-2 * x) + 1),
}


def assert_gradient_is_right(f: Function, x: Any, rtol: float) -> None:
    """f as a layer: its values, and its vector-Jacobian product, against a complex step."""
    net = Network("odd")
    tensor = net.param("x", s)
    net.output(net.define("y", (s,), f(sympy, tensor[s])))
    module = derive(net).load()
    seed = np.linspace(1, 2, len(x))
    y, cache = module.forward({"x": x})
    got = module.backward({"x": x}, cache, seed)["x"]
    step = 1e-30
    want = seed * np.imag(f(NUMPY, x + 1j * step)) / step
    np.testing.assert_allclose(y, f(NUMPY, x), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * max(1.0, np.max(np.abs(want))))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_function(name: str) -> None:
    assert_gradient_is_right(ODD[name], np.linspace(-2.5, 2.5, 11), 1e-13)


def test_a_function_inside_a_network() -> None:
    """The odd function as an activation between two affine maps, beside its own input."""
    d, h = sizes("d h")
    j, a = indices("j", d), indices("a", h)
    net = Network("odd_network")
    x, W = net.input("x", s, j), net.param("W", a, j)
    v = net.param("v", a)
    z = net.define("z", (s, a), sympy.Sum(W[a, j] * x[s, j], j))
    y = net.define("y", (s, a), ODD["damped wave"](sympy, z[s, a]))
    net.loss(sympy.Sum(v[a] * y[s, a] * z[s, a], s, a))

    rng = np.random.default_rng(0)
    arrays = {"W": rng.normal(size=(4, 3)), "v": rng.normal(size=4)}
    data = rng.normal(size=(5, 3))

    def loss(W: Any, v: Any) -> Any:
        z = data @ W.T
        return ((ODD["damped wave"](NUMPY, z) * z) @ v).sum()

    got, grads = derive(net).load().value_and_grad(arrays, data)
    assert np.isclose(got, loss(**arrays), rtol=1e-14)
    for name, array in arrays.items():
        want = np.empty(array.shape)
        for position in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[position] += 1e-30j
            want[position] = np.imag(loss(**{**arrays, name: moved})) / 1e-30
        np.testing.assert_allclose(grads[name], want, rtol=0, atol=1e-13 * np.max(np.abs(want)))


UNARY: dict[str, Function] = {
    "sin": lambda m, u: m.sin(u),
    "cos": lambda m, u: m.cos(2 * u),
    "tanh": lambda m, u: m.tanh(u),
    "softplus": lambda m, u: m.log(1 + m.exp(u)),
    "sigmoid": lambda m, u: 1 / (1 + m.exp(-u)),
    "gaussian": lambda m, u: m.exp(-(u**2)),
    "root": lambda m, u: m.sqrt(1 + u**2),
    "cube": lambda m, u: u**3,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda u, v: u + v,
    "−": lambda u, v: u - 2 * v,
    "·": lambda u, v: u * v,
    "/": lambda u, v: u / (2 + v**2),
}


def functions() -> st.SearchStrategy[tuple[str, Function]]:
    """Random compositions, with their text."""

    def unary(parts: tuple[str, tuple[str, Function]]) -> tuple[str, Function]:
        name, (text, f) = parts
        return f"{name}({text})", lambda m, x: UNARY[name](m, f(m, x))

    def binary(parts: tuple[str, Any, Any]) -> tuple[str, Function]:
        name, (left, f), (right, g) = parts
        return f"({left} {name} {right})", lambda m, x: BINARY[name](f(m, x), g(m, x))

    leaf = st.just(("x", lambda m, x: x))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(sorted(UNARY)), inner).map(unary),
            st.tuples(st.sampled_from(sorted(BINARY)), inner, inner).map(binary),
        ),
        max_leaves=4,
    )


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(functions())
def test_any_composition(function: tuple[str, Function]) -> None:
    assert_gradient_is_right(function[1], np.array([-1.25, -0.5, 0.0, 0.75, 1.5]), 1e-11)
