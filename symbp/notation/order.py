"""The order in which people write factors and terms, and which stand below a fraction bar.

    factors   numbers, then scalars, δ, [P], adjoints, entries, sums in brackets, functions, Σ last
    terms     positive ones first; then by their last factor, in that order: 1 − y², b + Σ_j W_j x_j

Names compare in natural order (W2 before W10). Nothing depends on SymPy's own order of arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sympy import Add, Basic, Expr, Idx, Integer, Mul, Pow, Symbol

from symbp.ir.nodes import Cases, Delta, Entry, Iverson, Reduce, Slope

NUMBER, SCALAR, DELTA, IVERSON, ADJOINT, ENTRY, SUM, FUNCTION, BIG = range(9)

# (rank, name in natural order, value of a number, keys of the arguments, then key of the exponent)
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Quotient:
    """± numerator / denominator: the factors of one term, each tuple in the order of writing."""

    negative: bool
    numerator: tuple[Expr, ...]
    denominator: tuple[Expr, ...]


class Order:
    """Sorts factors and terms; `adjoints` are the names of the tensors that are adjoints."""

    def __init__(self, adjoints: Collection[str]) -> None:
        self.adjoints = frozenset(adjoints)
        self._keys: dict[Basic, Key] = {}

    def terms(self, expr: Expr) -> list[Quotient]:
        """The terms of a sum as they are written, positive ones first."""
        split = [(self._term_key(term), self.quotient(term)) for term in Add.make_args(expr)]
        split.sort(key=lambda pair: (pair[1].negative, pair[0]))
        return [quotient for _, quotient in split]

    def arguments(self, args: tuple[Expr, ...]) -> list[Expr]:
        """Arguments whose order carries no meaning, as of max and min."""
        return sorted(args, key=self.key)

    def quotient(self, term: Expr) -> Quotient:
        """A term taken apart: its sign, the factors above and those below the fraction bar."""
        coefficient: Expr = Integer(1)
        above: list[Expr] = []
        below: list[Expr] = []
        for factor in _numbers_apart(term):
            if factor.is_Number:
                coefficient *= factor
            elif isinstance(factor, Pow) and factor.exp.is_Number and factor.exp.is_negative:
                below.append(Pow(factor.base, -factor.exp))
            else:
                above.append(factor)
        numerator, denominator = abs(coefficient).as_numer_denom()
        return Quotient(
            bool(coefficient.is_extended_negative),
            self._sorted([numerator, *above]),
            self._sorted([denominator, *below]),
        )

    def key(self, expr: Basic) -> Key:
        """Where an expression stands among others: comparable with every other key."""
        if expr not in self._keys:
            self._keys[expr] = self._key(expr)
        return self._keys[expr]

    def rank(self, expr: Basic) -> int:
        """The class of a factor, from NUMBER to BIG."""
        rank: int = self.key(expr)[0]
        return rank

    def _sorted(self, factors: list[Expr]) -> tuple[Expr, ...]:
        return tuple(sorted((f for f in factors if f != 1), key=self.key))

    def _term_key(self, term: Expr) -> Key:
        coefficient, rest = term.as_coeff_Mul()
        keys = sorted(key for factor in Mul.make_args(rest) for key in self._repeated(factor))
        return max(key[0] for key in keys), keys, self.key(coefficient)

    def _repeated(self, factor: Expr) -> list[Key]:
        """x x for x², so that terms are in order of their degrees: x + x², and a² + a b + b²."""
        if isinstance(factor, Pow) and factor.exp.is_Integer and 0 < factor.exp < 10:
            return [self.key(factor.base)] * int(factor.exp)
        return [self.key(factor)]

    def _key(self, expr: Basic) -> Key:
        if expr.is_number:
            value = float(expr) if expr.is_Number and expr.is_extended_real else 0.0
            return NUMBER, natural(str(expr)), value, ()
        if isinstance(expr, Pow):
            rank, *rest = self.key(expr.base)
            return max(rank, SCALAR), *rest, self.key(expr.exp)
        if isinstance(expr, (Symbol, Idx)):
            return SCALAR, natural(expr.name), 0.0, ()
        rank, name, args = self._node(expr)
        return rank, natural(name), 0.0, tuple(self.key(a) for a in args)

    def _node(self, expr: Basic) -> tuple[int, str, tuple[Basic, ...]]:
        """The rank, the name and the arguments of a node that has arguments."""
        if isinstance(expr, Entry):
            rank = ENTRY if expr.indices else SCALAR
            return ADJOINT if expr.tensor in self.adjoints else rank, expr.tensor, expr.indices
        if isinstance(expr, Slope):
            return BIG, "others", expr.args
        if isinstance(expr, Reduce):
            return BIG, expr.reducer, (expr.body, *expr.indices)
        ranks = {Delta: DELTA, Iverson: IVERSON, Add: SUM, Mul: SUM, Cases: FUNCTION}
        rank = next((r for kind, r in ranks.items() if isinstance(expr, kind)), FUNCTION)
        return rank, expr.func.__name__, tuple(expr.args)


def _numbers_apart(term: Expr) -> list[Expr]:
    """The factors of a term; a number common to a sum, and the sign of Σ_i −f_i, become factors of their own."""
    found: list[Expr] = []
    for factor in Mul.make_args(term):
        if isinstance(factor, Add) and (number := common_number(factor)) != 1:
            found += [number, Add(*(t / number for t in factor.args))]
        elif isinstance(factor, Reduce) and is_negative_sum(factor):
            found += [Integer(-1), Reduce(factor.args[0], -factor.body, *factor.indices)]
        else:
            found.append(factor)
    return found


def is_negative_sum(expr: Reduce) -> bool:
    """Whether a Σ has a body that begins with a sign: it is written before the Σ."""
    return expr.reducer == "sum" and bool(expr.body.as_coeff_Mul()[0].is_extended_negative)


def common_number(expr: Add) -> Expr:
    """What SymPy multiplies into a sum at once and people write before it: 2 of 2 a − 2 b, else ±1."""
    coefficients = [term.as_coeff_Mul()[0] for term in expr.args]
    size = abs(coefficients[0])
    if not all(c.is_Rational and abs(c) == size for c in coefficients):
        size = Integer(1)
    return -size if all(c.is_negative for c in coefficients) else size


def natural(name: str) -> tuple[str | int, ...]:
    """Text and numbers by turns, so that W2 comes before W10."""
    return tuple(int(p) if k % 2 else p for k, p in enumerate(re.split(r"(\d+)", name)))
