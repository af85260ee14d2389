"""The derivative of one expression: where it reads a tensor, and with which coefficient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sympy import (
    Abs,
    Add,
    Basic,
    Expr,
    Idx,
    Mul,
    Pow,
    Symbol,
    diff,
    exp,
    powsimp,
    sign,
)  # fmt: skip

from symbp.errors import CompilerError
from symbp.ir.functions import Magnitude, Norm, Sign
from symbp.ir.nodes import (
    Entry,
    Head,
    Index,
    Reduce,
    Slope,
    free_indices,
    prime,
    substitute,
    transform,
    walk,
)
from symbp.ir.slots import Slot, is_leaf, slotted
from symbp.naming import bound_indices
from symbp.rewrite import cost
from symbp.rules.outputs import shorter


@dataclass(frozen=True)
class Term:
    """Σ_bound coefficient · d(entry): one place where an equation reads a tensor."""

    entry: Entry
    coefficient: Expr
    bound: tuple[Index, ...]
    short: Expr  # the coefficient with its exponentials cancelled, where that is shorter


def terms_of(expr: Expr) -> tuple[Term, ...]:
    """d(expr) as a sum over the places where it reads a tensor.

    Derived once for all equations that differ in names alone (the layers of a deep network): tensors and indices are
    renamed in order of appearance before `partials_of` sees them.
    """
    forth: dict[Basic, Expr] = {}
    for node in walk(expr):
        if isinstance(node, Entry):
            kind = {"integer": True} if node.is_whole else {}
            forth.setdefault(node.args[0], Symbol(f"tensor{len(forth)}", **kind))
            for index in node.indices:
                _anonymise(index, forth)
        elif isinstance(node, Idx):
            _anonymise(node, forth)
    back = {new: old for old, new in forth.items()}
    return tuple(
        Term(
            t.entry.xreplace(back),
            t.coefficient.xreplace(back),
            tuple(back.get(i, i) for i in t.bound),
            t.short.xreplace(back),
        )
        for t in partials_of(expr.xreplace(forth))
    )


def _anonymise(node: Basic, names: dict[Basic, Expr]) -> None:
    for index in free_indices(node):
        if index not in names:
            names[index] = Idx(
                Symbol(f"index{len(names)}", integer=True), (index.lower, index.upper)
            )


@lru_cache(maxsize=4096)
def partials_of(expr: Expr) -> tuple[Term, ...]:
    """∂(Σ_c f)/∂z = Σ_c ∂f/∂z, and the chain rule through everything pointwise, which SymPy differentiates."""
    scalar, slots, back = slotted(expr, is_leaf)
    scalar = scalar.replace(Abs, Magnitude).replace(sign, Sign)
    out: list[Term] = []
    for node, slot in slots.items():
        if isinstance(node, (Idx, Head)):
            continue
        outer = _scalar_derivative(_with_norms(scalar, back), slot).xreplace(back)
        if outer == 0:
            continue
        if isinstance(node, Entry):
            out.append(Term(node, outer, (), shorter(outer)))
        elif isinstance(node, Reduce):
            out.extend(_through_reduction(node, outer))
        else:
            raise CompilerError(f"differentiate: no identity for {node}")
    return tuple(out)


def _through_reduction(node: Reduce, outer: Expr) -> list[Term]:
    """outer · Σ_c w_c d(f_c): c is renamed where `outer` or the weight binds or holds that index itself."""
    taken = bound_indices(outer) | free_indices(outer)
    if node.reducer != "sum":
        taken |= bound_indices(node)
    names: dict[Basic, Expr] = {}
    for index in node.indices:
        if index in taken:
            names[index] = prime(index, {i.name for i in taken})
            taken.add(names[index])
    body = substitute(node.body, names)
    bound = tuple(names.get(i, i) for i in node.indices)
    if node.reducer != "sum":
        outer *= Slope(node, node, *bound)
    found = []
    for t in partials_of(body):
        product = outer * t.coefficient
        short = min(shorter(product), outer * t.short, key=cost)
        found.append(Term(t.entry, product, (*bound, *t.bound), short))
    return found


def _with_norms(scalar: Expr, back: Mapping[Basic, Expr]) -> Expr:
    """Roots of sums of squares as `Norm`: their slope at 0 is taken as 0, where SymPy's is 0/0."""

    def visit(node: Basic) -> Basic | None:
        if (
            isinstance(node, Pow)
            and node.exp.is_Rational
            and 0 < node.exp < 1
            and is_sum_of_squares(node.base.xreplace(back))
        ):
            return Norm(node.base, node.exp)
        return None

    found: Expr = transform(scalar, visit)
    return found


def is_sum_of_squares(expr: Expr) -> bool:
    """Whether an expression is never negative and is 0 where all that it squares is: no positive constant beside it."""
    if isinstance(expr, Reduce) and expr.reducer == "sum":
        return is_sum_of_squares(expr.body)
    if isinstance(expr, Add):
        return all(is_sum_of_squares(a) for a in expr.args)
    if isinstance(expr, Mul):
        return any(map(is_sum_of_squares, expr.args)) and all(
            is_sum_of_squares(a) or a.is_positive for a in expr.args
        )
    if isinstance(expr, Pow):
        return bool(expr.exp.is_Integer and expr.exp > 0 and expr.exp % 2 == 0)
    return isinstance(expr, Abs)


def _scalar_derivative(scalar: Expr, slot: Slot) -> Expr:
    """SymPy's derivative; x**k/x is joined to x**(k−1), which has a value at 0."""
    found: Expr = (
        diff(scalar, slot).replace(Magnitude, Abs).replace(Sign, sign).replace(Norm, Norm.power)
    )
    if any(isinstance(n, Pow) and not n.exp.is_number for n in walk(found)):
        found = powsimp(found, combine="exp")
    return transform(found, _without_inverses)


def _without_inverses(node: Basic) -> Expr | None:
    """exp(a − b) exp(b − a) = 1, which SymPy leaves as it is."""
    if not isinstance(node, Mul):
        return None
    exponents = {f.args[0] for f in node.args if isinstance(f, exp)}
    paired = {u for u in exponents if -u in exponents}
    if not paired:
        return None
    return Mul(*(f for f in node.args if not (isinstance(f, exp) and f.args[0] in paired)))
