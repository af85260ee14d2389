"""Layers: each against plain NumPy, and its gradients against direct evaluation of its equations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from sympy import tanh

from symbp import ModelError, Network, Tensor, derive, indices, sizes
from symbp.functions import gelu
from symbp.layers.attention import attention, multi_head_attention, rotary, sinusoidal
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation, dropout, gelu_tanh, silu, swiglu
from symbp.layers.linear import dense, embedding
from symbp.layers.normalisation import batch_norm, batch_norm_running, layer_norm, rms_norm
from symbp.layers.windows import avg_pool, conv1d, conv2d, max_pool
from symbp.pipeline import Derivation
from tests.acceptance.helpers import assert_close, frozen, run

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


def _max_pool(net: Network) -> Tensor:
    x = net.param("x", s, c, indices("l", 3 * high), indices("o", 2 * wide))
    return max_pool(net, "y", x, (p, q), (a, b))


def _max_pool_overlapping(net: Network) -> Tensor:
    return max_pool(net, "y", net.param("x", s, indices("l", 2 * high + 1)), p, a, stride=2)


def _avg_pool(net: Network) -> Tensor:
    x = net.param("x", s, indices("l", high + 2), indices("o", 2 * wide))
    return avg_pool(net, "y", x, (p, q), (a, b), stride=(1, 2))


def _attention(net: Network) -> Tensor:
    query, key = net.param("query", s, t, e), net.param("key", s, u, e)
    return attention(net, "y", query, key, net.param("value", s, u, j))


def _multi_head(net: Network) -> Tensor:
    Wq, Wk = net.param("Wq", head, e, j), net.param("Wk", head, e, j)
    Wv, Wo = net.param("Wv", head, r, j), net.param("Wo", j, head, r)
    return multi_head_attention(net, "y", net.param("x", s, t, j), Wq, Wk, Wv, Wo)


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


def np_attention(q: Array, k: Array, v: Array) -> Array:
    return np_softmax(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])) @ v


def np_multi_head(x: Array, Wq: Array, Wk: Array, Wv: Array, Wo: Array) -> Array:
    parts = zip(Wq, Wk, Wv, Wo.swapaxes(0, 1))
    return sum(np_attention(x @ q.T, x @ k.T, x @ v.T) @ o.T for q, k, v, o in parts)


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
    "avg_pool": (
        _avg_pool,
        {"x": normal(2, 6, 4)},
        lambda x: sliding_window_view(x, (3, 2), axis=(1, 2))[:, :, ::2].mean(axis=(3, 4)),
    ),
    "attention": (
        _attention,
        {"query": normal(2, 3, 4), "key": normal(2, 5, 4), "value": normal(2, 5, 6)},
        lambda query, key, value: np_attention(query, key, value),
    ),
    "multi_head_attention": (
        _multi_head,
        {
            "x": normal(2, 4, 5),
            "Wq": normal(3, 2, 5),
            "Wk": normal(3, 2, 5) / 2,
            "Wv": normal(3, 4, 5),
            "Wo": normal(5, 3, 4),
        },
        np_multi_head,
    ),
    "sinusoidal": (_sinusoidal, {"x": normal(2, 5, 3, 2)}, np_sinusoidal),
    "rotary": (_rotary, {"x": normal(2, 5, 3, 2)}, np_rotary),
}

each_layer = pytest.mark.parametrize("name", LAYERS)


@cache
def derivation(name: str) -> Derivation:
    net = Network("layer")
    net.output(LAYERS[name][0](net))
    return derive(net)


@each_layer
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_what_numpy_computes(name: str, dtype: Any) -> None:
    _, arrays, reference = LAYERS[name]
    module = derivation(name).load()
    integers = {key: a for key, a in arrays.items() if a.dtype.kind == "i"}
    given = frozen(arrays, dtype) | integers
    noise = {key: given[key] for key in given if key.endswith("_mask")}
    want = reference(**arrays)
    y, _ = run(module, given, np.ones(want.shape, dtype), **noise)
    assert y.dtype == dtype
    assert_close(y, want, 1e-13 if dtype is np.float64 else 1e-5)


@each_layer
def test_its_gradients(name: str) -> None:
    report = derivation(name).verify()
    assert report.ok, str(report)
    tensors = {row.tensor for row in report.rows if row.check == "gradient"}
    real = {key for key, a in LAYERS[name][1].items() if a.dtype.kind == "f"} - {"y_mask"}
    assert tensors == real
    ordinary = [r for r in report.rows if r.check == "gradient" and r.dtype == "float64"]
    exact = [r for r in ordinary if not r.extreme]
    assert exact and max(r.error for r in exact) <= (1e-7 if "max" in name else 1e-10)


# Losses


@pytest.mark.parametrize("labels", [True, False], ids=["integers", "one-hot"])
def test_cross_entropy(labels: bool) -> None:
    net = Network("classifier")
    z = net.param("z", s, i)
    hot = {} if labels else {"sums_to_one": i}
    target = net.input("t", *((s,) if labels else (s, i)), integer=labels, **hot)
    y = softmax(net, "y", z)
    net.output(y)
    net.loss(cross_entropy(y, target))
    derived = derive(net)
    assert derived.verify().ok
    delta = "δ_{i,t[s]}" if labels else "t[s,i]"
    assert derived.gradients["z"] == f"∂L/∂z[s,i] = (y[s,i] − {delta}) / n"
    classes = np.array([2, 0, 1, 1])
    loss, grads = derived.load().value_and_grad({"z": X}, classes if labels else np.eye(3)[classes])
    assert_close(loss, -np.log(np_softmax(X)[np.arange(4), classes]).mean(), 1e-14)
    assert_close(grads["z"], (np_softmax(X) - np.eye(3)[classes]) / 4, 1e-14)


def test_cross_entropy_of_one_sample() -> None:
    net = Network("classifier")
    y = softmax(net, "y", net.param("z", i))
    net.loss(cross_entropy(y, net.input("t", integer=True)))
    assert derive(net).verify().ok


# What the layers say about each other


def test_dropout_predicts_with_its_mean() -> None:
    assert_close(derivation("dropout").load().predict({"x": X}), X, 1e-15)


def test_a_bias_before_batch_norm_has_gradient_zero() -> None:
    net = Network("normalised")
    x, W, bias = net.input("x", s, j), net.param("W", i, j), net.param("b", i)
    z = dense(net, "z", x, W, bias)
    y = batch_norm(net, "y", z, net.param("gain", i), net.param("shift", i))
    net.output(y)
    shapes = {"x": (6, 3), "W": (4, 3), "b": (4,), "gain": (4,), "shift": (4,)}
    arrays = {name: normal(*shape) for name, shape in shapes.items()}
    _, grads = run(derive(net).load(), arrays, normal(6, 4))
    assert np.abs(grads["b"]).max() < 1e-14 < np.abs(grads["W"]).max()


def test_normalisation_has_its_short_gradient() -> None:
    """As CS231n's batchnorm_backward_alt has it: two sums, which are the gradients of gain and bias too."""
    source = derivation("batch_norm").source
    backward = source[source.index("def backward") : source.index("def predict")]
    for line in (
        "dx = gain * y_hat_part * (dy - sum_dy_y_hat / n * y_hat - sum_dy / n)",
        "dgain = sum_dy_y_hat.copy()",
        "dbias = sum_dy.copy()",
    ):
        assert f"    {line}\n" in backward
    assert backward.count(".sum(") == 2


