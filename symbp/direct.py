"""Direct evaluation of one expression, over all values of the indices in scope.

Every index has an axis of its own, outer ones first, so that a value is an array (P, one axis for each index in scope),
where an axis is 1 if the value does not depend on it. P is the probe axis: many versions of the tensors, evaluated at
once. What a number is, is left to `Numbers`: float64, longdouble, complex128 for complex steps, or multiprecision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np
import sympy
from sympy import Basic, Expr, Idx, Indexed, Integer
from sympy.core.function import Application
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from symbp import ranges
from symbp.errors import CompilerError
from symbp.ir.network import Declaration
from symbp.maximum import Maximum
from symbp.numbers import Array, Numbers

Sizes = Mapping[str, int]


def whole(expr: Expr, sizes: Sizes) -> int:
    """The value of an integer expression of sizes."""
    return int(expr) if isinstance(expr, Integer) else _whole(expr, tuple(sizes.items()))


@lru_cache(maxsize=10_000)
def _whole(expr: Expr, sizes: tuple[tuple[str, int], ...]) -> int:
    known = {name: Integer(size) for name, size in sizes}
    value = expr.xreplace({s: known[s.name] for s in expr.free_symbols if s.name in known})
    if not value.is_Integer:
        raise CompilerError(f"{expr} is no integer expression of the sizes {', '.join(known)}")
    return int(value)


@lru_cache(maxsize=10_000)
def _symbols(expr: Expr) -> frozenset[str] | None:
    """The names that an integer expression depends on; None where these are not sizes and scalars alone."""
    return None if expr.has(Idx, Indexed) else frozenset(s.name for s in expr.free_symbols)


@dataclass(frozen=True)
class Scope:
    """The indices in scope, innermost last, each with its values along all axes up to its own."""

    indices: tuple[tuple[Idx, Array], ...] = ()
    live: Array | None = None  # (P or 1, …): where the value is read at all; None: everywhere

    @property
    def depth(self) -> int:
        return len(self.indices)

    def places(self, index: Idx) -> Array:
        """The values of an index, of `depth` axes: its innermost binding counts."""
        for name, values in reversed(self.indices):
            if name == index:
                return deepen(values, self.depth)
        raise CompilerError(f"index {index} is not bound")

    def push(self, index: Idx, values: Array) -> Scope:
        live = None if self.live is None else self.live[..., None]
        return Scope((*self.indices, (index, values)), live)

    def narrow(self, where: Array) -> Scope:
        return replace(self, live=where if self.live is None else self.live & where)


def deepen(values: Array, ndim: int) -> Array:
    """The same array with axes of length 1 behind, up to `ndim`."""
    return values.reshape(values.shape + (1,) * (ndim - values.ndim))


@dataclass
class Expressions:
    """Evaluates expressions from the values of the tensors that are known so far."""

    numbers: Numbers
    sizes: Sizes
    declarations: Mapping[str, Declaration]
    initials: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    straddled: bool = False

    def value(self, expr: Basic, scope: Scope) -> Array:
        """An expression's value: (P or 1, one axis for each index in scope)."""
        for kind in type(expr).__mro__:
            if kind in _NODES:
                return _NODES[kind](self, expr, scope)
        raise CompilerError(f"direct evaluation does not know {type(expr).__name__}: {expr}")

    def test(self, condition: Basic, scope: Scope) -> Array:
        """A condition's truth, of the same axes as a value."""
        for kind in type(condition).__mro__:
            if kind in _CONDITIONS:
                return _CONDITIONS[kind](self, condition, scope)
        raise CompilerError(
            f"direct evaluation does not know {type(condition).__name__}: {condition}"
        )

    def real(self, expr: Basic, scope: Scope) -> Array:
        return self.numbers.real(self.value(expr, scope))

    def decide(self, decision: Array) -> Array:
        """Note whether probes fall on different sides of a comparison."""
        self.straddled = self.straddled or bool((decision != decision[:1]).any())
        return decision

    def constant(self, value: Any, scope: Scope) -> Array:
        return self.numbers.array(value).reshape((1,) * (scope.depth + 1))

    def integers(self, expr: Expr, scope: Scope) -> Array:
        """An integer expression's values, of `scope.depth` axes."""
        if isinstance(expr, Idx):
            return scope.places(expr)
        names = _symbols(expr)
        if names is not None and names.isdisjoint(self.values):
            return np.full((1,) * scope.depth, whole(expr, self.sizes))
        found = self.real(expr, scope)
        if len(found) > 1:
            raise CompilerError(f"{expr}: an index that depends on a probe")
        return np.asarray(np.rint(np.asarray(found[0], np.float64)), np.int64)

    def enter(self, scope: Scope, index: Idx, low: Expr, high: Expr) -> tuple[Scope, Array | None]:
        """Bind an index to low…high. Where the range varies with outer indices, also the mask of what is in it."""
        first, last = self.integers(low, scope), self.integers(high, scope)
        lengths = last - first + 1
        longest = max(int(lengths.max()), 0)
        values = first[..., None] + np.arange(longest)
        inside = None if (lengths == longest).all() else (values <= last[..., None])[None]
        inner = scope.push(index, values)
        return (inner, None) if inside is None else (inner.narrow(inside), inside)


