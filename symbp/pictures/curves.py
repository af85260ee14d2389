"""The lines of a picture: an arrow and, beside it, that of the adjoint, as cubic curves from point to point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from symbp.pictures.layout import APART, Junction, Knot, Route

HEAD = 7.0  # length of an arrow's head

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """From `start` on to points with two control points before each; with a head at `tip`, if any, up or down."""

    start: Point
    pieces: tuple[tuple[Point, Point, Point], ...]
    tip: Point | None = None
    way: int = 1  # of the head: down is 1, up is −1


def forward(route: Route) -> Curve:
    """The arrow of an edge; at the left of the adjoint's, as seen when going down, where there is one."""
    offset = -APART if route.edge.partial else 0.0
    *rest, end = _beside(route, offset)
    short = Knot(end.x, end.y - HEAD)
    return Curve(rest[0].point, _pieces([*rest, short], offset), end.point, 1)


def backward(route: Route, junction: Junction | None) -> Curve:
    """The adjoint's arrow, beside that of its edge; where several are added it ends at the junction, without a head."""
    start, *rest = _beside(route, APART)
    short = Knot(start.x, start.y + HEAD if junction is None else junction.y)
    tip = start.point if junction is None else None
    return Curve(short.point, _pieces([short, *rest], APART), tip, -1)


def _beside(route: Route, offset: float) -> list[Knot]:
    return [replace(k, x=k.x + offset * k.way) for k in route.knots]


def _pieces(knots: list[Knot], offset: float) -> tuple[tuple[Point, Point, Point], ...]:
    pieces = []
    for a, b in pairwise(knots):
        reach_a = reach_b = (b.y - a.y) / 2
        if a.way != b.way:
            # a curve reaches to 3/4 of its control points; of two arrows beside each other, the outer reaches further
            outer = -offset if (b.x > a.x) == (a.way > 0) else offset
            reach_a = a.way * (a.reach + outer) * 4 / 3
            reach_b = -reach_a
        pieces.append(((a.x, a.y + reach_a), (b.x, b.y - reach_b), b.point))
    return tuple(pieces)
