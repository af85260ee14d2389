"""Direct evaluation of the declared equations: the oracle that emitted modules are checked against.

It reads the user's own SymPy and shares nothing with the stages that rewrite it. Every index in scope has an axis of
its own, outer ones first, so that a value is an array (P, one axis for each index in scope), where an axis is 1 if the
value does not depend on it. P is the probe axis: many versions of the tensors, evaluated at once. What a number is, is
left to `Numbers`: float64, longdouble, complex128 for complex steps, or multiprecision objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial, reduce
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike
from sympy import Basic, Expr, Idx, Indexed, Integer
from sympy.core.function import Application
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from symbp.errors import CompilerError
from symbp.ir.network import Declared, Equation
from symbp.maximum import Maximum
from symbp.numbers import FLOAT64, Array, Numbers

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Every tensor's value, (P or 1, *shape), "loss" among them where there is one."""

    values: Mapping[str, Array]
    straddled: bool  # whether a comparison came out differently for different probes


def evaluate(
    declared: Declared,
    sizes: Sizes,
    values: Mapping[str, ArrayLike],
    numbers: Numbers = FLOAT64,
    shifts: Mapping[str, Array] | None = None,
) -> Evaluation:
    """All equations and the loss, as they are declared.

    `values` gives parameters, inputs and constants, each (*shape) or with probes (P, *shape). `shifts` is added to the
    value of any tensor, a defined one too, and so to all that reads it: (*shape) or (P, *shape), of `numbers`' kind.
    Raises CompilerError for a node it does not know, a value of a wrong shape, and an index outside its axis.
    """
    evaluator = _Evaluator(numbers, sizes)
    for name, declaration in declared.declarations.items():
        if declaration.kind != "defined":
            evaluator.shapes[name] = tuple(whole(size, sizes) for size in declaration.shape)
            evaluator.bind(name, numbers.array(values[name]), shifts or {})
    with np.errstate(all="ignore"):
        for equation in declared.equations + ((declared.loss,) if declared.loss else ()):
            evaluator.define(equation, shifts or {})
    return Evaluation(evaluator.values, evaluator.straddled)


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
def _is_static(expr: Expr) -> bool:
    """Whether an integer expression depends on sizes alone."""
    return not expr.has(Idx, Indexed)


@dataclass(frozen=True)
class _Scope:
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
                return _deepen(values, self.depth)
        raise CompilerError(f"index {index} is not bound")

    def push(self, index: Idx, values: Array) -> _Scope:
        live = None if self.live is None else self.live[..., None]
        return _Scope((*self.indices, (index, values)), live)

    def narrow(self, where: Array) -> _Scope:
        return replace(self, live=where if self.live is None else self.live & where)


def _deepen(values: Array, ndim: int) -> Array:
    """The same array with axes of length 1 behind, up to `ndim`."""
    return values.reshape(values.shape + (1,) * (ndim - values.ndim))


@dataclass
class _Evaluator:
    numbers: Numbers
    sizes: Sizes
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    straddled: bool = False

    def bind(self, name: str, value: Array, shifts: Mapping[str, Array]) -> None:
        """Give a tensor its value, shifted, with its probe axis."""
        shape = self.shapes[name]
        for given in (value, *(shifts[n] for n in (name,) if n in shifts)):
            if given.shape not in (shape, (*given.shape[:1], *shape)):
                raise CompilerError(
                    f"{name}: a value of shape {given.shape}, where {shape} is declared"
                )
        value = value if value.ndim > len(shape) else value[None]
        self.values[name] = value + shifts[name] if name in shifts else value

    def define(self, equation: Equation, shifts: Mapping[str, Array]) -> None:
        scope = _Scope()
        for index in equation.indices:
            scope, _ = self.enter(scope, index, index.lower, index.upper)
        shape = self.shapes[equation.name] = tuple(v.shape[-1] for _, v in scope.indices)
        value = self.value(equation.expr, scope)
        self.bind(equation.name, np.broadcast_to(value, (len(value), *shape)), shifts)

    def value(self, expr: Basic, scope: _Scope) -> Array:
        """An expression's value: (P or 1, one axis for each index in scope)."""
        for kind in type(expr).__mro__:
            if kind in _NODES:
                return _NODES[kind](self, expr, scope)
        raise CompilerError(f"direct evaluation does not know {type(expr).__name__}: {expr}")

    def test(self, condition: Basic, scope: _Scope) -> Array:
        """A condition's truth, of the same axes as a value."""
        for kind in type(condition).__mro__:
            if kind in _CONDITIONS:
                return _CONDITIONS[kind](self, condition, scope)
        raise CompilerError(
            f"direct evaluation does not know {type(condition).__name__}: {condition}"
        )

    def real(self, expr: Basic, scope: _Scope) -> Array:
        return self.numbers.real(self.value(expr, scope))

    def decide(self, decision: Array) -> Array:
        """Note whether probes fall on different sides of a comparison."""
        self.straddled = self.straddled or bool((decision != decision[:1]).any())
        return decision

    def constant(self, value: Any, scope: _Scope) -> Array:
        return self.numbers.array(value).reshape((1,) * (scope.depth + 1))

    def integers(self, expr: Expr, scope: _Scope) -> Array:
        """An integer expression's values, of `scope.depth` axes."""
        if isinstance(expr, Idx):
            return scope.places(expr)
        if _is_static(expr) and not any(s.name in self.values for s in expr.free_symbols):
            return np.full((1,) * scope.depth, whole(expr, self.sizes))
        found = self.real(expr, scope)
        if len(found) > 1:
            raise CompilerError(f"{expr}: an index that depends on a probe")
        return np.asarray(np.rint(np.asarray(found[0], np.float64)), np.int64)

    def enter(
        self, scope: _Scope, index: Idx, low: Expr, high: Expr
    ) -> tuple[_Scope, Array | None]:
        """Bind an index to low…high. Where the range varies with outer indices, also the mask of what is in it."""
        first, last = self.integers(low, scope), self.integers(high, scope)
        lengths = last - first + 1
        longest = max(int(lengths.max()), 0)
        values = first[..., None] + np.arange(longest)
        inside = None if (lengths == longest).all() else (values <= last[..., None])[None]
        inner = scope.push(index, values)
        return (inner, None) if inside is None else (inner.narrow(inside), inside)


