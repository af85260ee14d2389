"""What a statement reads: which of its nodes are there already, as variables or views on them, and which not."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from symbp.fast.arrays import Array, array_of, numbers
from symbp.fast.source import Text, names
from symbp.fast.values import Place, Values


@dataclass
class Reader(Values):
    """Reads expressions. `text` has the statement at hand."""

    text: Text = field(default_factory=lambda: Text(""))

    def array(self, node: ast.expr) -> Array:
        """What is known of the value of a node."""
        return array_of(node, self.known)

    def reads(self, nodes: Sequence[ast.expr], place: Place) -> bool:
        """Whether an expression reads memory that the place may be part of."""
        return any(self.meet(names(node), place) for node in nodes)

    def is_view(self, node: ast.expr) -> bool:
        """Whether a node is a variable, or a view on one."""
        match node:
            case ast.Name():
                return True
            case _ if node in self.text.replaced:
                return True
            case ast.Attribute(value=value, attr="T"):
                return self.is_view(value)
            case ast.Subscript(value=value):
                return self.is_view(value) and not self.is_gather(node)
            case ast.Call(func=ast.Attribute(value=value, attr="transpose" | "swapaxes")):
                return self.is_view(value)
            case ast.Call(func=ast.Attribute(value=value, attr="reshape")):
                return self.is_view(value)
            case ast.Call(func=ast.Name(id="sliding_window_view")):
                return self.is_view(node.args[0])
        return False

    def is_gather(self, node: ast.Subscript) -> bool:
        """Whether an array of places stands among the subscripts."""
        return self.is_gathered(slots_of(node))

    def is_gathered(self, slots: Sequence[ast.expr]) -> bool:
        """Whether one of some subscripts is an array of places."""
        plain = (ast.Slice, ast.Constant)
        return any(not isinstance(p, plain) and self.array(p).rank > 0 for p in slots)

    def is_direct(self, node: ast.expr) -> bool:
        """Whether a transposed value can be written to its place as fast as the value itself."""
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="transpose"), args=args):
                order = [n for a in args for n in numbers(a)]
                match value:
                    case ast.BinOp(op=ast.MatMult()):
                        return len(order) > 2 and order[-1] == len(order) - 1
                    case ast.Subscript() if self.is_gather(value):
                        return self.to_front(value, order)
        return False

    def to_front(self, node: ast.Subscript, order: Sequence[int]) -> bool:
        """Whether an order brings the axes of the places that a tensor is read at before all others."""
        *before, rows = slots_of(node)
        if self.is_gathered(before) or not isinstance(rows, ast.Name):
            return False
        axis, rank = len(before), self.array(rows).rank
        rest = [k for k in range(len(order)) if not axis <= k < axis + rank]
        return list(order) == [*range(axis, axis + rank), *rest]

    def fits(self, node: ast.expr, place: Place) -> bool:
        """Whether a value that has to be computed can be computed in the place."""
        array = self.array(node)
        same = array.shape == place.array.shape and array.kind == place.array.kind
        return same and not self.is_view(node)


def named_arguments(node: ast.expr) -> dict[str, ast.expr]:
    """The arguments by name of a call."""
    found = node.keywords if isinstance(node, ast.Call) else []
    return {k.arg: k.value for k in found if k.arg is not None}


def slots_of(node: ast.Subscript) -> list[ast.expr]:
    """What stands between the brackets."""
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
