"""Which statements run in which loop: what does not change there before it, and what only it needs inside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Basic, Expr, Idx, Mul, Number

from symbp.ir.functions import Mask
from symbp.ir.loops import Loop, names_in
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    Slope,
    entries,
    factors,
    free_indices,
    rebuild,
    tensors_of,
    walk,
)
from symbp.ir.program import Shift, arranged
from symbp.ir.schedule import Assign
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


def hoisted(body: Body, recurrent: Recurrent, sharing: Sharing) -> list[Assign]:
    """The statements with what no step changes computed apart, before the loop: once, or for all steps together."""
    while recurrent.shifts:
        table = {a.name: a for a in body}
        inside = dict(_innermost(recurrent.order(body), recurrent, table))
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
    order: Iterable[str | Loop], recurrent: Recurrent, table: Mapping[str, Assign]
) -> Iterator[tuple[str, tuple[Loop, bool]]]:
    """(name, (its innermost loop, whether that is deep)) of every tensor in a loop."""
    for loop in order:
        if isinstance(loop, Loop):
            deep = recurrent.is_deep(loop, table)
            yield from ((name, (loop, deep)) for name in loop.body if isinstance(name, str))
            yield from _innermost(loop.body, recurrent, table)


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
        if isinstance(expr, Entry) and self.is_gathered(expr):
            return self.sharing.extract(expr, self.home, self.before, f"{self.home.name}_given")
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

    def is_gathered(self, entry: Entry) -> bool:
        """Whether an entry is read at places of integers: for all steps at once, that is one call."""
        gathered = any(isinstance(place, Entry) for place in entry.indices)
        return gathered and not self.deep and not self.changes(entry)

    def stays(self, factor: Basic) -> bool:
        """Numbers, which cost nothing there, and the places in a step that a value goes to."""
        placed = isinstance(factor, Delta) and self.over not in free_indices(factor)
        return placed or isinstance(factor, Number)

    def take(self, expr: Expr) -> Expr:
        """A statement of its own for an expression that is worth one, else as it is."""
        stay = [f for f in factors(expr) if self.stays(f)]
        if stay and len(stay) < len(factors(expr)):
            return Mul(*stay, self.take(Mul(*(f for f in factors(expr) if f not in stay))))
        entry = any(isinstance(n, Entry) and not isinstance(n.args[0], Mask) for n in walk(expr))
        constant = self.over not in free_indices(expr)
        merged = not self.deep and (worth_sharing(expr) or isinstance(expr, Add))
        placed = any(isinstance(n, Delta) for n in walk(expr))
        value = entry and isinstance(expr, Expr)  # no condition
        if not (value and (merged or constant and cost(expr) > 0 or placed)):
            return rebuild(expr, [self(a) for a in expr.args])
        return self.sharing.extract(expr, self.home, self.before, f"{self.home.name}_given")


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
