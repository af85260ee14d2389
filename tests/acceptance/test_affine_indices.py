"""Shifted, strided and windowed indices: the modules against plain NumPy and against their equations."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import KroneckerDelta, Max, Sum, tanh

from symbp import Network, derive, indices, sizes
from tests.acceptance.helpers import assert_close, frozen, load

n, k, P, Q, A, B, C, G, m, S, d = sizes("n k P Q A B C G m S d")
s, f, c, g, i = (indices(*pair) for pair in (("s", n), ("f", k), ("c", C), ("g", G), ("i", d)))
p, q, a, b = (indices(*pair) for pair in (("p", P), ("q", Q), ("a", A), ("b", B)))
r = indices("r", m)

Array = Any
Build = Callable[[Network], None]


def network(build: Build) -> Network:
    net = Network(build.__name__)
    build(net)
    return net


def strided(net: Network) -> None:
    x, W = net.input("x", s, indices("j", 2 * P + A), c), net.param("W", f, a, c)
    net.output(net.define("y", (s, p, f), Sum(W[f, a, c] * x[s, 2 * p + a, c], a, c)))


def convolution(net: Network) -> None:
    x = net.input("x", s, c, indices("u", P + A - 1), indices("v", Q + B - 1))
    W, bias = net.param("W", f, c, a, b), net.param("bias", f)
    z = Sum(W[f, c, a, b] * x[s, c, p + a, q + b], c, a, b)
    net.output(net.define("y", (s, f, p, q), bias[f] + z))


def dilated(net: Network) -> None:
    """The stride between the places that a kernel reads is a symbol."""
    x, W = net.param("x", s, indices("j", P + S * (A - 1)), c), net.param("W", f, a, c)
    y = net.define("y", (s, p, f), tanh(Sum(W[f, a, c] * x[s, p + S * a, c], a, c)))
    net.loss(Sum(y[s, p, f] ** 2, s, p, f))


def symbolic_stride(net: Network) -> None:
    x, W = net.input("x", s, indices("j", S * (P - 1) + A)), net.param("W", a)
    net.output(net.define("y", (s, p), Sum(W[a] * x[s, S * p + a], a)))


def grouped(net: Network) -> None:
    o = indices("o", k)
    x = net.input("x", s, indices("ch", G * m), indices("u", P + A - 1))
    W = net.param("W", g, o, r, a)
    net.output(net.define("y", (s, g, o, p), Sum(W[g, o, r, a] * x[s, g * m + r, p + a], r, a)))


def average_pool(net: Network) -> None:
    two = indices("t", 2)
    x = net.param("x", s, indices("j", 2 * P))
    h = net.define("h", (s, indices("j", 2 * P)), Max(0, x[s, indices("j", 2 * P)]))
    net.loss(Sum((Sum(h[s, 2 * p + two], two) / 2) ** 3, s, p))


def interleaved(net: Network) -> None:
    x = net.param("x", indices("j", 2 * d + 1))
    net.loss(Sum(x[2 * i + 1] * x[2 * i] ** 2, i) + x[0] * x[2 * d])


def differences(net: Network) -> None:
    """Both reads leave one end: over d + 2 places, x[i + 2] − 2 x[i + 1]."""
    x = net.param("x", indices("j", d + 2))
    net.loss(Sum((x[i + 2] - 2 * x[i + 1]) ** 2, i))


def reversed_twice(net: Network) -> None:
    x, y = net.param("x", i), net.param("y", i)
    net.loss(Sum(x[d - 1 - i] * y[i], i) + Sum(x[i] * x[d - 1 - i] ** 2, i))


def shifted_diagonal(net: Network) -> None:
    x = net.param("x", indices("j", d + 2), indices("l", 2 * d + 1))
    net.loss(Sum(x[i + 1, 2 * i + 1] ** 3, i) + Sum(x[i + 2, 0], i) ** 2)


def gathered_too(net: Network) -> None:
    w, x = net.input("w", s, integer=True), net.param("x", i, indices("l", P + A - 1))
    net.loss(Sum(Sum(x[w[s], p + a], a) ** 2, s, p))


def undecided(net: Network) -> None:
    x = net.param("x", i)
    net.loss(Sum(x[p + 2 * a] ** 2, p, a))


def inside_a_function(net: Network) -> None:
    """The slices that accumulate stand deeper than a term: the adjoint of x multiplies them."""
    w, v = net.param("w", indices("j", P + A - 1)), net.param("v", a)
    x = net.define("x", (indices("j", P + A - 1),), tanh(w[indices("j", P + A - 1)]))
    net.loss(Sum(Sum(x[p + a] * v[a], a) ** 2, p) * Sum(v[a] ** 2, a))


def names_that_clash(net: Network) -> None:
    """The index of the loop has the name of a tensor."""
    x, a_ = net.param("x", indices("j", P + A - 1)), net.param("a", p)
    net.loss(Sum((x[p + a] * a_[p]) ** 2, p, a))


def shifted_delta(net: Network) -> None:
    """δ over a range that it leaves: 0 there."""
    x, j = net.param("x", i), indices("j", d)
    net.loss(Sum(KroneckerDelta(i, j + 1) * x[i] * x[j] ** 2, i, j))


MODELS = [
    average_pool, convolution, differences, dilated, gathered_too, grouped, inside_a_function,
    interleaved, names_that_clash, reversed_twice, shifted_delta, shifted_diagonal, strided,
    symbolic_stride, undecided,
]  # fmt: skip


@pytest.mark.parametrize("build", MODELS)
def test_verified(build: Build) -> None:
    report = derive(network(build)).verify()
    assert report.ok, report


def plain_convolution(W: Array, bias: Array, x: Array) -> Array:
    height, width = x.shape[2] - W.shape[2] + 1, x.shape[3] - W.shape[3] + 1
    y = np.empty((len(x), len(W), height, width))
    for u, v in np.ndindex(height, width):
        patch = x[:, :, u : u + W.shape[2], v : v + W.shape[3]]
        y[:, :, u, v] = np.tensordot(patch, W, ([1, 2, 3], [1, 2, 3]))
    return y + bias[:, None, None]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_convolution_against_plain_numpy(dtype: type) -> None:
    rng = np.random.default_rng(1)
    shapes = {"W": (4, 3, 2, 3), "bias": (4,), "x": (2, 3, 5, 6)}
    at = frozen({name: rng.normal(size=shape) for name, shape in shapes.items()}, dtype)
    module = load(network(convolution))
    y, cache = module.forward({"W": at["W"], "bias": at["bias"]}, at["x"])
    tolerance = 1e-5 if dtype is np.float32 else 1e-13
    assert y.dtype == dtype
    assert_close(y, plain_convolution(at["W"], at["bias"], at["x"]), tolerance)
    dy = rng.normal(size=y.shape).astype(dtype)
    grads = module.backward({"W": at["W"], "bias": at["bias"]}, cache, dy)
    dx = np.zeros(shapes["x"])
    for u, v in np.ndindex(*y.shape[2:]):
        dx[:, :, u : u + 2, v : v + 3] += np.tensordot(dy[:, :, u, v], at["W"], ([1], [0]))
    assert grads["x"].dtype == dtype
    assert_close(grads["x"], dx, tolerance)


def test_notation_and_sympy() -> None:
    d_ = derive(network(strided))
    assert d_.gradients["x"] == "∂L/∂x[s,j,c] = Σ_{f,a,p} δ_{a + 2 p,j} ∂L/∂y[s,p,f] W[f,a,c]"
    assert r"x_{s,a + 2\, p,c}" in d_.latex
    assert "KroneckerDelta(a + 2*p, j)" in str(d_.partial("y", "x"))


def test_one_index_is_a_slice_and_its_adjoint_adds_to_it() -> None:
    source = derive(network(interleaved)).source
    assert "x[: 2 * d : 2] ** 2 @ x[1 : 1 + 2 * d : 2]" in source
    assert "dx[1 : 1 + 2 * d : 2] += x[: 2 * d : 2] ** 2" in source


def test_the_adjoint_of_a_window_loops_over_the_kernel() -> None:
    source = derive(network(strided)).source
    assert "np.tensordot(sliding_window_view(x, A, axis=1)[:, : 2 * P : 2], W" in source.replace(
        "\n        ", ""
    )
    assert (
        "    dx = np.zeros((n, A + 2 * P, C), dtype=W.dtype)\n"
        "    for a in range(A):\n"
        "        dx[:, a : a + 2 * P : 2] += dy @ W[:, a]\n"
    ) in source


def test_windows_that_do_not_meet_are_added_to_at_once() -> None:
    source = derive(network(average_pool)).source
    assert "for " not in source[source.index("def backward") : source.index("def value_and_grad")]


def test_backward_builds_no_windows() -> None:
    """The windows of 5 × 5 would be 25 times as large as the gradient."""
    module, rng = load(network(convolution)), np.random.default_rng(0)
    params = {"W": rng.normal(size=(4, 8, 5, 5)), "bias": np.zeros(4)}
    x = rng.normal(size=(4, 8, 32, 32))
    y, cache = module.forward(params, x)
    (slim := derive(network(convolution), wrt=["x"]).load()).forward(params, x)
    _, cache = slim.forward(params, x)
    tracemalloc.start()
    slim.backward(params, cache, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


def test_a_result_that_is_a_view_is_copied() -> None:
    net = Network("view")
    x = net.input("x", indices("j", P + A - 1))
    net.output(net.define("y", (p, a), x[p + a]))
    module, given = load(net), np.arange(5.0)
    y, _ = module.forward({}, given, A=3, P=3)
    y[...] = 0
    assert (given == np.arange(5.0)).all()


def test_a_window_that_leaves_its_axis_is_named_at_entry() -> None:
    module = load(network(undecided))
    module.forward({"x": np.ones(6)}, A=2, P=4)
    with pytest.raises(ValueError, match=r"x\[2 \* A \+ P - 3\]: place 6 is outside axis 0"):
        module.forward({"x": np.ones(6)}, A=2, P=5)


def test_sizes_that_do_not_divide_are_named() -> None:
    with pytest.raises(ValueError, match="x: axis 1 must have size"):
        load(network(average_pool)).forward({"x": np.ones((2, 5))})
