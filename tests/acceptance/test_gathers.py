"""Integer inputs as indices, on either side: the modules against plain NumPy and against their equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import KroneckerDelta, Max, Sum, Symbol, exp, log, tanh

from symbp import Network, derive, indices, sizes
from symbp.ir.nodes import Delta, Entry
from symbp.notation import latex, text
from tests.acceptance.helpers import assert_close, frozen, load

n, m, v, d, k = sizes("n m v d k")
s, r, e = indices("s", n), indices("r", m), indices("e", d)
j, (i, c, o) = indices("j", v), indices("i c o", k)

Array = Any
Build = Callable[[Network], None]


def network(build: Build) -> Network:
    net = Network(build.__name__)
    build(net)
    return net


def embedding(net: Network) -> None:
    w, E = net.input("w", s, r, integer=True), net.param("E", j, e)
    net.output(net.define("y", (s, r, e), E[w[s, r], e]))


def classifier(net: Network) -> None:
    t, z = net.input("t", s, integer=True), net.param("z", s, i)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.output(y)
    net.loss(-Sum(log(y[s, t[s]]), s) / n)


def bigram(net: Network) -> None:
    """Both axes are gathered from, and rows repeat."""
    a, b, z = net.input("a", s, integer=True), net.input("b", s, integer=True), net.param("z", i, c)
    p = net.define("p", (i, c), exp(z[i, c]) / Sum(exp(z[i, o]), o))
    net.loss(-Sum(log(p[a[s], b[s]]), s) / n)


def characters(net: Network) -> None:
    """A context of letters, embedded and mixed: the sum over the hidden layer is done before the scatter."""
    w, t = net.input("w", s, r, integer=True), net.input("t", s, integer=True)
    E, W, V = net.param("E", j, e), net.param("W", i, r, e), net.param("V", j, i)
    h = net.define("h", (s, i), tanh(Sum(W[i, r, e] * E[w[s, r], e], r, e)))
    z = net.define("z", (s, j), Sum(V[j, i] * h[s, i], i))
    net.loss(Sum(log(Sum(exp(z[s, j]), j)) - z[s, t[s]], s) / n)


def per_row(net: Network) -> None:
    idx, x, q = (
        net.input("idx", s, r, integer=True),
        net.param("x", s, j, e),
        net.input("q", s, r, e),
    )
    net.loss(Sum((x[s, idx[s, r], e] - q[s, r, e]) ** 2, s, r, e))


def chained(net: Network) -> None:
    """A gather of a gather, a term that lacks an axis, and the square of a gathered sum."""
    g, w = net.input("g", s, integer=True), net.input("w", j, integer=True)
    E, q = net.param("E", i, e), net.param("q", j)
    net.loss(Sum(E[w[g[s]], e], s, e) + Sum(q[g[s]], s) ** 2)


def diagonals(net: Network) -> None:
    w, A = net.input("w", i, integer=True), net.param("A", i, c, j)
    net.loss(Sum(A[i, i, w[i]] ** 3, i) + Sum(A[i, c, w[i]] * A[c, i, w[c]], i, c))


def hinge(net: Network) -> None:
    t, W, x = net.input("t", s, integer=True), net.param("W", i, e), net.input("x", s, e)
    z = net.define("z", (s, i), Sum(W[i, e] * x[s, e], e))
    net.loss(Sum(Max(0, z[s, i] - z[s, t[s]] + 1), s, i) / n)


def segments(net: Network) -> None:
    """A one-hot matrix as the user writes it, and an integer used as a number."""
    g, x = net.input("g", s, integer=True), net.param("x", s, e)
    S = net.define("S", (j, e), Sum(KroneckerDelta(j, g[s]) * x[s, e], s))
    net.loss(Sum(S[j, e] ** 2, j, e) + Sum(g[s] * x[s, e], s, e))


def scalars(net: Network) -> None:
    a, w = net.input("a", integer=True), net.input("w", s, integer=True)
    E, b = net.param("E", j, e), net.param("b", e, j)
    net.output(net.define("y", (s, e), E[w[s], e] * b[e, w[s]] + a * E[a, e]))


def twice(net: Network) -> None:
    """Read whole and at gathered places, by two equations, one of them nonlinear in a gathered value."""
    w, x = net.input("w", s, integer=True), net.param("x", s, i)
    y = net.define("y", (s, i), tanh(x[s, i]))
    net.loss(Sum(exp(y[s, w[s]]) * y[s, w[s]], s) * Sum(y[s, i] ** 2, s, i))


@pytest.mark.parametrize(
    "build",
    [
        bigram,
        characters,
        chained,
        classifier,
        diagonals,
        embedding,
        hinge,
        per_row,
        scalars,
        segments,
        twice,
    ],
)
def test_verified(build: Build) -> None:
    report = derive(network(build)).verify()
    assert report.ok, report


def test_an_embedding_accumulates_repeated_targets() -> None:
    """CS231n: W=linspace(0,1,15)->(5,3), x=[[0,3,1,2],[2,1,0,3]]."""
    module, w = load(network(embedding)), np.array([[0, 3, 1, 2], [2, 1, 0, 3]])
    params = frozen({"E": np.linspace(0, 1, 15).reshape(5, 3)})
    y, cache = module.forward(params, w)
    assert_close(y[0, 1], [0.64285714, 0.71428571, 0.78571429], 1e-7)
    dy = np.random.default_rng(0).normal(size=y.shape)
    expected = np.zeros((5, 3))
    np.add.at(expected, w, dy)
    assert_close(module.backward(params, cache, dy)["E"], expected, 1e-14)


def test_softmax_with_integer_labels_is_y_minus_one_at_the_label() -> None:
    d_ = derive(network(classifier))
    assert d_.gradients["z"] == "∂L/∂z[s,i] = (y[s,i] − δ_{i,t[s]}) / n"
    assert "dz = y / n\n    dz[np.arange(n), t] -= 1 / n\n" in d_.source


def test_stable_at_a_thousand() -> None:
    module = load(network(classifier))
    z = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 999.0]])
    with np.errstate(all="raise", under="ignore"):
        loss, grads = module.value_and_grad({"z": z}, np.array([1, 2]))
    assert_close(loss, (2000 + 1 + np.log1p(np.exp(-1))) / 2, 1e-15)
    y = 1 / (1 + np.exp(-1))
    assert_close(grads["z"], np.array([[1, -1, 0], [0, y, -y]]) / 2, 1e-15)


def test_what_goes_to_a_place_is_summed_before_it_goes_there() -> None:
    source = derive(network(characters)).source
    assert "dE = _scatter_add(\n        (v, d), (w,), np.tensordot(" in source


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "count", "width"),
    [
        (27, 96, 10),
        (40, 96, 10),
        (40, 8, 500),
        (5000, 32, 10),
        (5000, 32, 100),
        (3, 0, 4),
        (4, 5, 1),
    ],
)
def test_every_way_to_scatter(rows: int, count: int, width: int, dtype: type) -> None:
    scatter = vars(load(network(embedding)))["_scatter_add"]
    rng = np.random.default_rng(rows + width)
    places, values = rng.integers(rows, size=count), rng.normal(size=(count, width)).astype(dtype)
    expected = np.zeros((rows, width))
    np.add.at(expected, places, values.astype(np.float64))
    for kind in (np.int64, np.uint8 if rows < 256 else np.uint64):
        got = scatter((rows, width), (places.astype(kind),), values)
        assert got.dtype == dtype
        assert_close(got, expected, 1e-14 if dtype is np.float64 else 1e-5)


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([[0, 5]], "w: holds 5, outside axis 0 of E, of size 5"),
        ([[-1, 0]], "w: holds -1, outside axis 0 of E, of size 5"),
    ],
)
def test_integers_outside_are_named(w: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(network(embedding)).forward({"E": np.ones((5, 3))}, np.array(w))


def test_labels_are_checked_where_only_the_adjoint_would_use_them() -> None:
    with pytest.raises(ValueError, match="t: holds 3, outside axis 1 of y, of size 3"):
        load(network(classifier)).forward({"z": np.ones((2, 3))}, np.array([0, 3]))


def test_a_float_tensor_is_no_index_at_run_time_either() -> None:
    with pytest.raises(TypeError, match="t: must hold integers up to int64, got float64"):
        load(network(classifier)).forward({"z": np.ones((2, 3))}, np.array([0.0, 1.0]))


def test_gradients_and_partials_as_sympy() -> None:
    d_ = derive(network(embedding))
    assert str(d_.partial("y", "E")) == "KroneckerDelta(e, e')*KroneckerDelta(j, w[s, r])"
    assert d_.gradient("E").has(KroneckerDelta)


def test_notation() -> None:
    w = Entry(Symbol("w", integer=True), s)
    assert text(Entry("E", w, e)) == "E[w[s],e]"
    assert latex(Entry("E", w, e)) == "E_{w_{s},e}"
    assert text(Delta(j, w)) == "δ_{j,w[s]}"
    assert latex(Delta(j, w)) == r"\delta_{j,w_{s}}"
