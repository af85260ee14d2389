"""Conditions on indices: masks, bands, and branches that are read only where they are taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from acceptance.helpers import assert_close, load, run
from sympy import Abs, And, Eq, Expr, Ne, Not, Or, Piecewise, Sum, exp, log, oo, sqrt, tanh

from symbp import Maximum, Network, derive, indices, sizes

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
        Piecewise((z[p], r < 2), (3, p < 4), (1, True)) ** 2 * z[r] ** 2, r, p
    ),
    "a mask in a branch": lambda x, y, z: Sum(
        Piecewise((Piecewise((1, u <= v), (0, True)), u >= 2), (2, True)) * y[u] * y[v], u, v
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


def test_a_mask_is_computed_once_and_kept() -> None:
    derivation = derive(attention())
    assert "mask = np.arange(T)[:, None] >= np.arange(T)\n" in derivation.source
    assert "z = np.where(mask, score, -np.inf)\n" in derivation.source
    assert derivation.source.count("np.arange(T)[:, None]") == 2  # in forward and in predict
    assert "z[s,u,v] = {score[s,u,v] if u ≥ v; −∞ otherwise}" in derivation.text
    assert r"-\infty" in derivation.latex.replace("- ", "-")


# Branches that are read only where they are taken


H, m, D = sizes("H m D")
h, c, q, o = *indices("h c", H), indices("q", H + 2), indices("o", D)
f, g = indices("f g", 3)
i, i1, i2 = indices("i", k + m), indices("i1", k), indices("i2", m)


def padded() -> Network:
    net = Network("padded")
    x = net.input("x", s, h)
    net.output(net.define("y", (s, q), Piecewise((x[s, q - 1], And(q >= 1, q <= H)), (0, True))))
    return net


def joined() -> Network:
    net = Network("joined")
    a, b, x = net.param("a", s, i1), net.param("b", s, i2), net.param("x", i, o)
    y = net.define("y", (s, i), Piecewise((a[s, i], i < k), (b[s, i - k], True)))
    net.loss(Sum(tanh(Sum(y[s, i] * x[i, o], i)) ** 2, s, o))
    return net


def joined_within_a_function() -> Network:
    net = Network("joined_within")
    a, b, x = net.param("a", s, i1), net.param("b", s, i2), net.param("x", i)
    inner = Piecewise((a[s, i] ** 2, i < k), (b[s, i - k] * x[i] + i, True))
    y = net.define("y", (s, i), tanh(x[i] * inner))
    net.loss(Sum(y[s, i] ** 3, s, i))
    return net


def three_parts() -> Network:
    net = Network("three")
    t, last = indices("t", k + m + 3), indices("last", 3)
    a, b, x = net.param("a", i1), net.param("b", i2), net.param("x", last)
    parts = Piecewise((a[t], t < k), (b[t - k], t < k + m), (x[t - k - m], True))
    net.loss(Sum(net.define("y", t, parts)[t] ** 3 * (t + 1), t))
    return net


def convolution() -> Network:
    net = Network("convolution")
    q2 = indices("q2", H + 2)
    x, kernel = net.param("x", s, h, c), net.param("kernel", o, f, g)
    inside = And(q >= 1, q <= H, q2 >= 1, q2 <= H)
    y = net.define("y", (s, q, q2), Piecewise((x[s, q - 1, q2 - 1], inside), (0, True)))
    z = net.define("z", (s, o, h, c), Sum(y[s, h + f, c + g] * kernel[o, f, g], f, g))
    net.loss(Sum(tanh(z[s, o, h, c]) ** 2, s, o, h, c))
    return net


def pooling() -> Network:
    net = Network("pooling")
    x = net.param("x", s, h)
    y = net.define("y", (s, q), Piecewise((x[s, q - 1], And(q >= 1, q <= H)), (-oo, True)))
    z = net.define("z", (s, h), Maximum(y[s, h + f], f))
    net.loss(Sum(z[s, h] ** 2, s, h))
    return net


def otherwise_a_value() -> Network:
    net = Network("otherwise")
    x, y = net.param("x", s, h), net.param("y", q)
    inside = And(q >= 1, q <= H)
    z = net.define("z", (s, q), Piecewise((x[s, q - 1] * x[s, H - q], inside), (y[q], True)))
    net.loss(Sum(z[s, q] ** 2, s, q))
    return net


def difference() -> Network:
    net = Network("difference")
    x = net.param("x", s, h)
    y = net.define("y", (s, h), x[s, h] - Piecewise((x[s, h - 1], h >= 1), (0, True)))
    net.loss(Sum(y[s, h] ** 4, s, h))
    return net


def masked_ends() -> Network:
    net = Network("masked_ends")
    x, q2 = net.param("x", h), indices("q2", H + 2)
    y = net.define("y", q, Piecewise((x[q - 1], And(q >= 1, q <= H)), (-oo, True)))
    z = net.define("z", q, exp(y[q]) / Sum(exp(y[q2]), q2))
    net.loss(Sum(z[q] ** 3 * (q + 1), q))
    return net


def one_within_another() -> Network:
    net = Network("nested")
    x, q2 = net.param("x", h), indices("q2", H + 2)
    inner = Piecewise((x[q - 1] * x[q2 - 1], And(q >= 1, q <= H)), (2, True))
    y = Piecewise((inner, And(q2 >= 1, q2 <= H)), (x[0], True))
    net.loss(Sum(net.define("y", (q, q2), y)[q, q2] ** 2 * (q + 2 * q2), q, q2))
    return net


@pytest.mark.parametrize(
    "build",
    [
        masked_ends,
        one_within_another,
        padded,
        joined,
        joined_within_a_function,
        three_parts,
        convolution,
        pooling,
        otherwise_a_value,
        difference,
    ],
)
def test_guarded_reads_verify(build: Callable[[], Network]) -> None:
    report = derive(build()).verify()
    assert report.ok, report


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_is_numpys(dtype: type) -> None:
    module, rng = load(padded()), np.random.default_rng(2)
    x, dy = rng.normal(size=(2, 4)).astype(dtype), rng.normal(size=(2, 6)).astype(dtype)
    y, cache = module.forward({}, x)
    assert y.dtype == dtype and np.array_equal(y, np.pad(x, ((0, 0), (1, 1))))
    assert np.array_equal(module.backward({}, cache, dy)["x"], dy[:, 1:-1])


def test_padding_and_concatenation_are_slices() -> None:
    pad, join = derive(padded()), derive(joined())
    assert "y = np.zeros((B, 2 + H), dtype=x.dtype)" in pad.source
    assert "y[:, 1 : 1 + H] = x" in pad.source
    assert "y[:, :k] = a" in join.source and "y[:, k : k + m] = b" in join.source
    assert "da = dy[:, :k].copy()" in join.source and "np.where" not in join.source
    assert "Σ_h δ_{1 + h,q} x[s,h]" in pad.text and r"\delta" in pad.latex


def test_concatenation_is_numpys() -> None:
    module, rng = load(joined()), np.random.default_rng(2)
    arrays = {
        "a": rng.normal(size=(2, 3)),
        "b": rng.normal(size=(2, 4)),
        "x": rng.normal(size=(7, 5)),
    }
    loss, grads = run(module, arrays)
    y = np.concatenate([arrays["a"], arrays["b"]], axis=1)
    z = np.tanh(y @ arrays["x"])
    dy = 2 * z * (1 - z**2) @ arrays["x"].T
    assert_close(loss, (z**2).sum(), 1e-12)
    assert_close(grads["a"], dy[:, :3], 1e-12)
    assert_close(grads["b"], dy[:, 3:], 1e-12)
