"""Tensors that refer to themselves at another step: which of their entries do, and in which loops they are computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sympy import Expr, Idx, Indexed, Integer

from symbp.errors import ModelError
from symbp.ir.loops import CycleError, Loop, Read, arrange, names_in
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import Index, size_of
from symbp.validate import same_size


def step_of(declaration: Declaration, places: Sequence[Expr]) -> tuple[Index, int] | None:
    """(t, k) where a recurrent tensor is read at t + k of the axis that it runs over, k ≠ 0; else None."""
    if declaration.over is None:
        return None
    index, step = _stepped(places[declaration.indices.index(declaration.over)])
    if index is None or not step or not same_size(size_of(index), size_of(declaration.over)):
        return None
    return index, step


def _stepped(place: Expr) -> tuple[Index | None, int]:
    """(t, k) of a place t + k."""
    offset, index = place.as_coeff_Add()
    if isinstance(index, Idx) and isinstance(offset, Integer):
        return index, int(offset)
    return None, 0


def unstepped(declaration: Declaration, places: Sequence[Expr]) -> tuple[Expr, ...]:
    """The places with t for t − 1 on the axis that a recurrent tensor runs over: there, any step may be read."""
    found = step_of(declaration, places)
    if found is None:
        return tuple(places)
    axis = declaration.indices.index(declaration.over)
    return (*places[:axis], found[0], *places[axis + 1 :])


def arranged(
    equations: Iterable[Equation], declarations: Mapping[str, Declaration]
) -> tuple[tuple[Equation, ...], tuple[str | Loop, ...]]:
    """The equations in an order of evaluation, and the same by name with those of each cycle in a loop.

    Raises `ModelError` for a cycle that no loop can compute, which it draws by name.
    """
    table = {eq.name: eq for eq in equations}
    reads = [r for eq in table.values() for r in _reads(eq, declarations) if r.source in table]
    try:
        order = arrange(list(table), reads)
    except CycleError as error:
        last = [name for name in table if name in error.cycle][-1]
        raise ModelError(str(error), table[last].where) from None
    return tuple(table[name] for name in names_in(order)), order


def _reads(eq: Equation, declarations: Mapping[str, Declaration]) -> Iterator[Read]:
    """Every place where an equation, or what stands for its tensor before the first step, reads a tensor."""
    axes = {index: axis for axis, index in enumerate(eq.indices)}
    initial = declarations[eq.name].initial
    parts = [eq.expr] if initial is None else [eq.expr, initial]
    for entry in sorted({e for part in parts for e in part.atoms(Indexed)}, key=str):
        declaration = declarations[str(entry.base.label)]
        stepped = step_of(declaration, entry.indices)
        places: list[tuple[int, int] | None] = []
        for place in entry.indices:
            index, step = _stepped(place)
            known = index in axes and (step == 0 or stepped == (index, step))
            places.append((axes[index], step) if known else None)
        yield Read(eq.name, declaration.name, tuple(places), str(entry))
    for symbol in sorted({s for part in parts for s in part.free_symbols}, key=str):
        if symbol.name in declarations and not declarations[symbol.name].indices:
            yield Read(eq.name, symbol.name, (), symbol.name)
