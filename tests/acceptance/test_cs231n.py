"""The layers of Stanford's CS231n (assignments 2016) with the numbers that its notebooks print.

Its error measure is max |x − y| / max(1e-8, |x| + |y|), entry by entry.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import And, Max, Piecewise, Sum, exp, log

from symbp import Network, indices, sizes

from .helpers import assert_close, central_difference, frozen, load, run, vjp

n, d, k = sizes("n d k")  # samples, features, outputs or classes
f1, f2, f3 = sizes("f1 f2 f3")  # features that lie on several axes
s, j = indices("s", n), indices("j", d)
i, c = indices("i c", k)
a, b, e = indices("a", f1), indices("b", f2), indices("e", f3)


def relative_error(x: Any, y: Any) -> float:
    """The notebooks' rel_error."""
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def ramp(low: float, high: float, *shape: int) -> Any:
    return np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)


def affine_layer() -> ModuleType:
    """out = x · w + b, for x whose features lie on three axes: w has them too."""
    net = Network("affine")
    x = net.param("x", s, a, b, e)
    w, bias = net.param("w", a, b, e, i), net.param("b", i)
    net.output(net.define("out", (s, i), Sum(x[s, a, b, e] * w[a, b, e, i], a, b, e) + bias[i]))
    return load(net)


def relu_layer() -> ModuleType:
    net = Network("relu")
    x = net.param("x", s, i)
    net.output(net.define("out", (s, i), Max(0, x[s, i])))
    return load(net)


def affine_relu_layer() -> ModuleType:
    net = Network("affine_relu")
    x, w, bias = net.param("x", s, a, b), net.param("w", a, b, i), net.param("b", i)
    z = net.define("z", (s, i), Sum(x[s, a, b] * w[a, b, i], a, b) + bias[i])
    net.output(net.define("out", (s, i), Max(0, z[s, i])))
    return load(net)


def svm_loss() -> ModuleType:
    """The hinge loss over all wrong classes, margin 1; t is the label, one-hot."""
    net = Network("svm_loss")
    x, t = net.param("x", s, i), net.input("t", s, i)
    right = net.define("right", (s,), Sum(t[s, i] * x[s, i], i))
    margin = net.define("margin", (s, i), Max(0, x[s, i] - right[s] + 1))
    net.loss(Sum((1 - t[s, i]) * margin[s, i], s, i) / n)
    return load(net)


def softmax_loss() -> ModuleType:
    net = Network("softmax_loss")
    x, t = net.param("x", s, i), net.input("t", s, i, sums_to_one=i)
    y = net.define("y", (s, i), exp(x[s, i]) / Sum(exp(x[s, c]), c))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
    return load(net)


def numeric_vjp(f: Any, arrays: dict[str, Any], name: str, adjoint: Any) -> Any:
    """The vector-Jacobian product of f in one of its arguments, by central differences."""
    return vjp(central_difference(f, arrays, name), adjoint)


def affine(x: Any, w: Any, b: Any) -> Any:
    return x.reshape(len(x), -1) @ w.reshape(-1, len(b)) + b


def relu(x: Any) -> Any:
    return np.maximum(0, x)


def test_affine_forward() -> None:
    arrays = {
        "x": ramp(-0.1, 0.5, 2, 4, 5, 6),
        "w": ramp(-0.2, 0.3, 4, 5, 6, 3),
        "b": ramp(-0.3, 0.1, 3),
    }
    printed = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    out, _ = run(affine_layer(), frozen(arrays), np.ones((2, 3)))
    assert relative_error(out, np.array(printed)) < 1e-8
    assert_close(out, affine(**arrays), 1e-13)


