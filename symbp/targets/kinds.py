"""What a number or a factor is, before it is printed."""

from __future__ import annotations

from sympy import Basic, Expr, Idx, Pow, Rational, exp

from symbp.ir.functions import SafeInverse
from symbp.ir.nodes import Entry, Iverson, Reduce, base_exponent, factors, walk


def inverse(factor: Expr) -> Expr | None:
    """What a factor divides by; None where it stands above the line. exp(−u) is no division."""
    if isinstance(factor, SafeInverse):
        return factor.args[0]
    base, exponent = base_exponent(factor)
    if isinstance(base, exp) or not exponent.could_extract_minus_sign():
        return None
    return Pow(base, -exponent)


def is_python_number(expr: Basic) -> bool:
    """Whether nothing but numbers, sizes and constants stands in it: a Python number at run time."""
    return not any(isinstance(n, (Entry, Idx, Reduce, Iverson)) for n in walk(expr))


def has_root(expr: Expr) -> bool:
    """Whether a number is made of roots: √2 / √π."""
    return any(isinstance(a, Pow) and not a.exp.is_Integer for a in factors(expr))


def is_decimal(number: Rational) -> bool:
    """Whether a fraction is better written as a decimal: 0.044715, 1e-05, 1.5; not 1/3, and not 1/2 of something."""
    exact = Rational(repr(float(number))) == number
    return bool(exact and number.q != 1 and (abs(number.p) != 1 or number.q > 64))
