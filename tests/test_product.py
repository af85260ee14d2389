"""`Product` over indices: its gradient in a factor is the product of all others, with no division by a factor of 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from acceptance.helpers import assert_close, frozen, load, run
from sympy import KroneckerDelta, Max, Product, Sum, log, tanh

from symbp import Maximum, Network, derive, indices, sizes
from symbp.ir.nodes import Entry, Reduce, Slope
from symbp.notation import latex, text

n, d, k = sizes("n d k")
s, j, (i, c) = indices("s", n), indices("j", d), indices("i c", k)

FORMS = {
    "over one index": lambda x, w, b: Sum(Product(x[s, j], j) ** 2, s),
    "over two": lambda x, w, b: Product(x[s, j] + 2, s, j) * Sum(b[i], i),
    "of a product": lambda x, w, b: Sum(Product(Product(w[i, j], i) + x[s, j], j), s),
    "of a matrix product": lambda x, w, b: Sum(
        Product(tanh(Sum(x[s, j] * w[i, j], j) + b[i]), i), s
    ),
    "of a maximum": lambda x, w, b: Product(Maximum(w[i, j] * b[i], j), i),
    "of what lacks the index": lambda x, w, b: Sum(Product(b[c], i) * b[c], c),
    "below a fraction": lambda x, w, b: Sum(w[i, j] / Product(w[i, j] ** 2 + 1, j) * b[i], i, j),
    "one minus a product": lambda x, w, b: 1 - Product(1 - b[i] ** 2, i),
    "a polynomial by its roots": lambda x, w, b: Sum(Product(x[s, j] - b[i], i), s, j),
    "at the same entry": lambda x, w, b: Sum(b[i] * Product(b[c], c) * w[i, j], i, j),
    "of an index": lambda x, w, b: Product(b[i] * (i + 1), i),
    "of a delta": lambda x, w, b: Sum(Product(1 + KroneckerDelta(i, c) * b[i], i), c),
    "rectified": lambda x, w, b: Sum(Product(Max(0, x[s, j]) + 1, j), s),
    "its logarithm": lambda x, w, b: log(Product(1 + b[i] ** 2, i)),
}


def network(name: str = "m") -> tuple[Network, Any, Any, Any]:
    net = Network(name)
    return net, net.param("x", s, j), net.param("w", i, j), net.param("b", i)


@pytest.mark.parametrize("name", FORMS)
def test_values_gradients_and_contract(name: str) -> None:
    net, *tensors = network()
    net.loss(FORMS[name](*tensors))
    derivation = derive(net)
    report = derivation.verify()
    assert report.ok, str(report)
    functions, _ = derivation.source.split("# Checks at entry")
    assert max(map(len, functions.splitlines())) <= 88


def product_of_rows() -> Network:
    net = Network("rows")
    x = net.param("x", s, j)
    net.output(net.define("y", s, Product(x[s, j], j)))
    return net


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_factors_of_zero(dtype: Any) -> None:
    rows = [[2, 3, 5], [0, 3, 5], [2, 0, 5], [2, 3, 0], [0, 3, 0], [0, 0, 0]]
    adjoint = np.array([1, 1, 1, 10, 1, 1], dtype)
    y, grads = run(load(product_of_rows()), frozen({"x": rows}, dtype), adjoint)
    assert y.tolist() == [30, 0, 0, 0, 0, 0] and y.dtype == dtype
    expected = [[15, 10, 6], [15, 0, 0], [0, 10, 0], [0, 0, 60], [0, 0, 0], [0, 0, 0]]
    assert grads["x"].tolist() == expected and grads["x"].dtype == dtype


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1), (3, 4)])
def test_products_over_any_axes(shape: tuple[int, int]) -> None:
    """Of all entries, and of the columns, also where there is but one factor."""
    x = np.random.default_rng(0).normal(size=shape)
    whole = Network("whole")
    z = whole.param("x", s, j)
    whole.loss(Product(z[s, j], s, j))
    columns = Network("columns")
    z = columns.param("x", s, j)
    columns.loss(Sum(Product(z[s, j], s), j))
    _, grads = run(load(whole), frozen({"x": x}))
    assert_close(grads["x"], x.prod() / x, 1e-14)
    _, grads = run(load(columns), frozen({"x": x}))
    assert_close(grads["x"], x.prod(axis=0) / x, 1e-14)


def test_no_array_is_larger_than_the_body() -> None:
    source = derive(product_of_rows()).source
    assert "    y = x.prod(axis=1)\n" in source
    assert "    others_x = _others(x, axis=1)\n" in source
    assert "    dx = dy[:, None] * others_x\n" in source
    assert "/ x" not in source


def test_notation() -> None:
    x = Entry("x", s, c)
    whole = Reduce("product", x, c)
    slope = Slope(whole, whole, i)
    assert text(slope) == "Π_{c≠i} x[s,c]"
    assert text(slope * Entry("y", s)) == "y[s] Π_{c≠i} x[s,c]"
    assert text(slope + 1) == "1 + Π_{c≠i} x[s,c]"
    largest = Reduce("maximum", x, c)
    assert text(-slope * largest / 2) == "−(1/2) (max_c x[s,c]) Π_{c≠i} x[s,c]"
    assert latex(slope) == r"\prod_{c \neq i} x_{sc}"
    both = Reduce("product", x, s, c)
    assert text(Slope(both, both, s, i)) == "Π_{(s,c)≠(s,i)} x[s,c]"
    derivation = derive(product_of_rows())
    assert derivation.gradients["x"] == "∂L/∂x[s,j] = ∂L/∂y[s] Π_{j'≠j} x[s,j']"


def test_the_gradient_in_sympy() -> None:
    gradient = str(derive(product_of_rows()).gradient("x"))
    assert gradient.startswith("dy[s]*Product(Piecewise((x[s, j'], Ne(") and "(1, True)" in gradient
