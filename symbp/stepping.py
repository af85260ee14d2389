"""An update, which is a recurrence over the steps of training, as the statements of one step.

What the step before left is the state. It is written to in place as soon as its new value is there; where its old one
is still read later, the new one gets a variable of its own, and is stored in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sympy import Basic, Expr, Idx, Symbol

from symbp.errors import ModelError
from symbp.ir.network import Equation
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    entries,
    free_indices,
    size_of,
    substitute,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Program, reached, unshifted
from symbp.ir.schedule import Assign
from symbp.ir.update import State, Stepping
from symbp.validate import is_size

PARAMETER, GRADIENT = "w", "g"


def stepping(program: Program) -> Stepping:
    """The step of an update's program. Raises `ModelError` for what one step alone cannot compute."""
    return _Step(program).done()


@dataclass
class _Step:
    program: Program
    numbers: list[Assign] = field(default_factory=list)
    entries: list[Assign] = field(default_factory=list)
    bodies: dict[str, tuple[Index, Expr]] = field(default_factory=dict)  # of what entries have

    def done(self) -> Stepping:
        self.check_steps()
        shifts = self.program.shifts
        states = [n for n, d in self.program.declarations.items() if d.over and n != PARAMETER]
        needed = reached([PARAMETER, *states], self.program.equations, shifts)
        for eq in self.program.equations:
            if eq.name in needed:
                self.add(eq)
        later = self.in_place({*states, PARAMETER})
        numbers, entries = map(_with_numbers, (self.numbers, self.entries))
        used = {s for a in (*numbers, *entries) for s in a.expr.free_symbols}
        declared = self.program.declarations
        constants = [d for d in declared.values() if d.kind == "constant"]
        return Stepping(
            tuple(d for d in constants if d.default is None or Symbol(d.name, real=True) in used),
            tuple(State(n, declared[n].initial, len(declared[n].indices) > 1) for n in states),
            numbers,
            entries,
            tuple((n, later.get(n, n)) for n in states if len(declared[n].indices) == 1),
            self.steps.name if _count(self.steps) in used else None,
            str(self.size) if self.size in used else None,
        )

    @property
    def steps(self) -> Index:
        return self.program.indices_of(PARAMETER)[0]

    @property
    def size(self) -> Expr:
        """The number of entries of all parameters."""
        return size_of(self.program.indices_of(PARAMETER)[1])

    def check_steps(self) -> None:
        """A step reads the one before and no other, and the end of training is not known to it."""
        for shift in self.program.shifts:
            if shift.by != -1:
                raise ModelError(
                    f"update: {shift.source} is read {abs(shift.by)} steps back; "
                    "a step knows the one before alone: keep older values in a state"
                )
        for name in self.program.ends.values():
            raise ModelError(f"update: {name} is of the last step, which no step knows")

    def check_sizes(self, eq: Equation, expr: Expr) -> None:
        """Of the sizes a step knows the number of entries alone."""
        sizes = {s for s in expr.free_symbols if is_size(s)} - {self.size}
        for size in sorted(sizes, key=str):
            raise ModelError(f"update: {eq.name} reads {size}, which no step knows", eq.where)

    # Statements

    def add(self, eq: Equation) -> None:
        """The equation as statements; every Σ over entries as one of its own, before them."""
        if eq.indices[:1] != (self.steps,) or len(eq.indices) > 2:
            raise ModelError(
                f"update: {eq.name} must have the indices (k, p), or k alone", eq.where
            )
        axes = eq.indices[1:]
        expr = self.within(eq, eq.expr)
        self.check_sizes(eq, expr)
        meaning = unshifted(eq.expr, self.program)
        single = not axes and isinstance(expr, Reduce)
        for whole in () if single else [*_outermost(eq.expr)]:
            node = self.within(eq, whole)
            total = Assign(
                self.fresh("total"),
                (),
                self.summed(node, eq),
                unshifted(whole, self.program),
                PARAMETER,
                label=eq.indices[:1],
            )
            self.numbers.append(total)
            expr = expr.xreplace({node: Entry(total.name)})
        expr = self.summed(expr, eq) if single else expr
        if any(isinstance(n, (Idx, Delta)) for n in _outside(expr)):
            raise ModelError(f"update: {eq.name} depends on the place of an entry", eq.where)
        body = self.entries if axes else self.numbers
        body.append(Assign(eq.name, axes, expr, meaning, PARAMETER, label=eq.indices))
        if axes:
            self.bodies[eq.name] = (axes[0], expr)

    def within(self, eq: Equation, expr: Expr) -> Expr:
        """A part of the equation in terms of this step: its index is a count, and entries do not have it."""

        def visit(node: Basic) -> Basic | None:
            if node == self.steps:
                return _count(self.steps)
            if isinstance(node, Entry) and node.indices[:1] == (_count(self.steps),):
                return Entry(node.args[0], *node.indices[1:])
            if isinstance(node, (Entry, Idx)) and not _is_of_step(node, self.size):
                raise ModelError(
                    f"update: {eq.name} reads {node}, which is not of its step", eq.where
                )
            return None

        found: Expr = transform(expr, visit)
        return found

    def summed(self, node: Reduce, eq: Equation) -> Expr:
        """A Σ whose body has only what is there before the step: states, parameters and gradients."""
        nested = any(isinstance(n, Reduce) for n in walk(node.body))
        if free_indices(node) or len(node.indices) > 1 or nested:
            raise ModelError(
                f"update: {eq.name} sums over pairs of entries; "
                "a sum over p may have no other index beside it, and no sum inside",
                eq.where,
            )
        body = node.body
        while read := [e for e in entries(body) if e.tensor in self.bodies]:
            index, own = self.bodies[read[0].tensor]
            body = body.xreplace({read[0]: substitute(own, {index: read[0].indices[0]})})
        return Reduce(node.args[0], body, *node.indices)

    def fresh(self, stem: str) -> str:
        taken = {*self.program.declarations, *(a.name for a in self.numbers)}
        return next(n for n in (stem + "_" * k for k in range(99)) if n not in taken)

    # Old and new values

    def in_place(self, states: set[str]) -> dict[str, str]:
        """Old values are read by the state's own name, and so are new ones; but for those in the dict, by another.

        There the old value is still read after the new one is computed.
        """
        old = {s.name: s.source for s in self.program.shifts}
        later: dict[str, str] = {}
        body = [*self.numbers, *self.entries]
        for place, assign in enumerate(body):
            after = {old.get(t) for a in body[place + 1 :] for t in tensors_of(a.expr)}
            if assign.name in states & after:
                later[assign.name] = self.fresh(f"{assign.name}_new")
        names = {**later, **old}
        self.numbers = [_renamed(a, names) for a in self.numbers]
        self.entries = [_renamed(a, names) for a in self.entries]
        for a in [a for a in body if a.name in later and a.indices]:
            new = Entry(later[a.name], *a.indices)
            self.entries.append(Assign(a.name, a.indices, new, new, PARAMETER, label=()))
        return later


