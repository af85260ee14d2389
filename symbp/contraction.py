"""Σ over a product of many arrays as nested sums over pairs, in the order that costs least in the symbolic sizes.

    Σ_{j,k} A_ij B_jk c_k = Σ_j A_ij (Σ_k B_jk c_k)

A pair is summed as soon as no other factor has its index. Partial sums are values of their own,
so equal ones are shared.
"""

from __future__ import annotations

from functools import lru_cache

from sympy import Add, Basic, Expr, Mul

from symbp.ir.nodes import Index, Reduce, factors, free_indices, sum_over, transform
from symbp.rewrite import contract, flattened, is_contraction, split_gathers, volume

MOST_EXACT = 6  # operands up to which every order is tried


def nest(expr: Expr) -> Expr:
    """Every sum in an expression as sums over pairs; a sum over terms that are contractions, term by term."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Reduce) and node.reducer == "sum":
            return _nested(node)
        return None

    found: Expr = transform(split_wide(expr), visit)
    return found


def split_wide(expr: Expr) -> Expr:
    """Σ_s u_si (x_sj − m_ij) = Σ_s u_si x_sj − m_ij Σ_s u_si: no array over s, i and j together is ever built."""

    def visit(node: Basic) -> Basic | None:
        if not (isinstance(node, Reduce) and node.reducer == "sum"):
            return None
        if isinstance(node.body, Add) and any(map(is_contraction, node.body.args)):
            return split_wide(contract(node.body, node.indices))
        own = factors(node.body)
        for k, factor in enumerate(own):
            if len(own) > 1 and isinstance(factor, Add) and is_wide(factor):
                rest = Mul(*own[:k], *own[k + 1 :])
                return split_wide(Add(*(contract(rest * t, node.indices) for t in factor.args)))
        return None

    found: Expr = transform(expr, visit)
    return found


def is_wide(expr: Expr) -> bool:
    """Whether an expression is a sum or product with more axes than any array that is in it."""
    axes = free_indices(expr)
    if not isinstance(expr, (Add, Mul)):
        return False
    return all(free_indices(a) != axes or is_wide(a) for a in expr.args)


def _nested(node: Reduce) -> Expr:
    bound = frozenset(node.indices)
    if flattened(node.body, node.indices) is not None:
        return nest(contract(node.body, node.indices))
    deltas, rest = split_gathers(node.body)
    if deltas != 1:
        return _placed(node, deltas, rest)
    outside, operands = _operands(node.body, bound)
    operands = [_summed_alone(k, operands, bound) for k in range(len(operands))]
    while len(operands) > 2:
        a, b = _best_pair(tuple(free_indices(o) for o in operands), bound)
        others = [o for k, o in enumerate(operands) if k not in (a, b)]
        operands = [_pair(operands[a] * operands[b], others, bound), *others]
    return outside * _pair(Mul(*operands), [], bound)


def _placed(node: Reduce, deltas: Expr, rest: Expr) -> Expr:
    """Σ_sa δ(j, w[s]) u_sa = Σ_s δ(j, w[s]) Σ_a u_sa: what goes to a place is summed before it goes there."""
    kept = tuple(i for i in node.indices if i in free_indices(deltas))
    inner = tuple(i for i in node.indices if i not in kept)
    return sum_over(deltas * nest(sum_over(rest, inner)), kept)


def _pair(product: Expr, others: list[Expr], bound: frozenset[Index]) -> Expr:
    elsewhere = frozenset().union(*(free_indices(o) for o in others))
    done = (free_indices(product) & bound) - elsewhere
    return sum_over(product, tuple(sorted(done, key=lambda i: i.name)))


def _operands(body: Expr, bound: frozenset[Index]) -> tuple[Expr, list[Expr]]:
    """(factors that lack every bound index, the others grouped by their axes)."""
    groups: dict[frozenset[Index], Expr] = {}
    for factor in factors(body):
        axes = free_indices(factor)
        groups[axes] = groups.get(axes, Mul()) * factor
    outside = Mul(*(f for axes, f in groups.items() if not axes & bound))
    return outside, [f for axes, f in groups.items() if axes & bound]


def _summed_alone(k: int, operands: list[Expr], bound: frozenset[Index]) -> Expr:
    """An operand summed over the bound indices that it alone has."""
    if len(operands) == 1:
        return operands[0]
    return _pair(operands[k], operands[:k] + operands[k + 1 :], bound)


def _best_pair(sets: tuple[frozenset[Index], ...], bound: frozenset[Index]) -> tuple[int, int]:
    if len(sets) <= MOST_EXACT:
        return _cheapest(sets, bound)[1]
    pairs = [(a, b) for a in range(len(sets)) for b in range(a + 1, len(sets))]
    return min(pairs, key=lambda p: volume(sets[p[0]] | sets[p[1]]))


@lru_cache(maxsize=4096)
def _cheapest(
    sets: tuple[frozenset[Index], ...], bound: frozenset[Index]
) -> tuple[int, tuple[int, int]]:
    """(multiplications in the best order, the pair that it begins with)."""
    best = (0, (0, 0))
    for a in range(len(sets)):
        for b in range(a + 1, len(sets)):
            others = tuple(s for k, s in enumerate(sets) if k not in (a, b))
            both = sets[a] | sets[b]
            result = frozenset(i for i in both if i not in bound or any(i in s for s in others))
            total = volume(both) + _cheapest((result, *others), bound)[0]
            if best == (0, (0, 0)) or total < best[0]:
                best = total, (a, b)
    return best
