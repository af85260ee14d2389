"""The second form of a formula, without indices, where there is one; and what its signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sympy import Idx, Symbol

from symbp.explain.view import View
from symbp.ir.matrix import (
    Apply,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Matrix,
    MatrixForm,
    Ones,
    Power,
    Product,
    Tensor,
    Unit,
    nodes,
)
from symbp.ir.nodes import Entry
from symbp.ir.program import unshifted
from symbp.matrices.read import matrix_form
from symbp.notation.style import Notation


def forms(view: View) -> dict[str, MatrixForm]:
    """The matrix form of each equation and each adjoint that has one, by the name of its left side."""
    adjoint, program = view.adjoint, view.adjoint.program
    adjoints = adjoint.tensors()
    steps = {d.over for d in program.declarations.values() if d.over is not None}
    final = {eq.name: eq.expr for eq in program.equations}
    written = [(eq.name, eq.indices, eq.expr) for eq in view.declared.equations]
    written += [(a.name, a.indices, a.expr) for a in adjoint.adjoints]
    found = {}
    for name, indices, expr in written:
        if name in view.hidden or (name not in adjoints and name not in final):
            continue
        whole = unshifted(expr, program, adjoint.shifts)
        form = matrix_form(name, indices, whole, adjoints, steps)
        # entry by entry, slices of a larger array say no more than its entries
        if form is not None and (
            not form.each or any(isinstance(n, Product) for n in nodes(form.right))
        ):
            found[name] = form
    return found


def legend(found: Iterable[MatrixForm], write: Notation) -> Iterator[str]:
    """What the signs of matrix forms mean, those that occur."""
    kinds = {type(n) for form in found for n in nodes(form.right)}
    if not kinds:
        return
    yield (
        "Formulas without indices are of matrices; a tensor with one index is a column"
        f"{', and functions apply to each entry' if Apply in kinds else ''}."
    )
    i, j = Idx("i"), Idx("j")
    a, b = (Tensor(entry=Entry(name, i, j), moving=(i, j)) for name in "AB")
    v = Tensor(entry=Entry("v", i), moving=(i,))
    place = Symbol("p", integer=True)
    samples: list[tuple[tuple[type[Matrix], ...], Matrix, str]] = [
        ((Hadamard, Power), Hadamard((a, b)), "multiplies entry by entry"),
        ((Ones, Indicator), Ones(index=i), "is a column of ones"),
        ((Unit,), Unit(index=i, place=place), "is a column of zeros with a one at its place"),
        ((Identity,), Identity(rows=i, columns=j), "is the identity"),
        (
            (Diagonal,),
            Diagonal((v,), rows=i, columns=j),
            "has the entries of a column on its diagonal",
        ),
        ((Inner,), Inner((a, b)), "is the sum of all products of entries"),
    ]
    signs = [
        f"{write.inline(write.matrix(sample))} {meaning}"
        for wanted, sample, meaning in samples
        if kinds.intersection(wanted)
    ]
    if signs:
        yield f"There {'; '.join(signs)}."
