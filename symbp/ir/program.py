"""A network in normal form, and its adjoint: what the stages between `normalise` and `lower` hand on.

Expressions are those of `symbp.ir.nodes`. Within one equation all bound indices differ from each other and from the
free ones. The adjoint of a tensor z is itself a tensor, with a name of its own (`dz` unless that is taken) and the
indices of z, so that `Entry("dz", i)` stands for ∂L/∂z[i].
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sympy import Basic, Expr, Idx

from symbp.errors import CompilerError
from symbp.ir.loops import CycleError, Loop, Read, arrange
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    entries,
    factors,
    free_indices,
    substitute,
    tensors_of,
    transform,
    walk,
)  # fmt: skip
from symbp.ir.trace import Step


class Statement(Protocol):
    """name[indices] = expr."""

    @property
    def name(self) -> str: ...

    @property
    def indices(self) -> tuple[Index, ...]: ...

    @property
    def expr(self) -> Expr: ...


@dataclass(frozen=True)
class Shift:
    """name[…, t, …] = source[…, t + by, …], and `outside` where t + by is no step.

    All that a recurrence reads of another step it reads by such a name, so that every equation is one of values at the
    same step.
    """

    name: str
    source: str
    indices: tuple[Index, ...]
    axis: int
    by: int
    outside: Expr  # a number, or an entry in the other indices

    @property
    def over(self) -> Index:
        """The index of the steps."""
        return self.indices[self.axis]

    @property
    def rest(self) -> tuple[Index, ...]:
        """All indices but that of the steps."""
        return self.indices[: self.axis] + self.indices[self.axis + 1 :]


@dataclass(frozen=True)
class Program:
    """Equations in an order of evaluation; `loss` names the equation to differentiate, None for a layer.

    Of a loop, the order is that within a step, and shifts are there from the start.
    """

    name: str
    declarations: Mapping[str, Declaration]
    equations: tuple[Equation, ...]  # the loss included
    loss: str | None
    outputs: tuple[str, ...]
    indices: tuple[Index, ...]  # the user's indices, to name derived sums with
    origin: tuple[
        Step, ...
    ] = ()  # from the equations as declared, plain SymPy, to those stated here
    trace: tuple[Step, ...] = ()  # from those to `equations`
    shifts: tuple[Shift, ...] = ()
    ends: Mapping[str, str] = field(default_factory=dict)  # recurrent tensor -> its last step
    fixed: frozenset[str] = frozenset()  # tensors that the result does not depend on
    notes: tuple[str, ...] = ()  # what a user should know before relying on the module

    def sizes(self) -> set[str]:
        """The names of the sizes that axes mention."""
        declared = self.declarations.values()
        return {s.name for d in declared for size in d.shape for s in size.free_symbols}

    def indices_of(self, tensor: str) -> tuple[Index, ...]:
        """The declared indices of a tensor; none for the loss."""
        return self.declarations[tensor].indices if tensor in self.declarations else ()


def reached(
    goal: Iterable[str], statements: Sequence[Statement], shifts: Iterable[Shift]
) -> set[str]:
    """`goal` and every tensor that it is computed from."""
    reads = {s.name: tensors_of(s.expr) for s in statements}
    reads |= {s.name: (s.source, *tensors_of(s.outside)) for s in shifts}
    found: set[str] = set()
    waiting = list(goal)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += reads.get(name, ())
    return found


def reads_between(
    statements: Sequence[Statement], shifts: Sequence[Shift], names: Collection[str]
) -> list[Read]:
    """Every place where one of these tensors reads another."""
    reads: list[Read] = []
    for s in statements:
        axes = {index: axis for axis, index in enumerate(s.indices)}
        for entry in entries(s.expr) if s.name in names else ():
            places = ((axes[i], 0) if i in axes else None for i in entry.indices)
            reads.append(Read(s.name, entry.tensor, tuple(places), str(entry)))
    for shift in shifts:
        if shift.name not in names:
            continue
        steps = ((k, shift.by * (k == shift.axis)) for k in range(len(shift.indices)))
        reads.append(Read(shift.name, shift.source, tuple(steps), shift.source))
        axes = {index: axis for axis, index in enumerate(shift.indices)}
        for entry in entries(shift.outside):
            around = ((axes[i], 0) for i in entry.indices)
            reads.append(Read(shift.name, entry.tensor, tuple(around), str(entry)))
    return [r for r in reads if r.source in names]


def arranged(
    statements: Sequence[Statement], shifts: Sequence[Shift], outer: Sequence[Index] = ()
) -> tuple[str | Loop, ...]:
    """Statements and shifts by name, in an order of evaluation, those of a cycle in a loop.

    Where loops could be nested either way, that over an index of `outer` is outside those over later ones.
    """
    indices = {s.name: s.indices for s in shifts} | {s.name: s.indices for s in statements}

    def rank(name: str, axis: int) -> int:
        index = indices[name][axis]
        return outer.index(index) if index in outer else len(outer)

    try:
        return arrange([*indices], reads_between(statements, shifts, {*indices}), rank)
    except CycleError as error:
        raise CompilerError(f"no order of evaluation: {error}") from None


def unshifted(expr: Expr, program: Program, shifts: Iterable[Shift] = ()) -> Expr:
    """The expression with what is read of other steps written as such: h[s, t − 1, a], and h[s, T − 1, a] at the end.

    `shifts` are those of adjoints.
    """
    table = {s.name: s for s in (*program.shifts, *shifts)}
    ends = {end: tensor for tensor, end in program.ends.items()}
    last = {eq.name: eq.expr for eq in program.equations if eq.name in ends}

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, Entry):
            return None
        if node.tensor in table:
            shift = table[node.tensor]
            places = list(node.indices)
            places[shift.axis] += shift.by
            return Entry(shift.source, *places)
        if node.tensor in last:
            own = dict(zip(program.indices_of(node.tensor), node.indices))
            return Entry(ends[node.tensor], *(own.get(p, p) for p in last[node.tensor].indices))
        return None

    found: Expr = transform(expr, visit)
    return found


@dataclass(frozen=True)
class Partial:
    """∂y[I]/∂z[J] of one equation: all axes of y, then all axes of z (fresh indices)."""

    output: str
    input: str
    output_indices: tuple[Index, ...]
    input_indices: tuple[Index, ...]
    derived: Expr  # as it leaves the derivative, every δ still there
    expr: Expr  # inner δ contracted, and in terms of forward values where that is shorter
    terms: tuple[tuple[Expr, Expr], ...]  # the same as (product of δ, coefficient) pairs
    steps: tuple[Step, ...] = ()  # from `derived` to `expr`
    origin: tuple[Step, ...] = ()  # from the equation to `derived`

    @property
    def diagonal(self) -> dict[Index, Index]:
        """Input index -> output index, wherever the partial is 0 unless the two agree. Each stands in one pair."""
        found: dict[Index, Index] = {}
        for j in self.input_indices:
            for i in self.output_indices:
                free = j not in found and i not in found.values()
                if free and all(Delta(i, j) in factors(delta) for delta, _ in self.terms):
                    found[j] = i
        return found

    def on_diagonal(self, expr: Expr) -> Expr:
        """A form of this partial where those indices agree."""
        return substitute(expr, self.diagonal)


@dataclass(frozen=True)
class Adjoint:
    """∂L/∂z[J] = expr, an equation for the tensor `name`."""

    tensor: str
    name: str
    indices: tuple[Index, ...]
    paths: tuple[str, ...]  # the equations that read z: more than one is a fan-out
    chain: Expr  # the chain rule: Σ over paths Σ_I ∂L/∂y[I] ∂y[I]/∂z[J], over those I where the partial is not 0
    expr: Expr  # contracted and simplified
    steps: tuple[Step, ...] = ()  # from `chain` to `expr`
    origin: tuple[Step, ...] = ()  # from ∂L/∂z to `chain`


@dataclass(frozen=True)
class AdjointProgram:
    """The forward program with the adjoints, in an order of evaluation (reverse of the forward one)."""

    program: Program
    partials: tuple[Partial, ...]
    adjoints: tuple[Adjoint, ...]
    wrt: tuple[str, ...]  # the tensors whose gradients the user wants, in the order returned
    seeds: Mapping[str, str]  # of a layer: output -> name of its adjoint, an argument of backward
    shifts: tuple[Shift, ...] = ()  # of adjoints

    def adjoint_names(self) -> dict[str, str]:
        """tensor -> name of its adjoint, seeds included."""
        return {**self.seeds, **{a.tensor: a.name for a in self.adjoints}}

    def tensors(self) -> dict[str, str]:
        """name of an adjoint -> its tensor; an output that is read again has two, the given one and the total."""
        return {seed: o for o, seed in self.seeds.items()} | {
            a.name: a.tensor for a in self.adjoints
        }

    def steps(self) -> tuple[Step, ...]:
        """Every step of differentiation and simplification, partials first, each in order."""
        owners: tuple[Partial | Adjoint, ...] = (*self.partials, *self.adjoints)
        return tuple(step for x in owners for step in (*x.origin, *x.steps))

    def with_adjoints(self, adjoints: tuple[Adjoint, ...]) -> AdjointProgram:
        return replace(self, adjoints=adjoints)


def check_expression(
    expr: Expr, free: frozenset[Index], ranks: Mapping[str, int], subject: str
) -> None:
    """Free indices are declared, each bound index is bound once, each entry has its tensor's rank."""
    if not free_indices(expr) <= free:
        extra = sorted(i.name for i in free_indices(expr) - free)
        raise CompilerError(f"{subject}: free indices {extra} that its left side lacks")
    for entry in entries(expr):
        if entry.tensor not in ranks:
            raise CompilerError(f"{subject}: reads {entry.tensor}, which nothing before it defines")
        if len(entry.indices) != ranks[entry.tensor]:
            raise CompilerError(f"{subject}: {entry} has the wrong number of indices")
    for node in walk(expr):
        if isinstance(node, Reduce):
            if not all(isinstance(i, Idx) for i in node.indices):
                raise CompilerError(f"{subject}: {node} binds something that is no index")
            if len(set(node.indices)) != len(node.indices) or set(node.indices) & free:
                raise CompilerError(f"{subject}: {node} binds an index that is in use")
            if not set(node.indices) <= free_indices(node.body):
                raise CompilerError(f"{subject}: {node} sums over an index that its body lacks")


def check_program(program: Program) -> None:
    """Every equation reads only what stands before it."""
    ranks = {n: len(d.indices) for n, d in program.declarations.items() if d.kind != "defined"}
    ranks |= {s.name: len(s.indices) for s in program.shifts}
    for eq in program.equations:
        check_expression(eq.expr, frozenset(eq.indices), ranks, eq.name)
        ranks[eq.name] = len(eq.indices)


def check_adjoint(adjoint: AdjointProgram) -> None:
    """The forward program holds, and every adjoint reads forward values and adjoints before it."""
    check_program(adjoint.program)
    ranks = {n: len(d.indices) for n, d in adjoint.program.declarations.items()}
    ranks |= {eq.name: len(eq.indices) for eq in adjoint.program.equations}
    ranks |= {seed: ranks[output] for output, seed in adjoint.seeds.items()}
    ranks |= {s.name: len(s.indices) for s in adjoint.shifts}
    for a in adjoint.adjoints:
        check_expression(a.expr, frozenset(a.indices), ranks, f"∂L/∂{a.tensor}")
        ranks[a.name] = len(a.indices)
