"""Conditions on indices: masks, bands, and branches that are read only where they are taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from acceptance.helpers import assert_close, load
from sympy import Abs, And, Eq, Expr, Ne, Not, Or, Piecewise, Sum, exp, log, oo, sqrt

from symbp import Network, derive, indices, sizes

B, T, E, k = sizes("B T E k")
s, (u, v, w), e = indices("s", B), indices("u v w", T), indices("e", E)
r, p = indices("r p", 7)


# Masks


MASKS: dict[str, Callable[[Any, Any, Any], Expr]] = {
    "band": lambda x, y, z: Sum(Piecewise((x[s, v] * y[u], Abs(u - v) <= 1), (y[v], True)), s, u, v),
    "diagonal": lambda x, y, z: Sum(Piecewise((x[s, v] * y[u], Eq(u, v)), (y[v] ** 2, True)) ** 2, s, u, v),
    "off the diagonal": lambda x, y, z: Sum(Piecewise((x[s, v] * y[u], Ne(u, v)), (3, True)) ** 2, s, u, v),
    "a number": lambda x, y, z: Sum(Piecewise((x[s, u], u < 3), (y[u] ** 2, True)) ** 2, s, u),
    "a size": lambda x, y, z: Sum(Piecewise((x[s, u], u >= k), (y[u] ** 2 * k, True)) ** 2, s, u),
    "a size alone": lambda x, y, z: Sum(Piecewise((z[r], T <= 2), (z[r] ** 2, T >= 3)) ** 2, r),
    "and, or, not": lambda x, y, z: Sum(
        Piecewise((x[s, u], Or(And(u >= 1, u < 4), Not(Eq(u, 5)))), (x[s, u] ** 3 * y[u], True)), s, u
    ),
    "mixed with values": lambda x, y, z: Sum(
        Piecewise((x[s, u], And(u >= 1, x[s, u] > y[u])), (y[u] ** 2, True)) ** 2, s, u
    ),
    "no integer between": lambda x, y, z: Sum(Piecewise((z[r], r <= 2), (z[r] ** 2, r >= 3)) ** 2, r),
    "two indices": lambda x, y, z: Sum(
        Piecewise((z[r] * z[p], r + 2 * p <= 5), (z[r] ** 2, r > 4), (1, True)) ** 2, r, p
    ),
    "numbers in two branches": lambda x, y, z: Sum(
        Piecewise((z[r], r < 2), (3, r < 4), (1, True)) ** 2 * z[p] + Piecewise((z[p], r < 2), (3, p < 4), (1, True)) ** 2 * z[r] ** 2, r, p
    ),
    "a mask as a number": lambda x, y, z: Sum(Piecewise((1, u <= v), (0, True)) * y[v] * y[u], u, v),
    "a logarithm": lambda x, y, z: Sum(Piecewise((log(x[s, u] ** 2), u >= 1), (0, True)) * y[u], u, s),
}  # fmt: skip


@pytest.mark.parametrize("form", MASKS)
def test_masks_verify(form: str) -> None:
    net = Network("m")
    x, y, z = net.param("x", s, u), net.param("y", u), net.param("z", r)
    net.loss(MASKS[form](x, y, z))
    report = derive(net).verify()
    assert report.ok, report


# Causal attention


def attention(inline: bool = False) -> Network:
    net = Network("attention")
    q, K, V = net.param("q", s, u, e), net.param("K", s, u, e), net.param("V", s, u, e)
    score = net.define("score", (s, u, v), Sum(q[s, u, e] * K[s, v, e], e) / sqrt(E))
    if inline:
        a, c = (Piecewise((score[s, u, i], i <= u), (-oo, True)) for i in (v, w))
    else:
        z = net.define("z", (s, u, v), Piecewise((score[s, u, v], v <= u), (-oo, True)))
        a, c = z[s, u, v], z[s, u, w]
    y = net.define("y", (s, u, v), exp(a) / Sum(exp(c), w))
    o = net.define("o", (s, u, e), Sum(y[s, u, v] * V[s, v, e], v))
    net.output(o, y)
    net.loss(Sum(o[s, u, e] ** 3, s, u, e))
    return net


@pytest.mark.parametrize("inline", [False, True])
def test_causal_attention_verifies(inline: bool) -> None:
    report = derive(attention(inline)).verify()
    assert report.ok, report


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masked_places_are_exactly_zero(inline: bool, dtype: type) -> None:
    module, rng = load(attention(inline)), np.random.default_rng(1)
    params = {n: (90 * rng.normal(size=(2, 5, 3))).astype(dtype) for n in ("q", "K", "V")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, grads = module.value_and_grad(params)
        y = module.predict(params)["y"]
    assert y.dtype == dtype and all(g.dtype == dtype for g in grads.values())
    assert (y[:, ~np.tri(5, dtype=bool)] == 0).all()
    assert all(np.isfinite(g).all() for g in grads.values())
    scores = np.where(
        np.tri(5, dtype=bool), params["q"] @ params["K"].swapaxes(1, 2) / 3**0.5, -np.inf
    )
    reference = np.exp(scores - scores.max(2, keepdims=True))
    assert_close(
        y, reference / reference.sum(2, keepdims=True), 1e-4 if dtype == np.float32 else 1e-12
    )


def test_a_mask_reads_as_one_comparison() -> None:
    derivation = derive(attention())
    assert (
        "z = np.where(np.arange(T)[:, None] >= np.arange(T), score, -np.inf)" in derivation.source
    )
    assert "z[s,u,v] = {score[s,u,v] if u ≥ v; −∞ otherwise}" in derivation.text
    assert r"-\infty" in derivation.latex.replace("- ", "-")
