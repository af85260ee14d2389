"""What the pictures of a derivation show: the network as a graph, and the chain rule along its longest path."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr, S, Symbol

from symbp.ir.nodes import Entry, Index, tensors_of, walk
from symbp.ir.program import AdjointProgram, Partial, Program, reached, unshifted
from symbp.naming import standard_names
from symbp.notation import text
from symbp.notation.style import Notation
from symbp.pictures.graph import Chain, Edge, Graph, Node


def network_graph(adjoint: AdjointProgram, write: Notation) -> Graph:
    """The equations and what they read; what a recurrence reads of another step is a node of kind "step"."""
    program = adjoint.program
    edges = tuple(_edges(adjoint, write))
    paths: dict[str, int] = {}
    for edge in edges:
        paths[edge.source] = paths.get(edge.source, 0) + bool(edge.partial)
    copies = _copies(program)

    def node(name: str, kind: str, expr: Expr | None = None) -> Node:
        if name == program.loss:
            kind, title, plain = "loss", write.loss, "L"
        else:
            whole = unshifted(Entry(name, *copies.get(name, program.indices_of(name))), program)
            title, plain = write.formula(whole), text(whole)
        if name in copies:
            kind, expr = "step", None
        equation = "" if expr is None else _formula(expr, adjoint, write)
        return Node(name, kind, title, plain, equation, max(1, paths.get(name, 0)))

    nodes = {
        d.name: node(d.name, d.kind) for d in program.declarations.values() if d.kind != "defined"
    }
    for eq in program.equations:
        for name in _reads(eq.expr, program):
            if name not in nodes:  # of a recurrence: every other tensor stands before its readers
                nodes[name] = node(name, "step")
        nodes[eq.name] = node(eq.name, "defined", eq.expr)
    return Graph(tuple(nodes.values()), tuple(e for e in edges if e.target in nodes))


def longest_chain(adjoint: AdjointProgram, write: Notation) -> Chain | None:
    """The chain rule along the longest path, within a step, from the loss (or an output) to what is asked for.

    Of equally long paths it is the one through the equations that come first. None where nothing that is asked for
    leads to the loss. That of a layer begins with the adjoint of an output, which is given.
    """
    program = adjoint.program
    ends = {end: tensor for tensor, end in program.ends.items()}
    top = program.outputs if program.loss is None else (program.loss,)
    paths: dict[str, tuple[str, ...]] = {name: (name,) for name in top}
    for eq in reversed(program.equations):
        name = ends.get(eq.name, eq.name)
        for p in adjoint.partials:
            read = ends.get(p.input, p.input)
            if p.output == eq.name and name in paths and read not in paths[name]:
                longer = (*paths[name], read)
                paths[read] = max(longer, paths.get(read, ()), key=len)
    found = max((paths.get(name, ()) for name in adjoint.wrt), key=len, default=())
    if len(found) < 2:
        return None
    factors = [_symbol(above, below, adjoint, write) for above, below in zip(found, found[1:])]
    if program.loss is None:
        names = adjoint.adjoint_names()
        last, first = (write.formula(Entry(names[found[k]])) for k in (-1, 0))
        return Chain(last, (first, *factors), found)
    return Chain(_symbol(program.loss, found[-1], adjoint, write), tuple(factors), found)


def _edges(adjoint: AdjointProgram, write: Notation) -> Iterator[Edge]:
    program, names = adjoint.program, adjoint.adjoint_names()
    partials = {(p.output, p.input): p for p in adjoint.partials}
    goal = program.outputs if program.loss is None else (program.loss,)
    active = reached(goal, program.equations, program.shifts) - program.fixed
    copied = write.formula(S.One)  # of an adjoint that passes as it is
    for shift in program.shifts:
        for source in dict.fromkeys((shift.source, *tensors_of(shift.outside))):
            passed = copied if shift.name in active and source in names else ""
            yield Edge(source, shift.name, passed, steps=abs(shift.by) * (source == shift.source))
    for eq in program.equations:
        for tensor in _reads(eq.expr, program):
            if eq.name not in active or tensor not in names:
                yield Edge(tensor, eq.name)
            elif eq.name in program.ends.values():
                yield Edge(tensor, eq.name, copied)
            elif (eq.name, tensor) in partials:
                label = _formula(_local(partials[eq.name, tensor], program), adjoint, write)
                yield Edge(tensor, eq.name, label, _symbol(eq.name, tensor, adjoint, write))
            else:
                yield Edge(tensor, eq.name)


def _reads(expr: Expr, program: Program) -> tuple[str, ...]:
    """The tensors and the constants that an expression reads."""
    constants = {d.name for d in program.declarations.values() if d.kind == "constant"}
    symbols = (node.name for node in walk(expr) if isinstance(node, Symbol))
    return (*tensors_of(expr), *dict.fromkeys(s for s in symbols if s in constants))


def _local(p: Partial, program: Program) -> Expr:
    """A local partial where it is not 0."""
    free = (*p.output_indices, *(j for j in p.input_indices if j not in p.diagonal))
    return standard_names(p.on_diagonal(p.expr), free, program.indices)


def _symbol(above: str, below: str, adjoint: AdjointProgram, write: Notation) -> str:
    """∂above/∂below, without indices."""
    return write.partial(_bare(above, adjoint, write), _bare(below, adjoint, write))


def _bare(name: str, adjoint: AdjointProgram, write: Notation) -> str:
    """A tensor without indices; what is read of another step with them, for they tell which."""
    program = adjoint.program
    if name == program.loss:
        return write.loss
    copies = _copies(program)
    if name in copies:
        return _formula(Entry(name, *copies[name]), adjoint, write)
    return write.formula(Entry(name))


def _copies(program: Program) -> dict[str, tuple[Index, ...]]:
    """What stands for a tensor at another step, with its indices."""
    ends = {end: program.indices_of(end) for end in program.ends.values()}
    return {s.name: s.indices for s in program.shifts} | ends


def _formula(expr: Expr, adjoint: AdjointProgram, write: Notation) -> str:
    """A formula, with what is read of other steps written as such."""
    return write.formula(unshifted(expr, adjoint.program, adjoint.shifts))
