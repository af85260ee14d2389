"""Statements that need each other at other steps, in loops: what does not change there before them, and arrays only for
what is read of other steps.

A tensor of a loop is a plain variable, renewed at each step, unless another step or something behind the loop reads it
at more than the last step that is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Basic, Expr, Idx, Mul, S, Symbol

from symbp.ir.loops import Loop, names_in
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    Slope,
    entries,
    free_indices,
    rebuild,
    size_of,
    substitute,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Shift, arranged
from symbp.ir.schedule import Allocate, Assign, Displace, Fill, Repeat, Statement
from symbp.rewrite import cost
from symbp.share import Sharing, worth_sharing

Body = Sequence[Assign]


@dataclass(frozen=True)
class Recurrent:
    """What statements have of recurrences: their shifts, which tensors are parameters, how loops nest by preference."""

    shifts: tuple[Shift, ...]
    parameters: frozenset[str]
    outer: tuple[Index, ...] = ()

    def order(self, body: Body) -> tuple[str | Loop, ...]:
        return arranged(body, self.shifts, self.outer)

    def reading(self, names: Iterable[str]) -> Recurrent:
        """With those shifts alone that are read."""
        return replace(self, shifts=tuple(s for s in self.shifts if s.name in names))

    def is_deep(self, loop: Loop, table: Mapping[str, Assign]) -> bool:
        """Whether each step has parameters of its own, as a layer has: few steps, and each of them large."""
        return any(
            e.tensor in self.parameters and table[name].indices[axis] in e.indices
            for name, axis in loop.axes.items()
            if name in table
            for e in entries(table[name].expr)
        )


# What does not change within a loop


def hoisted(body: Body, recurrent: Recurrent, sharing: Sharing) -> list[Assign]:
    """The statements with what no step changes computed apart, before the loop: once, or for all steps together."""
    while recurrent.shifts:
        table = {a.name: a for a in body}
        inside = dict(
            _innermost(recurrent.order(body), lambda loop: recurrent.is_deep(loop, table))
        )
        done: list[Assign] = []
        for assign in body:
            before: list[Assign] = []
            if assign.name in inside:
                loop, deep = inside[assign.name]
                changing = frozenset(names_in([loop]))
                over = assign.indices[loop.axes[assign.name]]
                visit = _Hoist(assign, changing, over, deep, sharing, before)
                assign = replace(assign, expr=visit(assign.expr))
            done += [*before, assign]
        if len(done) == len(body):
            return done
        body = done
    return list(body)


def _innermost(
    order: Iterable[str | Loop], is_deep: Callable[[Loop], bool]
) -> Iterator[tuple[str, tuple[Loop, bool]]]:
    """(name, (its innermost loop, whether that is deep)) of every tensor in a loop."""
    for loop in order:
        if isinstance(loop, Loop):
            deep = is_deep(loop)
            yield from ((name, (loop, deep)) for name in loop.body if isinstance(name, str))
            yield from _innermost(loop.body, is_deep)


@dataclass
class _Hoist:
    """Takes the largest parts out of an expression that read nothing which changes."""

    home: Assign
    changing: frozenset[str]
    over: Index
    deep: bool
    sharing: Sharing
    before: list[Assign]

    def __call__(self, expr: Expr, in_product: bool = False) -> Expr:
        if isinstance(expr, (Entry, Idx, Delta)) or not expr.args:
            return expr
        if not self.changes(expr):
            return self.take(expr)
        if isinstance(expr, Slope):
            return expr
        if isinstance(expr, Reduce):
            body = self(expr.body, in_product=isinstance(expr.body, Mul))
            return rebuild(expr, [expr.args[0], body, *expr.indices])
        if isinstance(expr, (Add, Mul)) and not in_product:
            still = [a for a in expr.args if isinstance(a, Expr) and not self.changes(a)]
            if len(still) > 1:
                moving = [self(a) for a in expr.args if a not in still]
                return expr.func(self.take(expr.func(*still)), *moving)
        return rebuild(expr, [self(a) for a in expr.args])

    def changes(self, expr: Basic) -> bool:
        return any(t in self.changing for t in tensors_of(expr))

    def take(self, expr: Expr) -> Expr:
        """A statement of its own for an expression that is worth one, else as it is."""
        if isinstance(expr, Mul):  # numbers stay: they cost nothing there
            number, rest = expr.as_coeff_Mul()
            if number != 1:
                return number * self.take(rest)
        entry = any(isinstance(n, Entry) for n in walk(expr))
        constant = self.over not in free_indices(expr)
        merged = not self.deep and worth_sharing(expr)
        placed = any(isinstance(n, Delta) for n in walk(expr))
        if not (entry and (merged or constant and cost(expr) > 0 or placed)):
            return rebuild(expr, [self(a) for a in expr.args])
        return self.sharing.extract(expr, self.home, self.before, f"{self.home.name}_given")


# Loops


def looped(
    body: Body, recurrent: Recurrent, wanted: Collection[str], taken: set[str]
) -> tuple[Statement, ...]:
    """The statements in loops. `wanted` are read by what stands behind all of them, at any step."""
    live = recurrent.reading({t for a in body for t in tensors_of(a.expr)} | set(wanted))
    return _Loops(body, live, wanted, taken).statements() if live.shifts else tuple(body)


def nesting(body: Body, recurrent: Recurrent) -> tuple[Index, ...]:
    """The indices that loops run over, those of outer ones first."""
    found: dict[Index, None] = {}
    axes = {a.name: a.indices for a in body} | {s.name: s.indices for s in recurrent.shifts}

    def visit(order: Iterable[str | Loop]) -> None:
        for loop in order:
            if isinstance(loop, Loop):
                found.update((axes[name][axis], None) for name, axis in loop.axes.items())
                visit(loop.body)

    visit(recurrent.order(body))
    return tuple(found)


def _with_followers(
    order: tuple[str | Loop, ...], recurrent: Recurrent, table: Mapping[str, Assign]
) -> tuple[str | Loop, ...]:
    """Statements for each step of a deep loop, such as the gradients of its parameters, at the end of its steps.

    What they read need not be kept for all steps then. In any other loop one large product for all steps together,
    behind it, is faster.
    """
    found: list[str | Loop] = []
    for item in order:
        if isinstance(item, Loop):
            found.append(replace(item, body=_with_followers(item.body, recurrent, table)))
            continue
        for k, loop in enumerate(found):
            if (
                not isinstance(loop, Loop)
                or item not in table
                or not recurrent.is_deep(loop, table)
            ):
                continue
            axis = _following(table[item], loop)
            waits = set(tensors_of(table[item].expr)) & set(names_in(found[k + 1 :]))
            if axis is not None and not waits:
                found[k] = replace(loop, axes={**loop.axes, item: axis}, body=(*loop.body, item))
                break
        else:
            found.append(item)
    return tuple(found)


def _with_leaders(
    order: tuple[str | Loop, ...],
    recurrent: Recurrent,
    table: Mapping[str, Assign],
    wanted: Collection[str],
) -> tuple[str | Loop, ...]:
    """Statements that a deep loop alone reads, each step its own, at the beginning of its steps."""
    found: list[str | Loop] = []
    for item in reversed(order):
        home = None
        if isinstance(item, str) and item in table and item not in wanted:
            readers = {a.name: a for a in table.values() if item in tensors_of(a.expr)}
            home = next(
                (x for x in found if isinstance(x, Loop) and {*readers} <= {*x.axes}),
                None,
            )
        if home is None or not isinstance(item, str) or not recurrent.is_deep(home, table):
            found.insert(0, item)
            continue
        steps = {name: a.indices[home.axes[name]] for name, a in readers.items()}
        axes = {
            axis
            for name, a in readers.items()
            for e in entries(a.expr)
            if e.tensor == item
            for axis, place in enumerate(e.indices)
            if place == steps[name]
        }
        everywhere = all(
            steps[name] in e.indices
            for name, a in readers.items()
            for e in entries(a.expr)
            if e.tensor == item
        )
        if len(axes) != 1 or not everywhere:
            found.insert(0, item)
            continue
        found[found.index(home)] = replace(
            home, axes={item: axes.pop(), **home.axes}, body=(item, *home.body)
        )
    return tuple(found)


def _following(assign: Assign, loop: Loop) -> int | None:
    """The axis of a statement that moves with the steps of all it reads of a loop; None where it reads other steps."""
    places = {e.indices[loop.axes[e.tensor]] for e in entries(assign.expr) if e.tensor in loop.axes}
    if len(places) != 1 or (place := places.pop()) not in assign.indices:
        return None
    return assign.indices.index(place)


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
        yield Repeat(Idx(around.variable, steps), loop.forward, tuple(body))

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
            label=a.indices,
        )

    def lowered(self, expr: Expr) -> Expr:
        """The expression with every entry read where it is: of a variable of one step, without the axis of the steps."""

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, Entry) or node.tensor not in self.around:
                return None
            gone = self.dropped(node.tensor)
            name = self.renamed.get(node.tensor, node.tensor)
            return Entry(name, *(p for k, p in enumerate(node.indices) if k not in gone))

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
        shifts = tuple(s for s in self.shifts.values() if s.source == name)
        axis = shifts[0].axis - sum(k < shifts[0].axis for k in gone) if shifts else 0
        return Allocate(name, indices, self.like, axis, shifts)


def loop_variable(index: Index, taken: Collection[str]) -> Index:
    """The index under a name that is an identifier and no variable of the module."""
    stem = index.name.rstrip("'")
    names = (stem, *(f"{stem}_at" + "_" * k for k in range(99)))
    name = next(n for n in names if n not in taken)
    return Idx(Symbol(name, integer=True), (index.lower, index.upper))