# One function for each kind of node


def _entry(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    name = expr.base.label.name
    places: list[Any] = []
    for index, length in zip(expr.indices, self.shapes[name], strict=True):
        place = self.integers(index, scope)
        outside = (place < 0) | (place >= length)
        if outside.any():
            read = outside if scope.live is None else outside & scope.live
            if read.any():
                raise CompilerError(
                    f"{expr}: index {index} leaves its axis, which has length {length}"
                )
            place = place.clip(0, length - 1)
        places.append(place)
    entries: Array = self.values[name][(slice(None), *places)]
    return entries


def _symbol(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    if expr.name in self.values:
        return _deepen(self.values[expr.name], scope.depth + 1)
    return self.constant(whole(expr, self.sizes), scope)


def _index(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    return self.numbers.array(scope.places(expr)[None])


def _number(self: _Evaluator, expr: Expr, scope: _Scope) -> Array:
    if expr is sympy.S.NegativeInfinity:
        return self.constant(-math.inf, scope)
    if not expr.is_finite:
        raise CompilerError(f"direct evaluation does not know the number {expr}")
    return self.constant(self.numbers.number(expr), scope)


def _add(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    return reduce(self.numbers.add, (self.value(a, scope) for a in expr.args))


def _multiply(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    return reduce(self.numbers.multiply, (self.value(a, scope) for a in expr.args))


def _power(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    exponent = int(expr.exp) if isinstance(expr.exp, Integer) else self.value(expr.exp, scope)
    power: Array = self.numbers.power(self.value(expr.base, scope), exponent)
    return power


def _sum(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    return _reduction(self, expr, scope, partial(self.numbers.add.reduce, axis=-1), 0)


def _product(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    def fold(body: Array) -> Array:
        return reduce(self.numbers.multiply, np.moveaxis(body, -1, 0), self.numbers.array(1))

    return _reduction(self, expr, scope, fold, 1)


def _maximum(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    def largest(body: Array) -> Array:
        return reduce(partial(_pick, self, np.greater_equal), np.moveaxis(body, -1, 0))

    return _reduction(self, expr, scope, largest, -math.inf)


def _reduction(
    self: _Evaluator, expr: Any, scope: _Scope, fold: Callable[[Array], Array], neutral: float
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


def _piecewise(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    """The first branch whose condition holds, and NaN in a hole. A branch is read only where it is taken."""
    result = self.constant(math.nan, scope)
    still_open = np.ones(result.shape, bool)
    for branch, condition in expr.args:
        taken = still_open & self.test(condition, scope)
        result = np.where(taken, self.value(branch, scope.narrow(taken)), result)
        still_open = still_open & ~taken
    return result


def _extremum(self: _Evaluator, expr: Expr, scope: _Scope) -> Array:
    wins = np.greater_equal if isinstance(expr, sympy.Max) else np.less_equal
    return reduce(partial(_pick, self, wins), (self.value(a, scope) for a in expr.args))


def _pick(self: _Evaluator, wins: Callable[..., Any], a: Array, b: Array) -> Array:
    """Of two values the one whose real part wins; NaN wins on either side."""
    left, right = self.numbers.real(a), self.numbers.real(b)
    first = self.decide(wins(left, right))
    return np.where(first | (left != left), a, b)


def _absolute(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    value = self.value(expr.args[0], scope)
    return np.where(self.decide(self.numbers.real(value) < 0), -value, value)


def _sign(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    value = self.real(expr.args[0], scope)
    above, below = self.decide(value > 0), self.decide(value < 0)
    return np.where(value != value, value, self.numbers.array(above * 1 - below * 1))


def _delta(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    left, right = (self.integers(a, scope) for a in expr.args)
    return self.numbers.array((left == right)[None] * 1)


def _function(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
    name = type(expr).__name__
    if name not in self.numbers.functions:
        raise CompilerError(f"direct evaluation does not know the function {name}: {expr}")
    function: Callable[..., Array] = self.numbers.functions[name]
    return function(*(self.value(a, scope) for a in expr.args))


def _relation(
    compare: Callable[[Array, Array], Array],
) -> Callable[[_Evaluator, Any, _Scope], Array]:
    def test(self: _Evaluator, expr: Any, scope: _Scope) -> Array:
        apart, _ = sympy.fraction(sympy.together(expr.lhs - expr.rhs))
        if apart.is_integer:  # of indices: exact, whatever the numbers are rounded to
            return compare(self.integers(apart, scope)[None], np.array(0))
        return self.decide(compare(*(self.real(a, scope) for a in expr.args)))

    return test


def _logical(
    combine: Callable[[Array, Array], Array],
) -> Callable[[_Evaluator, Any, _Scope], Array]:
    return lambda self, expr, scope: reduce(combine, (self.test(a, scope) for a in expr.args))


def _truth(self: _Evaluator, expr: Basic, scope: _Scope) -> Array:
    return np.full((1,) * (scope.depth + 1), bool(expr))


_Handler = Callable[[_Evaluator, Any, _Scope], Array]

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
