"""Pictures as SVG within a page. Formulas in them are MathML; colours are those of the page, light or dark."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from html import escape

from symbp.pages.mathml import mathml
from symbp.pictures.chains import Placed, placed
from symbp.pictures.contents import Content
from symbp.pictures.curves import HEAD, Curve, Point, backward, forward
from symbp.pictures.graph import Chain, Graph
from symbp.pictures.layout import RADIUS, Box, Junction, Layout, layout

PHONE = 380.0  # what is wider stands in a box of its own that scrolls, for it must not shrink to be read

STYLE = """\
.picture { --given: #4b5563; --trained: #0f6b4f; --adjoint: #b3261e; --fill: #f6f7f9; margin: 0; }
@media (prefers-color-scheme: dark) {
  .picture { --given: #a6adba; --trained: #5fc9a1; --adjoint: #ff9d8f; --fill: #22262d; }
}
@media print { .picture { --given: #4b5563; --trained: #0f6b4f; --adjoint: #b3261e; --fill: #f6f7f9; } }
.picture.wide { overflow: auto hidden; max-width: 100%; }
.picture svg { display: block; margin: 0 auto; max-width: 100%; height: auto; overflow: visible; }
.picture.wide svg { max-width: none; }
.picture foreignObject { overflow: visible; }
.picture a { color: inherit; text-decoration: none; }
.picture .formula { display: flex; flex-direction: column; align-items: center; justify-content: center; }
.picture .formula { height: 100%; line-height: 1.2; white-space: nowrap; }
.picture .formula math { font-size: inherit; }
.picture rect, .picture ellipse { fill: var(--fill); stroke: currentColor; stroke-width: 1.2; }
.picture .input rect, .picture .random rect, .picture .constant rect { fill: none; stroke: var(--given); }
.picture .step rect { fill: none; stroke: var(--given); stroke-dasharray: 1 3; stroke-linecap: round; }
.picture .param rect { fill: none; stroke: var(--trained); stroke-width: 1.6; }
.picture .param .formula { color: var(--trained); }
.picture .loss rect { stroke-width: 2.2; }
.picture a:hover rect, .picture a:focus-visible rect { stroke-width: 3; }
.picture a:focus-visible { outline: 2px solid currentColor; outline-offset: 3px; }
.picture path { fill: none; stroke: currentColor; stroke-width: 1.3; }
.picture .head { fill: currentColor; stroke: none; }
.picture .adjoint path { stroke: var(--adjoint); stroke-dasharray: 5 3.5; }
.picture .adjoint path.head { fill: var(--adjoint); stroke: none; }
.picture .adjoint circle { fill: none; stroke: var(--adjoint); stroke-width: 1.3; }
.picture .adjoint path.plus { stroke-dasharray: none; }
.picture .way path { stroke-dasharray: none; stroke-width: 1.8; }
.picture .adjoint .formula { color: var(--adjoint); align-items: flex-start; }
@media print { .picture.wide { overflow: visible; } .picture svg, .picture.wide svg { max-width: 100%; } }
"""


def svg(
    graph: Graph, linked: Collection[str] | None = None, label: str = "The network as a graph"
) -> str:
    """A network as a part of an HTML page, which has `STYLE` among its styles; the formulas are LaTeX.

    A tensor in `linked` (by default any) leads to the section with the id eq-<tensor>.
    """
    found = layout(graph)
    return _framed(found.width, found.height, _drawn(found, linked), "group", label)


def chain_svg(chain: Chain, label: str = "The chain rule") -> str:
    """The chain rule as a part of an HTML page, each factor in an oval, and one arrow: the way back through all."""
    found = placed(chain)
    return _framed(found.width, found.height, _of_chain(found), "img", label)


def _framed(width: float, height: float, parts: Iterator[str], role: str, label: str) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    inner = "\n".join(parts)
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="{role}" aria-label="{escape(label)}">\n'
        f"{inner}\n</svg>"
    )
    if width <= PHONE:
        return f'<div class="picture">\n{drawing}\n</div>'
    scrolls = f'tabindex="0" role="region" aria-label="{escape(label)}"'
    return f'<div class="picture wide" {scrolls}>\n{drawing}\n</div>'


def _drawn(found: Layout, linked: Collection[str] | None) -> Iterator[str]:
    junctions = {j.node.name: j for j in found.junctions}
    for route in found.routes:
        yield f'<g class="forward">{_arrow(forward(route))}</g>'
    for route in found.routes:
        if route.edge.partial:
            curve = backward(route, junctions.get(route.edge.source))
            yield f'<g class="adjoint">{_arrow(curve)}</g>'
    yield from map(_sum, found.junctions)
    yield from (
        f'<g class="adjoint">{_centred(label.content, label.x, label.y)}</g>'
        for label in found.labels
    )
    for box in found.boxes:
        link = box.node.kind != "step" and (linked is None or box.node.name in linked)
        yield _box(box, link)


def _box(box: Box, link: bool) -> str:
    left, top = box.x - box.width / 2, box.top
    corner = 5 if box.node.kind in ("defined", "loss") else min(box.height / 2, 14)
    drawn = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{corner:.1f}"/>'
        + _centred(box.content, box.x, box.y)
    )
    name = escape(box.node.name)
    if not link:
        return f'<g class="{box.node.kind}">{drawn}</g>'
    return f'<a href="#eq-{name}" class="{box.node.kind}"><title>{name}</title>{drawn}</a>'


def _centred(content: Content, x: float, middle: float) -> str:
    """The lines of a content one below the other."""
    left, y, drawn = x - content.width / 2, middle - (content.height - content.padding) / 2, ""
    for line in content.lines:
        place = f'x="{left:.1f}" y="{y:.1f}" width="{content.width:.1f}" height="{line.height:.1f}"'
        drawn += (
            f'<foreignObject {place} font-size="{line.size:g}">'
            f'<div xmlns="http://www.w3.org/1999/xhtml" class="formula">'
            f"{mathml(line.formula, block=True)}</div></foreignObject>"
        )
        y += line.height
    return drawn


def _sum(junction: Junction) -> str:
    """Adjoints of several paths come together, and their sum goes up to the box."""
    x, y = junction.x, junction.y
    bar = f'<path d="M{junction.left:.1f} {y:.1f}H{x - RADIUS:.1f}"/>'
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}"/>'
    plus = f'<path class="plus" d="M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8"/>'
    head = _head((x, junction.up), -1)
    title = f"<title>{junction.node.paths} paths: their adjoints are added</title>"
    return f'<g class="adjoint">{title}{bar}{ring}{plus}{head}</g>'


def _arrow(curve: Curve) -> str:
    pieces = " ".join(f"C{_at(a)} {_at(b)} {_at(c)}" for a, b, c in curve.pieces)
    line = f'<path d="M{_at(curve.start)} {pieces}"/>'
    return line + (_head(curve.tip, curve.way) if curve.tip else "")


def _head(tip: Point, way: int) -> str:
    x, y = tip
    back = y - way * (HEAD + 1)
    return f'<path class="head" d="M{_at(tip)}L{_at((x - 3.5, back))}L{_at((x + 3.5, back))}Z"/>'


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _of_chain(found: Placed) -> Iterator[str]:
    yield from (_centred(mark.content, mark.x, mark.y) for mark in found.marks)
    for oval in found.ovals:
        radii = f'rx="{oval.width / 2:.1f}" ry="{oval.height / 2:.1f}"'
        yield f'<ellipse cx="{oval.x:.1f}" cy="{oval.y:.1f}" {radii}/>'
        yield _centred(oval.content, oval.x, oval.y)
    yield f'<g class="adjoint way">{_arrow(found.arrow)}</g>'
