"""What naive definitions must still give where they overflow: value, gradient, and no warning.

Every row runs in float64 and in float32, at the extremes of both (exp overflows at 709.8 and at
88.7), against the naive definition itself, evaluated by mpmath with 400 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Rational, Sum, cosh, exp, log, pi, sqrt, tanh

from symbp import Maximum, Network, derive, indices, sizes

from . import exact
from .helpers import assert_close, frozen, load, run

n, k = sizes("n k")
s = indices("s", n)
i, c = indices("i c", k)

ROUNDING = {np.float64: 1e-14, np.float32: 4e-6}
DTYPES = [pytest.param(np.float64, id="float64"), pytest.param(np.float32, id="float32")]
POINTS = [0, 1e-3, 0.5, 1, 5, 17, 30, 40, 88, 89, 90, 104, 200, 500, 709, 710, 746, 800, 1e4, 1e30]


def declare(name: str) -> tuple[Network, Any, Any]:
    net = Network(name)
    return net, net.param("z", i), net.input("t", i)


def in_one_equation() -> Network:
    net, z, t = declare("in_one_equation")
    net.loss(-Sum(t[i] * log(exp(z[i]) / Sum(exp(z[c]), c)), i))
    return net


def in_two_equations() -> Network:
    net, z, t = declare("in_two_equations")
    y = net.define("y", (i,), exp(z[i]) / Sum(exp(z[c]), c))
    net.loss(-Sum(t[i] * log(y[i]), i))
    return net


def in_four_equations() -> Network:
    net, z, t = declare("in_four_equations")
    e = net.define("e", (i,), exp(z[i]))
    total = net.define("total", (), Sum(e[i], i))
    y = net.define("y", (i,), e[i] / total)
    net.loss(-Sum(t[i] * log(y[i]), i))
    return net


def with_labels_that_sum_to_one() -> Network:
    net = Network("with_labels_that_sum_to_one")
    z, t = net.param("z", i), net.input("t", i, sums_to_one=i)
    y = net.define("y", (i,), exp(z[i]) / Sum(exp(z[c]), c))
    net.loss(-Sum(t[i] * log(y[i]), i))
    return net


def softplus() -> Network:
    net = Network("softplus_layer")
    x = net.param("x", s)
    net.output(net.define("y", (s,), log(1 + exp(x[s]))))
    return net


def sigmoid() -> Network:
    net = Network("sigmoid_layer")
    x = net.param("x", s)
    net.output(net.define("y", (s,), 1 / (1 + exp(-x[s]))))
    return net


@cache
def module(build: Callable[[], Network]) -> ModuleType:
    return load(build())


FORMS = [in_one_equation, in_two_equations, in_four_equations, with_labels_that_sum_to_one]
LOGITS = [
    (1000, 1001, -1000), (0, 0, 0), (88, 89, 90), (-90, 90, 0), (90, -90, 90), (-104, -105, -104),
    (709, 710, 711), (1e4, -1e4, 0), (-1e4, -10001, -1e4), (0, -1e4, 1e4),
    (1e30, -1e30, 0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_cross_entropy_as_printed(form: Callable[[], Network], dtype: Any) -> None:
    arrays = frozen({"z": [1000, 1001, -1000], "t": [0, 1, 0]}, dtype)
    loss, grads = run(module(form), arrays)
    tolerance = 5e-9 if dtype is np.float64 else 1e-7
    assert_close(loss, 0.31326169, tolerance, floor=1.0)
    assert_close(grads["z"], [0.26894142, -0.26894142, 0], tolerance, floor=1.0)
    assert np.asarray(loss).dtype == dtype and grads["z"].dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [(0, 1, 0), (0.25, 0.25, 0.5)], ids=str)
@pytest.mark.parametrize("z", LOGITS, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_cross_entropy(form: Callable[[], Network], z: Any, t: Any, dtype: Any) -> None:
    def definition(logits: Any) -> Any:
        return -(t * exact.log(exact.exp(logits) / exact.exp(logits).sum())).sum()

    arrays = frozen({"z": z, "t": t}, dtype)
    loss, grads = run(module(form), arrays)
    with mpmath.workdps(400):
        at = exact.array(arrays["z"])
        want, slope = exact.floats(definition(at)), exact.floats(exact.gradient(definition, at))
    assert_close(loss, want, ROUNDING[dtype], floor=1.0, what="loss")
    assert_close(grads["z"], slope, ROUNDING[dtype], floor=1.0, what="gradient")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("build", "definition"),
    [
        pytest.param(softplus, lambda x: exact.log(1 + exact.exp(x)), id="log(1+exp x)"),
        pytest.param(sigmoid, lambda x: 1 / (1 + exact.exp(-x)), id="1/(1+exp(-x))"),
    ],
)
def test_pointwise(build: Callable[[], Network], definition: Any, dtype: Any) -> None:
    """Values to a relative error in each entry, tails included; gradients to an absolute one."""
    x = np.array([sign * point for point in POINTS for sign in (1, -1)], dtype=dtype)
    y, grads = run(module(build), frozen({"x": x}, dtype), np.ones(len(x), dtype))
    with mpmath.workdps(400):
        at, h = exact.array(x), mpmath.mpf(10) ** -130
        want = exact.floats(definition(at))
        slope = exact.floats((definition(at + h) - definition(at - h)) / (2 * h))
    tiny = float(np.finfo(dtype).tiny)
    assert np.all(np.abs(y - want) <= ROUNDING[dtype] * np.abs(want) + tiny)
    assert_close(grads["x"], slope, ROUNDING[dtype], floor=1.0, what="gradient")
    assert y.dtype == dtype and grads["x"].dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_as_printed(dtype: Any) -> None:
    y, grads = run(module(softplus), frozen({"x": [1000, -800]}, dtype), np.ones(2, dtype))
    assert y.tolist() == [1000, 0] and grads["x"].tolist() == [1, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_as_printed(dtype: Any) -> None:
    y, grads = run(module(sigmoid), frozen({"x": [800, -800]}, dtype), np.ones(2, dtype))
    assert y.tolist() == [1, 0] and grads["x"].tolist() == [0, 0]


def log_sum_exp() -> Network:
    net = Network("log_sum_exp")
    z = net.param("z", s, i)
    net.output(net.define("y", (s,), log(Sum(exp(z[s, i]), i))))
    return net


def log_sum_exp_shifted_by_hand() -> Network:
    net = Network("log_sum_exp_shifted_by_hand")
    z = net.param("z", s, i)
    m = net.define("m", (s,), Maximum(z[s, i], i))
    net.output(net.define("y", (s,), m[s] + log(Sum(exp(z[s, i] - m[s]), i))))
    return net


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "form", [log_sum_exp, log_sum_exp_shifted_by_hand], ids=lambda f: f.__name__
)
def test_rows_that_are_infinite(form: Callable[[], Network], dtype: Any) -> None:
    """log Σ exp z is −∞ where all z are, and its gradient 0; other rows, infinite in part, are as ever."""
    inf = np.inf
    z = [(-inf, -inf), (1000, -inf), (-inf, -1e4), (-1, -1)]
    y, grads = run(module(form), frozen({"z": z}, dtype), np.ones(4, dtype))
    assert y[:3].tolist() == [-inf, 1000, -1e4]
    assert_close(y[3], -1 + np.log(2), ROUNDING[dtype])
    assert_close(grads["z"], [(0, 0), (1, 0), (0, 1), (0.5, 0.5)], ROUNDING[dtype])
    assert y.dtype == dtype and grads["z"].dtype == dtype


def test_rows_are_guarded_only_where_they_can_be_infinite() -> None:
    """Neither a softmax nor logits that are computed need it."""
    for net in (in_two_equations(), with_labels_that_sum_to_one()):
        assert "isfinite" not in derive(net).source
    net = Network("computed")
    z = net.define("z", (s, i), net.param("x", s, i)[s, i] ** 2)
    net.output(net.define("y", (s,), log(Sum(exp(z[s, i]), i))))
    assert "isfinite" not in derive(net).source and "isfinite" in derive(log_sum_exp()).source


# The rows whose definitions cancel or divide


def elementwise(function: Callable[[Any], Any]) -> ModuleType:
    net = Network("elementwise")
    x = net.param("x", s)
    net.output(net.define("y", (s,), function(x[s])))
    return load(net)


def cubic(x: Any) -> Any:
    return sqrt(2 / pi) * (x + Rational(44715, 10**6) * x**3)


LOG_COSH: dict[str, Callable[[Any], Any]] = {
    "by its name": lambda x: log(cosh(x)),
    "by exponentials": lambda x: log((exp(x) + exp(-x)) / 2),
    "of a square": lambda x: log(cosh(x) ** 2) / 2,
    "of an inverse": lambda x: -log(1 / cosh(x)),
    "by a softplus": lambda x: x + log(1 + exp(-2 * x)) - log(2),
}
TANH_GELU: dict[str, Callable[[Any], Any]] = {
    "by its name": lambda x: x / 2 * (1 + tanh(cubic(x))),
    "by a sigmoid": lambda x: x / (1 + exp(-2 * cubic(x))),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", LOG_COSH)
def test_log_cosh_as_printed(form: str, dtype: Any) -> None:
    x = [1000, -1000, 90, 0]
    y, grads = run(elementwise(LOG_COSH[form]), frozen({"x": x}, dtype), np.ones(4, dtype))
    assert_close(y, [1000 - np.log(2)] * 2 + [90 - np.log(2), 0], ROUNDING[dtype])
    assert grads["x"].tolist() == [1, -1, 1, 0] and y.dtype == grads["x"].dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", TANH_GELU)
def test_tanh_gelu_as_printed(form: str, dtype: Any) -> None:
    x = [1000, -1000, 89, 0]
    y, grads = run(elementwise(TANH_GELU[form]), frozen({"x": x}, dtype), np.ones(4, dtype))
    assert y.tolist() == [1000, 0, 89, 0] and grads["x"].tolist() == [1, 0, 1, 0.5]
    assert y.dtype == grads["x"].dtype == dtype


def layer_norm(cut: str) -> ModuleType:
    """In one equation, or with mean and variance of their own, the variance also as E x² − (E x)²."""
    net = Network("layer_norm")
    x = net.param("x", s, i)
    mean, square = Sum(x[s, c], c) / k, Sum(x[s, c] ** 2, c) / k
    variance = Sum((x[s, c] - Sum(x[s, i], i) / k) ** 2, c) / k
    if cut != "whole":
        mean = net.define("mean", s, mean)[s]
        spread = square - mean**2 if cut == "squares" else Sum((x[s, c] - mean) ** 2, c) / k
        variance = net.define("variance", s, spread)[s]
    y = (x[s, i] - mean) / sqrt(variance + Rational(1, 10**5))
    net.output(net.define("y", (s, i), y))
    return load(net)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cut", ["whole", "parts", "squares"])
def test_layer_norm_of_a_constant_row(cut: str, dtype: Any) -> None:
    """All that is left of the gradient is (dy − mean dy) / √ε."""
    rows = np.outer([3, 0, -1000], np.ones(4))
    dy = np.tile(np.arange(4.0), (3, 1)).astype(dtype)
    y, grads = run(layer_norm(cut), frozen({"x": rows}, dtype), dy)
    assert not y.any()
    assert_close(grads["x"], (dy - 1.5) / np.sqrt(1e-5), 10 * ROUNDING[dtype])
