"""What stands in the boxes of a picture and beside its arrows, and how large that is. Lengths are in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from symbp.notation import display
from symbp.pictures.graph import Edge, Node

TITLE, EQUATION, LABEL = 15.0, 13.0, 12.0  # sizes of type
GLYPH = 0.52  # width of an average glyph, in sizes of type
ROOM = 1.0  # glyphs more, for capitals
LINE = 1.35  # height of a line, in sizes of type
PADDING = 8.0
WIDEST_EQUATION, MOST_LINES = 34.0, 2  # glyphs; a longer equation is in its section alone
WIDEST_LABEL = 17.0  # glyphs


class Detail(Enum):
    """How much a picture says: all, or only which tensor is computed from which."""

    FULL = 1.0
    TITLES = 0.5

    @property
    def room(self) -> float:
        """The room between rows, of that in a picture that says all."""
        return self.value


@dataclass(frozen=True)
class Line:
    """A formula in type of a size."""

    formula: str
    size: float

    @property
    def width(self) -> float:
        return GLYPH * self.size * (display.width(self.formula) + ROOM)

    @property
    def height(self) -> float:
        return LINE * self.size * display.height(self.formula)


@dataclass(frozen=True)
class Content:
    """Lines, one below the other, with room around them."""

    lines: tuple[Line, ...] = ()
    padding: float = 0.0

    @property
    def width(self) -> float:
        return max((line.width for line in self.lines), default=0.0) + 2 * self.padding

    @property
    def height(self) -> float:
        return sum(line.height for line in self.lines) + self.padding


def of_node(node: Node, detail: Detail) -> Content:
    """The tensor, and below it the equation where that is short."""
    lines = [Line(node.title, TITLE)]
    if detail is Detail.FULL and node.equation:
        pieces = display.lines(f"= {node.equation}", WIDEST_EQUATION)
        if len(pieces) <= MOST_LINES and max(map(display.width, pieces)) <= WIDEST_EQUATION:
            lines += (Line(piece, EQUATION) for piece in pieces)
    return Content(tuple(lines), PADDING)


def of_edge(edge: Edge, detail: Detail) -> Content:
    """What the adjoint is multiplied by: as a formula, or where that is long by its name. A copy has no label."""
    if detail is not Detail.FULL or not (edge.partial and edge.symbol):
        return Content()
    short = display.width(edge.partial) <= WIDEST_LABEL
    return Content((Line(edge.partial if short else edge.symbol, LABEL),))
