"""Places on an axis that are sums of indices, as views with an axis for each index.

x[s, j + 1]              x[:, 1 : 1 + d]
x[s, 2 p + a], a < 2     x.reshape(n, P, 2)                  disjoint windows side by side
x[s, p + a]              sliding_window_view(x, A, axis=1)   windows that overlap
x[s, 2 p + 3 a + b]      _windows(x, axis=1, counts=(P, A, B), steps=(2, 3, 1))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sympy import Expr, Idx, Integer, Mul, Symbol, expand

from symbp.ir.nodes import Entry, Index, is_placed, size_of
from symbp.ir.schedule import is_gathered
from symbp.shapes import tuple_code
from symbp.targets.code import Code
from symbp.validate import line, never_negative, same_size

Number = Callable[[Expr], Code]  # the code of an expression of numbers and sizes
Shape = Sequence[Expr]
Line = tuple[Expr, dict[Index, Expr]]  # start, {index: step}
View = tuple[str, list[Expr]]  # code, and the place on each of its axes


def straightened(entry: Entry, shape: Shape | None, number: Number, written: bool = False) -> Entry:
    """The entry of a view on the tensor whose axes are the indices themselves; one that can be written to, if need be.

    `shape` is the tensor's, None where it is not known: slices then say what else it would.
    """
    lines = {a: line(p) for a, p in enumerate(entry.indices) if is_placed(p) and not is_gathered(p)}
    slots, places = [":"] * len(entry.indices), list(entry.indices)
    several = {}
    for axis, (start, steps) in lines.items():
        ((index, step), *others) = steps.items()
        if others or not step.is_positive:
            several[axis] = start, steps
        else:
            slots[axis], places[axis] = _slice(start, size_of(index), step, number), index
    found = None
    if several:
        found = _split(entry.tensor, slots, places, several, shape, number)
        if found is None and not written:
            found = _sliding(entry.tensor, slots, places, several, shape, number)
    text, axes = found or _windows(subscript(entry.tensor, slots), places, several, number)
    return Entry(Symbol(text, integer=entry.is_whole or None), *axes)


def _split(
    tensor: str,
    slots: list[str],
    places: list[Expr],
    several: Mapping[int, Line],
    shape: Shape | None,
    number: Number,
) -> View | None:
    """Each axis as one for each index, where the places go through it, or through a slice of it, in order."""
    sizes: list[Expr] = []
    axes: list[Expr] = []
    slots = list(slots)
    for axis, place in enumerate(places):
        if axis in several:
            start, steps = several[axis]
            order = nested(steps)
            if not order or steps[order[-1]] != 1:
                return None
            total = expand(Mul(*map(size_of, order)))
            if not (start == 0 and shape is not None and same_size(shape[axis], total)):
                slots[axis] = _slice(start, total, Integer(1), number)
            sizes += map(size_of, order)
            axes += order
        elif isinstance(place, Idx):
            sizes.append(size_of(place))
            axes.append(place)
        else:
            return None
    return f"{subscript(tensor, slots)}.reshape({', '.join(number(e).text for e in sizes)})", axes


def _sliding(
    tensor: str,
    slots: list[str],
    places: list[Expr],
    several: Mapping[int, Line],
    shape: Shape | None,
    number: Number,
) -> View | None:
    """Windows without gaps, each of which starts some steps after the one before; their own axes are the last."""
    starts, axes, windows = [":"] * len(places), list(places), []
    for axis, (start, steps) in several.items():
        narrow_first = sorted(steps, key=lambda i: breadth(i, steps[i]))
        window = next((i for i in narrow_first if steps[i] == 1), None)
        others = [i for i in narrow_first if i != window]
        if window is None or len(others) != 1 or not steps[others[0]].is_positive:
            return None
        (axes[axis],) = others
        windows.append(window)
        count, step = size_of(others[0]), steps[others[0]]
        left = None if shape is None else shape[axis] - size_of(window) - step * (count - 1)
        every = start == 0 and left is not None and never_negative(left)
        if every and left is not None and never_negative(step - 1 - left):
            starts[axis] = ":" if step == 1 else f"::{number(step).text}"
        else:
            starts[axis] = _slice(start, count, step, number)
    lengths = [number(size_of(i)).text for i in windows]
    numbers = [str(axis) for axis in several]
    if len(windows) > 1:
        lengths, numbers = [tuple_code(lengths)], [tuple_code(numbers)]
    text = f"sliding_window_view({subscript(tensor, slots)}, {lengths[0]}, axis={numbers[0]})"
    return subscript(text, starts), [*axes, *windows]


def _windows(view: str, places: list[Expr], several: Mapping[int, Line], number: Number) -> View:
    """Any steps: the axes one after the other, the last one first."""
    axes = list(places)
    for axis in sorted(several, reverse=True):
        start, steps = several[axis]
        order = sorted(steps, key=lambda i: breadth(i, steps[i]))[::-1]
        counts = tuple_code(number(size_of(i)).text for i in order)
        strides = tuple_code(number(steps[i]).text for i in order)
        first = "" if start == 0 else f", start={number(start).text}"
        view = f"_windows({view}, axis={axis}, counts={counts}, steps={strides}{first})"
        axes[axis : axis + 1] = order
    return view, axes


def nested(steps: Mapping[Index, Expr]) -> list[Index]:
    """The indices of a place, widest step first, where each step is as long as the next index goes; else none of them.

    Then no two values of them meet at one place.
    """
    order = sorted(steps, key=lambda i: (breadth(i, steps[i])[1], breadth(i, steps[i])))
    pairs = zip(order, order[1:])
    meet = any(expand(steps[b] - steps[a] * size_of(a)) != 0 for a, b in pairs)
    return [] if meet else order[::-1]


def covers(place: Expr, size: Expr) -> list[Index]:
    """The indices of a place, widest step first, where they go through a whole axis in order; else none of them."""
    if isinstance(place, Entry) or not is_placed(place):
        return []
    start, steps = line(place)
    order = nested(steps)
    whole = bool(order) and start == 0 and steps[order[-1]] == 1
    return order if whole and same_size(Mul(*map(size_of, order)), size) else []


def breadth(index: Index, step: Expr) -> tuple[Any, ...]:
    """How many values an index of a place has, as far as that can be told, then how large its steps are.

    Numbers stand before symbols before expressions of them.
    """
    size, width = size_of(index), -step if step.could_extract_minus_sign() else step
    many = (0, int(size)) if size.is_Integer else (1, len(size.args))
    wide = (0, int(width), "") if width.is_Integer else (1, 0, str(width))
    return many, wide, str(index.name)


def _slice(start: Expr, count: Expr, step: Expr, number: Number) -> str:
    """start : stop : step, spaced as formatters do."""
    ends = [start, start + step * count, *([step] if step != 1 else [])]
    texts = ["" if k == 0 and e == 0 else number(e).text for k, e in enumerate(ends)]
    if all(t.isidentifier() or t.isdigit() or not t for t in texts):
        return ":".join(texts)
    return " : ".join(texts).strip()


def subscript(tensor: str, slots: Sequence[str]) -> str:
    """tensor[slots], without what says nothing."""
    slots = list(slots)
    while slots and slots[-1] == ":":
        slots.pop()
    return f"{tensor}[{', '.join(slots)}]" if slots else tensor
