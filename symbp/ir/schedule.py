"""What to compute, in which order, and what to keep: the program as straight-line equations for three functions."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Basic, Expr, Idx, Symbol

from symbp.errors import CompilerError
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    Slope,
    entries,
    free_indices,
    size_of,
    tensors_of,
    walk,
)
from symbp.ir.program import AdjointProgram, check_expression


@dataclass(frozen=True)
class Assign:
    """name[indices] = expr: one statement. `meaning` is its formula before stabilising and sharing."""

    name: str
    indices: tuple[Index, ...]
    expr: Expr
    meaning: Expr
    like: str  # a tensor with the working dtype, read where `expr` itself reads none
    owned: bool = False  # whether it is handed to the user, and so must be no view of another array


@dataclass(frozen=True)
class Schedule:
    """Statements of forward, backward and predict, each reading only what stands before it or comes from outside."""

    adjoint: AdjointProgram
    forward: tuple[Assign, ...]
    backward: tuple[Assign, ...]
    predict: tuple[Assign, ...]
    cache: tuple[
        str, ...
    ]  # what backward reads of forward: values, inputs, constants, sizes; never parameters


def reads_of(body: tuple[Assign, ...]) -> tuple[str, ...]:
    """What a body reads from outside itself: tensors, constants and sizes, in order of first use."""
    own = {a.name for a in body}
    found: dict[str, None] = {}
    for assign in body:
        tensors = tensors_of(assign.expr)
        if all(e.is_whole for e in entries(assign.expr)):
            tensors = (*tensors, assign.like)  # somewhere the dtype must come from
        for name in (*tensors, *symbols_of(assign)):
            if name not in own:
                found[name] = None
    return tuple(found)


def symbols_of(assign: Assign) -> tuple[str, ...]:
    """The constants and sizes that a statement needs: those in its formula, and those of the axes it must build."""
    found: dict[str, None] = {}

    def take(expr: Expr) -> None:
        for node in walk(expr):
            if isinstance(node, Symbol) and node.name not in found:
                found[node.name] = None

    def positions(expr: Expr) -> None:
        """Symbols at fixed positions, x[T − 1]; an index used as a number or under δ needs its size."""
        if isinstance(expr, Entry):
            for index in expr.indices:
                if isinstance(index, Entry):
                    positions(index)
                elif not isinstance(index, Idx):
                    take(index)
                    for moving in free_indices(index):
                        take(size_of(moving))
            for index in arranged(expr):
                take(size_of(index))
        elif isinstance(expr, Idx):
            take(size_of(expr))
        elif isinstance(expr, Symbol):
            take(expr)
        elif isinstance(expr, Slope):
            positions(expr.reduction)
        else:
            for arg in expr.args[1:2] if isinstance(expr, Reduce) else expr.args:
                positions(arg)
            if isinstance(expr, Reduce) and any(isinstance(n, Delta) for n in walk(expr)):
                for index in free_indices(expr):
                    take(size_of(index))

    positions(assign.expr)
    builds = any(isinstance(n, Delta) for n in walk(assign.expr))
    if builds or not set(assign.indices) <= free_indices(assign.expr):
        for index in assign.indices:
            take(size_of(index))
    return tuple(found)


def is_gathered(place: Basic) -> bool:
    """Whether it depends on the values of an integer tensor: w[s], 1 + w[s]."""
    return any(isinstance(n, Entry) for n in walk(place))


def arranged(entry: Entry) -> frozenset[Index]:
    """The indices of an entry whose positions are written out, since they move together with a gather's."""
    if not any(map(is_gathered, entry.indices)):
        return frozenset()
    moved = frozenset[Index]().union(*map(free_indices, filter(is_gathered, entry.indices)))
    plain = [p for p in entry.indices if isinstance(p, Idx)]
    return frozenset(i for i in plain if i in moved or plain.count(i) > 1)


def check_schedule(schedule: Schedule) -> None:
    """Each body is in an order of evaluation, and the cache is exactly what backward reads of forward."""
    ranks = {n: len(d.indices) for n, d in schedule.adjoint.program.declarations.items()}
    outside = {n for n, d in schedule.adjoint.program.declarations.items() if d.kind != "defined"}
    for body, given in (
        (schedule.forward, outside),
        (schedule.predict, outside),
        (schedule.backward, outside | set(schedule.cache) | set(schedule.adjoint.seeds.values())),
    ):
        known = {n: ranks[n] for n in given if n in ranks}
        known |= {a.name: len(a.indices) for a in schedule.forward if a.name in given}
        known |= {s: ranks[o] for o, s in schedule.adjoint.seeds.items() if s in given}
        for assign in body:
            check_expression(assign.expr, frozenset(assign.indices), known, assign.name)
            if not free_indices(assign.expr) <= set(assign.indices):
                raise CompilerError(f"{assign.name}: a free index without an axis")
            known[assign.name] = len(assign.indices)
