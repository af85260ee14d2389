"""The scalar function around the nodes of an expression, for SymPy to work on."""

from __future__ import annotations

from collections.abc import Callable

from sympy import (
    Basic,
    Expr,
    Idx,
    Symbol,
)  # fmt: skip

from symbp.ir.nodes import Entry, Head, Reduce, Slope, rebuild


class Slot(Symbol):
    """A stand-in for a node while SymPy works on the scalar function around it."""


def slotted(
    expr: Expr, outermost: Callable[[Basic], bool]
) -> tuple[Expr, dict[Basic, Slot], dict[Basic, Expr]]:
    """The scalar function around the outermost nodes that a test accepts.

    Gives (the expression in slots, node -> slot, slot -> node).
    """
    slots: dict[Basic, Slot] = {}

    def visit(node: Basic) -> Basic:
        if outermost(node):
            if node not in slots:
                slots[node] = Slot(f"slot{len(slots)}", real=True)
            return slots[node]
        if not node.args or isinstance(node, Idx):
            return node
        return rebuild(node, [visit(a) for a in node.args])

    return visit(expr), slots, {s: n for n, s in slots.items()}


def is_leaf(node: Basic) -> bool:
    """Whether a node is an array to the scalar function around it: an entry, a reduction, an index used as a number."""
    return isinstance(node, (Entry, Reduce, Slope, Idx, Head))
