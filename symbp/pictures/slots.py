"""The rows of a layered picture: in which order everything in a row stands, and where.

igraph orders the rows so that few arrows cross, and neighbours change places where that saves a crossing. Then
everything is pulled towards what it is linked with, row by row, as far as the order and the widths allow: of all places
that keep both, those of least Σ w (x − wanted)². At last arrows are made straight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GAP = 16.0  # between neighbours in a row, and at least between rows
PORT = 10.0  # from a corner of a box to an arrow, at least
SWEEPS = 24
STRAIGHT = 8.0  # how much more an arrow that passes pulls on itself than on a box


@dataclass(eq=False)
class Slot:
    """What takes room in a row: a box, or an arrow at `x` with its label at the right."""

    row: int
    left: float  # room on either side of x
    right: float
    height: float = 0.0
    is_box: bool = False
    x: float = 0.0
    above: list[Slot] = field(default_factory=list)
    below: list[Slot] = field(default_factory=list)


def link(above: Slot, below: Slot) -> None:
    """An arrow runs from a slot to one of the next row."""
    above.below.append(below)
    below.above.append(above)


def arranged(slots: Sequence[Slot], ways: Iterable[Sequence[Slot]]) -> dict[int, list[Slot]]:
    """The rows by their numbers, from above, each in the order from the left; every slot gets its x.

    `ways` are those of arrows, slot by slot, with the boxes at their ends.
    """
    rows = _ordered(slots)
    _uncross(rows)
    for row in rows.values():
        x = 0.0
        for slot in row:
            slot.x = x + slot.left
            x = slot.x + slot.right + GAP
    for _ in range(SWEEPS):
        for row in rows.values():
            _pull(row, [s.above or s.below for s in row])
        for row in reversed(rows.values()):
            _pull(row, [s.below or s.above for s in row])
    for _ in range(SWEEPS):
        for row in (*rows.values(), *reversed(rows.values())):
            _pull(row, [s.above + s.below for s in row])
    for way in ways:
        _straighten(way, rows)
    return rows


def _ordered(slots: Sequence[Slot]) -> dict[int, list[Slot]]:
    import igraph

    number = {slot: k for k, slot in enumerate(slots)}
    links = [(number[slot], number[below]) for slot in slots for below in slot.below]
    graph = igraph.Graph(len(slots), links, directed=True)
    first = min(slot.row for slot in slots)
    places = graph.layout_sugiyama(layers=[slot.row - first for slot in slots]).coords
    rows: dict[int, list[Slot]] = {row: [] for row in sorted({slot.row for slot in slots})}
    for slot in sorted(slots, key=lambda s: places[number[s]][0]):
        rows[slot.row].append(slot)
    return rows


def _uncross(rows: Mapping[int, list[Slot]]) -> None:
    """Exchange neighbours as long as fewer arrows cross for it."""
    place = {slot: k for row in rows.values() for k, slot in enumerate(row)}

    def crossings(left: Slot, right: Slot) -> int:
        sides = ((left.above, right.above), (left.below, right.below))
        return sum(place[a] > place[b] for own, others in sides for a in own for b in others)

    changed = True
    while changed:
        changed = False
        for row in rows.values():
            for k in range(len(row) - 1):
                if crossings(row[k], row[k + 1]) > crossings(row[k + 1], row[k]):
                    row[k], row[k + 1] = row[k + 1], row[k]
                    place |= {row[k]: k, row[k + 1]: k + 1}
                    changed = True


def _pull(row: Sequence[Slot], others: Sequence[Sequence[Slot]]) -> None:
    """Move the slots of a row to the weighted means of the others, as near as order and widths allow."""
    wanted, weights = [], []
    for slot, linked in zip(row, others):
        pulls = [1.0 if slot.is_box or other.is_box else STRAIGHT for other in linked]
        total = sum(pulls)
        middle = sum(w * _near(other, slot) for w, other in zip(pulls, linked))
        wanted.append(middle / total if total else slot.x)
        weights.append(total or 1.0)
    apart = [a.right + b.left + GAP for a, b in zip(row, row[1:])]
    for slot, x in zip(row, fitted(wanted, weights, apart)):
        slot.x = x


def _near(other: Slot, slot: Slot) -> float:
    """Where a slot meets another: an arrow meets a box anywhere along its side."""
    if not other.is_box:
        return other.x
    left, right = other.x - other.left + PORT, other.x + other.right - PORT
    return min(max(slot.x, left), right)


def _straighten(way: Sequence[Slot], rows: Mapping[int, Sequence[Slot]]) -> None:
    """Let an arrow run straight for as many rows as it can, between what stands at its sides, and then turn aside."""
    rest = list(way)
    while rest:
        left, right = _free(rest[0], rows)
        count = 1
        for slot in rest[1:]:
            lower, upper = _free(slot, rows)
            if max(left, lower) > min(right, upper):
                break
            left, right, count = max(left, lower), min(right, upper), count + 1
        straight = [slot for slot in rest[:count] if not slot.is_box]
        for slot in straight:
            slot.x = min(max(sum(s.x for s in straight) / len(straight), left), right)
        del rest[:count]


def _free(slot: Slot, rows: Mapping[int, Sequence[Slot]]) -> tuple[float, float]:
    """From where to where an arrow may pass a row or meet a box."""
    if slot.is_box:
        return slot.x - slot.left + PORT, slot.x + slot.right - PORT
    row = rows[slot.row]
    k = row.index(slot)
    left = row[k - 1].x + row[k - 1].right + GAP + slot.left if k else -math.inf
    right = row[k + 1].x - row[k + 1].left - GAP - slot.right if k + 1 < len(row) else math.inf
    return left, right


def fitted(
    wanted: Sequence[float], weights: Sequence[float], apart: Sequence[float]
) -> list[float]:
    """The x of least Σ w (x − wanted)² with x[k + 1] ≥ x[k] + apart[k]: isotonic regression, by pooling neighbours."""
    offsets = [sum(apart[:k]) for k in range(len(wanted))]
    blocks: list[tuple[float, float, int]] = []  # weight times place, weight, and how many
    for place, weight, offset in zip(wanted, weights, offsets):
        block = (weight * (place - offset), weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] > block[0] / block[1]:
            last = blocks.pop()
            block = (last[0] + block[0], last[1] + block[1], last[2] + block[2])
        blocks.append(block)
    places = [total / weight for total, weight, count in blocks for _ in range(count)]
    return [place + offset for place, offset in zip(places, offsets)]
