"""What to compute, in which order, and what to keep: the program as straight-line equations for three functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    is_placed,
    size_of,
    tensors_of,
    walk,
)
from symbp.ir.program import AdjointProgram, Shift, check_expression
from symbp.ir.trace import Step


@dataclass(frozen=True)
class Assign:
    """name[indices] = expr: one statement. `meaning` is its formula before stabilising and sharing.

    In a loop, the index of the steps is a symbol of `expr` and none of `indices`; `at` are the places of an array that
    is kept for all steps, and `label` the indices that the formula has.
    """

    name: str
    indices: tuple[Index, ...]
    expr: Expr
    meaning: Expr
    like: str  # a tensor with the working dtype, read where `expr` itself reads none
    owned: bool = False  # whether it is handed to the user, and so must be no view of another array
    is_mask: bool = False  # whether its values are booleans, read through a `Mask`
    at: tuple[Expr, ...] | None = None
    label: tuple[Index, ...] | None = None

    @property
    def places(self) -> tuple[Expr, ...]:
        """Where in its array it is written."""
        return self.indices if self.at is None else self.at


@dataclass(frozen=True)
class Allocate:
    """An array for all steps of a tensor, and in it, shifted, what is read of other steps.

    Such an array has as many places more as the longest step goes outside the range, before and behind.
    """

    name: str
    indices: tuple[Index, ...]
    like: str
    axis: int  # of the steps that the shifts go along
    shifts: tuple[Shift, ...]
    whole: str  # the name of the array, where tensor and shifts are views on it


@dataclass(frozen=True)
class Fill:
    """What stands at the places of a shifted tensor outside the steps. `at` are its places, fixed for loops around."""

    shift: Shift
    at: tuple[Expr, ...]
    like: str


@dataclass(frozen=True)
class Displace:
    """A shifted tensor as an array of its own, where there is no loop that both run in."""

    shift: Shift
    like: str


@dataclass(frozen=True)
class Repeat:
    """A loop over the steps of an index, whose name is that of the variable."""

    index: Index
    forward: bool
    body: tuple[Statement, ...]


Statement = Assign | Allocate | Displace | Fill | Repeat


def assigns(body: Iterable[Statement]) -> Iterator[Assign]:
    """Every assignment, those in loops too, in order."""
    for statement in body:
        if isinstance(statement, Repeat):
            yield from assigns(statement.body)
        elif isinstance(statement, Assign):
            yield statement


@dataclass(frozen=True)
class Schedule:
    """Statements of forward, backward and predict, each reading only what stands before it or comes from outside."""

    adjoint: AdjointProgram
    forward: tuple[Statement, ...]
    backward: tuple[Statement, ...]
    predict: tuple[Statement, ...]
    cache: tuple[
        str, ...
    ]  # what backward reads of forward: values, inputs, constants, sizes; never parameters
    trace: tuple[Step, ...] = ()  # from equations and adjoints to what each line computes


def arrays(body: Iterable[Statement]) -> dict[str, tuple[Index, ...]]:
    """The axes of every array that statements make."""
    found: dict[str, tuple[Index, ...]] = {}
    for statement in body:
        if isinstance(statement, Repeat):
            found |= arrays(statement.body)
        elif isinstance(statement, Allocate):
            names = (statement.name, *(s.name for s in statement.shifts))
            found |= dict.fromkeys(names, statement.indices)
        elif isinstance(statement, Displace):
            found[statement.shift.name] = statement.shift.indices
        elif isinstance(statement, Assign) and statement.at is None:
            found[statement.name] = statement.indices
    return found


def loop_variables(body: Iterable[Statement]) -> set[str]:
    """The names of all loops' variables."""
    loops = [s for s in body if isinstance(s, Repeat)]
    return {s.index.name for s in loops}.union(*(loop_variables(s.body) for s in loops))


def reads_of(body: Iterable[Statement]) -> tuple[str, ...]:
    """What a body reads from outside itself: tensors, constants and sizes, in order of first use."""
    own: set[str] = set()
    found: dict[str, None] = {}
    for name, defined in _mentioned(body):
        if defined:
            own.add(name)
        else:
            found[name] = None
    return tuple(name for name in found if name not in own)


