"""What the language fixes where mathematics leaves a choice: kinks, ties, branches, and calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import Abs, Max, Min, Piecewise, Sum, exp, log, sign, sqrt

from symbp import Network, indices, sizes

from .helpers import assert_close, frozen, load, run

n, d, k = sizes("n d k")
s, j, i = indices("s", n), indices("j", d), indices("i", k)


def gradients(f: Callable[..., Any], dtype: Any = np.float64, **arrays: Any) -> dict[str, Any]:
    """The gradients of Σ_s f(x[s], y[s], …), at the arrays given."""
    net = Network("kink")
    tensors = [net.param(name, s) for name in arrays]
    net.loss(Sum(f(*(x[s] for x in tensors)), s))
    _, grads = run(load(net), frozen(arrays, dtype))
    return {name: g.tolist() for name, g in grads.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        pytest.param(lambda x: Max(0, x), [0, 1, -1], [0, 1, 0], id="ReLU"),
        pytest.param(lambda x: Max(1, x), [1, 2, 0], [0, 1, 0], id="max with a constant"),
        pytest.param(lambda x: Min(1, x), [1, 2, 0], [0, 0, 1], id="min with a constant"),
        pytest.param(lambda x: Max(0, x) ** 2, [0, 3, -1], [0, 6, 0], id="ReLU squared"),
        pytest.param(lambda x: Max(0, Min(6, x)), [0, 6, 3, 7], [0, 0, 1, 0], id="ReLU6"),
        pytest.param(lambda x: Max(-x, x), [0, 2, -2], [0, 1, -1], id="max(-x, x)"),
        pytest.param(Abs, [0, 2, -3], [0, 1, -1], id="abs"),
        pytest.param(lambda x: Abs(x) ** 3, [0, 2, -1], [0, 12, -3], id="abs cubed"),
        pytest.param(lambda x: sqrt(x**2), [0, 2, -3], [0, 1, -1], id="root of a square"),
        pytest.param(lambda x: x * sign(x), [0, 2, -3], [0, 1, -1], id="x sign x"),
        pytest.param(
            lambda x: Piecewise((x, x >= 0), (2 * x, True)),
            [0, 1, -1],
            [1, 1, 2],
            id="first branch",
        ),
        pytest.param(
            lambda x: Piecewise((x, x > 0), (2 * x, True)), [0, 1, -1], [2, 1, 2], id="last branch"
        ),
        pytest.param(
            lambda x: Piecewise((x * log(x), x > 0), (0, True)), [0, 1, -1], [0, 1, 0], id="x log x"
        ),
        pytest.param(
            lambda x: Piecewise((1 / x, Abs(x) > 1), (x, True)), [0, 2, 1], [1, -0.25, 1], id="1/x"
        ),
        pytest.param(
            lambda x: Piecewise((sqrt(x), x > 0), (-sqrt(-x), x < 0), (0, True)),
            [0, 4, -4],
            [0, 0.25, 0.25],
            id="signed root",
        ),
        pytest.param(
            lambda x: Piecewise((exp(x), x < 1), (1, True)), [0, 1e4, 1], [1, 0, 0], id="exp"
        ),
    ],
)
def test_kinks_of_one_variable(f: Any, x: Any, slope: Any, dtype: Any) -> None:
    assert gradients(f, dtype, x=x) == {"x": slope}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("f", "arrays", "shares"),
    [
        pytest.param(
            Max, {"x": [1, 2, 0], "y": [1, 0, 2]}, {"x": [0.5, 1, 0], "y": [0.5, 0, 1]}, id="max"
        ),
        pytest.param(
            Min, {"x": [1, 2, 0], "y": [1, 0, 2]}, {"x": [0.5, 0, 1], "y": [0.5, 1, 0]}, id="min"
        ),
        pytest.param(
            lambda x, y: Max(x, 2 * y),
            {"x": [2, 0], "y": [1, 0]},
            {"x": [0.5, 0.5], "y": [1, 1]},
            id="a scaled tie",
        ),
        pytest.param(
            lambda x, y: Max(0, x, y),
            {"x": [0, 2, 0, 1], "y": [0, 2, -1, 3]},
            {"x": [0, 0.5, 0, 0], "y": [0, 0.5, 0, 1]},
            id="a constant and two variables",
        ),
        pytest.param(
            Max,
            {"x": [3, 1, 2], "y": [3, 1, 0], "z": [3, 0, 2]},
            {"x": [1 / 3, 0.5, 0.5], "y": [1 / 3, 0.5, 0], "z": [1 / 3, 0, 0.5]},
            id="three variables",
        ),
        pytest.param(
            lambda x, y: Abs(x - y),
            {"x": [1, 2], "y": [1, 1]},
            {"x": [0, 1], "y": [0, -1]},
            id="distance",
        ),
        pytest.param(
            lambda x, y: Piecewise((x, x > 0), (x * y, True)),
            {"x": [0, 1, -2], "y": [3, 3, 3]},
            {"x": [3, 1, 3], "y": [0, 0, -2]},
            id="a learned slope",
        ),
        pytest.param(
            lambda x, y: Piecewise((x, x > y), (y**2, True)),
            {"x": [0, 1, -2], "y": [0, 0, 3]},
            {"x": [0, 1, 0], "y": [0, 0, 6]},
            id="a condition on two",
        ),
    ],
)
def test_ties(f: Any, arrays: Any, shares: Any, dtype: Any) -> None:
    got = gradients(f, dtype, **arrays)
    for name, share in shares.items():
        assert_close(got[name], share, 1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_norm_at_zero(dtype: Any) -> None:
    net = Network("norms")
    x = net.param("x", s, j)
    net.loss(Sum(sqrt(Sum(x[s, j] ** 2, j)), s))
    loss, grads = run(load(net), frozen({"x": [[0, 0], [3, 4]]}, dtype))
    assert loss == 5
    assert_close(grads["x"], [[0, 0], [0.6, 0.8]], 1e-7)


def test_the_distance_of_equal_vectors() -> None:
    net = Network("distance")
    x, y = net.param("x", j), net.param("y", j)
    r = net.define("r", (), sqrt(Sum((x[j] - y[j]) ** 2, j)))
    net.loss(r)
    loss, grads = run(load(net), frozen({"x": [1, 2], "y": [1, 2]}))
    assert loss == 0 and grads["x"].tolist() == [0, 0] and grads["y"].tolist() == [0, 0]


def small_network() -> Network:
    net = Network("small")
    x, t = net.input("x", s, j), net.input("t", s)
    w, b = net.param("w", j), net.param("b")
    lam = net.constant("lam", 0.5)
    f = net.define("f", (s,), Sum(w[j] * x[s, j], j) + b)
    net.output(f)
    net.loss(Sum((f[s] - t[s]) ** 2, s) / n + lam * Sum(w[j] ** 2, j))
    return net


X, T, W, B = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]), np.ones(3), np.array([0.5, -1.0]), 0.25
SMALL = {"x": X, "t": T, "w": W, "b": B}


def test_gradients_are_of_what_wrt_names() -> None:
    error = X @ W + B - T
    expected = {
        "w": 2 * error @ X / 3 + W,
        "b": 2 * error.sum() / 3,
        "x": 2 * np.outer(error, W) / 3,
        "t": -2 * error / 3,
    }
    for wrt in (None, ["x"], ["b", "t"], ["w", "b", "x", "t"]):
        _, grads = run(load(small_network(), wrt), frozen(SMALL))
        assert list(grads) == (wrt or ["w", "b"])
        for name, grad in grads.items():
            assert isinstance(grad, np.ndarray)
            assert_close(grad, expected[name], 1e-14)


def test_value_and_grad_predict_constants_and_step() -> None:
    module = load(small_network())
    arrays = frozen(SMALL)
    params = {"w": arrays["w"].copy(), "b": arrays["b"].copy()}
    error = X @ W + B - T
    for given, lam in (({}, 0.5), ({"lam": 2.0}, 2.0)):
        loss, grads = module.value_and_grad(params, arrays["x"], arrays["t"], **given)
        assert_close(loss, (error**2).mean() + lam * (W**2).sum(), 1e-14)
        assert_close(grads["w"], 2 * error @ X / 3 + 2 * lam * W, 1e-14)
    assert_close(module.predict(params, arrays["x"]), X @ W + B, 1e-14)
    w = params["w"]
    module.step(params, grads, 0.1)
    assert params["w"] is w
    assert_close(w, W - 0.1 * (2 * error @ X / 3 + 4 * W), 1e-14)
    assert_close(params["b"], B - 0.1 * 2 * error.sum() / 3, 1e-14)


def test_a_layer_gives_the_gradients_of_parameters_and_inputs() -> None:
    net = Network("layer")
    x, w = net.input("x", s, j), net.param("w", j)
    net.output(net.define("f", (s,), Sum(w[j] * x[s, j], j)))
    y, grads = run(load(net), frozen({"x": X, "w": W}), T)
    assert_close(y, X @ W, 1e-14)
    assert set(grads) == {"w", "x"}
    assert_close(grads["x"], np.outer(T, W), 1e-14)


@pytest.mark.parametrize("name", ["x", "w", "t"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.complex128, np.int64, object])
def test_other_kinds_of_numbers_are_refused_by_name(name: str, dtype: Any) -> None:
    """float32 beside float64 as well: nothing is promoted silently."""
    arrays = {**frozen(SMALL), name: np.asarray(SMALL[name]).astype(dtype)}
    with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b"):
        run(load(small_network()), arrays)


@pytest.mark.parametrize(
    ("name", "shape"), [("x", (3, 5)), ("x", (6,)), ("t", (4,)), ("w", (3,)), ("b", (1,))]
)
def test_other_shapes_are_refused_by_name(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\b(x|t|w|b)\b"):
        run(load(small_network()), {**frozen(SMALL), name: np.ones(shape)})


def test_a_size_that_no_array_determines_is_a_keyword() -> None:
    net = Network("open_size")
    x = net.param("x", s)
    net.loss(Sum(x[s] ** 2, s) * Sum(1, i) + log(k))
    module, arrays = load(net), frozen({"x": [1, 2]})
    loss, grads = run(module, arrays, k=3)
    assert_close(loss, 15 + np.log(3), 1e-15)
    assert_close(grads["x"], [6, 12], 1e-15)
    with pytest.raises(TypeError, match="k"):
        run(module, arrays)


def test_labels_that_do_not_sum_to_one_are_refused() -> None:
    net = Network("labels")
    z, t = net.param("z", s, j), net.input("t", s, j, sums_to_one=j)
    net.loss(-Sum(t[s, j] * log(exp(z[s, j]) / Sum(exp(z[s, j]), j)), s, j))
    module = load(net)
    run(module, frozen({"z": [[1, 2]], "t": [[0.25, 0.75]]}))
    with pytest.raises(ValueError, match=r"\bt\b"):
        run(module, frozen({"z": [[1, 2]], "t": [[0.25, 0.5]]}))