def test_gates_read_as_in_a_textbook() -> None:
    assert "    dx = dy * y_sigmoid * (1 + x * (1 - y_sigmoid))\n" in derivation("silu").source
    assert derivation("gelu_tanh").source.count("np.tanh(") == 2  # in forward and in predict


# What is refused, at the user's line


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda net, x: dense(net, "y", x, net.param("W", i)), "dense: W[i] has 1 axes, not 2"),
        (lambda net, x: dense(net, "y", x, net.param("W", i, w)), "index w runs over size v"),
        (lambda net, x: softmax(net, "y", x, over=i), "softmax: index i is none of x[s, j]"),
        (lambda net, x: softmax(net, "y", x[s, j]), "softmax: x[s, j] is no tensor"),
        (
            lambda net, x: layer_norm(net, "y", x, net.param("gain", i)),
            "layer_norm: x[s, j] has 0 axes that gain[i] fits, not 1",
        ),
        (
            lambda net, x: embedding(net, "y", x, net.param("E", w, j)),
            "x[s, j] is real; an integer input can be an index",
        ),
        (lambda net, x: dropout(net, "y", x, 1.5), "random 'y_mask': p=1.5 is no probability"),
        (lambda net, x: max_pool(net, "y", x, p, (a, b)), "max_pool: window="),
        (lambda net, x: max_pool(net, "y", x, indices("p", d), a), "which ends at 3*d - 1"),
        (lambda net, x: rotary(net, "y", net.param("z", s, t, j)), "has size d, not 2: a pair"),
        (
            lambda net, x: conv1d(net, "y", x, net.param("W", m, j, a), None, p, stride=(1, 2)),
            "stride=(1, 2): 1 axes take 1 or 1 values",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build: Callable[..., Any], words: str) -> None:
    net = Network("bad")
    with pytest.raises(ModelError) as caught:
        build(net, net.input("x", s, j))
    assert words in str(caught.value)
    assert caught.value.where and "test_layers.py" in caught.value.where
