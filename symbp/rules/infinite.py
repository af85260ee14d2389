"""Rows that are −∞ throughout: log Σ_c exp z_c is −∞ there, and its gradient 0, where a shift gives −∞ − (−∞).

    shift     exp(z_c − m)             with 0 for m where that is infinite, and so of any y = m + …
    log       m + log Σ_c exp(z_c − m) = m + log max(1, Σ_c exp(z_c − m)), for the largest term is exp 0 = 1

That costs two operations on each row, and so is done only where it can matter: where m is a term of its own, as in a
log-sum-exp (a softmax lacks it, and its logarithm z_c − m − … has no value there), and where its entries are those of a
parameter or an input. Entries that are computed are taken to be finite somewhere in each row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sympy import Add, Basic, Expr, Idx, Integer, exp

from symbp.ir.functions import Finite, Largest
from symbp.ir.nodes import Entry, Reduce, summands, transform
from symbp.naming import alpha


def open_rows(expr: Basic, given: Collection[str]) -> Iterator[str]:
    """The tensors among those given whose maximum is a term outside exponentials, and not beside their own entries."""
    if isinstance(expr, (Entry, Idx, exp)):
        return
    if isinstance(expr, Add):
        beside = {t.tensor for t in expr.args if isinstance(t, Entry)}
        for term in expr.args:
            found = _row(term.as_coeff_Mul()[1])
            if found and found in given and found not in beside:
                yield found
    for arg in expr.args:
        yield from open_rows(arg, given)


def _row(expr: Expr) -> str | None:
    """z where the expression is max_c z_c."""
    largest = isinstance(expr, Reduce) and expr.reducer == "maximum"
    return expr.body.tensor if largest and isinstance(expr.body, Entry) else None


def bounded(expr: Expr, rows: Collection[str]) -> Expr:
    """The expression with every exponential safe that is shifted by what is −∞ throughout such a row.

    `rows` names the tensors z that `open_rows` found, and those y that are defined with such a maximum as a term.
    """

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, exp):
            return exp(Add(*(_finite(t, rows) for t in summands(node.args[0]))))
        if isinstance(node, Reduce) and node.reducer == "sum" and _is_at_least_one(node):
            return Largest(Integer(1), node)
        return None

    found: Expr = transform(expr, visit)
    return found if rows else expr


def _finite(term: Expr, rows: Collection[str]) -> Expr:
    coefficient, core = term.as_coeff_Mul()
    name = core.tensor if isinstance(core, Entry) and coefficient.is_negative else _row(core)
    return coefficient * Finite(core) if name in rows else term


def _is_at_least_one(node: Reduce) -> bool:
    """Σ_c exp(z_c − m) with m the largest z_c."""
    if not isinstance(node.body, exp):
        return False
    exponent = node.body.args[0]
    shifts = [t for t in summands(-exponent) if isinstance(t, Finite)]
    if len(shifts) != 1:
        return False
    own = Reduce("maximum", exponent + shifts[0], *node.indices)
    return bool(alpha(own) == alpha(shifts[0].args[0]))
