"""Whether the conditions of a Piecewise leave a hole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

from sympy import (
    Basic,
    Expr,
    Or,
    Rational,
    S,
)
from sympy.core.relational import Relational

_MAXIMUM_CASES = 2_000
"""How many cases the proof that a Piecewise has no hole tries before it gives up."""


def covers_everything(conditions: Iterable[Basic]) -> bool:
    """Whether, for all real values, one of the conditions provably holds.

    A comparison is u ∘ p up to a factor, with a number p. Its truth depends only on where u lies
    among all the numbers that u is compared with: between two of them, or at one. So it is enough
    to try each of these places for every u. Different u are taken to be independent, which can
    hide a proof but never invents one.
    """
    formula = Or(*conditions)
    if formula in (S.true, S.false):
        return formula is S.true
    lines = {r: _line(r) for r in formula.atoms(Relational)}
    points: dict[Expr, list[Rational]] = {}
    for unit in dict.fromkeys(unit for unit, _, _ in lines.values()):
        points[unit] = sorted({p for u, p, _ in lines.values() if u == unit})
    if math.prod(2 * len(p) + 1 for p in points.values()) > _MAXIMUM_CASES:
        return False
    # Place 2k + 1 is at the k-th point, the even places are between.
    for places in product(*(_places_around(u, p) for u, p in points.items())):
        at = dict(zip(points, places, strict=True))
        truth = {
            r: r.func(slope * (at[u] - 2 * points[u].index(p) - 1), 0)
            for r, (u, p, slope) in lines.items()
        }
        if formula.xreplace(truth) != S.true:
            return False
    return True


def _places_around(unit: Expr, points: list[Rational]) -> list[int]:
    """The places at and between the points; none lies between two integers in a row where u is one itself."""
    whole = unit.is_integer and all(p.is_Integer for p in points)
    empty = {2 * k for k in range(1, len(points)) if whole and points[k] - points[k - 1] == 1}
    return [place for place in range(2 * len(points) + 1) if place not in empty]


def _line(relation: Relational) -> tuple[Expr, Rational, int]:
    """left − right as ±(u − p) times a positive number: u, the number p and the sign."""
    offset, rest = (relation.lhs - relation.rhs).as_coeff_Add()
    slope, unit = rest.primitive()
    if unit.could_extract_minus_sign():
        slope, unit = -slope, -unit
    return unit, -Rational(offset) / slope, 1 if slope > 0 else -1
