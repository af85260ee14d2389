"""Recurrences as plain loops: an array for all steps, views on it for what is read of other steps, and the loop."""

from __future__ import annotations

from sympy import Idx

from symbp.ir.nodes import size_of
from symbp.ir.schedule import Allocate, Displace, Fill, Repeat
from symbp.shapes import size_code, tuple_code
from symbp.targets.code import align
from symbp.targets.expressions import Printer

_ONE_LINE = 72  # columns, of views that are made in one line


def allocate(statement: Allocate) -> list[str]:
    """The array of a tensor; with the places before the first step, or behind the last, that its shifts need."""
    printer = Printer(statement.indices, statement.like)
    sizes = [size_of(i) for i in statement.indices]
    before = max([0, *(-s.by for s in statement.shifts)])
    behind = max([0, *(s.by for s in statement.shifts)])
    if not before + behind:
        shape = tuple_code(map(size_code, sizes))
        return [f"{statement.name} = np.empty({shape}, dtype={printer.dtype})"]
    sizes[statement.axis] += before + behind
    empty = "zeros" if all(s.outside == 0 for s in statement.shifts) else "empty"
    whole = statement.whole
    views = {s.name: before + s.by for s in statement.shifts} | {statement.name: before}
    lead = ":, " * statement.axis
    slices = [f"{whole}[{lead}{_slice(k, before + behind - k)}]" for k in views.values()]
    line = f"{', '.join(views)} = {', '.join(slices)}"
    each = [f"{view} = {part}" for view, part in zip(views, slices)]
    return [
        f"{whole} = np.{empty}({tuple_code(map(size_code, sizes))}, dtype={printer.dtype})",
        *([line] if len(line) <= _ONE_LINE else each),
    ]


def _slice(start: int, left: int) -> str:
    """All but `start` places before and `left` behind."""
    return f"{start or ''}:{-left or ''}"


def fill(statement: Fill) -> str:
    """What stands before the first step, or behind the last."""
    shift = statement.shift
    steps = abs(shift.by)
    free = tuple(p for p in statement.at if isinstance(p, Idx))
    printer = Printer(free, statement.like)
    places = [":" if isinstance(p, Idx) else printer.number(p).text for p in statement.at]
    axis = statement.at.index(shift.over)
    outside = f":{steps}" if shift.by < 0 else f"-{steps}:"
    places[axis] = outside if steps > 1 else "0" if shift.by < 0 else "-1"
    axes = free if steps > 1 else tuple(i for i in free if i != shift.over)
    while places[-1] == ":":
        places.pop()
    return f"{shift.name}[{', '.join(places)}] = {align(printer(shift.outside), axes).text}"


def displace(statement: Displace) -> list[str]:
    """A shifted tensor as an array of its own."""
    shift = statement.shift
    printer = Printer(shift.indices, statement.like)
    shape = tuple_code(size_code(size_of(i)) for i in shift.indices)
    lead = ":, " * shift.axis
    steps = abs(shift.by)
    inside = (f"{steps}:", f":-{steps}") if shift.by < 0 else (f":-{steps}", f"{steps}:")
    empty = "zeros" if shift.outside == 0 else "empty"
    lines = [f"{shift.name} = np.{empty}({shape}, dtype={printer.dtype})"]
    if shift.outside != 0:
        lines.append(fill(Fill(shift, shift.indices, statement.like)))
    return [*lines, f"{shift.name}[{lead}{inside[0]}] = {shift.source}[{lead}{inside[1]}]"]


def head(statement: Repeat) -> str:
    """The first line of the loop."""
    count = f"range({size_code(size_of(statement.index))})"
    count = count if statement.forward else f"reversed({count})"
    return f"for {statement.index.name} in {count}:"