# One function for each kind of node


def _entry(self: Expressions, expr: Any, scope: Scope) -> Array:
    name = expr.base.label.name
    places: list[Any] = []
    over = self.declarations[name].over if name in self.declarations else None
    before = None  # where a recurrent tensor is read before its first step
    for axis, (index, length) in enumerate(zip(expr.indices, self.shapes[name], strict=True)):
        place = self.integers(index, scope)
        outside = (place < 0) | (place >= length)
        if over is not None and self.declarations[name].indices[axis] == over:
            before, outside = (axis, outside) if outside.any() else None, outside & False
            place = place.clip(0, length - 1)
        if outside.any():
            read = outside if scope.live is None else outside & scope.live
            if read.any():
                raise CompilerError(
                    f"{expr}: index {index} leaves its axis, which has length {length}"
                )
            place = place.clip(0, length - 1)
        places.append(place)
    if before is None:
        entries: Array = self.values[name][(slice(None), *places)]
        return entries
    axis, outside = before
    initial = self.initials[name][(slice(None), *places[:axis], *places[axis + 1 :])]
    initial = deepen(initial, scope.depth + 1)
    if outside.all():
        return initial
    return np.where(outside[None], initial, self.values[name][(slice(None), *places)])


def _symbol(self: Expressions, expr: Any, scope: Scope) -> Array:
    if expr.name in self.values:
        return deepen(self.values[expr.name], scope.depth + 1)
    return self.constant(whole(expr, self.sizes), scope)


def _index(self: Expressions, expr: Any, scope: Scope) -> Array:
    return self.numbers.array(scope.places(expr)[None])


def _number(self: Expressions, expr: Expr, scope: Scope) -> Array:
    if expr is sympy.S.NegativeInfinity:
        return self.constant(-math.inf, scope)
    if not expr.is_finite:
        raise CompilerError(f"direct evaluation does not know the number {expr}")
    return self.constant(self.numbers.number(expr), scope)


def _add(self: Expressions, expr: Any, scope: Scope) -> Array:
    return reduce(self.numbers.add, (self.value(a, scope) for a in expr.args))


def _multiply(self: Expressions, expr: Any, scope: Scope) -> Array:
    return reduce(self.numbers.multiply, (self.value(a, scope) for a in expr.args))


def _power(self: Expressions, expr: Any, scope: Scope) -> Array:
    exponent = int(expr.exp) if isinstance(expr.exp, Integer) else self.value(expr.exp, scope)
    power: Array = self.numbers.power(self.value(expr.base, scope), exponent)
    return power


def _sum(self: Expressions, expr: Any, scope: Scope) -> Array:
    return _reduction(self, expr, scope, partial(self.numbers.add.reduce, axis=-1), 0)


def _product(self: Expressions, expr: Any, scope: Scope) -> Array:
    def fold(body: Array) -> Array:
        return reduce(self.numbers.multiply, np.moveaxis(body, -1, 0), self.numbers.array(1))

    return _reduction(self, expr, scope, fold, 1)


def _maximum(self: Expressions, expr: Any, scope: Scope) -> Array:
    def largest(body: Array) -> Array:
        return reduce(partial(_pick, self, np.greater_equal), np.moveaxis(body, -1, 0))

    return _reduction(self, expr, scope, largest, -math.inf)


def _reduction(
    self: Expressions, expr: Any, scope: Scope, fold: Callable[[Array], Array], neutral: float
) -> Array:
    """The body over each index of the limits, which SymPy lists from the innermost: a body without it repeats."""
    masks = []
    for index, low, high in reversed(expr.limits):
        scope, inside = self.enter(scope, index, low, high)
        masks.append(inside)
    body = self.value(expr.function, scope)
    for (_, values), inside in zip(reversed(scope.indices), reversed(masks)):
        if inside is not None:
            body = np.where(inside, body, self.numbers.array(neutral))
        body = fold(np.broadcast_to(body, (*body.shape[:-1], values.shape[-1])))
    return body


