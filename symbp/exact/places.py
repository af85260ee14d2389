"""Whole numbers and conditions: exact, whatever the digits of all else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import eq, ge, gt, itemgetter, le, lt, mul, ne
from typing import Any

import sympy
from sympy import And, Basic, Idx, Indexed, Integer, Not, Or, Pow, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from symbp.errors import CompilerError
from symbp.ir.nodes import Entry, Head, Index
from symbp.ranges import whole

At = dict[int, int]
"""The value of each index, by its number: SymPy's own objects are slow keys."""
Place = tuple[int, ...]
Formula = Callable[[At], Decimal]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip


class Places(ABC):
    """Places on axes, sizes and conditions as functions of the indices. `formula` gives the value of all else."""

    def __init__(self, sizes: Mapping[str, int], digits: int) -> None:
        self.sizes = sizes
        self.close = Decimal(10) ** -(2 * digits // 3)  # what counts as a tie
        self._numbers: dict[Index, int] = {}
        self._conditions: dict[Basic, Callable[[At], bool]] = {}
        self._wholes: dict[Basic, Callable[[At], int]] = {}
        self._counts: dict[Index, int] = {}

    @abstractmethod
    def formula(self, expr: Basic) -> Formula:
        """The value of an expression as a function of its free indices."""

    def number(self, index: Index) -> int:
        """The number of an index."""
        return self._numbers.setdefault(index, len(self._numbers))

    def is_tie(self, a: Decimal, b: Decimal) -> bool:
        """Whether two numbers are one but for rounding."""
        return bool(a == b or abs(a - b) <= self.close * (1 + min(abs(a), abs(b))))

    # Conditions

    def condition(self, expr: Basic) -> Callable[[At], bool]:
        """A condition's truth as a function of its free indices."""
        if (found := self._conditions.get(expr)) is None:
            found = self._conditions[expr] = self._condition(expr)
        return found

    def _condition(self, expr: Basic) -> Callable[[At], bool]:
        if isinstance(expr, BooleanAtom):
            truth = bool(expr)
            return lambda at: truth
        if isinstance(expr, Relational):
            return self.relation(whole(expr))
        of = [self.condition(a) for a in expr.args]
        if isinstance(expr, Not):
            return lambda at: not of[0](at)
        if isinstance(expr, (And, Or)):
            every = all if isinstance(expr, And) else any
            return lambda at: every([f(at) for f in of])
        raise CompilerError(f"no truth value for {type(expr).__name__}: {expr}")

    def relation(self, expr: Any) -> Callable[[At], bool]:
        """Whole numbers are compared as such; others are equal where they differ by rounding alone."""
        compare = _COMPARE[expr.rel_op]
        if all(side.is_integer for side in expr.args):
            first, second = (self.whole(side) for side in expr.args)
            return lambda at: compare(first(at), second(at))
        left, right = (self.formula(side) for side in expr.args)

        def holds(at: At) -> bool:
            a, b = left(at), right(at)
            return compare(a, a) if self.is_tie(a, b) else bool(compare(a, b))

        return holds

    # Whole numbers

    def count(self, index: Index) -> int:
        """How many values an index takes."""
        if (found := self._counts.get(index)) is None:
            size = self.whole(index.upper - index.lower + 1)
            found = self._counts[index] = size({})
        return found

    def place(self, places: Sequence[Basic]) -> Callable[[At], Place]:
        """The places of an entry."""
        if len(places) > 1 and all(isinstance(p, Idx) for p in places):
            found: Callable[[At], Place] = itemgetter(*map(self.number, places))
            return found
        of = [self.whole(p) for p in places]
        return lambda at: tuple([p(at) for p in of])

    def whole(self, expr: Basic) -> Callable[[At], int]:
        """A place, or a size, as a function of indices."""
        if (found := self._wholes.get(expr)) is None:
            found = self._wholes[expr] = self._whole(expr)
        return found

    def _whole(self, expr: Basic) -> Callable[[At], Any]:
        if isinstance(expr, Idx):
            return itemgetter(self.number(expr))
        if isinstance(expr, Head):
            return self.whole(expr.index)
        if isinstance(expr, sympy.Rational):
            number = int(expr) if isinstance(expr, Integer) else Fraction(int(expr.p), int(expr.q))
            return lambda at: number
        if isinstance(expr, Symbol) and expr.name in self.sizes:
            size = self.sizes[expr.name]
            return lambda at: size
        if isinstance(expr, (Entry, Indexed, Symbol)):
            value = self.formula(expr)
            return lambda at: int(value(at))
        of = [self.whole(a) for a in expr.args]
        if isinstance(expr, sympy.Add):
            return lambda at: sum([f(at) for f in of])
        if isinstance(expr, sympy.Mul):
            return lambda at: reduce(mul, [f(at) for f in of])
        if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0:
            return lambda at: of[0](at) ** of[1](at)
        if isinstance(expr, (sympy.floor, sympy.ceiling)):
            up = isinstance(expr, sympy.ceiling)
            return lambda at: -(-of[0](at) // 1) if up else of[0](at) // 1
        value = self.formula(expr)
        return lambda at: int(value(at))
