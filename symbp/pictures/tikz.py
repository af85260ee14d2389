"""Pictures as TikZ, for pdflatex, in the same places as on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symbp.pictures.chains import placed
from symbp.pictures.contents import EQUATION, LABEL, TITLE, Content, Detail
from symbp.pictures.curves import HEAD, Curve, Point, backward, forward
from symbp.pictures.graph import Chain, Graph
from symbp.pictures.layout import RADIUS, Box, Junction, Layout, layout

PREAMBLE = r"""\usepackage{tikz}
\definecolor{given}{HTML}{4B5563}
\definecolor{trained}{HTML}{0F6B4F}
\definecolor{adjoint}{HTML}{B3261E}
\definecolor{computed}{HTML}{F6F7F9}
\tikzset{
  every node/.style={inner sep=0pt},
  oval/.style={line width=0.6pt, fill=computed},
  defined box/.style={oval, rounded corners=3pt}, loss box/.style={defined box, line width=1.2pt},
  input box/.style={defined box, draw=given, rounded corners=7pt, fill=none},
  random box/.style={input box}, constant box/.style={input box},
  step box/.style={input box, dash pattern=on 0.6pt off 1.5pt},
  param box/.style={input box, draw=trained, text=trained, line width=0.9pt},
  forward line/.style={line width=0.6pt},
  adjoint line/.style={adjoint, line width=0.6pt, dash pattern=on 2.6pt off 1.8pt},
  sum line/.style={adjoint, line width=0.6pt}, way line/.style={adjoint, line width=1pt},
}"""

UNIT = 0.68  # points to a pixel: type of 15, 13 and 12 pixels is then \normalsize, \small and \footnotesize
WIDTH, HEIGHT = 480.0, 620.0  # points; the room of a page, less that of titles and a caption
MODEST = 200.0  # height of a picture that leaves room for text
COMFORTABLE = 0.75  # scale of a picture higher than that, up to a page
SMALLEST = 0.65  # scale of what fills a page and says all

_FONTS = {TITLE: r"\normalsize", EQUATION: r"\small", LABEL: r"\footnotesize"}


@dataclass(frozen=True)
class Drawing:
    """A tikzpicture, and its size in points."""

    text: str
    width: float
    height: float


def tikz(graph: Graph) -> Drawing:
    """A network as a tikzpicture no larger than a page, in a document that has `PREAMBLE` in its own.

    What would become too small to be read that way shows its tensors alone, for its equations stand in the text.
    """
    found = layout(graph)
    if _scale(found.width, found.height) < SMALLEST:
        found = layout(graph, Detail.TITLES)
    return _framed(found.width, found.height, [*_drawn(found)])


def picture(figure: Graph | Chain) -> Drawing:
    """Either of the two."""
    return tikz(figure) if isinstance(figure, Graph) else chain_tikz(figure)


def chain_tikz(chain: Chain) -> Drawing:
    """The chain rule as a tikzpicture: each factor in an oval, and one arrow, the way back through all."""
    found = placed(chain)
    parts = [node for mark in found.marks for node in _formulas(mark.content, mark.x, mark.y)]
    for oval in found.ovals:
        radii = f"[x radius={oval.width / 2:.1f}, y radius={oval.height / 2:.1f}]"
        parts.append(rf"\draw[oval] {_at((oval.x, oval.y))} ellipse {radii};")
        parts += _formulas(oval.content, oval.x, oval.y)
    parts += _arrow(found.arrow, "way line")
    return _framed(found.width, found.height, parts)


def _scale(width: float, height: float) -> float:
    """As large as the page allows, and no larger than is comfortable to read where that would fill the page."""
    largest = min(1.0, WIDTH / (UNIT * width), HEIGHT / (UNIT * height))
    return min(largest, max(COMFORTABLE, MODEST / (UNIT * height)))


def _framed(width: float, height: float, parts: Sequence[str]) -> Drawing:
    scale = _scale(width, height)
    shrunk = f", scale={scale:.3f}, transform shape" if scale < 1 else ""
    lines = "\n".join(f"  {part}" for part in parts)
    head = rf"\begin{{tikzpicture}}[x={UNIT}pt, y=-{UNIT}pt{shrunk}]"
    text = f"{head}\n{lines}\n\\end{{tikzpicture}}"
    return Drawing(text, scale * UNIT * width, scale * UNIT * height)


def _drawn(found: Layout) -> Iterator[str]:
    junctions = {j.node.name: j for j in found.junctions}
    for route in found.routes:
        yield from _arrow(forward(route), "forward line")
    for route in found.routes:
        if route.edge.partial:
            yield from _arrow(backward(route, junctions.get(route.edge.source)), "adjoint line")
    for junction in found.junctions:
        yield from _sum(junction)
    for label in found.labels:
        left = label.x - label.content.width / 2
        yield from _formulas(label.content, left, label.y, "adjoint, anchor=west, ")
    for box in found.boxes:
        yield from _box(box)


def _box(box: Box) -> Iterator[str]:
    left, right = box.x - box.width / 2, box.x + box.width / 2
    corners = f"{_at((left, box.top))} rectangle {_at((right, box.bottom))}"
    yield rf"\draw[{box.node.kind} box] {corners};"
    colour = "trained, " if box.node.kind == "param" else ""
    yield from _formulas(box.content, box.x, box.y, colour)


def _formulas(content: Content, x: float, middle: float, style: str = "") -> Iterator[str]:
    """The lines of a content one below the other."""
    y = middle - (content.height - content.padding) / 2
    for line in content.lines:
        font = _FONTS[line.size]
        place = _at((x, y + line.height / 2))
        yield rf"\node[{style}font={font}] at {place} {{$\displaystyle {line.formula}$}};"
        y += line.height


def _sum(junction: Junction) -> Iterator[str]:
    """Adjoints of several paths come together, and their sum goes up to the box."""
    x, y = junction.x, junction.y
    yield rf"\draw[adjoint line] {_at((junction.left, y))} -- {_at((x - RADIUS, y))};"
    yield rf"\draw[sum line] {_at((x, y))} circle [radius={RADIUS:g}];"
    yield rf"\draw[sum line] {_at((x - 4, y))} -- {_at((x + 4, y))} {_at((x, y - 4))} -- {_at((x, y + 4))};"
    yield _head((x, junction.up), -1, "adjoint")


def _arrow(curve: Curve, style: str) -> Iterator[str]:
    pieces = "".join(f" .. controls {_at(a)} and {_at(b)} .. {_at(c)}" for a, b, c in curve.pieces)
    yield rf"\draw[{style}] {_at(curve.start)}{pieces};"
    if curve.tip:
        yield _head(curve.tip, curve.way, "black" if style == "forward line" else "adjoint")


def _head(tip: Point, way: int, colour: str) -> str:
    x, y = tip
    back = y - way * (HEAD + 1)
    return (
        rf"\fill[{colour}] {_at(tip)} -- {_at((x - 3.5, back))} -- {_at((x + 3.5, back))} -- cycle;"
    )


def _at(point: Point) -> str:
    return f"({point[0]:.1f},{point[1]:.1f})"
