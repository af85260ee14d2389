"""Activations, each by its plain definition, as layers over a vector; and losses of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import (
    Abs,
    Max,
    Min,
    Piecewise,
    Rational,
    S,
    Sum,
    cos,
    cosh,
    erf,
    exp,
    log,
    pi,
    sign,
    sin,
    sinh,
    sqrt,
    tanh,
)

from symbp import Network, functions, indices, sizes

from . import exact as x_
from .variation import Definition, positive, variation

n, d, v = sizes("n d v")
s, j, e = indices("s", n), indices("j", d), indices("e", v)

FAR = [{"x": [1000, -1000, 800, -800, 90, -90, 40, -40, 10, -10, 1, -1]}]
FAR_AND_ZERO = [{"x": [0, *FAR[0]["x"]]}]


def layer(net: Network, f: Callable[[Any], Any]) -> None:
    x = net.param("x", e)
    net.output(net.define("y", (e,), f(x[e])))


def sigma(x: Any) -> Any:
    return 1 / (1 + x_.exp(-x))


@variation(extremes=FAR_AND_ZERO)
def test_sigmoid_as_a_quotient(net: Network) -> Definition:
    layer(net, lambda x: exp(x) / (1 + exp(x)))
    return sigma


@variation(extremes=FAR_AND_ZERO)
def test_sigmoid_as_a_power(net: Network) -> Definition:
    layer(net, lambda x: (1 + exp(-x)) ** (-1))
    return sigma


@variation(extremes=FAR_AND_ZERO)
def test_sigmoid_by_tanh(net: Network) -> Definition:
    layer(net, lambda x: (1 + tanh(x / 2)) / 2)
    return sigma


@variation(extremes=FAR_AND_ZERO)
def test_log_sigmoid(net: Network) -> Definition:
    layer(net, lambda x: log(1 / (1 + exp(-x))))
    return lambda x: x_.log(sigma(x))


@variation(extremes=FAR_AND_ZERO)
def test_softplus_with_a_slope(net: Network) -> Definition:
    layer(net, lambda x: log(1 + exp(2 * x)) / 2)
    return lambda x: x_.log(1 + x_.exp(2 * x)) / 2


@variation(extremes=FAR_AND_ZERO)
def test_softplus_of_a_negative(net: Network) -> Definition:
    layer(net, lambda x: -log(1 + exp(-x)))
    return lambda x: -x_.log(1 + x_.exp(-x))


@variation(extremes=FAR_AND_ZERO)
def test_softplus_of_a_sum(net: Network) -> Definition:
    layer(net, lambda x: log(exp(x) + exp(1) ** 2))
    return lambda x: x_.log(x_.exp(x) + x_.exp(x_.array(2)))


@variation(extremes=[{"w": [500, -500], "x": [[1, -1], [-1, 1], [0, 0]], "b": 1}])
def test_softplus_of_an_affine_map(net: Network) -> Definition:
    w, b, x = net.param("w", j), net.param("b"), net.input("x", s, j)
    net.loss(Sum(log(1 + exp(Sum(w[j] * x[s, j], j) + b)), s))
    return lambda w, b, x: x_.log(1 + x_.exp(x @ w + b)).sum()


@variation(extremes=FAR_AND_ZERO)
def test_tanh_by_exponentials(net: Network) -> Definition:
    layer(net, lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)))
    return lambda x: x_.tanh(x)


@variation(extremes=FAR_AND_ZERO)
def test_tanh_by_one_exponential(net: Network) -> Definition:
    layer(net, lambda x: (exp(2 * x) - 1) / (exp(2 * x) + 1))
    return lambda x: x_.tanh(x)


@variation(extremes=FAR_AND_ZERO)
def test_tanh_by_a_sigmoid(net: Network) -> Definition:
    layer(net, lambda x: 2 / (1 + exp(-2 * x)) - 1)
    return lambda x: x_.tanh(x)


@variation(extremes=FAR_AND_ZERO)
def test_tanh_by_sinh_and_cosh(net: Network) -> Definition:
    layer(net, lambda x: sinh(x) / cosh(x))
    return lambda x: x_.tanh(x)


@variation(extremes=FAR_AND_ZERO)
def test_log_cosh(net: Network) -> Definition:
    layer(net, lambda x: log(cosh(x)))
    return lambda x: x_.log(x_.cosh(x))


@variation(extremes=FAR_AND_ZERO)
def test_log_cosh_by_exponentials(net: Network) -> Definition:
    layer(net, lambda x: log((exp(x) + exp(-x)) / 2))
    return lambda x: x_.log(x_.cosh(x))


@variation(extremes=FAR_AND_ZERO)
def test_silu(net: Network) -> Definition:
    layer(net, lambda x: x / (1 + exp(-x)))
    return lambda x: x * sigma(x)


@variation(extremes=FAR_AND_ZERO)
def test_mish(net: Network) -> Definition:
    layer(net, lambda x: x * tanh(log(1 + exp(x))))
    return lambda x: x * x_.tanh(x_.log(1 + x_.exp(x)))


@variation(extremes=FAR_AND_ZERO)
def test_gelu(net: Network) -> Definition:
    layer(net, lambda x: x * (1 + erf(x / sqrt(2))) / 2)
    return lambda x: x * (1 + x_.erf(x / x_.sqrt(x_.array(2)))) / 2


@variation(extremes=FAR_AND_ZERO)
def test_gelu_by_tanh(net: Network) -> Definition:
    layer(net, lambda x: x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2)

    def definition(x: Any) -> Any:
        return x * (1 + x_.tanh(x_.sqrt(2 / x_.pi) * (x + 0.044715 * x**3))) / 2

    return definition


@variation(extremes=FAR_AND_ZERO)
def test_gaussian(net: Network) -> Definition:
    layer(net, lambda x: exp(-(x**2) / 2))
    return lambda x: x_.exp(-(x**2) / 2)


@variation(extremes=FAR)
def test_elu(net: Network) -> Definition:
    layer(net, lambda x: Piecewise((x, x > 0), (exp(x) - 1, True)))
    return lambda x: np.where(x > 0, x, x_.exp(x) - 1)


@variation(extremes=FAR)
def test_leaky_relu(net: Network) -> Definition:
    layer(net, lambda x: Piecewise((x, x > 0), (0.25 * x, True)))
    return lambda x: np.where(x > 0, x, 0.25 * x)


@variation(extremes=FAR)
def test_leaky_relu_by_max(net: Network) -> Definition:
    layer(net, lambda x: Max(x / 4, x))
    return lambda x: np.where(x > 0, x, x / 4)


@variation(extremes=[{"x": FAR[0]["x"][4:]}])
def test_huber(net: Network) -> Definition:
    layer(net, lambda x: Piecewise((x**2 / 2, Abs(x) < 2), (2 * (Abs(x) - 1), True)))
    return lambda x: np.where(abs(x) < 2, x**2 / 2, 2 * (abs(x) - 1))


@variation(extremes=FAR)
def test_three_pieces(net: Network) -> Definition:
    layer(net, lambda x: Piecewise((0, x <= -2), ((x + 2) / 4, x < 2), (1, True)))
    return lambda x: np.clip((x + 2) / 4, 0, 1)


@variation(extremes=FAR)
def test_hard_sigmoid(net: Network) -> Definition:
    layer(net, lambda x: Min(1, Max(0, x / 6 + Rational(1, 2))))
    return lambda x: np.clip(x / 6 + x_.array(0.5), 0, 1)


@variation(extremes=FAR)
def test_softsign(net: Network) -> Definition:
    layer(net, lambda x: x / (1 + Abs(x)))
    return lambda x: x / (1 + abs(x))


@variation(extremes=FAR_AND_ZERO)
def test_smooth_absolute_value(net: Network) -> Definition:
    layer(net, lambda x: sqrt(x**2 + 1) - 1)
    return lambda x: x_.sqrt(x**2 + 1) - 1


@variation()
def test_sign_times_square(net: Network) -> Definition:
    layer(net, lambda x: sign(x) * x**2)
    return lambda x: x * abs(x)


@variation()
def test_trigonometry(net: Network) -> Definition:
    layer(net, lambda x: sin(x) * cos(2 * x) + sin(x) ** 2)
    return lambda x: x_.sin(x) * x_.cos(2 * x) + x_.sin(x) ** 2


@variation()
def test_hyperbolic_functions(net: Network) -> Definition:
    layer(net, lambda x: sinh(x) * cosh(x / 2))
    return lambda x: x_.sinh(x) * x_.cosh(x / 2)


@variation(draw={"x": positive})
def test_powers(net: Network) -> Definition:
    half, third = S.Half, Rational(1, 3)
    layer(
        net, lambda x: x**3 + x ** (-2) + sqrt(x) + x ** (3 * half) + 2**x + x ** (-third) + 1 / x
    )

    def definition(x: Any) -> Any:
        root, cube = x_.sqrt(x), x_.exp(-x_.log(x) / 3)
        return x**3 + x**-2 + root + x * root + x_.exp(x * x_.log(x_.array(2))) + cube + 1 / x

    return definition


@variation(draw={"x": positive})
def test_a_power_of_itself(net: Network) -> Definition:
    layer(net, lambda x: x**x + log(x) ** 2)
    return lambda x: x_.exp(x * x_.log(x)) + x_.log(x) ** 2


@variation()
def test_a_rational_function(net: Network) -> Definition:
    layer(net, lambda x: (1 + x + x**2) / (2 + x**4))
    return lambda x: (1 + x + x**2) / (2 + x**4)


@variation()
def test_a_long_chain_in_one_equation(net: Network) -> Definition:
    layer(net, lambda x: tanh(sin(exp(-(x**2)) + log(1 + x**2)) / (1 + exp(-x))))
    return lambda x: x_.tanh(x_.sin(x_.exp(-(x**2)) + x_.log(1 + x**2)) * sigma(x))


NOT_ONE_TO_ONE = {
    "x²": (lambda x: x**2, lambda x: x**2),
    "cos x": (cos, lambda x: x_.cos(x)),
    "cosh x": (cosh, lambda x: x_.cosh(x)),
    "sin² x": (lambda x: sin(x) ** 2, lambda x: x_.sin(x) ** 2),
    "tan x": (lambda x: sin(x) / cos(x), lambda x: x_.sin(x) / x_.cos(x)),
    "√(1 + x²)": (lambda x: sqrt(1 + x**2), lambda x: x_.sqrt(1 + x**2)),
    "√(2 + cos x)": (lambda x: sqrt(2 + cos(x)), lambda x: x_.sqrt(2 + x_.cos(x))),
    "1/(1 + x²)": (lambda x: 1 / (1 + x**2), lambda x: 1 / (1 + x**2)),
    "|x|/(1 + |x|)": (lambda x: Abs(x) / (1 + Abs(x)), lambda x: abs(x) / (1 + abs(x))),
    "exp |x|": (lambda x: exp(Abs(x)), lambda x: x_.exp(abs(x))),
    "exp(−|x|) x": (lambda x: exp(-Abs(x)) * x, lambda x: x_.exp(-abs(x)) * x),
    "log(1 + x²)": (lambda x: log(1 + x**2), lambda x: x_.log(1 + x**2)),
    "x + 1/x": (lambda x: x + 1 / x, lambda x: x + 1 / x),
    "x³ − x": (lambda x: x**3 - x, lambda x: x**3 - x),
    "1/(1 + max(0, x))": (
        lambda x: 1 / (1 + Max(0, x)),
        lambda x: 1 / (1 + np.where(x > 0, x, 0)),
    ),
    "x/(1 + max(0, x)²)": (
        lambda x: x / (1 + Max(0, x) ** 2),
        lambda x: x / (1 + np.where(x > 0, x, 0) ** 2),
    ),
    "√max(1, x)": (
        lambda x: sqrt(Max(1, x)),
        lambda x: x_.sqrt(np.where(x > 1, x, x_.array(1))),
    ),
}


@pytest.mark.parametrize("name", NOT_ONE_TO_ONE)
def test_functions_that_are_not_one_to_one(name: str) -> None:
    """A slope in terms of the output alone would lose a sign here."""
    f, definition = NOT_ONE_TO_ONE[name]

    @variation(draw={"x": lambda rng, shape: np.linspace(-2.6, 2.4, *shape)})
    def both_signs(net: Network) -> Definition:
        layer(net, f)
        return definition

    both_signs("ordinary", "float64")


NAMED = {
    "sigmoid": sigma,
    "softplus": lambda x: x_.log(1 + x_.exp(x)),
    "silu": lambda x: x * sigma(x),
    "gelu": lambda x: x * (1 + x_.erf(x / x_.sqrt(x_.array(2)))) / 2,
    "relu": lambda x: np.where(x > 0, x, 0 * x),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_named_functions(name: str, dtype: str) -> None:
    """`symbp.functions` gives each by its definition alone; what it derives is stable."""

    @variation(extremes=FAR)
    def named(net: Network) -> Definition:
        layer(net, getattr(functions, name))
        return NAMED[name]

    named("ordinary", dtype)
    named("extremes", dtype)


@variation(extremes=FAR_AND_ZERO)
def test_elu_inside_another_piecewise(net: Network) -> Definition:
    def elu(x: Any) -> Any:
        return Piecewise((x, x > 0), (exp(x) - 1, True))

    layer(net, lambda x: Piecewise((elu(x), x > -3), (2, True)))
    return lambda x: np.where(x > -3, np.where(x > 0, x, x_.exp(x) - 1), 2)
