"""What a notebook shows of a network: its equations, as a part of a page and as LaTeX."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sympy import Basic, Idx, Indexed, KroneckerDelta, Max, Min, Product, Sum, Symbol

from symbp.ir.functions import Largest, Smallest
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import Delta, Entry, Reduce
from symbp.maximum import Maximum
from symbp.notation import latex, lhs_latex
from symbp.pages.blocks import Display, Row, Section
from symbp.pages.html import html_part
from symbp.pages.markdown import aligned

WIDEST = 45.0  # glyphs in a fraction

_NODES = {Max: Largest, Min: Smallest}
_REDUCERS = {Sum: "sum", Product: "product", Maximum: "maximum"}


def network_html(
    name: str, equations: Sequence[Equation], declarations: Collection[Declaration]
) -> str:
    """The equations as HTML."""
    rows = tuple(_rows(equations, declarations))
    return html_part(f"<code>{name}</code>", [Section("Equations", (Display(rows),))])


def network_latex(equations: Sequence[Equation], declarations: Collection[Declaration]) -> str:
    """The equations as one display."""
    return f"$${aligned(tuple(_rows(equations, declarations)))}$$"


def _rows(equations: Sequence[Equation], declarations: Collection[Declaration]) -> Iterator[Row]:
    scalars = frozenset(d.name for d in declarations if not d.indices and d.kind != "constant")
    initial = {d.name: d.initial for d in declarations if d.initial is not None}
    for eq in equations:
        left = r"\mathcal{L}" if eq.name == "loss" else lhs_latex(eq.name, eq.indices)
        yield Row(left, latex(_ours(eq.expr, scalars), widest=WIDEST))
        if eq.name in initial:
            outside = latex(_ours(initial[eq.name], scalars))
            yield Row(left, rf"{outside} \quad \text{{outside the steps}}")


def _ours(expr: Basic, scalars: Collection[str]) -> Basic:
    """SymPy as the user wrote it in the nodes that the notation knows."""
    if isinstance(expr, Idx):
        return expr
    if isinstance(expr, Symbol):
        return Entry(expr.name) if expr.name in scalars else expr
    if isinstance(expr, Indexed):
        return Entry(expr.base.label.name, *(_ours(i, scalars) for i in expr.indices))
    for kind, reducer in _REDUCERS.items():
        if isinstance(expr, kind):
            return Reduce(reducer, _ours(expr.function, scalars), *expr.variables)
    args = [_ours(a, scalars) for a in expr.args]
    if isinstance(expr, KroneckerDelta):
        return Delta(*args[:2])
    return _NODES.get(expr.func, expr.func)(*args) if args else expr
