"""Names of bound indices: apart from each other, the same wherever two expressions are the same, and the first free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Basic, Expr, Idx, Symbol

from symbp.ir.nodes import (
    Entry,
    Index,
    Reduce,
    Slope,
    prime,
    rebuild,
    substitute,
    walk,
)  # fmt: skip


def alpha(expr: Any, depth: int = 0) -> Any:
    """The expression with bound indices named by their depth alone: equal for any two that differ in those names."""
    if isinstance(expr, (Idx, Entry)) or not expr.args:
        return expr
    if isinstance(expr, Reduce):
        names = {
            i: Idx(Symbol(f"_bound{depth + k}", integer=True), (i.lower, i.upper))
            for k, i in enumerate(expr.indices)
        }
        expr = Reduce(expr.args[0], substitute(expr.body, names), *names.values())
        depth += len(names)
    return rebuild(expr, [alpha(a, depth) for a in expr.args])


def unify(exprs: Iterable[Expr]) -> list[Expr]:
    """Reductions that differ in the names of bound indices alone by one name in all: Σ_c e_c / Σ_i e_i = 1."""
    known: dict[Expr, Basic] = {}

    def visit(node: Any, scope: frozenset[Index]) -> Any:
        if isinstance(node, Idx) or not node.args:
            return node
        if not isinstance(node, Reduce):
            return rebuild(node, [visit(a, scope) for a in node.args])
        found = known.setdefault(alpha(node), node)
        if found is not node and not bound_indices(found) & scope:
            return found
        return rebuild(node, [visit(a, scope.union(node.indices)) for a in node.args])

    return [visit(expr, frozenset()) for expr in exprs]


def bound_indices(expr: Basic) -> set[Index]:
    """Every index that some reduction in the expression binds."""
    return {i for n in walk(expr) if isinstance(n, Reduce) for i in n.indices}


def fresh_index(index: Index, taken: set[Index], pool: tuple[Index, ...]) -> Index:
    """The index itself if it is not taken; else a free one of the user's over the same range; else a primed one."""
    if index not in taken and all(index.name != t.name for t in taken):
        return index
    names = {t.name for t in taken}
    for other in pool:
        if (other.lower, other.upper) == (index.lower, index.upper) and other.name not in names:
            return other
    return prime(index, names)


def standard_names(expr: Expr, free: Iterable[Index], pool: tuple[Index, ...]) -> Expr:
    """Bound indices renamed apart from the free ones and each other: the user's own names first, then primes.

    Sums that stand side by side may reuse a name; one inside another never does.
    """
    return _standard(expr, frozenset(free), pool)


def _standard(
    expr: Expr, taken: frozenset[Index], pool: tuple[Index, ...], sort: bool = True
) -> Expr:
    if not expr.args or isinstance(expr, Idx):
        return expr
    if not isinstance(expr, Reduce):
        # a slope has a place for each index of its reduction, in their order
        sort = not isinstance(expr, Slope)
        return rebuild(expr, [_standard(a, taken, pool, sort) for a in expr.args])
    mapping: dict[Basic, Expr] = {}
    used = set(taken)
    for index in expr.indices:
        mapping[index] = _first_free(index, used, pool)
        used.add(mapping[index])
    body = substitute(expr.body, mapping)
    indices = list(mapping.values())
    if sort:
        indices.sort(key=lambda i: pool.index(i) if i in pool else len(pool))
    return Reduce(expr.args[0], _standard(body, frozenset(used), pool), *indices)


def _first_free(index: Index, used: set[Index], pool: tuple[Index, ...]) -> Index:
    names = {t.name for t in used}
    same = [p for p in pool if (p.lower, p.upper) == (index.lower, index.upper)]
    for candidate in same:
        if candidate.name not in names:
            return candidate
    base = same[0] if same else index
    return prime(base, names) if base.name in names else base
