"""Where everything stands in the picture of the chain rule: factors in ovals, and the way back through all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from symbp.pictures.contents import TITLE, Content, Line
from symbp.pictures.curves import HEAD, Curve, Point
from symbp.pictures.graph import Chain

MARGIN = 8.0
WIDEST = 560.0  # of a row
WIDEST_OF_LONG = 760.0  # of a product that fills more than three
BETWEEN = 22.0  # two ovals, with a dot there
PADDING = 12.0  # around a factor in its oval
BELOW, LANE = 16.0, 15.0  # of the arrow from a row, and of its way back to the right from there
CORNER = 9.0  # radius of the arrow's corners


@dataclass(frozen=True)
class Oval:
    content: Content
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """The left side, = or ·, without an oval."""

    content: Content
    x: float
    y: float


@dataclass(frozen=True)
class Placed:
    width: float
    height: float
    ovals: tuple[Oval, ...]
    marks: tuple[Mark, ...]
    arrow: Curve


def placed(chain: Chain) -> Placed:
    """left = the first factor · the next …, in rows of about equal length, and an arrow from the last to the first."""
    contents = [_content(factor) for factor in chain.factors]
    left, equals, dot = _content(chain.left), _content("="), _content(r"\cdot")
    start = MARGIN + left.width + equals.width + BETWEEN
    height = max(c.height for c in (left, *contents)) + 1.4 * PADDING
    marks = [Mark(left, MARGIN + left.width / 2, MARGIN + height / 2)]
    marks.append(Mark(equals, start - BETWEEN / 2 - equals.width / 2, MARGIN + height / 2))
    rows: list[list[Oval]] = []
    for number, row in enumerate(_rows(contents)):
        x, y = start, MARGIN + height / 2 + number * (height + BELOW + 2 * LANE)
        rows.append([])
        for content in row:
            if number or rows[-1]:
                marks.append(Mark(dot, x - BETWEEN / 2, y))
            width = content.width + 2 * PADDING
            rows[-1].append(Oval(content, x + width / 2, y, width, height))
            x += width + BETWEEN
    right = max(row[-1].x + row[-1].width / 2 for row in rows) + CORNER
    bottom = rows[-1][0].y + height / 2 + BELOW
    points = _way(rows, start - BETWEEN - CORNER, right)
    ovals = tuple(oval for row in rows for oval in row)
    return Placed(right + MARGIN, bottom + MARGIN, ovals, tuple(marks), _rounded(points))


def _rows(contents: Sequence[Content]) -> list[list[Content]]:
    """The factors in rows of about equal length; rather three long rows than many."""
    ends = list(accumulate(c.width + 2 * PADDING + BETWEEN for c in contents))
    count = math.ceil(ends[-1] / WIDEST)
    if count > 3:
        count = max(3, math.ceil(ends[-1] / WIDEST_OF_LONG))
    rows: list[list[Content]] = [[] for _ in range(count)]
    for content, end in zip(contents, ends):
        middle = end - content.width / 2 - PADDING - BETWEEN
        rows[math.floor(middle / ends[-1] * count)].append(content)
    return [row for row in rows if row]


def _content(formula: str) -> Content:
    return Content((Line(formula, TITLE),))


def _way(rows: Sequence[Sequence[Oval]], left: float, right: float) -> list[Point]:
    """The corners of the way from the last oval back to the first, below each row."""
    last, first = rows[-1][-1], rows[0][0]
    points = [(last.x, last.y + last.height / 2)]
    for row in reversed(rows):
        below = row[0].y + row[0].height / 2 + BELOW
        if row is not rows[-1]:
            points += [(left, below + LANE), (right, below + LANE), (right, below)]
        else:
            points.append((last.x, below))
        points.append((first.x if row is rows[0] else left, below))
    return [*points, (first.x, first.y + first.height / 2)]


def _rounded(points: Sequence[Point]) -> Curve:
    """Straight lines with round corners, and a head at the end, which points up."""
    (x, y), tip = points[0], points[-1]
    pieces = []
    for corner, following in zip(points[1:], points[2:]):
        before, after = _towards(corner, (x, y), CORNER), _towards(corner, following, CORNER)
        pieces += [((x, y), before, before), (corner, corner, after)]
        x, y = after
    end = (tip[0], tip[1] + HEAD)
    return Curve(points[0], (*pieces, ((x, y), end, end)), tip, -1)


def _towards(start: Point, goal: Point, distance: float) -> Point:
    """A point so far from the start, or in the middle where the goal is near."""
    length = math.dist(start, goal)
    share = min(distance, length / 2) / length if length else 0.0
    return start[0] + share * (goal[0] - start[0]), start[1] + share * (goal[1] - start[1])
