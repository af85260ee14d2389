"""`Maximum` over indices: a node of the language, its gradient at ties, and the shift of a softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from acceptance.helpers import assert_close, frozen, load, run
from sympy import Derivative, Expr, Max, Sum, exp, latex, log, sqrt, tanh

from symbp import Maximum, Network, derive, indices, sizes
from symbp.ir.nodes import Entry, Reduce, Slope
from symbp.notation import latex as notation_latex
from symbp.notation import text

n, d, k = sizes("n d k")
s, j, (i, c) = indices("s", n), indices("j", d), indices("i c", k)


def network(name: str = "m") -> tuple[Network, Any, Any, Any]:
    net = Network(name)
    return net, net.param("x", s, j), net.param("w", i, j), net.param("b", i)


# The node


def test_it_is_a_sympy_expression_that_binds_its_indices() -> None:
    net = Network("m")
    x = net.input("x", s, j)
    node = Maximum(x[s, j] ** 2, j)
    assert isinstance(node, Expr) and node.func(*node.args) == node
    assert node.variables == [j] and j not in node.free_symbols and s in node.free_symbols
    assert str(node) == "Maximum(x[s, j]**2, j)" and latex(node).startswith(r"\max_{")
    assert Maximum(x[s, j], s, j).variables == [s, j]
    assert (node + node) == 2 * node and abs(node).is_real
    g = net.param("g")
    assert Maximum(g * x[s, j], j).diff(g).has(Derivative)  # left to symbp


# Values and gradients, checked against direct evaluation


FORMS = {
    "over one index": lambda x, w, b: Sum(Maximum(x[s, j], j) ** 2, s),
    "over two": lambda x, w, b: Maximum(x[s, j] * w[i, j], s, i, j) * Sum(b[i], i),
    "of another maximum": lambda x, w, b: Sum(
        Maximum(tanh(w[i, j]) * Maximum(x[s, j] * b[i], s), j), i
    ),
    "of a matrix product": lambda x, w, b: Sum(
        Maximum(tanh(Sum(x[s, j] * w[i, j], j) + b[i]), i), s
    ),
    "of what lacks the index": lambda x, w, b: Sum(Maximum(b[c], i) * b[c] ** 2, c),
    "below a fraction": lambda x, w, b: Sum(w[i, j] / Maximum(w[i, j] ** 2 + 1, i, j) * b[i], i, j),
    "of an index": lambda x, w, b: Sum(Maximum(w[i, j] * b[i] + i * j, i), j),
    "of a fixed place": lambda x, w, b: Maximum(w[0, j] * w[0, j] * b[0], j),
    "of many terms": lambda x, w, b: Sum(
        Maximum(2 * w[i, j] * b[i] + 2 * x[s, j] * b[i] + b[i] + w[i, j], i) ** 3, s, j
    ),
    "of a softmax": lambda x, w, b: Maximum(exp(b[i]) / Sum(exp(b[c]), c), i),
    "of rectified values": lambda x, w, b: Sum(Maximum(Max(0, x[s, j] * w[i, j]), i), s, j),
    "a centred row": lambda x, w, b: Sum((w[i, j] - Maximum(w[i, c_j], c_j)) ** 2 * b[i], i, j),
    "a softmax shifted by hand": lambda x, w, b: (
        -Sum(
            w[i, j] * log(exp(b[i] - Maximum(b[c], c)) / Sum(exp(b[c] - Maximum(b[i], i)), c)), i, j
        )
    ),
}
c_j = indices("c_j", d)


@pytest.mark.parametrize("name", FORMS)
def test_values_gradients_and_contract(name: str) -> None:
    net, *tensors = network()
    net.loss(FORMS[name](*tensors))
    derivation = derive(net)
    report = derivation.verify()
    assert report.ok, str(report)
    functions, _ = derivation.source.split("# Checks at entry")
    assert max(map(len, functions.splitlines())) <= 88


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_share_equally(dtype: Any) -> None:
    net, x, _, _ = network("pool")
    net.output(net.define("y", s, Maximum(x[s, j], j)))
    rows = [[3, 1, 3, 3], [0, 0, 0, 0], [-1, -2, -3, -1], [-np.inf] * 4]
    y, grads = run(
        load(net, ["x"]), frozen({"x": rows, "w": [[0] * 4], "b": [0]}, dtype), dtype([6, 4, 2, 8])
    )
    assert y.tolist() == [3, 0, -1, -np.inf] and y.dtype == dtype
    assert grads["x"].tolist() == [[2, 0, 2, 2], [1] * 4, [1, 0, 0, 1], [2] * 4]
    assert grads["x"].dtype == dtype


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_of_what_is_computed(dtype: Any) -> None:
    """Equal entries of an inexact product tie: both sides of a comparison are computed by one statement."""
    net, x, w, b = network()
    net.loss(Sum(Maximum(tanh(Sum(x[s, j] * w[i, j], j)) * sqrt(3) + b[i] / 3, i), s))
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.normal(size=(50, 7)),
        "w": np.tile(rng.normal(size=7), (4, 1)),
        "b": [0.1] * 4,
    }
    _, grads = run(load(net), frozen(arrays, dtype))
    assert_close(grads["b"], np.full(4, 50 / 12), 1e-6)
    assert_close(grads["w"], np.tile(grads["w"][0], (4, 1)), 1e-6)


def test_the_module_says_what_happens_at_ties() -> None:
    net, x, w, b = network()
    net.loss(Sum(Max(0, x[s, j]), s, j) + Sum(w[i, j] * b[i], i, j))
    assert "tie" not in derive(net).source
    for form in (lambda x: Maximum(x[s, j], j), lambda x: Sum(Max(x[s, j], x[s, 0]), j)):
        net, x, _, _ = network()
        net.loss(Sum(form(x) ** 2, s))
        said = derive(net).source.split("def backward")[1].split("def value_and_grad")[0]
        assert "Entries that tie for a maximum or minimum share its gradient equally." in said


# The derivation


def test_pooling_reads_well() -> None:
    net, x, _, _ = network("pool")
    net.output(net.define("y", s, Maximum(x[s, j], j)))
    derivation = derive(net, ["x"])
    assert (
        derivation.gradients["x"] == "∂L/∂x[s,j] = [x[s,j] = y[s]] ∂L/∂y[s] / Σ_j' [x[s,j'] = y[s]]"
    )
    for line in (
        "y = x.max(axis=1)",
        "ties_x = (x == y[:, None]).astype(x.dtype)",
        "dx = (dy / ties_x.sum(axis=1))[:, None] * ties_x",
    ):
        assert f"    {line}\n" in derivation.source
    gradient = derivation.gradient("x")
    assert "Piecewise((1, Eq(y[s], x[s, j])), (0, True))" in str(gradient)


def shifted(separately: bool) -> Network:
    net = Network("softmax")
    z = net.input("z", s, i)
    if separately:
        m = net.define("m", s, Maximum(z[s, i], i))
        e = net.define("e", (s, i), exp(z[s, i] - m[s]))
        total = net.define("total", s, Sum(e[s, c], c))
        y = net.define("y", (s, i), e[s, i] / total[s])
    else:
        z_max = Maximum(z[s, c], c)
        y = net.define(
            "y", (s, i), exp(z[s, i] - z_max) / Sum(exp(z[s, c] - Maximum(z[s, i], i)), c)
        )
    net.output(y)
    return net


@pytest.mark.parametrize("separately", [True, False], ids=["in four equations", "in one"])
def test_the_gradient_of_a_shift_in_a_softmax_is_identically_zero(separately: bool) -> None:
    derivation = derive(shifted(separately))
    if separately:
        assert derivation.partial("y", "m") == 0 and derivation.gradient("m") == 0
        assert "∂L/∂m[s] = 0" not in derivation.source  # nothing is computed for it
    plain = Network("softmax")
    z = plain.input("z", s, i)
    plain.output(plain.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c)))
    assert derivation.gradients["z"] == derive(plain).gradients["z"]
    assert derivation.gradients["z"] == ("∂L/∂z[s,i] = y[s,i] (∂L/∂y[s,i] − Σ_c ∂L/∂y[s,c] y[s,c])")


def test_a_shift_by_hand_is_the_only_one() -> None:
    """The code's own shift finds that the user's maximum is what it would subtract."""
    source = derive(shifted(True)).source
    assert source.count(".max(") == 2  # one in forward, one in predict
    assert "m = z.max(axis=1)" in source and "np.exp(z - m[:, None])" in source


def test_a_log_sum_exp_shifted_by_hand() -> None:
    net = Network("lse")
    z = net.input("z", s, i)
    m = Maximum(z[s, i], i)
    net.output(net.define("y", s, m + log(Sum(exp(z[s, c] - m), c))))
    derivation = derive(net)
    assert "Piecewise" not in str(derivation.gradient("z"))  # no [z = max z]: the shift is gone
    assert derivation.verify().ok


# The notation


def test_notation_of_a_slope() -> None:
    x, at = Entry("x", s, c), Entry("x", s, i)
    largest = Reduce("maximum", x, c)
    slope = Slope(largest, largest, i)
    assert text(slope) == "[x[s,i] = max_c x[s,c]] / Σ_c' [x[s,c'] = max_c x[s,c]]"
    assert (
        text(Slope(largest, Entry("y", s), i) * at)
        == "[x[s,i] = y[s]] x[s,i] / Σ_c [x[s,c] = y[s]]"
    )
    assert r"\max_{c} x_{sc}" in notation_latex(slope)
