"""Formulas as functions: an expression is read once, and then evaluated at any place."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce, singledispatchmethod
from itertools import product
from operator import mul
from typing import Any

import sympy
from sympy import Basic, Expr, Idx, Indexed, Pow, S, Symbol

from symbp.errors import CompilerError
from symbp.exact.functions import FUNCTIONS, INFINITY, NAN, power
from symbp.exact.places import At, Formula, Place, Places
from symbp.ir.functions import Largest, LogAddExp, Norm, Smallest
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Head,
    Index,
    Iverson,
    Reduce,
    Slope,
    entries,
    factors,
    free_indices,
    tensors_of,
)
from symbp.ir.trace import Group, Rate, Total
from symbp.maximum import Maximum

ZERO, ONE = Decimal(0), Decimal(1)

Marks = list[list[Callable[[At], Any]]]

_MARKS = (Delta, Iverson, sympy.KroneckerDelta)


class Formulas(Places):
    """Every node of the declared SymPy and of the IR, each by its definition."""

    def __init__(self, sizes: Mapping[str, int], digits: int) -> None:
        super().__init__(sizes, digits)
        self.digits = digits
        self.moved: tuple[str, Place, Decimal] | None = None  # the entry that is off, by how much
        self._formulas: dict[Basic, Formula] = {}

    @abstractmethod
    def reading(self, name: str) -> Callable[[Place], Decimal]:
        """The values of a tensor at its places."""

    @abstractmethod
    def rate(self, above: str, own: Place, below: str, place: Place) -> Decimal:
        """∂y/∂z at a place of y and one of z."""

    @abstractmethod
    def total(self, name: str, place: Place) -> Decimal:
        """∂L/∂z at a place of z."""

    @abstractmethod
    def is_tensor(self, name: str) -> bool:
        """Whether a symbol is a tensor or a constant."""

    def formula(self, expr: Basic) -> Formula:
        if (found := self._formulas.get(expr)) is None:
            found = self._formulas[expr] = self.write(expr)
        return found

    @singledispatchmethod
    def write(self, expr: Basic) -> Formula:
        name = type(expr).__name__
        if name not in FUNCTIONS or len(expr.args) != 1:
            raise CompilerError(f"no exact value for {name}: {expr}")
        function, of = FUNCTIONS[name], self.formula(expr.args[0])
        return lambda at: function(of(at))

    @write.register(sympy.Number)
    @write.register(sympy.NumberSymbol)
    def _(self, expr: Any) -> Formula:
        if expr.is_infinite:
            value = INFINITY if expr.is_positive else -INFINITY
        elif expr.is_Rational:
            value = Decimal(int(expr.p)) / int(expr.q)
        else:
            value = Decimal(float(expr)) if expr.is_Float else Decimal(str(expr.evalf(self.digits)))
        return lambda at: value

    @write.register(Symbol)
    def _(self, expr: Symbol) -> Formula:
        if self.is_tensor(expr.name):
            read = self.reading(expr.name)
            return lambda at: read(())
        if expr.name not in self.sizes:
            raise CompilerError(f"no exact value for {expr}")
        value = Decimal(self.sizes[expr.name])
        return lambda at: value

    @write.register(Idx)
    @write.register(Head)
    def _(self, expr: Expr) -> Formula:
        place = self.whole(expr)
        return lambda at: Decimal(place(at))

    @write.register(Entry)
    def _(self, expr: Entry) -> Formula:
        read, place = self.reading(expr.tensor), self.place(expr.indices)
        return lambda at: read(place(at))

    @write.register(Indexed)
    def _(self, expr: Any) -> Formula:
        read, place = self.reading(expr.base.label.name), self.place(expr.indices)
        return lambda at: read(place(at))

    @write.register(sympy.Add)
    def _(self, expr: Expr) -> Formula:
        terms = [self.formula(a) for a in expr.args]
        return lambda at: sum([t(at) for t in terms], ZERO)

    @write.register(sympy.Mul)
    def _(self, expr: Expr) -> Formula:
        """What a δ or a condition makes 0 is not read."""
        marks = [self.formula(a) for a in expr.args if isinstance(a, _MARKS)]
        others = [self.formula(a) for a in expr.args if not isinstance(a, _MARKS)]
        if not marks and len(others) == 2:
            left, right = others
            return lambda at: left(at) * right(at)

        def value(at: At) -> Decimal:
            for mark in marks:
                if not mark(at):
                    return ZERO
            return reduce(mul, [f(at) for f in others], ONE)

        return value

    @write.register(Pow)
    def _(self, expr: Pow) -> Formula:
        base = self.formula(expr.base)
        if expr.exp == -1:
            return lambda at: 1 / base(at)
        if expr.exp == 2:
            return lambda at: (x := base(at)) * x
        exponent = self.formula(expr.exp)
        return lambda at: power(base(at), exponent(at))

    # Reductions

    @write.register(Reduce)
    def _(self, expr: Reduce) -> Formula:
        values, fold = self.all(expr, self.marks(expr)), _FOLD[expr.reducer]
        kept = self.kept(free_indices(expr), lambda at: fold(values(at)))
        read = frozenset(tensors_of(expr))
        changes: dict[str, Formula] = {}

        def value(at: At) -> Decimal:
            if self.moved is None or self.moved[0] not in read:
                return kept(at)
            if expr.reducer != "sum":
                return fold(values(at))
            if (name := self.moved[0]) not in changes:
                changes[name] = self.change(expr, name)
            return self.unmoved(kept, at) + changes[name](at)

        return value

    def unmoved(self, formula: Formula, at: At) -> Decimal:
        """The value where no entry is off."""
        moved, self.moved = self.moved, None
        try:
            return formula(at)
        finally:
            self.moved = moved

    def change(self, expr: Reduce, name: str) -> Formula:
        """What a sum gains by an entry of a tensor that is off: of those terms alone that may read it."""
        marks, body = self.marks(expr), self.formula(expr.body)
        read = [e for e in entries(expr.body) if e.tensor == name]
        own = frozenset(expr.indices) | free_indices(expr)
        for axis, place in enumerate(read[0].indices) if len(read) == 1 else ():
            if free_indices(place) <= own:
                marks[_last(place, expr)].append(self._is_moved(self.whole(place), axis))
        changed = self.all(expr, marks, lambda at: body(at) - self.unmoved(body, at))
        return lambda at: sum(changed(at), ZERO)

    def _is_moved(self, place: Callable[[At], int], axis: int) -> Callable[[At], bool]:
        return lambda at: self.moved is not None and place(at) == self.moved[1][axis]

    def kept(self, free: Iterable[Index], value: Formula) -> Formula:
        """The value, computed once for each place."""
        own = [self.number(i) for i in free]
        found: dict[Place, Decimal] = {}

        def once(at: At) -> Decimal:
            place = tuple([at[i] for i in own])
            if (result := found.get(place)) is None:
                result = found[place] = value(at)
            return result

        return once

    def marks(self, expr: Reduce) -> Marks:
        """Of each bound index of a sum, what has to hold once it is bound: other terms are 0."""
        found: Marks = [[] for _ in expr.indices]
        for factor in factors(expr.body) if expr.reducer == "sum" else ():
            if isinstance(factor, Delta) and not tensors_of(factor):
                found[_last(factor, expr)].append(self.formula(factor))
        return found

    def all(
        self, expr: Reduce, marks: Marks, body: Formula | None = None
    ) -> Callable[[At], list[Decimal]]:
        """The values of a body at all values of its bound indices where the marks hold."""
        body = body or self.formula(expr.body)
        bound = [(self.number(i), range(self.count(i))) for i in expr.indices]

        def values(at: At) -> list[Decimal]:
            inner, found = dict(at), []

            def bind(k: int) -> None:
                if k == len(bound):
                    found.append(body(inner))
                    return
                index, places = bound[k]
                for inner[index] in places:
                    if all([mark(inner) for mark in marks[k]]):
                        bind(k + 1)

            bind(0)
            return found

        return values

    @write.register(sympy.Sum)
    @write.register(sympy.Product)
    @write.register(Maximum)
    def _(self, expr: Any) -> Formula:
        """Limits bind from the last, the outermost, to the first."""
        reducer = {sympy.Sum: "sum", sympy.Product: "product"}.get(type(expr), "maximum")
        body, fold = self.formula(expr.function), _FOLD[reducer]
        limits = [
            (self.number(i), self.whole(low), self.whole(high))
            for i, low, high in reversed(expr.limits)
        ]

        def values(at: At, rest: Sequence[Any]) -> list[Decimal]:
            if not rest:
                return [body(at)]
            (index, low, high), *inner = rest
            steps = range(low(at), high(at) + 1)
            return [v for k in steps for v in values({**at, index: k}, inner)]

        return lambda at: fold(values(at, limits))

    @write.register(Slope)
    def _(self, expr: Slope) -> Formula:
        """A product without the factor at a place; or whether that entry is the largest, over how many are."""
        node = expr.reduction
        values = self.all(node, [[] for _ in node.indices])
        place, largest = self.place(expr.place), self.formula(expr.value)
        places = [*product(*(range(self.count(i)) for i in node.indices))]

        def value(at: At) -> Decimal:
            own, every = place(at), dict(zip(places, values(at)))
            if node.reducer == "product":
                return reduce(mul, [v for k, v in every.items() if k != own], ONE)
            most = largest(at)
            ties = [k for k, v in every.items() if self.is_tie(v, most)]
            return ONE / len(ties) if own in ties else ZERO

        return value

    @write.register(Largest)
    @write.register(sympy.Max)
    def _(self, expr: Expr) -> Formula:
        of = [self.formula(a) for a in expr.args]
        return lambda at: _largest([f(at) for f in of])

    @write.register(Smallest)
    @write.register(sympy.Min)
    def _(self, expr: Expr) -> Formula:
        of = [self.formula(a) for a in expr.args]
        return lambda at: -_largest([-f(at) for f in of])

    @write.register(Norm)
    def _(self, expr: Norm) -> Formula:
        return self.formula(Norm.power(*expr.args))

    @write.register(LogAddExp)
    def _(self, expr: Expr) -> Formula:
        of = [self.formula(a) for a in expr.args]
        return lambda at: sum([f(at).exp() for f in of], ZERO).ln()

    # Derivatives and brackets

    @write.register(Rate)
    def _(self, expr: Rate) -> Formula:
        above, below = expr.above.tensor, expr.below.tensor
        own, place = self.place(expr.above.indices), self.place(expr.below.indices)
        return lambda at: self.rate(above, own(at), below, place(at))

    @write.register(Total)
    def _(self, expr: Total) -> Formula:
        name, place = expr.below.tensor, self.place(expr.below.indices)
        return lambda at: self.total(name, place(at))

    @write.register(Group)
    def _(self, expr: Group) -> Formula:
        return self.formula(expr.inside)

    # Conditions

    @write.register(Delta)
    @write.register(sympy.KroneckerDelta)
    def _(self, expr: Expr) -> Formula:
        left, right = (self.whole(a) for a in expr.args[:2])
        return lambda at: ONE if left(at) == right(at) else ZERO

    @write.register(Iverson)
    def _(self, expr: Iverson) -> Formula:
        holds = self.condition(expr.args[0])
        return lambda at: ONE if holds(at) else ZERO

    @write.register(Cases)
    def _(self, expr: Cases) -> Formula:
        return self.branches((*expr.branches, (expr.otherwise, S.true)))

    @write.register(sympy.Piecewise)
    def _(self, expr: Any) -> Formula:
        return self.branches(expr.args)

    def branches(self, pairs: Any) -> Formula:
        """The first branch whose condition holds; no other is read."""
        cases = [(self.formula(value), self.condition(where)) for value, where in pairs]

        def value(at: At) -> Decimal:
            for f, holds in cases:
                if holds(at):
                    return f(at)
            return NAN

        return value


def _last(expr: Expr, reduction: Reduce) -> int:
    """The bound index that an expression has and that is bound last; the first, if it has none."""
    own = free_indices(expr)
    return max((k for k, i in enumerate(reduction.indices) if i in own), default=0)


def _largest(values: Sequence[Decimal]) -> Decimal:
    """The largest; NaN where one of them is."""
    return NAN if any(v.is_nan() for v in values) else max(values)


_FOLD: Mapping[str, Callable[[list[Decimal]], Decimal]] = {
    "sum": lambda values: sum(values, ZERO),
    "product": lambda values: reduce(mul, values, ONE),
    "maximum": _largest,
}
