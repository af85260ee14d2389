"""Which equations run in one loop: the strongly connected components of who reads whom, taken apart by their steps.

Equations that need each other at the same step have no order of evaluation. If every cycle among them goes at least one
step back along some axis (or forward, along all of them alike), they run in a loop over that axis; what of each cycle
is left within one step is arranged by the same rule, so that loops nest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sympy.utilities.iterables import strongly_connected_components


@dataclass(frozen=True)
class Read:
    """One place where an equation reads a tensor.

    `places` gives for each axis of the tensor (the axis of the reader that it moves with, how many steps it is ahead),
    or None where it is read at no one step: summed over, fixed, or gathered.
    """

    reader: str
    source: str
    places: tuple[tuple[int, int] | None, ...]
    text: str = ""  # as the user wrote it, for messages


@dataclass(frozen=True)
class Loop:
    """Tensors that are computed step by step along one axis of each, in order within a step."""

    axes: Mapping[str, int]
    forward: bool
    body: tuple[str | Loop, ...]


Rank = Callable[[str, int], int]


class CycleError(Exception):
    """A cycle that no loop can compute, by name, and why; `str` draws it."""

    def __init__(self, cycle: Sequence[str], fault: str) -> None:
        super().__init__(f"{' → '.join(cycle)}: {fault}")
        self.cycle = cycle


def names_in(body: Iterable[str | Loop]) -> Iterator[str]:
    """Every tensor of an arrangement, in order."""
    for item in body:
        if isinstance(item, Loop):
            yield from names_in(item.body)
        else:
            yield item


def arrange(
    names: Sequence[str], reads: Iterable[Read], rank: Rank = lambda name, axis: 0
) -> tuple[str | Loop, ...]:
    """Tensors in an order of evaluation, as near as can be to the order given; those on a cycle in a loop.

    Of loops that could be outside, the one over an axis of the lowest rank is.

    Raises `CycleError` where a cycle has no step, or steps in two directions, or is read at all steps at once.
    """
    inside = [r for r in reads if r.reader in names and r.source in names]
    found: list[str | Loop] = []
    for group in _components(names, inside):
        own = [r for r in inside if r.reader in group and r.source in group]
        found.append(_loop(group, own, rank) if own else group[0])
    return tuple(found)


def _components(names: Sequence[str], reads: Iterable[Read]) -> list[list[str]]:
    """The strongly connected components in an order of evaluation: of those that are ready, the first given."""
    place = {name: k for k, name in enumerate(names)}
    edges = dict.fromkeys((r.reader, r.source) for r in reads)
    groups = [
        sorted(g, key=place.__getitem__)
        for g in strongly_connected_components((list(names), list(edges)))
    ]
    home = {name: k for k, group in enumerate(groups) for name in group}
    waits: dict[int, set[int]] = {k: set() for k in range(len(groups))}
    feeds: dict[int, set[int]] = {k: set() for k in range(len(groups))}
    for reader, source in edges:
        if home[reader] != home[source]:
            waits[home[reader]].add(home[source])
            feeds[home[source]].add(home[reader])

    def last(k: int) -> int:  # a group stands where its last member was given
        return place[groups[k][-1]]

    ready = [(last(k), k) for k in waits if not waits[k]]
    heapq.heapify(ready)
    order = []
    while ready:
        _, k = heapq.heappop(ready)
        order.append(groups[k])
        for reader_group in feeds[k]:
            waits[reader_group].discard(k)
            if not waits[reader_group]:
                heapq.heappush(ready, (last(reader_group), reader_group))
    return order


def _loop(group: list[str], reads: list[Read], rank: Rank) -> Loop:
    """The loop over the axis that leaves the least to loops inside it."""
    candidates = dict.fromkeys(
        (r.reader, at[0]) for r in reads for at in r.places if at is not None and at[1] != 0
    )
    if not candidates:
        at_once = next((r for r in reads if None in r.places and len(group) <= len(reads)), None)
        fault = f"{at_once.text} is read at no one step" if at_once else "a cycle without a step"
        raise CycleError(_cycle(reads, at_once), f"{fault}; read it one step before, or after")
    found: list[tuple[tuple[int, int], Loop]] = []
    faults: list[CycleError] = []
    for name, axis in candidates:
        try:
            left, loop = _over(group, reads, name, axis, rank)
            found.append(((rank(name, axis), left), loop))
        except CycleError as error:
            faults.append(error)
    if not found:
        raise faults[0]
    return min(found, key=lambda scored: scored[0])[1]


def _over(
    group: list[str], reads: list[Read], name: str, axis: int, rank: Rank
) -> tuple[int, Loop]:
    """(how many tensors still need loops inside it, the loop over this axis of one of them)."""
    axes = aligned(reads, name, axis)
    steps = {r: _step(r, axes) for r in reads}
    signs = {step > 0 for step in steps.values() if step}
    if len(signs) > 1:
        past = next(r for r, step in steps.items() if step < 0)
        future = next(r for r, step in steps.items() if step > 0)
        cycle = max(_cycle(reads, past), _cycle(reads, future), key=len)
        fault = f"{past.text} runs forward and {future.text} backward over the same steps"
        raise CycleError(cycle, fault)
    within = [r for r, step in steps.items() if not step]
    body = arrange(group, within, rank)
    left = sum(len(list(names_in([item]))) for item in body if isinstance(item, Loop))
    return left, Loop(axes, True not in signs, body)


def aligned(reads: list[Read], name: str, axis: int) -> dict[str, int]:
    """The axis of each tensor of a cycle that moves with this axis of one of them."""
    axes = {name: axis}
    waiting = [name]
    while waiting:
        known = waiting.pop()
        for r in reads:
            if r.reader == known:
                other, fits = (
                    r.source,
                    [k for k, at in enumerate(r.places) if at and at[0] == axes[known]],
                )
            elif r.source == known:
                at = r.places[axes[known]]
                other, fits = r.reader, [at[0]] if at else []
            else:
                continue
            if len(fits) != 1 or axes.get(other, fits[0]) != fits[0]:
                fault = f"{r.text} is not read at one step of the same axis"
                raise CycleError(_cycle(reads, r), fault)
            if other not in axes:
                axes[other] = fits[0]
                waiting.append(other)
    return axes


def _step(read: Read, axes: Mapping[str, int]) -> int:
    at = read.places[axes[read.source]]
    assert at is not None  # aligned
    return at[1]


def _cycle(reads: list[Read], through: Read | None = None) -> list[str]:
    """A shortest cycle, or a shortest through one of its reads: h, z, h."""
    return sorted((_from(r, reads) for r in ([through] if through else reads)), key=len)[0]


def _from(read: Read, reads: list[Read]) -> list[str]:
    """A shortest cycle that begins with a tensor and its reader."""
    found = [[read.source, read.reader]]
    seen = {read.reader}
    for path in found:  # which grows
        if path[-1] == read.source:
            return path
        for r in reads:
            if r.source == path[-1] and r.reader not in seen:
                seen.add(r.reader)
                found.append([*path, r.reader])
    raise AssertionError(f"{read.text} is on no cycle")