def _mentioned(body: Iterable[Statement]) -> Iterator[tuple[str, bool]]:
    """(name, whether it is defined there) of what statements read and define."""
    for statement in body:
        if isinstance(statement, Assign):
            tensors = tensors_of(statement.expr)
            if all(e.is_whole for e in entries(statement.expr)):
                tensors = (*tensors, statement.like)  # somewhere the dtype must come from
            yield from ((name, False) for name in (*tensors, *symbols_of(statement)))
            yield statement.name, True
            continue
        if isinstance(statement, Repeat):
            sizes = size_of(statement.index).free_symbols
            yield statement.index.name, True
            yield from _mentioned(statement.body)
        elif isinstance(statement, Allocate):
            sizes = {s for i in statement.indices for s in size_of(i).free_symbols}
            yield statement.like, False
            for name in (statement.name, *(s.name for s in statement.shifts)):
                yield name, True
        else:
            shift = statement.shift
            sizes = {s for i in shift.indices for s in size_of(i).free_symbols}
            read = tensors_of(shift.outside)
            sizes |= set() if read else shift.outside.free_symbols
            yield from ((name, False) for name in read)
            if isinstance(statement, Displace):
                yield from ((shift.source, False), (statement.like, False), (shift.name, True))
        yield from ((size.name, False) for size in sorted(sizes, key=str))


def batch_sizes(body: Iterable[Statement]) -> tuple[str, ...]:
    """The sizes that only say how many results are alike, and so may be 0.

    Nothing is reduced over their indices, stepped along them, read at places computed from them, or computed from them.
    """
    alike: set[Index] = set()
    other: set[Index] = set()
    numbers: set[str] = set()
    for statement in _flat(body):
        if isinstance(statement, Assign):
            nodes = [n for e in (statement.expr, *statement.places) for n in walk(e)]
            places = [p for n in nodes if isinstance(n, Entry) for p in n.indices]
            alike |= {n for n in nodes if isinstance(n, Idx)}
            other |= {i for n in nodes if isinstance(n, Reduce) for i in n.indices}
            other |= {i for p in places if not isinstance(p, (Idx, Entry)) for i in free_indices(p)}
            numbers |= {n.name for n in nodes if isinstance(n, Symbol)}
        elif isinstance(statement, Repeat):
            other.add(statement.index)
        elif isinstance(statement, (Displace, Fill)):
            other.add(statement.shift.over)
    sizes = {size_of(i) for i in alike}
    numbers |= {s.name for i in other for s in size_of(i).free_symbols}
    numbers |= {s.name for size in sizes if not size.is_Symbol for s in size.free_symbols}
    return tuple(sorted({size.name for size in sizes if size.is_Symbol} - numbers))


def _flat(body: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement, loops before what is in them."""
    for statement in body:
        yield statement
        if isinstance(statement, Repeat):
            yield from _flat(statement.body)


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
            is_split = any(map(is_placed, expr.indices))  # x[s, 2 p + a] by the shape (n, P, 2)
            for index in filter(lambda p: isinstance(p, Idx), expr.indices) if is_split else ():
                take(size_of(index))
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
    program = schedule.adjoint.program
    declared = {n: len(d.indices) for n, d in program.declarations.items()}
    outside = {n: declared[n] for n, d in program.declarations.items() if d.kind != "defined"}
    forward = {a.name: len(a.indices if a.at is None else a.at) for a in assigns(schedule.forward)}
    forward |= {s.name: len(s.indices) for s in program.shifts}
    given = {s: declared[o] for o, s in schedule.adjoint.seeds.items()}
    given |= {n: rank for n, rank in forward.items() if n in schedule.cache}
    _check_body(schedule.forward, dict(outside))
    _check_body(schedule.predict, dict(outside))
    _check_body(schedule.backward, outside | given)


def _check_body(body: Iterable[Statement], ranks: dict[str, int]) -> None:
    for statement in body:
        if isinstance(statement, Repeat):
            _check_body(statement.body, ranks)
        elif isinstance(statement, Allocate):
            for name in (statement.name, *(s.name for s in statement.shifts)):
                ranks[name] = len(statement.indices)
        elif isinstance(statement, Displace):
            ranks[statement.shift.name] = len(statement.shift.indices)
        elif isinstance(statement, Assign):
            free = frozenset(statement.indices)
            check_expression(statement.expr, free, ranks, statement.name)
            if not free_indices(statement.expr) <= free:
                raise CompilerError(f"{statement.name}: a free index without an axis")
            if statement.at is None:
                ranks[statement.name] = len(statement.indices)
            elif ranks.get(statement.name) != len(statement.at):
                raise CompilerError(f"{statement.name}: is written to before there is an array")
