"""Which values an index has where a condition holds: what may be read in a branch, and where its values go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sympy import And, Basic, Expr, Idx, Indexed, Integer
from sympy.core.relational import Eq, Ge, Gt, Le, Lt, Relational

from symbp.ir.nodes import Index, free_indices, is_placed, size_of
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


def fits(places: Iterable[Expr], shape: Iterable[Expr], known: Ranges = NONE) -> bool:
    """Whether no place needs a condition to be on its axis; those that the sizes decide are checked at run time."""
    return all(
        isinstance(p, Indexed)
        or not is_placed(p)
        and not isinstance(p, Idx)
        or provably_inside(p, size, known)
        or not _leaves(p, size)
        for p, size in zip(places, shape)
    )


def decides(condition: Basic, place: Expr, size: Expr) -> bool:
    """Whether the sizes decide if a place is on its axis, and a condition compares that place's own indices.

    `x[p + a]` where p + a < T: it would not be read where it is outside, so to check it at run time would be wrong.
    """
    if isinstance(place, (Idx, Indexed)) or fits([place], [size]) is False:
        return False
    own = free_indices(place)
    compared = (free_indices(r) for r in condition.atoms(Relational) if not r.has(Indexed))
    return bool(own) and own in compared and not provably_inside(place, size)


def _leaves(place: Expr, size: Expr) -> bool:
    """Whether it leaves the axis for some sizes at least: a plain index of another range, or one that begins before."""
    first, last = reach(place)
    if isinstance(place, Idx):
        return not same_size(last + 1, size)
    return never_negative(-1 - first) or never_negative(last - size)


def region(found: Mapping[Index, tuple[Expr, Expr]]) -> bool:
    """Whether every range is provably no less than empty, so that it can be the range of an index."""
    return all(never_negative(last - first + 1) for first, last in found.values())
