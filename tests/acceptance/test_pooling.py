"""`Maximum` and `Product` over windows that overlap or are strided, and over gathered entries.

Against direct evaluation, and against PyTorch at ties and zeros: `amax` shares equally among ties, as symbp does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Product

from symbp import Maximum, Network, derive, indices, sizes
from symbp.pipeline import Derivation

from .helpers import assert_close, frozen, run

n, d, P, Q, v, k = sizes("n d P Q v k")
s, j, p, q, u = indices("s", n), indices("j", d), indices("p", P), indices("q", Q), indices("u", v)
a, b, r = indices("a", 3), indices("b", 2), indices("r", k)

Reducer = Callable[..., Expr]
Build = Callable[[Network, Reducer], tuple[tuple[Any, ...], Expr]]


def windows(length: Expr, place: Expr, weighted: bool = False) -> Build:
    """Over a, in one axis."""

    def build(net: Network, reducer: Reducer) -> tuple[tuple[Any, ...], Expr]:
        x = net.param("x", s, indices("l", length))
        return (s, p), reducer(x[s, place] + (net.param("w", a)[a] if weighted else 0), a)

    return build


def two_axes(net: Network, reducer: Reducer) -> tuple[tuple[Any, ...], Expr]:
    x = net.param("x", s, indices("l", P + 2), indices("m", 2 * Q))
    return (s, p, q), reducer(x[s, p + a, 2 * q + b], a, b)


def rows(net: Network, reducer: Reducer) -> tuple[tuple[Any, ...], Expr]:
    """Of the rows of words, some of which are the same."""
    x, w = net.param("x", u, j), net.input("w", s, integer=True)
    return (j,), reducer(x[w[s], j], s)


def neighbours(net: Network, reducer: Reducer) -> tuple[tuple[Any, ...], Expr]:
    x, w = net.param("x", u, j), net.input("w", s, r, integer=True)
    return (s, j), reducer(x[w[s, r], j], r)


def places(net: Network, reducer: Reducer) -> tuple[tuple[Any, ...], Expr]:
    """An entry of each row; every window of three rows."""
    x, w = net.param("x", indices("l", P + 2), j), net.input("w", indices("l", P + 2), integer=True)
    return (p,), reducer(x[p + a, w[p + a]], a)


# the network, its shapes (of integers below 4 where the name is w), and the entries as an axis of PyTorch's
FORMS: dict[str, tuple[Build, dict[str, tuple[int, ...]], Callable[..., Any]]] = {
    "overlapping": (windows(P + 2, p + a), {"x": (2, 6)}, lambda x: x.unfold(1, 3, 1)),
    "overlapping, strided": (
        windows(2 * P + 1, 2 * p + a),
        {"x": (2, 9)},
        lambda x: x.unfold(1, 3, 2),
    ),
    "disjoint": (windows(3 * P, 3 * p + a), {"x": (2, 9)}, lambda x: x.unfold(1, 3, 3)),
    "strided and dilated": (
        windows(2 * P + 5, 2 * p + 3 * a),
        {"x": (2, 11)},
        lambda x: x.unfold(1, 7, 2)[..., ::3],
    ),
    "backwards": (windows(P + 2, 2 + p - a), {"x": (2, 6)}, lambda x: x.unfold(1, 3, 1)),
    "with weights": (
        windows(2 * P + 1, 2 * p + a, weighted=True),
        {"x": (2, 7), "w": (3,)},
        lambda x, w: x.unfold(1, 3, 2) + w,
    ),
    "of two axes": (
        two_axes,
        {"x": (2, 5, 6)},
        lambda x: x.unfold(1, 3, 1).unfold(2, 2, 2).flatten(-2),
    ),
    "of gathered rows": (rows, {"x": (4, 2), "w": (6,)}, lambda x, w: x[w].movedim(0, -1)),
    "of neighbours": (neighbours, {"x": (4, 2), "w": (5, 3)}, lambda x, w: x[w].movedim(1, -1)),
    "of gathered places": (
        places,
        {"x": (6, 4), "w": (6,)},
        lambda x, w: x.gather(1, w[:, None])[:, 0].unfold(0, 3, 1),
    ),
}
REDUCERS: dict[str, Reducer] = {"amax": Maximum, "prod": Product}

each = pytest.mark.parametrize("reducer", REDUCERS)
each_form = pytest.mark.parametrize("form", FORMS)


@cache
def derivation(form: str, reducer: str) -> Derivation:
    net = Network("pooling")
    left, expr = FORMS[form][0](net, REDUCERS[reducer])
    net.output(net.define("y", left, expr))
    return derive(net)


@each
@each_form
def test_direct_evaluation(form: str, reducer: str) -> None:
    report = derivation(form, reducer).verify()
    assert report.ok, str(report)


@pytest.mark.oracles
@each
@each_form
def test_pytorch_at_ties_and_zeros(form: str, reducer: str) -> None:
    torch = pytest.importorskip("torch")
    _, shapes, entries = FORMS[form]
    module, rng = derivation(form, reducer).load(), np.random.default_rng(0)
    small = {name: rng.integers(-1, 3, size=shape).astype(float) for name, shape in shapes.items()}
    given = frozen(small)
    if "w" in module.INPUTS:
        given["w"] = rng.integers(0, 4, size=shapes["w"])
    tensors = {
        name: torch.tensor(array, requires_grad=name in module.PARAMETERS)
        for name, array in given.items()
    }
    want = getattr(entries(**tensors), reducer)(-1)
    adjoint = rng.normal(size=tuple(want.shape))
    want.backward(torch.tensor(adjoint))
    y, grads = run(module, given, adjoint)
    assert np.array_equal(y, want.detach().numpy())
    for name, grad in grads.items():
        assert_close(grad, tensors[name].grad.numpy(), 1e-14, floor=1.0, what=name)
