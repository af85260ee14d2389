"""One network for each layer, data for it, and what it computes in plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sympy import tanh

from symbp import Network, Tensor, derive, indices, sizes
from symbp.functions import gelu
from symbp.layers.attention import attention, multi_head_attention, rotary, sinusoidal
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation, dropout, gelu_tanh, silu, swiglu
from symbp.layers.linear import dense, embedding
from symbp.layers.normalisation import batch_norm, batch_norm_running, layer_norm, rms_norm
from symbp.layers.windows import avg_pool, conv1d, conv2d, max_pool
from symbp.pipeline import Derivation

n, d, h, k, v = sizes("n d h k v")  # samples, features, hidden units, classes, words
places, width, pairs, heads = sizes("places width pairs heads")
channels, maps, groups, high, wide = sizes("channels maps groups high wide")
s, j, i, w = indices("s", n), indices("j", d), indices("i", k), indices("w", v)
t, u, e, f = indices("t", places), indices("u", v), indices("e", width), indices("f", d)
r, part, head = indices("r", pairs), indices("part", 2), indices("head", heads)
c, m, g = indices("c", channels), indices("m", maps), indices("g", groups)
p, q, a, b = indices("p", high), indices("q", wide), indices("a", 3), indices("b", 2)

Array = Any
Build = Callable[[Network], Tensor]


# One network for each layer: all of its tensors are parameters, so that each has a gradient


def _dense(net: Network) -> Tensor:
    return dense(net, "y", net.param("x", s, j), net.param("W", i, j), net.param("b", i))


def _dense_square(net: Network) -> Tensor:
    """A matrix over the indices of x itself, before and after; and no bias."""
    return dense(net, "y", net.param("x", t, s, j), net.param("W", i, indices("s", d)))


def _embedding(net: Network) -> Tensor:
    return embedding(net, "y", net.input("x", s, t, integer=True), net.param("E", w, j))


def _softmax(net: Network) -> Tensor:
    return softmax(net, "y", net.param("x", s, i))


def _softmax_over(net: Network) -> Tensor:
    return softmax(net, "y", net.param("x", s, i), over=s)


def _cross_entropy(labels: bool) -> Build:
    def build(net: Network) -> Tensor:
        y = softmax(net, "probabilities", net.param("x", s, i))
        target = net.input("t", s, integer=True) if labels else net.input("t", s, i)
        return net.define("y", (), cross_entropy(y, target))

    return build


def _layer_norm(net: Network) -> Tensor:
    x = net.param("x", s, t, j)
    return layer_norm(net, "y", x, net.param("gain", f), net.param("bias", f), eps=0.1)


def _rms_norm(net: Network) -> Tensor:
    return rms_norm(net, "y", net.param("x", s, j), net.param("gain", j))


def _batch_norm(net: Network) -> Tensor:
    x = net.param("x", s, j)
    return batch_norm(net, "y", x, net.param("gain", j), net.param("bias", j))


def _batch_norm_of_maps(net: Network) -> Tensor:
    x = net.param("x", s, c, p, q)
    return batch_norm(net, "y", x, net.param("gain", c), net.param("bias", c))


def _running(net: Network) -> Tensor:
    x, mean, variance = net.param("x", s, j), net.input("mean", j), net.param("variance", j)
    gain, bias = net.param("gain", j), net.param("bias", j)
    return batch_norm_running(net, "y", x, gain, bias, mean, variance, eps=0.5)


def _dropout(net: Network) -> Tensor:
    return dropout(net, "y", net.param("x", s, j), net.constant("keep", 0.75))


def _swiglu(net: Network) -> Tensor:
    return swiglu(net, "y", net.param("x", s, j), net.param("value", s, j))


def _silu(net: Network) -> Tensor:
    return silu(net, "y", net.param("x", s, j))


def _gelu_tanh(net: Network) -> Tensor:
    return gelu_tanh(net, "y", net.param("x", s, j))


def _activation(function: Callable[..., Any]) -> Build:
    return lambda net: activation(net, "y", function, net.param("x", s, j))


def _conv1d(net: Network) -> Tensor:
    x, W = net.param("x", s, c, indices("l", 2 * high + 3)), net.param("W", m, c, a)
    return conv1d(net, "y", x, W, net.param("b", m), p, stride=2, dilation=2)


def _conv2d(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", high + 2), indices("o", 2 * wide))
    return conv2d(net, "y", x, net.param("W", m, c, a, b), net.param("b", m), (p, q), stride=(1, 2))


def _grouped(net: Network) -> Tensor:
    x = net.param("x", s, indices("l", groups * channels), indices("o", high + 4))
    return conv1d(net, "y", x, net.param("W", g, m, c, a), None, p, dilation=2)


def _grouped_images(net: Network) -> Tensor:
    """Every option at once, a pair of each, and sizes that a stride does not divide."""
    x = net.param("x", s, indices("l", groups * channels), indices("o", high), indices("y", wide))
    W, bias = net.param("W", g, m, c, a, indices("v", 3)), net.param("b", g, m)
    at = indices("p", (high + 2 - 3) // 2 + 1), indices("q", wide)
    return conv2d(net, "y", x, W, bias, at, stride=(2, 1), dilation=(1, 2), padding=(1, 2))


def _padded_conv1d(net: Network) -> Tensor:
    """As long as what it reads: half of the kernel on either side."""
    x, W = net.param("x", s, c, indices("l", high)), net.param("W", m, c, indices("u", 2 * d + 1))
    return conv1d(net, "y", x, W, net.param("b", m), p, padding=d)


def _padded_conv2d(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", 2 * high), indices("o", 2 * wide))
    W = net.param("W", m, c, a, indices("v", 3))
    return conv2d(net, "y", x, W, net.param("b", m), (p, q), stride=2, padding=1)


def _max_pool(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", 3 * high), indices("o", 2 * wide))
    return max_pool(net, "y", x, (p, q), (a, b))


def _max_pool_overlapping(net: Network) -> Tensor:
    return max_pool(net, "y", net.param("x", s, indices("l", 2 * high + 1)), p, a, stride=2)


def _max_pool_padded(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", 2 * high), indices("o", wide))
    at, window = (p, indices("q", wide // 2 + 1)), (a, b)
    return max_pool(net, "y", x, at, window, stride=2, padding=1)


def _avg_pool_padded(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", 2 * high), indices("o", wide))
    return avg_pool(net, "y", x, (p, q), (a, indices("v", 3)), stride=(2, 1), padding=1)


def _avg_pool(net: Network) -> Tensor:
    x = net.param("x", s, indices("l", high + 2), indices("o", 2 * wide))
    return avg_pool(net, "y", x, (p, q), (a, b), stride=(1, 2))


def _attention(causal: bool) -> Build:
    """Queries at other places than the keys; where it is causal, at the same."""

    def build(net: Network) -> Tensor:
        at = indices("u", places) if causal else u
        query, key = net.param("query", s, t, e), net.param("key", s, at, e)
        return attention(net, "y", query, key, net.param("value", s, at, j), causal)

    return build


def _multi_head(causal: bool) -> Build:
    def build(net: Network) -> Tensor:
        Wq, Wk = net.param("Wq", head, e, j), net.param("Wk", head, e, j)
        Wv, Wo = net.param("Wv", head, r, j), net.param("Wo", j, head, r)
        x = net.param("x", s, t, j)
        return multi_head_attention(net, "y", x, Wq, Wk, Wv, Wo, causal=causal)

    return build


def _sinusoidal(net: Network) -> Tensor:
    P, x = sinusoidal(net, "P", t, r, part), net.param("x", s, t, r, part)
    return net.define("y", x.indices, x[x.indices] + P[t, r, part])


def _rotary(net: Network) -> Tensor:
    return rotary(net, "y", net.param("x", s, t, r, part))


# The same in plain NumPy


def normal(*shape: int) -> Array:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape)


def np_softmax(x: Array, axis: int = -1) -> Array:
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def np_norm(x: Array, axis: Any, eps: float) -> Array:
    mean = x.mean(axis=axis, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=axis, keepdims=True) + eps)


def np_silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def np_gelu(x: Array) -> Array:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def np_conv1d(x: Array, W: Array, b: Array, stride: int, dilation: int) -> Array:
    reach = dilation * (W.shape[-1] - 1) + 1
    windows = sliding_window_view(x, reach, axis=-1)[:, :, ::stride, ::dilation]
    return np.einsum("scpu,mcu->smp", windows, W) + b[:, None]


def np_conv2d(x: Array, W: Array, b: Array, strides: tuple[int, int]) -> Array:
    windows = sliding_window_view(x, W.shape[2:], axis=(2, 3))[:, :, :: strides[0], :: strides[1]]
    return np.einsum("scpquv,mcuv->smpq", windows, W) + b[:, None, None]


def np_grouped(x: Array, W: Array) -> Array:
    each = np.split(x, len(W), axis=1)
    zero = np.zeros(W.shape[1])
    return np.stack([np_conv1d(x, w, zero, 1, 2) for x, w in zip(each, W)], axis=1)


def np_grouped_images(x: Array, W: Array, b: Array) -> Array:
    """Group by group, and so channel by channel of the result."""
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    windows = sliding_window_view(around, (3, 5), axis=(2, 3))[:, :, ::2, :, :, ::2]
    each = np.stack(np.split(windows, len(W), axis=1), axis=1)
    return np.einsum("sgcpquv,gmcuv->sgmpq", each, W) + b[..., None, None]


def np_pad(x: Array, width: int, axes: int = 1, value: float = 0.0) -> Array:
    around = [(0, 0)] * (x.ndim - axes) + [(width, width)] * axes
    return np.pad(x, around, constant_values=value)


def np_attention(q: Array, k: Array, v: Array, causal: bool = False) -> Array:
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    seen = np.tri(*scores.shape[-2:], dtype=bool) if causal else True
    return np_softmax(np.where(seen, scores, -np.inf)) @ v


def np_multi_head(causal: bool) -> Callable[..., Array]:
    def heads(x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array) -> Array:
        parts = zip(Wq, Wk, Wv, Wo.swapaxes(0, 1))
        return sum(np_attention(x @ q.T, x @ k.T, x @ v.T, causal) @ o.T for q, k, v, o in parts)

    return heads


def angles(x: Array) -> Array:
    _, places, pairs, _ = x.shape
    return np.arange(places)[:, None] / 10000 ** (np.arange(pairs) / pairs)


def np_sinusoidal(x: Array) -> Array:
    return x + np.stack([np.sin(angles(x)), np.cos(angles(x))], axis=-1)


def np_rotary(x: Array) -> Array:
    turned = (x[..., 0] + 1j * x[..., 1]) * np.exp(1j * angles(x))
    return np.stack([turned.real, turned.imag], axis=-1)


WORDS = np.array([[0, 3, 1], [2, 1, 1]])
MASK = np.random.default_rng(0).integers(0, 2, size=(4, 3)).astype(float)
X, ROW = normal(4, 3), normal(3)
IMAGES = normal(2, 3, 6, 4)
HEADS = {
    "x": normal(2, 4, 6),
    "Wq": normal(3, 2, 6),
    "Wk": normal(3, 2, 6) / 2,
    "Wv": normal(3, 2, 6) / 3,
    "Wo": normal(6, 3, 2),
}

LAYERS: dict[str, tuple[Build, dict[str, Array], Callable[..., Array]]] = {
    "dense": (
        _dense,
        {"x": X, "W": normal(5, 3), "b": normal(5)},
        lambda x, W, b: x @ W.T + b,
    ),
    "dense, an index met twice": (
        _dense_square,
        {"x": normal(2, 4, 3), "W": normal(6, 3)},
        lambda x, W: x @ W.T,
    ),
    "embedding": (_embedding, {"x": WORDS, "E": normal(4, 3)}, lambda x, E: E[x]),
    "softmax": (_softmax, {"x": X}, np_softmax),
    "softmax over another axis": (_softmax_over, {"x": X}, lambda x: np_softmax(x, 0)),
    "cross_entropy of labels": (
        _cross_entropy(labels=True),
        {"x": X, "t": np.array([2, 0, 1, 1])},
        lambda x, t: -np.log(np_softmax(x)[np.arange(4), t]).mean(),
    ),
    "cross_entropy of probabilities": (
        _cross_entropy(labels=False),
        {"x": X, "t": np_softmax(normal(4, 3) / 2)},
        lambda x, t: -(t * np.log(np_softmax(x))).sum() / 4,
    ),
    "layer_norm": (
        _layer_norm,
        {"x": normal(2, 3, 5), "gain": normal(5), "bias": normal(5)},
        lambda x, gain, bias: gain * np_norm(x, -1, 0.1) + bias,
    ),
    "rms_norm": (
        _rms_norm,
        {"x": X, "gain": ROW},
        lambda x, gain: gain * x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5),
    ),
    "batch_norm": (
        _batch_norm,
        {"x": X, "gain": ROW, "bias": ROW},
        lambda x, gain, bias: gain * np_norm(x, 0, 1e-5) + bias,
    ),
    "batch_norm of maps": (
        _batch_norm_of_maps,
        {"x": IMAGES, "gain": ROW, "bias": ROW},
        lambda x, gain, bias: (
            gain[:, None, None] * np_norm(x, (0, 2, 3), 1e-5) + bias[:, None, None]
        ),
    ),
    "batch_norm_running": (
        _running,
        {"x": X, "mean": ROW, "variance": ROW**2, "gain": ROW, "bias": ROW},
        lambda x, mean, variance, gain, bias: gain * (x - mean) / np.sqrt(variance + 0.5) + bias,
    ),
    "dropout": (_dropout, {"x": X, "y_mask": MASK}, lambda x, y_mask: x * y_mask / 0.75),
    "swiglu": (_swiglu, {"x": X, "value": X + 1}, lambda x, value: np_silu(x) * value),
    "silu": (_silu, {"x": X}, np_silu),
    "gelu_tanh": (_gelu_tanh, {"x": X}, np_gelu),
    "gelu": (
        _activation(gelu),
        {"x": X},
        lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    ),
    "tanh": (_activation(tanh), {"x": X}, lambda x: np.tanh(x)),
    "conv1d": (
        _conv1d,
        {"x": normal(2, 3, 9), "W": normal(4, 3, 3), "b": normal(4)},
        lambda x, W, b: np_conv1d(x, W, b, 2, 2),
    ),
    "conv2d": (
        _conv2d,
        {"x": IMAGES, "W": normal(5, 3, 3, 2), "b": normal(5)},
        lambda x, W, b: np_conv2d(x, W, b, (1, 2)),
    ),
    "conv1d in groups": (
        _grouped,
        {"x": normal(2, 6, 7), "W": normal(3, 4, 2, 3)},
        np_grouped,
    ),
    "conv2d in groups, strided, dilated and padded": (
        _grouped_images,
        {"x": normal(2, 6, 6, 4), "W": normal(3, 4, 2, 3, 3), "b": normal(3, 4)},
        np_grouped_images,
    ),
    "conv1d, padded": (
        _padded_conv1d,
        {"x": normal(2, 3, 6), "W": normal(4, 3, 5), "b": normal(4)},
        lambda x, W, b: np_conv1d(np_pad(x, 2), W, b, 1, 1),
    ),
    "conv2d, strided and padded": (
        _padded_conv2d,
        {"x": IMAGES, "W": normal(5, 3, 3, 3), "b": normal(5)},
        lambda x, W, b: np_conv2d(np_pad(x, 1, 2), W, b, (2, 2)),
    ),
    "max_pool": (
        _max_pool,
        {"x": IMAGES},
        lambda x: x.reshape(2, 3, 2, 3, 2, 2).max(axis=(3, 5)),
    ),
    "max_pool, windows that overlap": (
        _max_pool_overlapping,
        {"x": normal(3, 9)},
        lambda x: sliding_window_view(x, 3, axis=1)[:, ::2].max(axis=-1),
    ),
    "max_pool, padded": (
        _max_pool_padded,
        {"x": -np.abs(normal(2, 3, 6, 5))},  # so that a zero from outside would win
        lambda x: sliding_window_view(np_pad(x, 1, 2, -np.inf), (3, 2), axis=(2, 3))[
            :, :, ::2, ::2
        ].max(axis=(4, 5)),
    ),
    "avg_pool, padded": (
        _avg_pool_padded,
        {"x": IMAGES},
        lambda x: sliding_window_view(np_pad(x, 1, 2), (3, 3), axis=(2, 3))[:, :, ::2].mean(
            axis=(4, 5)
        ),
    ),
    "avg_pool": (
        _avg_pool,
        {"x": normal(2, 6, 4)},
        lambda x: sliding_window_view(x, (3, 2), axis=(1, 2))[:, :, ::2].mean(axis=(3, 4)),
    ),
    "attention": (
        _attention(causal=False),
        {"query": normal(2, 3, 4), "key": normal(2, 5, 4), "value": normal(2, 5, 6)},
        lambda query, key, value: np_attention(query, key, value),
    ),
    "attention, causal": (
        _attention(causal=True),
        {"query": normal(2, 5, 4), "key": normal(2, 5, 4) / 2, "value": normal(2, 5, 6)},
        lambda query, key, value: np_attention(query, key, value, True),
    ),
    "multi_head_attention": (_multi_head(causal=False), HEADS, np_multi_head(causal=False)),
    "multi_head_attention, causal": (_multi_head(causal=True), HEADS, np_multi_head(causal=True)),
    "sinusoidal": (_sinusoidal, {"x": normal(2, 5, 3, 2)}, np_sinusoidal),
    "rotary": (_rotary, {"x": normal(2, 5, 3, 2)}, np_rotary),
}


@cache
def derivation(name: str) -> Derivation:
    net = Network("layer")
    net.output(LAYERS[name][0](net))
    return derive(net)
