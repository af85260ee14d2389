"""Scalar functions of the IR: those whose value at a kink, or whose range in floating point, SymPy's own do not fix."""

from __future__ import annotations

from typing import Any

from sympy import Basic, Eq, Expr, Function, Ge, Gt, Le, Lt, Max, Min, S, Symbol, exp, log

from symbp.ir.nodes import Entry, Iverson, walk
from symbp.ir.slots import Slot


class Mask(Symbol):
    """The name of an array of booleans: [P] for a condition P on indices."""


class Largest(Function):
    """max(a, b, …), whose derivative at a tie is shared: see `Network` for the convention at kinks."""

    is_extended_real = True
    is_real = True

    @classmethod
    def eval(cls, *args: Expr) -> Expr | None:
        return Max(*args) if all(a.is_number for a in args) else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return _share(self.args, argindex - 1, Gt, Ge)


class Smallest(Function):
    """min(a, b, …), the mirror image of `Largest`."""

    is_extended_real = True
    is_real = True

    @classmethod
    def eval(cls, *args: Expr) -> Expr | None:
        return Min(*args) if all(a.is_number for a in args) else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return _share(self.args, argindex - 1, Lt, Le)


class Magnitude(Function):
    """|a| for differentiation: SymPy's Abs differentiates to re and im wherever it cannot prove its argument real."""

    is_extended_real = True
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return Sign(self.args[0])


class Sign(Function):
    """sign(a), with sign(0) = 0; constant almost everywhere, so its derivative is taken as 0."""

    is_extended_real = True
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return S.Zero


class SafeInverse(Function):
    """1/a, and 0 where a is 0: the slope of a norm is taken as 0 at its kink."""

    is_extended_real = True
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return -(SafeInverse(self.args[0]) ** 2)


class Norm(Function):
    """u**q with 0 < q < 1 of a sum of squares, for differentiation: its slope q u**(q − 1) is taken as 0 at u = 0."""

    is_extended_real = True
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        base, exponent = self.args
        return exponent * SafeInverse(base ** (1 - exponent))

    @staticmethod
    def power(base: Expr, exponent: Expr) -> Expr:
        """The power that a Norm stands for."""
        return base**exponent


class Finite(Function):
    """a, and 0 where a is infinite: what exponents are shifted by."""

    is_extended_real = True
    is_real = True


class LogAddExp(Function):
    """log(exp a + exp b), computed without overflow."""

    is_extended_real = True
    is_real = True

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        return log(exp(a) + exp(b)) if a.is_number and b.is_number else None

    def fdiff(self, argindex: int = 1) -> Expr:
        other = self.args[2 - argindex]
        return 1 / (1 + exp(other - self.args[argindex - 1]))


def _share(args: tuple[Expr, ...], k: int, beats: Any, ties: Any) -> Expr:
    """∂max/∂a_k: [a_k beats every constant] [a_k beats or ties every variable] / (the number that tie with it)."""
    own = args[k]
    share: Expr = S.One
    tied: Expr = S.One
    for n, other in enumerate(args):
        if n == k:
            continue
        if not varies(other):
            share *= Iverson(beats(own, other, evaluate=False))
        else:
            share *= Iverson(ties(own, other, evaluate=False))
            tied += Iverson(Eq(own, other, evaluate=False))
    return share / tied


def varies(expr: Basic) -> bool:
    """Whether a tensor stands in the expression (or a stand-in for one, as the derivative uses)."""
    return any(isinstance(n, (Entry, Slot)) for n in walk(expr))