def _renamed(assign: Assign, names: dict[str, str]) -> Assign:
    def visit(node: Basic) -> Basic | None:
        found = isinstance(node, Entry) and node.tensor in names
        return Entry(names[node.tensor], *node.indices) if found else None

    name = names.get(assign.name, assign.name)
    return replace(assign, name=name, expr=transform(assign.expr, visit))


def _count(steps: Index) -> Symbol:
    """The number of steps made so far."""
    return Symbol(steps.name, integer=True)


def _is_of_step(node: Basic, size: Expr) -> bool:
    """Whether this is an index over entries, or a number or entry without the index of the steps."""
    return size_of(node) == size if isinstance(node, Idx) else not node.indices


def _with_numbers(body: list[Assign]) -> tuple[Assign, ...]:
    """Numbers as symbols, which a target computes with in Python, whatever the type of the arrays."""

    def visit(node: Basic) -> Basic | None:
        number = isinstance(node, Entry) and not node.indices
        return Symbol(node.tensor, real=True) if number else None

    return tuple(replace(a, expr=transform(a.expr, visit)) for a in body)


def _outermost(expr: Basic) -> Iterator[Reduce]:
    """The reductions that stand in no other."""
    if isinstance(expr, Reduce):
        yield expr
    elif not isinstance(expr, (Entry, Idx)):
        for arg in expr.args:
            yield from _outermost(arg)


def _outside(expr: Basic) -> Iterator[Basic]:
    """Every subexpression but those of entries and the bound indices of reductions."""
    yield expr
    if isinstance(expr, Reduce):
        yield from _outside(expr.body)
    elif not isinstance(expr, (Entry, Idx)):
        for arg in expr.args:
            yield from _outside(arg)
