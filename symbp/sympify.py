"""The IR back in SymPy's own terms, for users: Indexed, Sum, KroneckerDelta, Piecewise, Max, Min."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import (
    Basic,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    Integer,
    KroneckerDelta,
    Max,
    Min,
    Ne,
    Or,
    Piecewise,
    Product,
    Sum,
    Symbol,
    exp,
    log,
)  # fmt: skip

from symbp.errors import CompilerError
from symbp.ir.functions import Largest, LogAddExp, SafeInverse, Smallest
from symbp.ir.nodes import Cases, Delta, Entry, Head, Index, Iverson, Reduce, Slope, opened
from symbp.maximum import Maximum

_REDUCERS = {"sum": Sum, "product": Product, "maximum": Maximum}


def to_sympy(expr: Basic, indices: Mapping[str, tuple[Index, ...]]) -> Any:
    """Plain SymPy that equals an expression of the IR. `indices` gives each tensor's own, for its shape."""

    def visit(node: Basic) -> Any:
        if isinstance(node, Idx) or not node.args:
            return node
        if isinstance(node, Entry):
            return _entry(node, indices)
        if isinstance(node, Reduce):
            if node.reducer not in _REDUCERS:
                raise CompilerError(f"to_sympy: SymPy has no {node.reducer} over indices")
            limits = ((i, i.lower, i.upper) for i in reversed(node.indices))
            return _REDUCERS[node.reducer](visit(node.body), *limits)
        if isinstance(node, Slope):  # of a product: Π_{c≠i} f_c
            own = zip(node.reduction.indices, node.place)
            others = Cases(node.reduction.body, Or(*(Ne(c, i) for c, i in own)), Integer(1))
            return visit(Reduce("product", others, *node.reduction.indices))
        args = [visit(a) for a in node.args]
        return _node(node, args)

    return visit(opened(expr))


def _entry(entry: Entry, indices: Mapping[str, tuple[Index, ...]]) -> Expr:
    label = Symbol(entry.tensor, **({"integer": True} if entry.is_whole else {"real": True}))
    if not entry.indices:
        return label
    shape = tuple(i.upper - i.lower + 1 for i in indices[entry.tensor])
    places = (to_sympy(place, indices) for place in entry.indices)
    return Indexed(IndexedBase(label, shape=shape), *places)


def _node(node: Basic, args: list[Any]) -> Any:
    if isinstance(node, Iverson):
        return Piecewise((Integer(1), args[0]), (Integer(0), True))
    if isinstance(node, Head):
        return args[0]
    if isinstance(node, Delta):
        return KroneckerDelta(*args)
    if isinstance(node, Cases):
        return Piecewise(*zip(args[:-1:2], args[1:-1:2]), (args[-1], True))
    if isinstance(node, SafeInverse):
        return Piecewise((1 / args[0], args[0] > 0), (Integer(0), True))
    if isinstance(node, LogAddExp):
        return log(exp(args[0]) + exp(args[1]))
    kind = {Largest: Max, Smallest: Min}.get(type(node), node.func)
    return kind(*args)
