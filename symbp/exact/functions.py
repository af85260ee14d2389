"""Functions of decimal numbers: those that Python lacks by their definitions, or from mpmath."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, getcontext

import mpmath  # type: ignore[import-untyped]

Function = Callable[[Decimal], Decimal]

INFINITY, NAN = Decimal("Infinity"), Decimal("NaN")


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """The real power; 1 for x**0, NaN where there is none."""
    if exponent == Decimal("0.5"):
        return base.sqrt()
    return Decimal(1) if exponent == 0 else base**exponent


def safe_inverse(x: Decimal) -> Decimal:
    return Decimal(0) if x == 0 else 1 / x


def finite(x: Decimal) -> Decimal:
    return Decimal(0) if x.is_infinite() else x


def sign(x: Decimal) -> Decimal:
    return x if x.is_nan() else Decimal((x > 0) - (x < 0))


def _sinh(x: Decimal) -> Decimal:
    return (x.exp() - (-x).exp()) / 2


def _cosh(x: Decimal) -> Decimal:
    return (x.exp() + (-x).exp()) / 2


def _tanh(x: Decimal) -> Decimal:
    small = (-2 * abs(x)).exp()
    return ((1 - small) / (1 + small)).copy_sign(x)


def _of_mpmath(name: str) -> Function:
    def function(x: Decimal) -> Decimal:
        if not x.is_finite():
            return NAN if name != "erf" else x if x.is_nan() else Decimal(1).copy_sign(x)
        digits = getcontext().prec
        with mpmath.workdps(digits + 5):
            return Decimal(mpmath.nstr(getattr(mpmath, name)(mpmath.mpf(str(x))), digits + 5))

    return function


FUNCTIONS: Mapping[str, Function] = {
    "exp": Decimal.exp,
    "log": Decimal.ln,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    **{name: _of_mpmath(name) for name in ("sin", "cos", "tan", "erf")},
    "floor": lambda x: x.to_integral_value(ROUND_FLOOR),
    "ceiling": lambda x: x.to_integral_value(ROUND_CEILING),
    "Abs": abs,
    "Magnitude": abs,
    "sign": sign,
    "Sign": sign,
    "SafeInverse": safe_inverse,
    "Finite": finite,
}
"""By the name of the node, SymPy's or our own."""
