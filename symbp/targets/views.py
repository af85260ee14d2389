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

from symbp.ir.nodes import Entry, Index, free_indices, is_placed, size_of
from symbp.ir.schedule import is_gathered
from symbp.shapes import tuple_code
from symbp.targets.code import Code
from symbp.validate import line, never_negative, same_size

Number = Callable[[Expr], Code]  # the code of an expression of numbers and sizes
Shape = Sequence[Expr]
View = tuple[str, list[Expr]]  # code, and the place on each of its axes


def straightened(entry: Entry, shape: Shape | None, number: Number, written: bool = False) -> Entry:
    """The entry of a view on the tensor whose axes are the indices themselves; one that can be written to, if need be.

    `shape` is the tensor's, None where it is not known: slices then say what else it would.
    """
    places = _Places(entry, shape, number)
    if not places.several:
        text, axes = subscript(entry.tensor, places.slots), places.axes
    else:
        text, axes = places.split() or (None if written else places.sliding()) or places.windows()
    return Entry(Symbol(text, integer=entry.is_whole or None), *axes)


class _Places:
    """Where an entry stands: `slots` are the subscripts of its tensor, `axes` the places on what these leave.

    `several` has (start, {index: step}) of each of those axes that is to become more than one, or to be turned round;
    `origin` is the tensor's axis that it was.
    """

    def __init__(self, entry: Entry, shape: Shape | None, number: Number) -> None:
        self.tensor = entry.tensor
        self.number = number
        self.slots: list[str] = []
        self.axes: list[Expr] = []
        self.origin: list[int] = []
        self.several: dict[int, tuple[Expr, dict[Index, Expr]]] = {}
        for axis, place in enumerate(entry.indices):
            if not free_indices(place) and not is_gathered(place):
                self.slots.append(number(place).text)
                continue
            slot = ":"
            if is_placed(place) and not is_gathered(place):
                start, steps = line(place)
                ((index, step), *others) = steps.items()
                if others or not step.is_positive:
                    self.several[len(self.axes)] = start, steps
                else:
                    slot, place = _slice(start, size_of(index), step, number), index
            self.slots.append(slot)
            self.axes.append(place)
            self.origin.append(axis)
        self.shape = None if shape is None else [shape[axis] for axis in self.origin]

    def split(self) -> View | None:
        """Each axis as one for each index, where the places go through it, or through a slice of it, in order."""
        sizes: list[Expr] = []
        axes: list[Expr] = []
        slots = list(self.slots)
        for k, place in enumerate(self.axes):
            if k in self.several:
                start, steps = self.several[k]
                order = nested(steps)
                if not order or steps[order[-1]] != 1:
                    return None
                total = expand(Mul(*map(size_of, order)))
                if not (start == 0 and self.shape is not None and same_size(self.shape[k], total)):
                    slots[self.origin[k]] = _slice(start, total, Integer(1), self.number)
                sizes += map(size_of, order)
                axes += order
            elif isinstance(place, Idx):
                sizes.append(size_of(place))
                axes.append(place)
            else:
                return None
        shape = ", ".join(self.number(size).text for size in sizes)
        return f"{subscript(self.tensor, slots)}.reshape({shape})", axes

    def sliding(self) -> View | None:
        """Windows without gaps, each of which starts some steps after the one before; their own axes are the last."""
        starts, axes, windows = [":"] * len(self.axes), list(self.axes), []
        for k, (start, steps) in self.several.items():
            narrow_first = sorted(steps, key=lambda i: breadth(i, steps[i]))
            window = next((i for i in narrow_first if steps[i] == 1), None)
            others = [i for i in narrow_first if i != window]
            if window is None or len(others) != 1 or not steps[others[0]].is_positive:
                return None
            (axes[k],) = others
            windows.append(window)
            starts[k] = self.every(k, start, steps[others[0]], others[0], window)
        lengths = [self.number(size_of(i)).text for i in windows]
        numbers = [str(k) for k in self.several]
        if len(windows) > 1:
            lengths, numbers = [tuple_code(lengths)], [tuple_code(numbers)]
        view = subscript(self.tensor, self.slots)
        text = f"sliding_window_view({view}, {lengths[0]}, axis={numbers[0]})"
        return subscript(text, starts), [*axes, *windows]

    def every(self, k: int, start: Expr, step: Expr, index: Index, window: Index) -> str:
        """The slice of all windows on an axis that the index counts; their end unsaid where it is the last of all."""
        if start == 0 and self.shape is not None:
            left = self.shape[k] - size_of(window) - step * (size_of(index) - 1)
            if never_negative(left) and never_negative(step - 1 - left):
                return ":" if step == 1 else f"::{self.number(step).text}"
        return _slice(start, size_of(index), step, self.number)

    def windows(self) -> View:
        """Any steps: the axes one after the other, the last one first."""
        axes, view = list(self.axes), subscript(self.tensor, self.slots)
        for k in sorted(self.several, reverse=True):
            start, steps = self.several[k]
            order = sorted(steps, key=lambda i: breadth(i, steps[i]))[::-1]
            counts = tuple_code(self.number(size_of(i)).text for i in order)
            strides = tuple_code(self.number(steps[i]).text for i in order)
            first = "" if start == 0 else f", start={self.number(start).text}"
            view = f"_windows({view}, axis={k}, counts={counts}, steps={strides}{first})"
            axes[k : k + 1] = order
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
