"""The second form of a formula, without indices, where there is one; and what its signs mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sympy import Idx, Integer, Symbol

from symbp.explain.view import View
from symbp.ir.matrix import (
    SCALAR,
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
    Scalar,
    Tensor,
    Unit,
    nodes,
    raised,
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
    given = list(found)
    every = [n for form in given for n in nodes(form.right)]
    kinds = {type(n) for n in every}
    if not kinds:
        return
    yield (
        "Formulas without indices are of matrices; a tensor with one index is a column"
        f"{', and functions apply to each entry' if Apply in kinds else ''}."
    )
    if any(form.each for form in given):
        yield "A place on an axis picks a slice: all entries there."
    i, j = Idx("i"), Idx("j")
    a, b = (Tensor(entry=Entry(name, i, j), moving=(i, j)) for name in "AB")
    v = Tensor(entry=Entry("v", i), moving=(i,))
    place = Symbol("p", integer=True)
    positive = Indicator((a, Scalar(value=Integer(0))), relation=">")
    inverted = [n.parts[0] for n in every if isinstance(n, Diagonal)]  # diag(v)⁻¹
    raisings = [
        n
        for n in every
        if isinstance(n, Power) and n.axes != SCALAR and not any(n is v for v in inverted)
    ]
    products = [[not _divides(p) for p in n.parts] for n in every if isinstance(n, Hadamard)]
    multiplied = any(sum(above) > 1 for above in products)
    divided = any(map(_divides, raisings))
    powers = any(abs(n.exponent) != 1 for n in raisings)
    norms = any(isinstance(n, Inner) and n.parts[0] == n.parts[1] for n in every)
    samples: list[tuple[bool, Matrix, str]] = [
        (multiplied, Hadamard((a, b)), "multiplies entry by entry"),
        (divided, Hadamard((a, raised(b, Integer(-1)))), "divides entry by entry"),
        (powers, raised(a, Integer(2)), "squares each entry"),
        (Ones in kinds, Ones(index=i), "is a column of ones"),
        (Indicator in kinds, positive, "is 1 at each entry where that holds, else 0"),
        (Unit in kinds, Unit(index=i, place=place), "is a column of zeros with a one at its place"),
        (Identity in kinds, Identity(rows=i, columns=j), "is the identity"),
        (
            Diagonal in kinds,
            Diagonal((v,), rows=i, columns=j),
            "has the entries of a column on its diagonal",
        ),
        (Inner in kinds, Inner((a, b)), "is the sum of all products of entries"),
        (norms, Inner((a, a)), "is that of A with itself"),
    ]
    signs = [
        f"{write.inline(write.matrix(sample))} {meaning}"
        for occurs, sample, meaning in samples
        if occurs
    ]
    if signs:
        yield f"There {'; '.join(signs)}."


def _divides(matrix: Matrix) -> bool:
    return isinstance(matrix, Power) and bool(matrix.exponent.is_negative)