def test_affine_backward() -> None:
    rng = np.random.default_rng(231)
    shapes = {"x": (10, 2, 3, 1), "w": (2, 3, 1, 5), "b": (5,)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    dout = rng.normal(size=(10, 5))
    _, grads = run(affine_layer(), frozen(arrays), dout)
    for name in arrays:
        assert relative_error(grads[name], numeric_vjp(affine, arrays, name, dout)) < 1e-7
    rows = arrays["x"].reshape(10, -1)
    assert_close(grads["x"], (dout @ arrays["w"].reshape(6, 5).T).reshape(10, 2, 3, 1), 1e-13)
    assert_close(grads["w"], (rows.T @ dout).reshape(2, 3, 1, 5), 1e-13)
    assert_close(grads["b"], dout.sum(axis=0), 1e-13)


def test_relu_forward() -> None:
    x = ramp(-0.5, 0.5, 3, 4)
    printed = [0.04545455, 0.13636364, 0.22727273, 0.31818182, 0.40909091, 0.5]
    out, _ = run(relu_layer(), frozen({"x": x}), np.ones((3, 4)))
    assert np.array_equal(out.ravel()[:6], np.zeros(6))
    assert relative_error(out.ravel()[6:], np.array(printed)) < 5e-8


def test_relu_backward() -> None:
    rng = np.random.default_rng(231)
    x, dout = rng.normal(size=(10, 10)), rng.normal(size=(10, 10))
    _, grads = run(relu_layer(), frozen({"x": x}), dout)
    assert np.array_equal(grads["x"], dout * (x > 0))
    assert relative_error(grads["x"], numeric_vjp(relu, {"x": x}, "x", dout)) < 1e-7


def test_affine_relu() -> None:
    rng = np.random.default_rng(231)
    shapes = {"x": (2, 3, 4), "w": (3, 4, 10), "b": (10,)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    dout = rng.normal(size=(2, 10))
    out, grads = run(affine_relu_layer(), frozen(arrays), dout)
    assert_close(out, relu(affine(**arrays)), 1e-13)
    for name in arrays:
        numeric = numeric_vjp(lambda **given: relu(affine(**given)), arrays, name, dout)
        assert relative_error(grads[name], numeric) < 1e-6


def scores_and_labels() -> tuple[Any, Any, Any]:
    """50 × 10 scores, the labels, and the labels one-hot."""
    rng = np.random.default_rng(231)
    labels = rng.integers(10, size=50)
    return 0.001 * rng.normal(size=(50, 10)), labels, np.eye(10)[labels]


def reference_svm(x: Any, labels: Any) -> tuple[Any, Any]:
    """(loss, dx) as assignments2016/cs231n/layers.py computes them, from integer labels."""
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, labels][:, None] + 1.0)
    margins[rows, labels] = 0
    dx = (margins > 0).astype(float)
    dx[rows, labels] -= (margins > 0).sum(axis=1)
    return margins.sum() / len(x), dx / len(x)


def reference_softmax(x: Any, labels: Any) -> tuple[Any, Any]:
    """(loss, dx) as assignments2016/cs231n/layers.py computes them, from integer labels."""
    rows = np.arange(len(x))
    probs = np.exp(x - x.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    dx = probs.copy()
    dx[rows, labels] -= 1
    return -np.log(probs[rows, labels]).mean(), dx / len(x)


@pytest.mark.parametrize(
    ("build", "reference", "printed", "tolerance"),
    [
        pytest.param(svm_loss, reference_svm, 9.0, 1e-8, id="svm_loss"),
        pytest.param(softmax_loss, reference_softmax, 2.3, 1e-7, id="softmax_loss"),
    ],
)
def test_losses(build: Any, reference: Any, printed: float, tolerance: float) -> None:
    x, labels, t = scores_and_labels()
    loss, dx = reference(x, labels)
    got, grads = run(build(), frozen({"x": x, "t": t}))
    assert abs(got - printed) < 0.01
    assert_close(got, loss, 1e-13)
    assert_close(grads["x"], dx, 1e-12)
    numeric = central_difference(lambda x: reference(x, labels)[0], {"x": x}, "x", h=1e-5)
    assert relative_error(grads["x"], numeric) < tolerance


def test_conv_backward_naive() -> None:
    """Stride 1, pad 1, in plain equations: the padded image is one of them."""
    f, ch, hi, wi = sizes("f ch hi wi")
    m, q, u, v = indices("m", f), indices("q", ch), indices("u", hi), indices("v", wi)
    r, t, top, left = (
        indices("r", 3),
        indices("t", 3),
        indices("top", hi + 2),
        indices("left", wi + 2),
    )
    net = Network("conv")
    x, w, bias = net.param("x", s, q, u, v), net.param("w", m, q, r, t), net.param("b", m)
    inside = And(top >= 1, top <= hi, left >= 1, left <= wi)
    value = Piecewise((x[s, q, top - 1, left - 1], inside), (0, True))
    pad = net.define("pad", (s, q, top, left), value)
    total = Sum(w[m, q, r, t] * pad[s, q, u + r, v + t], q, r, t)
    net.output(net.define("out", (s, m, u, v), total + bias[m]))

    rng = np.random.default_rng(231)
    shapes = {"x": (4, 3, 5, 5), "w": (2, 3, 3, 3), "b": (2,)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    dout = rng.normal(size=(4, 2, 5, 5))

    def forward(x: Any, w: Any, b: Any) -> Any:
        """As the notebook's naive one: a window at a time."""
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        out = np.empty((4, 2, 5, 5))
        for at in np.ndindex(5, 5):
            window = padded[:, None, :, at[0] : at[0] + 3, at[1] : at[1] + 3]
            out[:, :, *at] = (window * w).sum(axis=(2, 3, 4)) + b
        return out

    out, grads = run(load(net), frozen(arrays), dout)
    assert_close(out, forward(**arrays), 1e-14)
    for name in arrays:
        assert_close(grads[name], numeric_vjp(forward, arrays, name, dout), 1e-9)
