"""Layers: each against plain NumPy, and its gradients against direct evaluation of its equations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from acceptance.helpers import assert_close, frozen, run
from acceptance.layers import LAYERS, X, derivation, normal, np_conv1d, np_pad, np_softmax

from symbp import ModelError, Network, derive, indices, sizes
from symbp.layers.attention import rotary
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import dropout
from symbp.layers.linear import dense, embedding
from symbp.layers.normalisation import batch_norm, batch_norm_running, layer_norm
from symbp.layers.windows import avg_pool, conv1d, max_pool
from symbp.pipeline import Derivation

n, d, k, v, places, channels, maps, high, wide = sizes("n d k v places channels maps high wide")
s, j, i, w = indices("s", n), indices("j", d), indices("i", k), indices("w", v)
t, c, m, p, q = (
    indices("t", places),
    indices("c", channels),
    indices("m", maps),
    *indices("p q", high),
)
a, b = indices("a", 3), indices("b", 2)

each_layer = pytest.mark.parametrize("name", LAYERS)


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
    assert exact and max(r.error for r in exact) <= 1e-10


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


@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 1), (2, 3, 4), (3, 1, 2)])
def test_strides_dilations_and_paddings_may_be_sizes(
    stride: int, dilation: int, padding: int
) -> None:
    arrays = {"x": normal(2, 3, 9), "W": normal(4, 3, 3), "b": normal(4)}
    want = np_conv1d(np_pad(arrays["x"], padding), arrays["W"], arrays["b"], stride, dilation)
    found = {"stride": stride, "dilation": dilation, "padding": padding, "high": want.shape[-1]}
    module = by_sizes().load()
    y, grads = run(module, frozen(arrays), np.ones(want.shape), **found)
    assert_close(y, want, 1e-13)
    slope = np_conv1d(
        np_pad(np.eye(27).reshape(27, 3, 9), padding), arrays["W"], np.zeros(4), stride, dilation
    )
    assert_close(grads["x"], np.tile(slope.sum(axis=(1, 2)).reshape(3, 9), (2, 1, 1)), 1e-13)


@cache
def by_sizes() -> Derivation:
    net, (stride, dilation, padding) = Network("convolution"), sizes("stride dilation padding")
    x, W = net.param("x", s, c, indices("l", wide)), net.param("W", m, c, a)
    net.output(conv1d(net, "y", x, W, net.param("b", m), p, stride, dilation, padding))
    return derive(net)


def test_padding_is_a_slice_and_only_where_it_is_asked_for() -> None:
    padded = derivation("conv2d, strided and padded").source
    assert "y_padded[:, :, 1 : 1 + 2 * high, 1 : 1 + 2 * wide]" in padded
    assert "np.where" not in padded
    pooled = derivation("max_pool, padded").source
    assert (
        "-np.inf, dtype=x.dtype)\n    y_padded[:, :, 1 : 1 + 2 * high, 1 : 1 + wide] = x\n"
        in pooled
    )
    assert "padded" not in derivation("conv2d").source


def test_as_many_windows_as_fit_need_no_check_of_sizes() -> None:
    """floor((l + 2 padding − width) / stride) + 1 places: the last window provably ends in time."""
    assert "_check_place(" not in derivation("conv2d in groups, strided, dilated and padded").source


# What is refused, at the user's line


def images(net: Network, **options: Any) -> Any:
    x, W = net.param("images", s, c, indices("l", wide)), net.param("W", m, c, a)
    return conv1d(net, "y", x, W, None, p, **options)


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
        (
            lambda net, x: dense(net, "y", x, net.param("W", i, j), [0, 1]),
            "dense: [0, 1] is no tensor",
        ),
        (
            lambda net, x: layer_norm(net, "y", x, net.param("g", j), 0.5),
            "layer_norm: 0.5 is no tensor",
        ),
        (
            lambda net, x: batch_norm(net, "y", x, net.param("g", j), "b"),
            "batch_norm: 'b' is no tensor",
        ),
        (
            lambda net, x: batch_norm_running(
                net, "y", x, *(net.param(name, j) for name in "abc"), 1.0
            ),
            "batch_norm_running: 1.0 is no tensor",
        ),
        (
            lambda net, x: conv1d(net, "y", x, net.param("W", m, j, a), 0, p),
            "conv1d: 0 is no tensor",
        ),
        (lambda net, x: images(net, stride=0), "conv1d: stride=0: size 0 is not positive"),
        (lambda net, x: images(net, stride="two"), "conv1d: stride='two': 'two' is no size"),
        (lambda net, x: images(net, dilation=1.5), "conv1d: dilation=1.5: size 1.5"),
        (lambda net, x: images(net, padding=-1), "conv1d: padding=-1: size -1 is not positive"),
        (
            lambda net, x: images(net, padding=n / 2),
            "conv1d: padding=n/2: size n/2 may be a fraction",
        ),
        (
            lambda net, x: images(net, padding=n - 3),
            "conv1d: padding=n - 3: n - 3 may be less than 0",
        ),
        (lambda net, x: images(net, padding=True), "conv1d: padding=True: True is no size"),
        (
            lambda net, x: max_pool(net, "y", x, p, b, 2, 2),
            "max_pool: padding=2 holds a whole window of width 2",
        ),
        (lambda net, x: avg_pool(net, "y", x, p, b, 2, j), "avg_pool: padding=j: j is no size"),
    ],
)
def test_what_does_not_fit_is_refused(build: Callable[..., Any], words: str) -> None:
    net = Network("bad")
    with pytest.raises(ModelError) as caught:
        build(net, net.input("x", s, j))
    assert words in str(caught.value)
    assert caught.value.where and "test_layers.py" in caught.value.where
