"""The largest value of an expression over indices: the one node of the language that SymPy lacks."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Idx, SympifyError, Tuple
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.sympify import _sympify

from symbp.validate import check_index, model_error, show


class Maximum(ExprWithLimits):
    """`Maximum(x[s, i], i)`: the largest x[s, i] over all i. It binds its indices, as `Sum` does.

    Where several entries tie, they share the gradient equally. Raises `ModelError` for what is no expression,
    and for indices that are missing, none, or given twice.
    """

    is_extended_real = True
    is_real = True

    def __new__(cls, expr: Any, *indices: Any) -> Maximum:
        try:
            body = _sympify(expr)
        except SympifyError:
            body = None
        if not isinstance(body, Expr):
            raise model_error(f"Maximum: {show(expr)} is no SymPy expression")
        limits = [_limit(index) for index in indices]
        bound = [index for index, _, _ in limits]
        if not bound:
            raise model_error(f"Maximum of {show(body)}: no index is given; Max compares values")
        for index in bound:
            if bound.count(index) > 1:
                raise model_error(f"Maximum of {show(body)}: index {index} is given twice")
        node: Maximum = Expr.__new__(cls, body, *limits)
        node.is_commutative = True
        return node

    def _eval_derivative(self, symbol: Expr) -> None:
        """Left to symbp, which knows what a tie means: SymPy writes an unevaluated derivative."""

    def _sympystr(self, printer: Any) -> str:
        return f"Maximum({', '.join(map(printer._print, (self.function, *self.variables)))})"

    def _latex(self, printer: Any) -> str:
        below = ", ".join(map(printer._print, self.variables))
        return rf"\max_{{{below}}} {printer.parenthesize(self.function, 50)}"


def _limit(index: Any) -> Tuple:
    """(i, 0, size − 1) of an index, as SymPy writes the limits of a sum."""
    if isinstance(index, (Tuple, tuple)) and len(index) == 3:
        return Tuple(*index)
    if not isinstance(index, Idx):
        raise model_error(
            f"Maximum over {show(index)}, which is no index; make one with indices(…)"
        )
    check_index(index)
    return Tuple(index, index.lower, index.upper)
