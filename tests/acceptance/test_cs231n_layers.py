"""Rows of CS231n's layer suite that `symbp.layers` covers, with its printed numbers; and layer norm as llm.c has it.

The convolution here has no padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symbp import Network, indices, sizes
from symbp.layers.linear import embedding
from symbp.layers.normalisation import batch_norm, layer_norm
from symbp.layers.windows import conv2d, max_pool

from .helpers import assert_close, frozen, load, run
from .test_cs231n import numeric_vjp, ramp, relative_error

n, d, k, v, channels, maps, high, wide = sizes("n d k v channels maps high wide")
s, t, j, w = indices("s", n), indices("t", k), indices("j", d), indices("w", v)
c, m, p, q = indices("c", channels), indices("m", maps), indices("p", high), indices("q", wide)


def normalised(layer: Any) -> Any:
    net = Network("normalised")
    x = net.param("x", s, j)
    net.output(layer(net, "out", x, net.param("gamma", j), net.param("beta", j)))
    return load(net)


def norm(x: Any, axis: int) -> tuple[Any, Any]:
    """(normalised x, 1/standard deviation), with biased variance and ε = 1e-5."""
    rstd = 1 / np.sqrt(x.var(axis=axis, keepdims=True) + 1e-5)
    return (x - x.mean(axis=axis, keepdims=True)) * rstd, rstd


def batch_data(samples: int, features: int) -> tuple[dict[str, Any], Any]:
    rng = np.random.RandomState(231)
    arrays = {"x": 5 * rng.randn(samples, features) + 12}
    arrays |= {"gamma": rng.randn(features), "beta": rng.randn(features)}
    return arrays, rng.randn(samples, features)


def test_batchnorm_backward() -> None:
    arrays, dout = batch_data(4, 5)

    def forward(x: Any, gamma: Any, beta: Any) -> Any:
        return gamma * norm(x, 0)[0] + beta

    out, grads = run(normalised(batch_norm), frozen(arrays), dout)
    assert_close(out, forward(**arrays), 1e-14)
    for name in arrays:
        assert relative_error(grads[name], numeric_vjp(forward, arrays, name, dout)) < 1e-7
    assert relative_error(grads["beta"], dout.sum(axis=0)) < 1e-13


def test_batchnorm_backward_alt() -> None:
    """The simplified formula, at its printed difference: 1.3e-12."""
    arrays, dout = batch_data(100, 500)
    _, grads = run(normalised(batch_norm), frozen(arrays), dout)
    hat, rstd = norm(arrays["x"], 0)
    short = 100 * dout - dout.sum(axis=0) - hat * (dout * hat).sum(axis=0)
    assert relative_error(grads["x"], arrays["gamma"] * rstd * short / 100) < 1.3e-11
    assert_close(grads["x"], arrays["gamma"] * rstd * short / 100, 1e-13)
    assert_close(grads["gamma"], (dout * hat).sum(axis=0), 1e-13)


def test_layer_norm_of_llm_c() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "x": 5 * rng.normal(size=(6, 8)) + 12,
        "gamma": rng.normal(size=8),
        "beta": rng.normal(size=8),
    }
    dout = rng.normal(size=(6, 8))
    out, grads = run(normalised(layer_norm), frozen(arrays), dout)
    hat, rstd = norm(arrays["x"], 1)
    assert_close(out, arrays["gamma"] * hat + arrays["beta"], 1e-14)
    dnorm = arrays["gamma"] * dout

    def mean(rows: Any) -> Any:
        return rows.mean(axis=1, keepdims=True)

    assert_close(grads["x"], rstd * (dnorm - mean(dnorm) - hat * mean(dnorm * hat)), 1e-12)
    assert_close(grads["gamma"], (hat * dout).sum(axis=0), 1e-13)
    assert_close(grads["beta"], dout.sum(axis=0), 1e-13)


def test_layer_norm_of_a_constant_row() -> None:
    arrays = {"x": np.full((2, 4), 3.0), "gamma": np.ones(4), "beta": np.zeros(4)}
    out, grads = run(normalised(layer_norm), frozen(arrays), np.ones((2, 4)))
    assert np.array_equal(out, np.zeros((2, 4))) and np.all(np.isfinite(grads["x"]))


def test_convolution_without_padding() -> None:
    net = Network("convolution")
    x = net.param("x", s, c, indices("y", high + 2), indices("z", wide + 2))
    W, b = net.param("w", m, c, indices("u", 3), indices("v", 3)), net.param("b", m)
    net.output(conv2d(net, "out", x, W, b, (p, q)))
    rng = np.random.default_rng(231)
    shapes = {"x": (4, 3, 5, 5), "w": (2, 3, 3, 3), "b": (2,)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    dout = rng.normal(size=(4, 2, 3, 3))

    def forward(x: Any, w: Any, b: Any) -> Any:
        """As the notebook's naive one: a window at a time."""
        out = np.empty((4, 2, 3, 3))
        for at in np.ndindex(3, 3):
            window = x[:, None, :, at[0] : at[0] + 3, at[1] : at[1] + 3]
            out[:, :, *at] = (window * w).sum(axis=(2, 3, 4)) + b
        return out

    out, grads = run(load(net), frozen(arrays), dout)
    assert_close(out, forward(**arrays), 1e-14)
    for name in arrays:
        assert_close(grads[name], numeric_vjp(forward, arrays, name, dout), 1e-8)


def pooling() -> Any:
    net = Network("pooling")
    x = net.param("x", s, c, indices("y", 2 * high), indices("z", 2 * wide))
    net.output(max_pool(net, "out", x, (p, q), indices("u v", 2)))
    return load(net)


def pooled(x: Any) -> Any:
    samples, maps, high, wide = x.shape
    return x.reshape(samples, maps, high // 2, 2, wide // 2, 2).max(axis=(3, 5))


def test_max_pool_forward() -> None:
    x = ramp(-0.3, 0.4, 2, 3, 4, 4)
    out, _ = run(pooling(), frozen({"x": x}), np.ones((2, 3, 2, 2)))
    printed = np.array([[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]])
    assert relative_error(out[0, 0], printed) < 5e-8
    assert out[-1, -1, -1, -1] == 0.4
    assert np.array_equal(out, pooled(x))


def test_max_pool_backward() -> None:
    rng = np.random.default_rng(231)
    x, dout = rng.normal(size=(3, 2, 8, 8)), rng.normal(size=(3, 2, 4, 4))
    _, grads = run(pooling(), frozen({"x": x}), dout)
    assert_close(grads["x"], numeric_vjp(pooled, {"x": x}, "x", dout), 1e-8)
    wins = x == pooled(x).repeat(2, axis=2).repeat(2, axis=3)
    assert np.array_equal(grads["x"], wins * dout.repeat(2, axis=2).repeat(2, axis=3))


def test_word_embedding() -> None:
    net = Network("words")
    net.output(embedding(net, "out", net.input("x", s, t, integer=True), net.param("W", w, j)))
    module, x = load(net), np.array([[0, 3, 1, 2], [2, 1, 0, 3]])
    dout = np.random.default_rng(0).normal(size=(2, 4, 3))
    out, grads = run(module, {"W": ramp(0, 1, 5, 3), "x": x}, dout)
    assert relative_error(out[0, 1], np.array([0.64285714, 0.71428571, 0.78571429])) < 1e-8
    want = np.zeros((5, 3))
    np.add.at(want, x, dout)
    assert relative_error(grads["W"], want) < 1e-11
