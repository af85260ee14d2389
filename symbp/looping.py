"""Statements that need each other at other steps, in loops: what does not change there before them, and arrays only for
what is read of other steps.

A tensor of a loop is a plain variable, renewed at each step, unless another step or something behind the loop reads it
at more than the last step that is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from sympy import Basic, Expr, Idx, S, Symbol

from symbp.hoisting import Body, Recurrent, _with_followers, _with_leaders
from symbp.ir.loops import Loop, names_in
from symbp.ir.nodes import (
    Entry,
    Index,
    entries,
    size_of,
    substitute,
    tensors_of,
    transform,
)
from symbp.ir.program import Shift
from symbp.ir.schedule import Allocate, Assign, Displace, Fill, Repeat, Statement

# What does not change within a loop


# Loops


def looped(
    body: Body, recurrent: Recurrent, wanted: Collection[str], taken: set[str]
) -> tuple[Statement, ...]:
    """The statements in loops. `wanted` are read by what stands behind all of them, at any step."""
    live = recurrent.reading({t for a in body for t in tensors_of(a.expr)} | set(wanted))
    return _Loops(body, live, wanted, taken).statements() if live.shifts else tuple(body)


@dataclass(frozen=True)
class _Around:
    """One of the loops around a tensor: the axis of its steps, the variable, and the last step that is computed."""

    axis: int
    loop: Loop
    variable: Symbol
    last: Expr


class _Loops:
    def __init__(
        self, body: Body, recurrent: Recurrent, wanted: Collection[str], taken: set[str]
    ) -> None:
        self.assigns = {a.name: a for a in body}
        self.shifts = {s.name: s for s in recurrent.shifts}
        self.wanted = frozenset(wanted)
        self.taken = set(taken)
        self.like = body[0].like
        order = _with_followers(recurrent.order(body), recurrent, self.assigns)
        self.order = _with_leaders(order, recurrent, self.assigns, wanted)
        self.around: dict[str, list[_Around]] = {}  # outermost first
        self.groups = {s.name: s.source for s in recurrent.shifts}  # views of one array
        self.kept: dict[str, set[int]] = {}  # the axes of loops whose steps are all kept, by group
        self.early: list[Allocate] = []  # arrays for loops inside, made before the outermost
        self.renamed: dict[str, str] = {}  # what is carried to the next step in one variable

    def statements(self) -> tuple[Statement, ...]:
        self.enter(self.order)
        self.decide(self.order)
        return tuple(self.level(self.order))

    def enter(self, order: Iterable[str | Loop]) -> None:
        for loop in order:
            if not isinstance(loop, Loop):
                continue
            name, axis = next((n, a) for n, a in loop.axes.items() if n in self.shifts)
            index = self.indices_of(name)[axis]
            variable = loop_variable(index, self.taken)
            self.taken.add(variable.name)
            for name, axis in loop.axes.items():
                last = size_of(self.indices_of(name)[axis]) - 1 if loop.forward else S.Zero
                around = _Around(axis, loop, Symbol(variable.name, integer=True), last)
                self.around.setdefault(name, []).append(around)
            self.enter(loop.body)

    def indices_of(self, name: str) -> tuple[Index, ...]:
        return (self.assigns.get(name) or self.shifts[name]).indices

    def group(self, name: str) -> str:
        return self.groups.get(name, name)

    # Which steps are kept

    def decide(self, order: Iterable[str | Loop]) -> None:
        """Keep all steps of what is read at more than the last one from outside, in a loop and those inside it."""
        for loop in order:
            if not isinstance(loop, Loop):
                continue
            inside = set(names_in([loop]))
            for name, axis in loop.axes.items():
                shift = self.shifts.get(name)
                longer = shift is not None and shift.axis == axis and abs(shift.by) > 1
                if (
                    longer
                    or self.kept.get(self.group(name))
                    or self.read_outside(name, axis, inside)
                ):
                    self.kept.setdefault(self.group(name), set()).add(axis)
            self.decide(loop.body)

    def read_outside(self, name: str, axis: int, inside: Collection[str]) -> bool:
        """Whether anything outside a loop reads a tensor at another step than the last."""
        if name in self.wanted:
            return True
        last = next(x.last for x in self.around[name] if x.axis == axis)
        read = [a.expr for a in self.assigns.values() if a.name not in inside]
        for shift in self.shifts.values():
            if shift.name not in inside:
                read += [shift.outside, Entry(shift.source, *shift.indices)]
        return any(e.tensor == name and e.indices[axis] != last for x in read for e in entries(x))

    def keeps(self, name: str, axis: int) -> bool:
        return axis in self.kept.get(self.group(name), ())

    def dropped(self, name: str) -> set[int]:
        """The axes that the variable lacks: of steps that are not kept."""
        return {x.axis for x in self.around.get(name, ()) if not self.keeps(name, x.axis)}

    # Statements

    def level(self, order: Iterable[str | Loop]) -> Iterator[Statement]:
        """The statements of one level, each loop behind the arrays and the first values that it needs."""
        for item in order:
            if isinstance(item, Loop):
                yield from self.repeat(item)
            elif item in self.assigns:
                yield self.assign(self.assigns[item])
            elif item not in self.around:
                shift = self.shifts[item]
                yield Displace(replace(shift, outside=self.lowered(shift.outside)), self.like)

    def repeat(self, loop: Loop) -> Iterator[Statement]:
        names = list(loop.axes)
        carried = [self.shifts[n] for n in names if self.is_carried(n, loop)]
        order = loop.body
        for shift in carried:
            order = self.merge(shift, order)
        for name in names:
            if name in self.assigns and self.keeps(name, loop.axes[name]):
                if next(x for x in self.around[name] if self.keeps(name, x.axis)).loop is loop:
                    if self.is_reused(name, loop):
                        self.early.append(self.allocate(name))
                    else:
                        yield self.allocate(name)
        for shift in (self.shifts[n] for n in names if n in self.shifts):
            if shift in carried:
                yield self.first(shift)
            elif shift.axis == loop.axes[shift.name] and shift.outside != 0:
                yield self.fill(shift)
        body = list(self.level(order))
        for shift in carried:
            if shift.name not in self.renamed:
                body.append(self.next(shift))
        around = next(x for x in self.around[names[0]] if x.loop is loop)
        steps = size_of(self.indices_of(names[0])[around.axis])
        if around is self.around[names[0]][0]:
            yield from self.early
            self.early = []
        yield Repeat(Idx(around.variable, steps), loop.forward, tuple(body))

    def is_reused(self, name: str, loop: Loop) -> bool:
        """Whether one array, made before the outermost loop, does for all steps of the loops around this one.

        It is written anew in each, and nothing else holds on to it: no shift, and no tensor that is a view of it.
        """
        nested = self.around[name][0].loop is not loop
        shifted = any(s.source == name for s in self.shifts.values())
        outside = (s.outside for s in self.shifts.values())
        read = (*(a.expr for a in self.assigns.values()), *outside)
        viewed = any(isinstance(x, Entry) and x.tensor == name for x in read)
        return nested and not shifted and not viewed

    def is_carried(self, name: str, loop: Loop) -> bool:
        """Whether a shift goes along this loop, from one step to the next in a variable."""
        shift = self.shifts.get(name)
        return (
            shift is not None and shift.axis == loop.axes[name] and not self.keeps(name, shift.axis)
        )

    def merge(self, shift: Shift, body: tuple[str | Loop, ...]) -> tuple[str | Loop, ...]:
        """One variable for a tensor and its shift, where all that reads the old value can stand before the new one."""
        many = sum(s.source == shift.source for s in self.shifts.values()) > 1
        if shift.source not in body or many:
            return body
        k = body.index(shift.source)
        early, late, changed = [], [], {shift.source}
        for item in body[k + 1 :]:
            names = set(names_in([item]))
            read = {t for n in names & set(self.assigns) for t in tensors_of(self.assigns[n].expr)}
            if read & changed:
                changed |= names
                late.append(item)
                if shift.name in read:
                    return body
            else:
                early.append(item)
        self.renamed[shift.name] = shift.source
        return (*body[:k], *early, shift.source, *late)

    def assign(self, a: Assign) -> Assign:
        around = self.around.get(a.name, [])
        steps = {x.axis: x.variable for x in around}
        fixed = {a.indices[axis]: variable for axis, variable in steps.items()}
        kept = any(self.keeps(a.name, axis) for axis in steps)
        gone = self.dropped(a.name)
        places = [steps.get(k, i) for k, i in enumerate(a.indices) if k not in gone]
        return replace(
            a,
            indices=tuple(i for k, i in enumerate(a.indices) if k not in steps),
            expr=self.lowered(substitute(a.expr, fixed) if fixed else a.expr),
            at=tuple(places) if kept else None,
            label=a.indices or None,
        )

    def lowered(self, expr: Expr) -> Expr:
        """The expression with every entry read where it is: a variable of one step has no axis of the steps."""

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, Entry) or node.tensor not in self.around:
                return None
            gone = self.dropped(node.tensor)
            name = self.renamed.get(node.tensor)
            return Entry(
                name or node.args[0], *(p for k, p in enumerate(node.indices) if k not in gone)
            )

        found: Expr = transform(expr, visit)
        return found

    def reduced(self, shift: Shift) -> tuple[tuple[Index, ...], dict[Basic, Expr]]:
        """(the indices of a shift but those of steps, the variables of the loops around)."""
        steps = {x.axis: x.variable for x in self.around[shift.name]}
        rest = tuple(i for k, i in enumerate(shift.indices) if k not in steps)
        return rest, {shift.indices[k]: v for k, v in steps.items() if k != shift.axis}

    def first(self, shift: Shift) -> Assign:
        """What is carried into the first step."""
        rest, fixed = self.reduced(shift)
        expr = self.lowered(substitute(shift.outside, fixed) if fixed else shift.outside)
        name = self.renamed.get(shift.name, shift.name)
        meaning = Entry(shift.name, *shift.indices)
        return Assign(name, rest, expr, meaning, self.like, label=())

    def next(self, shift: Shift) -> Assign:
        """What is carried into the next step."""
        rest, _ = self.reduced(shift)
        return Assign(shift.name, rest, Entry(shift.source, *rest), S.Zero, self.like, label=())

    def fill(self, shift: Shift) -> Fill:
        rest, fixed = self.reduced(shift)
        outside = self.lowered(substitute(shift.outside, fixed) if fixed else shift.outside)
        gone = self.dropped(shift.name)
        places = tuple(fixed.get(i, i) for k, i in enumerate(shift.indices) if k not in gone)
        return Fill(replace(shift, outside=outside), places, self.like)

    def allocate(self, name: str) -> Allocate:
        gone = self.dropped(name)
        indices = tuple(i for k, i in enumerate(self.assigns[name].indices) if k not in gone)
        shifts = tuple(s for s in self.shifts.values() if s.source == name and s.axis not in gone)
        axis = shifts[0].axis - sum(k < shifts[0].axis for k in gone) if shifts else 0
        names = (f"{name}_all" + "_" * k for k in range(99))
        whole = next(n for n in names if n not in self.taken)
        return Allocate(name, indices, self.like, axis, shifts, whole)


def loop_variable(index: Index, taken: Collection[str]) -> Index:
    """The index under a name that is an identifier and no variable of the module."""
    stem = index.name.rstrip("'")
    names = (stem, *(f"{stem}_at" + "_" * k for k in range(99)))
    name = next(n for n in names if n not in taken)
    return Idx(Symbol(name, integer=True), (index.lower, index.upper))
