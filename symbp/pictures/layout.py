"""Where everything of a network's picture stands: the layered layout of Sugiyama, Tagawa and Toda (1981).

Equations stand in rows, each below all that it reads. Between two rows of boxes is a row of labels: an arrow runs from
its box through one slot of every row on its way, and the last slot before its end holds its label. So no arrow crosses
a box or a label, whatever their sizes. igraph puts the rows in an order of few crossings; here everything in a row
gets its place: as near as can be to what it is connected with, in that order, with no overlap.

All lengths are in pixels; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from itertools import pairwise

from symbp.pictures.contents import Content, Detail, of_edge, of_node
from symbp.pictures.graph import Edge, Graph, Node
from symbp.pictures.slots import GAP, Slot, arranged, fitted, link

MARGIN = 10.0
APART = 3.5  # of an arrow and of the adjoint's beside it, from the middle of the two
PITCH = 17.0  # between arrows at one side of a box, at least
SUM = 22.0  # what the mark of a fan-out takes below a box
RADIUS = 6.5  # of that mark
TURN = 14.0  # how far an arrow reaches where it turns, and how much further the next around it


@dataclass(frozen=True)
class Box:
    """A node, what stands in it, its middle and its size."""

    node: Node
    content: Content
    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Label:
    """The label of an edge, and its middle."""

    edge: Edge
    content: Content
    x: float
    y: float


@dataclass(frozen=True)
class Knot:
    """A point that an arrow passes vertically: down is 1, up is −1.

    Where the next is passed the other way, it turns.
    """

    x: float
    y: float
    way: int = 1
    reach: float = 0.0  # of that turn, from y

    @property
    def point(self) -> tuple[float, float]:
        return self.x, self.y


@dataclass(frozen=True)
class Route:
    """An edge from its source to its target, between them vertical or curved from one knot to the next."""

    edge: Edge
    knots: tuple[Knot, ...]


@dataclass(frozen=True)
class Junction:
    """Where adjoints of a fan-out are added: they end on a line from `left` to `x`; there the sum goes up."""

    node: Node
    left: float
    x: float
    y: float
    up: float  # y of the box


@dataclass(frozen=True)
class Layout:
    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]
    routes: tuple[Route, ...]
    junctions: tuple[Junction, ...]


def layout(graph: Graph, detail: Detail = Detail.FULL) -> Layout:
    """The places of all boxes, labels and arrows; the same for the same graph, in every run."""
    plan = _Plan(graph, detail)
    boxes = {name: plan.box(name) for name in plan.boxes}
    return Layout(
        max(slot.x + slot.right for slot in plan.slots) + MARGIN,
        plan.bottom + MARGIN,
        tuple(boxes.values()),
        tuple(plan.label(edge) for edge in graph.edges if plan.labels[edge].lines),
        tuple(plan.route(edge, boxes) for edge in graph.edges),
        tuple(plan.junction(boxes[n.name]) for n in graph.nodes if n.name in plan.summed),
    )


class _Plan:
    """Every slot of a graph's picture with its place, and every row with its y."""

    def __init__(self, graph: Graph, detail: Detail) -> None:
        self.nodes = {n.name: n for n in graph.nodes}
        self.edges = graph.edges
        self.gap = detail.room * GAP
        below, self.back = _below(graph)
        self.summed = {n.name for n in graph.nodes if n.paths > 1}
        self.contents = {n.name: of_node(n, detail) for n in graph.nodes}
        self.labels = {e: of_edge(e, detail) for e in graph.edges}
        self.boxes = {name: self._slot(name, row) for name, row in _rows(below).items()}
        self.ways = {e: self._way(e) for e in graph.edges}
        self.slots = [*self.boxes.values(), *(slot for way in self.ways.values() for slot in way)]
        self.rows = arranged(self.slots, map(self._straight, self.edges))
        left = min(slot.x - slot.left for slot in self.slots)
        for slot in self.slots:
            slot.x += MARGIN - left
        self.tops: dict[int, float] = {}
        self.bottom = MARGIN
        for number in self.rows:
            self.tops[number] = self.bottom + (self._gap(number) if self.tops else 0.0)
            self.bottom = self._base(number)
        self.ports = {**self._ports(0), **self._ports(-1)}

    def _base(self, row: int) -> float:
        return self.tops[row] + max(slot.height for slot in self.rows[row])

    def _slot(self, name: str, row: int) -> Slot:
        """The slot of a box, wide enough for its arrows."""
        content = self.contents[name]
        entering = sum(e.target == name for e in self.edges)
        leaving = sum(e.source == name for e in self.edges) + 2 * (name in self.summed)
        half = max(content.width, PITCH * max(entering, leaving)) / 2
        return Slot(2 * row, half, half, content.height + SUM * (name in self.summed), is_box=True)

    def _way(self, edge: Edge) -> list[Slot]:
        """The slots between the ends of an edge, from its source on, linked from row to row.

        An arrow that leads back turns below its source, goes up beside it, and turns above its target.
        """
        source, target = self.boxes[edge.source], self.boxes[edge.target]
        back = edge in self.back
        first, last = (target.row - 1, source.row + 1) if back else (source.row + 1, target.row - 1)
        way = [Slot(row, 2 * APART, 2 * APART) for row in range(first, last + 1)]
        labelled = way[len(way) // 2 if back else -1]
        labelled.right += self.labels[edge].width
        labelled.height = self.labels[edge].height
        for above, below in pairwise(way):
            link(above, below)
        link(source, way[-1] if back else way[0])
        link(way[0] if back else way[-1], target)
        return way[::-1] if back else way

    def _straight(self, edge: Edge) -> list[Slot]:
        """What an arrow passes between its turns, or else between its ends, and these."""
        if edge in self.back:
            return self.ways[edge][1:-1]
        return [self.boxes[edge.source], *self.ways[edge], self.boxes[edge.target]]

    def _gap(self, number: int) -> float:
        """The room above a row: more where arrows cross it far, or turn in it."""
        far = max((abs(a.x - b.x) for b in self.rows[number] for a in b.above), default=0.0)
        return self.gap + min(far / 12, 2 * self.gap) + self._reach(number)

    def _turns(self, edge: Edge) -> dict[int, float]:
        """How far across an arrow that leads back turns, by the row above which it does."""
        source, target, way = self.boxes[edge.source], self.boxes[edge.target], self.ways[edge]
        return {source.row + 1: abs(way[1].x - source.x), target.row: abs(way[-2].x - target.x)}

    def _reach(self, number: int, across: float = math.inf) -> float:
        """How far arrows reach that turn above a row, of which each encloses those that turn less far across."""
        turning = [t[number] for t in map(self._turns, self.back) if number in t]
        return TURN * (1 + sum(other < across for other in turning)) if turning else 0.0

    def _ports(self, end: int) -> dict[tuple[Edge, int], float]:
        """Where arrows leave boxes (end 0) and enter them (−1): as straight as their order at the box allows."""
        ports: dict[tuple[Edge, int], float] = {}
        for name, box in self.boxes.items():
            own = [e for e in self.edges if name == (e.target if end else e.source)]
            own.sort(key=lambda e: self.ways[e][end].x)
            left = box.x - box.left + PITCH / 2
            right = box.x + box.right - PITCH / 2 - 2 * PITCH * (not end and name in self.summed)
            wanted = [
                min(max(self.ways[e][end].x, left + k * PITCH), right - (len(own) - 1 - k) * PITCH)
                for k, e in enumerate(own)
            ]
            at = fitted(wanted, [1.0] * len(own), [PITCH] * (len(own) - 1))
            ports |= {(e, end): x for e, x in zip(own, at)}
        return ports

    def box(self, name: str) -> Box:
        slot = self.boxes[name]
        height = self.contents[name].height
        y = (self.tops[slot.row] + self._base(slot.row) - slot.height + height) / 2
        return Box(self.nodes[name], self.contents[name], slot.x, y, slot.left + slot.right, height)

    def label(self, edge: Edge) -> Label:
        slot = next(s for s in self.ways[edge] if s.height)
        content = self.labels[edge]
        y = (self.tops[slot.row] + self._base(slot.row)) / 2
        return Label(edge, content, slot.x + 2.5 * APART + content.width / 2, y)

    def route(self, edge: Edge, boxes: Mapping[str, Box]) -> Route:
        source, target = boxes[edge.source], boxes[edge.target]
        leave, enter = self.ports[edge, 0], self.ports[edge, -1]
        turns = self._turns(edge) if edge in self.back else {}
        reaches = [self._reach(row, across) for row, across in turns.items()] or [0.0, 0.0]
        way = -1 if turns else 1
        base = self._base(self.boxes[edge.source].row)
        knots = [Knot(leave, source.bottom), Knot(leave, base, 1, reaches[0])]
        for slot in self.ways[edge][1:-1] if turns else self.ways[edge]:
            ends = (self.tops[slot.row], self._base(slot.row))
            knots += [Knot(slot.x, y, way) for y in ends[::way]]
        knots[-1] = replace(knots[-1], reach=reaches[1])
        knots += [Knot(enter, self.tops[self.boxes[edge.target].row]), Knot(enter, target.top)]
        return Route(edge, tuple(knots))

    def junction(self, box: Box) -> Junction:
        """Of all arrows that leave the box and bring an adjoint back."""
        name = box.node.name
        back = [self.ports[e, 0] + APART for e in self.edges if e.source == name and e.partial]
        x, y = box.x + box.width / 2 - PITCH, box.bottom + SUM - RADIUS
        return Junction(box.node, min(back), x, y, box.bottom)


def _below(graph: Graph) -> tuple[dict[str, list[str]], set[Edge]]:
    """What stands below each node, and the arrows that lead back up, from one step to another.

    What is read within a step stands above its readers, and so does what is read of another step, unless it depends on
    them.
    """
    below: dict[str, list[str]] = {n.name: [] for n in graph.nodes}
    back: set[Edge] = set()
    for edge in sorted(graph.edges, key=lambda e: e.steps > 0):
        if edge.steps and _leads(below, edge.target, edge.source):
            back.add(edge)
            below[edge.target].append(edge.source)
        else:
            below[edge.source].append(edge.target)
    return below, back


def _leads(below: Mapping[str, Sequence[str]], start: str, goal: str) -> bool:
    """Whether the goal stands below the start."""
    found, waiting = {start}, [start]
    while waiting and goal not in found:
        new = [name for name in below[waiting.pop()] if name not in found]
        found.update(new)
        waiting += new
    return goal in found


def _rows(below: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Every node as low as it can be, so that parameters stand right above their equation."""
    rows: dict[str, int] = {}
    for name in TopologicalSorter(below).static_order():
        rows[name] = min((rows[other] for other in below[name]), default=0) - 1
    first = min(rows.values())
    return {name: rows[name] - first for name in below}
