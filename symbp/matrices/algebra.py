"""What formulas of matrices are put together from: parts with the same axes, and sums over all entries."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Integer

from symbp.ir.matrix import (
    SCALAR,
    Axes,
    Diagonal,
    Hadamard,
    Identity,
    Inner,
    Matrix,
    Ones,
    Power,
    Product,
    Scalar,
    Scale,
    Sum,
    entrywise,
    is_number,
    multiplied,
    scaled,
    transposed,
    weight,
)
from symbp.ir.nodes import Index


class NoForm(Exception):
    """A formula has no form in matrices."""


def diagonal(vectors: list[Matrix], rows: Index, columns: Index) -> Matrix:
    """diag(u ⊙ v ⊙ …), over two indices that agree where it is not 0."""
    return Diagonal((entrywise(vectors),), rows=rows, columns=columns)


def dense(matrix: Matrix) -> Matrix:
    """The matrix, which must not be the identity."""
    if isinstance(matrix, Identity):
        raise NoForm
    return matrix


def inner(vectors: list[Matrix]) -> Matrix:
    """Σ_i u_i v_i …; what is a product stands last, as A x in xᵀ A x."""
    first, *others = sorted(vectors, key=lambda v: isinstance(v, Product))
    if others:
        last = entrywise(others)
        ways = (multiplied(transposed(first), last), multiplied(transposed(last), first))
        return min(ways, key=weight)
    return _square(first) or multiplied(transposed(Ones(index=first.axes[0])), first)


def total(matrix: Matrix) -> Matrix:
    """Σ_ij A_ij, or Σ_ij A_ij B_ij …"""
    rows, columns = matrix.axes
    if isinstance(matrix, Hadamard):
        return Inner((matrix.parts[0], entrywise([*matrix.parts[1:]])))
    left, right = transposed(Ones(index=rows)), Ones(index=columns)
    return _square(matrix) or multiplied(left, matrix, right)


def _square(matrix: Matrix) -> Matrix | None:
    """⟨A, A⟩ for the sum of the entries of A^∘2."""
    if isinstance(matrix, Power) and matrix.exponent == 2:
        return Inner(matrix.parts * 2)
    return None


def added(terms: list[Matrix]) -> Matrix:
    """A + B + 𝟏 bᵀ − C and W x + b: what is the same in all rows or columns behind the rest, negative terms last."""
    most = max(map(_rank, terms))

    def place(term: Matrix) -> tuple[bool, ...]:
        factor = term.factor if isinstance(term, Scale) else Integer(1)
        negative = bool(factor.could_extract_minus_sign())
        spread = not is_number(term) and _rank(term) < most
        return negative, spread, most == 1 and not isinstance(term, Product)

    return Sum(aligned(sorted(terms, key=place)))


def _rank(matrix: Matrix) -> int:
    """How many indices a matrix has."""
    return sum(i is not None for i in matrix.axes)


def oriented(matrix: Matrix, axes: Axes) -> Matrix:
    """The matrix with these axes: transposed, or the same in all rows or columns that it lacks."""
    rows, columns = axes
    if matrix.axes == axes:
        return matrix
    if matrix.axes == (columns, rows):
        return transposed(matrix)
    if matrix.axes == SCALAR:
        scalars = () if isinstance(matrix, Scalar) else (matrix,)
        factor = matrix.value if isinstance(matrix, Scalar) else Integer(1)
        ones = [Ones(index=rows), *([transposed(Ones(index=columns))] if columns else [])]
        return scaled(factor, scalars, multiplied(*ones))
    if isinstance(matrix, Scale):
        return scaled(matrix.factor, matrix.parts[1:], oriented(matrix.parts[0], axes))
    if matrix.axes == (rows, None):
        return multiplied(matrix, transposed(Ones(index=columns)))
    if matrix.axes == (columns, None):
        return multiplied(Ones(index=rows), transposed(matrix))
    raise NoForm


def aligned(matrices: Iterable[Matrix]) -> tuple[Matrix, ...]:
    """Matrices with the same axes, those of all together; of two ways round the one with less to read."""
    found = list(matrices)
    union = tuple(dict.fromkeys(i for m in found for i in m.axes if i is not None))
    if len(union) > 2:
        raise NoForm
    rows, columns = (*union, None, None)[:2]
    ways = [(rows, columns), *([(columns, rows)] if columns else [])]
    results = [tuple(m if is_number(m) else oriented(m, way) for m in found) for way in ways]
    return min(results, key=lambda parts: sum(map(weight, parts)))
