"""Which values an index has where a condition holds: what may be read in a branch, and where its values go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sympy import And, Basic, Expr, Idx, Indexed, Integer, Not, expand, true
from sympy.core.relational import Eq, Ge, Gt, Le, Lt, Relational

from symbp.ir.nodes import Index, is_placed, size_of
from symbp.validate import (
    Ranges,
    affine,
    is_size,
    never_negative,
    provably_inside,
    reach,
    same_size,
)

NONE: Ranges = {}


def whole(relation: Relational) -> Relational:
    """The relation between whole numbers that SymPy, which makes 2 m > u to m > u/2 in a Piecewise, has divided.

    A relation whose sides are not whole numbers, as one between values, is left as it is.
    """
    content, _ = expand(relation.lhs - relation.rhs).primitive()
    sides = [expand(content.q * side) for side in relation.args]
    is_divided = content.q != 1 and all(side.is_integer for side in sides)
    return relation.func(*sides, evaluate=False) if is_divided else relation


def ranges(condition: Basic, known: Ranges = NONE) -> tuple[dict[Index, tuple[Expr, Expr]], bool]:
    """(the first and the last value of each index that a condition bounds, whether it says no more than these).

    `known` are the ranges that hold already. Only comparisons ±i + c with numbers and sizes c, joined by And, bound.
    """
    found = dict(known)
    exact = True
    for part in And.make_args(condition):
        bound = _bound(part)
        if bound is None:
            exact = exact and part == True  # noqa: E712  (SymPy's true)
            continue
        index, low, high = bound
        first, last = found.get(index, (Integer(0), size_of(index) - 1))
        if low is not None:
            exact = exact and _comparable(low, first)
            first = first if never_negative(first - low) else low
        if high is not None:
            exact = exact and _comparable(high, last)
            last = last if never_negative(high - last) else high
        found[index] = first, last
    return found, exact


def _comparable(a: Expr, b: Expr) -> bool:
    return never_negative(a - b) or never_negative(b - a)


def _bound(condition: Basic) -> tuple[Index, Expr | None, Expr | None] | None:
    """(i, least, greatest) of a comparison that bounds an index i."""
    if not isinstance(condition, (Lt, Le, Gt, Ge, Eq)):
        return None
    condition = whole(condition)
    found = affine(condition.lhs - condition.rhs)
    if found is None or len(found[1]) != 1:
        return None
    start, ((index, step),) = found[0], found[1].items()
    if abs(step) != 1 or not all(map(is_size, start.free_symbols)):
        return None
    relation: Relational = condition if step == 1 else condition.reversed
    at = -start * step
    kind = relation.func
    low = at + 1 if kind is Gt else at if kind in (Ge, Eq) else None
    high = at - 1 if kind is Lt else at if kind in (Le, Eq) else None
    return index, low, high


def taken(branches: Iterable[tuple[Any, Basic]]) -> Iterator[tuple[Any, Basic]]:
    """The values of a Piecewise, each with the condition that it is taken: its own, and none of those before it."""
    left: Basic = true
    for value, condition in branches:
        yield value, And(left, condition)
        left = And(left, Not(condition))


def fits(places: Iterable[Expr], shape: Iterable[Expr], known: Ranges = NONE) -> bool:
    """Whether no place needs a condition, by which indices have the `known` ranges, to be on its axis.

    Places that the sizes decide are checked at run time.
    """
    return not any(_needs_condition(p, size, known) for p, size in zip(places, shape))


def _needs_condition(place: Expr, size: Expr, known: Ranges) -> bool:
    is_fixed = not is_placed(place) and not isinstance(place, Idx)
    if isinstance(place, Indexed) or is_fixed or provably_inside(place, size):
        return False
    return _leaves(place, size) or provably_inside(place, size, known)


def _leaves(place: Expr, size: Expr) -> bool:
    """Whether it leaves the axis for some sizes at least: a plain index of another range, or one that begins before."""
    first, last = reach(place)
    if isinstance(place, Idx):
        return not same_size(last + 1, size)
    return never_negative(-1 - first) or never_negative(last - size)


def region(found: Mapping[Index, tuple[Expr, Expr]]) -> bool:
    """Whether every range is provably no less than empty, so that it can be the range of an index."""
    return all(never_negative(last - first + 1) for first, last in found.values())