def _piecewise(self: Expressions, expr: Any, scope: Scope) -> Array:
    """The first branch whose condition holds, and NaN in a hole. A branch is read only where it is taken."""
    result = self.constant(math.nan, scope)
    still_open = np.ones(result.shape, bool)
    for branch, condition in expr.args:
        taken = still_open & self.test(condition, scope)
        result = np.where(taken, self.value(branch, scope.narrow(taken)), result)
        still_open = still_open & ~taken
    return result


def _extremum(self: Expressions, expr: Expr, scope: Scope) -> Array:
    wins = np.greater_equal if isinstance(expr, sympy.Max) else np.less_equal
    return reduce(partial(_pick, self, wins), (self.value(a, scope) for a in expr.args))


def _pick(self: Expressions, wins: Callable[..., Any], a: Array, b: Array) -> Array:
    """Of two values the one whose real part wins; NaN wins on either side."""
    left, right = self.numbers.real(a), self.numbers.real(b)
    first = self.decide(wins(left, right))
    return np.where(first | (left != left), a, b)


def _absolute(self: Expressions, expr: Any, scope: Scope) -> Array:
    value = self.value(expr.args[0], scope)
    return np.where(self.decide(self.numbers.real(value) < 0), -value, value)


def _sign(self: Expressions, expr: Any, scope: Scope) -> Array:
    value = self.real(expr.args[0], scope)
    above, below = self.decide(value > 0), self.decide(value < 0)
    return np.where(value != value, value, self.numbers.array(above * 1 - below * 1))


def _delta(self: Expressions, expr: Any, scope: Scope) -> Array:
    left, right = (self.integers(a, scope) for a in expr.args)
    return self.numbers.array((left == right)[None] * 1)


def _function(self: Expressions, expr: Any, scope: Scope) -> Array:
    name = type(expr).__name__
    if name not in self.numbers.functions:
        raise CompilerError(f"direct evaluation does not know the function {name}: {expr}")
    function: Callable[..., Array] = self.numbers.functions[name]
    return function(*(self.value(a, scope) for a in expr.args))


def _relation(
    compare: Callable[[Array, Array], Array],
) -> Callable[[Expressions, Any, Scope], Array]:
    def test(self: Expressions, expr: Any, scope: Scope) -> Array:
        """Whole numbers are compared as such: i ≤ 2 m, which SymPy may have made i/2 ≤ m, without rounding."""
        sides = ranges.whole(expr).args
        if all(side.is_integer for side in sides):
            return compare(*(self.integers(side, scope)[None] for side in sides))
        return self.decide(compare(*(self.real(side, scope) for side in sides)))

    return test


def _logical(
    combine: Callable[[Array, Array], Array],
) -> Callable[[Expressions, Any, Scope], Array]:
    return lambda self, expr, scope: reduce(combine, (self.test(a, scope) for a in expr.args))


def _truth(self: Expressions, expr: Basic, scope: Scope) -> Array:
    return np.full((1,) * (scope.depth + 1), bool(expr))


_Handler = Callable[[Expressions, Any, Scope], Array]

_NODES: dict[type, _Handler] = {
    Indexed: _entry,
    sympy.Symbol: _symbol,
    Idx: _index,
    sympy.Number: _number,
    sympy.NumberSymbol: _number,
    sympy.Add: _add,
    sympy.Mul: _multiply,
    sympy.Pow: _power,
    sympy.Sum: _sum,
    sympy.Product: _product,
    Maximum: _maximum,
    sympy.Piecewise: _piecewise,
    sympy.Max: _extremum,
    sympy.Min: _extremum,
    sympy.Abs: _absolute,
    sympy.sign: _sign,
    sympy.KroneckerDelta: _delta,
    Application: _function,
}

_CONDITIONS: dict[type, _Handler] = {
    sympy.Eq: _relation(np.equal),
    sympy.Ne: _relation(np.not_equal),
    sympy.Lt: _relation(np.less),
    sympy.Le: _relation(np.less_equal),
    sympy.Gt: _relation(np.greater),
    sympy.Ge: _relation(np.greater_equal),
    sympy.And: _logical(np.logical_and),
    sympy.Or: _logical(np.logical_or),
    sympy.Not: lambda self, expr, scope: ~self.test(expr.args[0], scope),
    BooleanTrue: _truth,
    BooleanFalse: _truth,
}
