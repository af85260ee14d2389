"""The usual functions of networks, each by its definition alone.

They take and give SymPy expressions: an entry such as `z[s, a]`, a scalar tensor, or any formula of
these. `tanh`, `exp`, `log` and the like are SymPy's own. What overflows when it is computed as it
stands (softplus at 1000, say) is made stable when the network is derived.
"""

from __future__ import annotations

from typing import Any, Literal

from sympy import Expr, Max, Piecewise, cosh, erf, exp, log, pi, sqrt, tanh

from symbp.errors import ModelError


def sigmoid(x: Any) -> Expr:
    """1 / (1 + exp(−x))"""
    return 1 / (1 + exp(-x))


def relu(x: Any) -> Expr:
    """max(0, x), with slope 0 at 0"""
    return Max(0, x)


def leaky_relu(x: Any, slope: Any = 0.01) -> Expr:
    """x where x > 0, else slope · x"""
    return Piecewise((x, x > 0), (slope * x, True))


def elu(x: Any, alpha: Any = 1) -> Expr:
    """x where x > 0, else alpha · (exp(x) − 1)"""
    return Piecewise((x, x > 0), (alpha * (exp(x) - 1), True))


def softplus(x: Any) -> Expr:
    """log(1 + exp(x))"""
    return log(1 + exp(x))


def silu(x: Any) -> Expr:
    """x / (1 + exp(−x))"""
    return x / (1 + exp(-x))


def gelu(x: Any, approximate: Literal["none", "tanh"] = "none") -> Expr:
    """x/2 · (1 + erf(x/√2)), or "tanh": x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))"""
    if approximate == "none":
        return x / 2 * (1 + erf(x / sqrt(2)))
    if approximate == "tanh":
        return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    raise ModelError(f'gelu: approximate={approximate!r} is unknown; known are "none" and "tanh"')


def log_cosh(x: Any) -> Expr:
    """log(cosh(x))"""
    return log(cosh(x))


def hinge(margin: Any) -> Expr:
    """max(0, 1 − margin), with slope 0 at 1"""
    return Max(0, 1 - margin)


def square(x: Any) -> Expr:
    """x²"""
    return x**2
