"""Which values lie in one array: those of one shape that are never needed at the same time.

A value lives from the first line that names it to the last one, and through every loop that it goes around. One that is
read for the last time in the line that computes another, entry by entry, may hand its array on in that line.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from symbp.fast.arrays import Array
from symbp.fast.source import names


@dataclass(frozen=True)
class Event:
    """One line of code: the variables that it names, those it writes to, and whether it works entry by entry."""

    names: frozenset[str]
    writes: frozenset[str]
    whole: frozenset[str] = frozenset()  # that an operation on entries reads, in their own order


@dataclass
class Slot:
    """An array, and the values that it holds in turn."""

    values: list[str] = field(default_factory=list)
    last: float = -1
    whole: bool = False  # whether its last reader works on it entry by entry


def event(code: str) -> Event:
    """What a line of code does."""
    node = ast.parse(code).body[0]
    value = node.value if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) else None
    written = {
        found
        for target in (*_targets(node), *_outs(node))
        if (found := next(iter(n.id for n in ast.walk(target) if isinstance(n, ast.Name)), None))
    }
    return Event(frozenset(names(node)), frozenset(written), frozenset(_whole(value)))


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AugAssign) else []


def _outs(node: ast.stmt) -> Iterator[ast.expr]:
    """Where calls write to."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            if call.func.id == "_scatter_into":
                yield call.args[0]
        elif isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            yield from (k.value for k in call.keywords if k.arg == "out")
            if call.func.attr == "copyto":
                yield call.args[0]
            elif call.func.attr == "fill":
                yield call.func.value


def _whole(value: ast.expr | None) -> Iterator[str]:
    """The variables that a ufunc on entries takes as they are."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        function = getattr(np, value.func.attr, None)
        if isinstance(function, np.ufunc) and function.signature is None:
            yield from (a.id for a in value.args if isinstance(a, ast.Name))


def spans(
    events: Sequence[Event],
    loops: Sequence[tuple[int, int]],
    roots: Mapping[str, Collection[str]],
    values: Collection[str],
    kept: Collection[str],
) -> dict[str, tuple[float, float]]:
    """value -> its first and last line. `loops` are first and last lines; `kept` values live on at the end."""
    at: dict[str, list[int]] = {name: [] for name in values}
    begins: dict[str, set[int]] = {name: set() for name in values}
    for number, line in enumerate(events):
        for name in line.names:
            for root in roots.get(name, (name,)):
                if root in at and (not at[root] or at[root][-1] != number):
                    at[root].append(number)
                    if root in line.writes:
                        begins[root].add(number)
    found: dict[str, tuple[float, float]] = {}
    for name, lines in at.items():
        if not lines:
            continue
        first, last = lines[0], lines[-1]
        for start, end in loops:
            inside = [n for n in lines if start <= n <= end]
            around = lines[0] < start or end < lines[-1]
            if inside and (around or inside[0] not in begins[name]):
                first, last = min(first, start), max(last, end)
        found[name] = first, inf if name in kept else last
    return found


def slots(
    arrays: Mapping[str, Array],
    life: Mapping[str, tuple[float, float]],
    events: Sequence[Event],
) -> list[tuple[Array, list[str]]]:
    """The arrays to make, each with the values that it holds."""
    found: dict[tuple[object, str], list[Slot]] = {}
    for name in sorted(life, key=lambda n: (life[n][0], n)):
        first, last = life[name]
        array = arrays[name]
        same = found.setdefault((array.shape, array.kind), [])
        free = [
            s for s in same if s.last < first or (s.last == first and _handed(s, events, first))
        ]
        slot = max(free, key=lambda s: s.last, default=None)
        if slot is None:
            slot = Slot()
            same.append(slot)
        slot.values.append(name)
        slot.last = last
    return [(arrays[s.values[0]], s.values) for same in found.values() for s in same]


def _handed(slot: Slot, events: Sequence[Event], line: float) -> bool:
    """Whether the line reads what the slot holds entry by entry, and nothing else of it."""
    return slot.values[-1] in events[int(line)].whole
