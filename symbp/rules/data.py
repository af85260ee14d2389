"""What the user states about data."""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Basic, Expr, Mul

from symbp.ir.network import Declaration
from symbp.ir.nodes import Entry, Reduce, factors, free_indices, transform
from symbp.rewrite import pull_out


def sums_to_one(expr: Expr, declarations: Mapping[str, Declaration]) -> Expr:
    """Σ_i t_si f = f where t was declared to sum to 1 over i and f lacks i."""

    def visit(node: Basic) -> Basic | None:
        if not (isinstance(node, Reduce) and node.reducer == "sum"):
            return None
        body = factors(node.body)
        for factor in body:
            index = _stated_index(factor, declarations)
            rest = Mul(*(f for f in body if f is not factor))
            if index in node.indices and index not in free_indices(rest):
                others = tuple(i for i in node.indices if i != index)
                if not free_indices(factor) & set(others):
                    return pull_out(rest, others)
        return None

    found: Expr = transform(expr, visit)
    return found


def _stated_index(factor: Expr, declarations: Mapping[str, Declaration]) -> Expr | None:
    """What stands, once, on the axis over which an input sums to 1."""
    if not isinstance(factor, Entry) or factor.tensor not in declarations:
        return None
    declaration = declarations[factor.tensor]
    if declaration.sums_to_one is None:
        return None
    index = factor.indices[declaration.indices.index(declaration.sums_to_one)]
    return index if factor.indices.count(index) == 1 else None
