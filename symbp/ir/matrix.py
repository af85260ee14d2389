"""The algebra of matrices that a formula in index notation is rewritten to, where it has a form without indices.

A matrix has a row index and a column index; None stands for a single row or column, so that a vector is a column and a
scalar is 1 × 1. Rows and columns keep the names of their indices: equal names are what lines up in a product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sympy import Expr

from symbp.ir.nodes import Entry, Index

Axes = tuple[Index | None, Index | None]
SCALAR: Axes = (None, None)


@dataclass(frozen=True)
class Matrix:
    """Any node. `parts` are the matrices that it is made of."""

    parts: tuple[Matrix, ...] = ()

    @property
    def axes(self) -> Axes:
        """(row index, column index)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Scalar(Matrix):
    """A number, or any expression without rows and columns."""

    value: Expr

    @property
    def axes(self) -> Axes:
        return SCALAR


@dataclass(frozen=True, kw_only=True)
class Tensor(Matrix):
    """A tensor of two axes or fewer; of one with more, a slice: its other places are the same for all entries."""

    entry: Entry
    moving: tuple[Index, ...]

    @property
    def axes(self) -> Axes:
        rows, columns, *_ = (*self.moving, None, None)
        return rows, columns


@dataclass(frozen=True, kw_only=True)
class Ones(Matrix):
    """The column vector of ones."""

    index: Index

    @property
    def axes(self) -> Axes:
        return self.index, None


@dataclass(frozen=True, kw_only=True)
class Unit(Matrix):
    """The column vector with a one at one place, zeros elsewhere."""

    index: Index
    place: Expr

    @property
    def axes(self) -> Axes:
        return self.index, None


@dataclass(frozen=True, kw_only=True)
class Identity(Matrix):
    """δ_ij."""

    rows: Index
    columns: Index

    @property
    def axes(self) -> Axes:
        return self.rows, self.columns


@dataclass(frozen=True)
class Transpose(Matrix):
    @property
    def axes(self) -> Axes:
        rows, columns = self.parts[0].axes
        return columns, rows


@dataclass(frozen=True)
class Product(Matrix):
    """A B C …, the product of matrices."""

    @property
    def axes(self) -> Axes:
        return self.parts[0].axes[0], self.parts[-1].axes[1]


@dataclass(frozen=True, kw_only=True)
class Scale(Matrix):
    """A scalar times a matrix: `factor` and the scalars behind the first part, times that part."""

    factor: Expr

    @property
    def axes(self) -> Axes:
        return self.parts[0].axes


@dataclass(frozen=True)
class Entrywise(Matrix):
    """What is computed entry by entry. Each part has the axes of the whole, or is a number that all entries share."""

    @property
    def axes(self) -> Axes:
        return next((p.axes for p in self.parts if p.axes != SCALAR), SCALAR)


@dataclass(frozen=True)
class Sum(Entrywise):
    """A + B + …"""


@dataclass(frozen=True)
class Hadamard(Entrywise):
    """A ⊙ B ⊙ …; a part with a negative power is divided by."""


@dataclass(frozen=True, kw_only=True)
class Power(Entrywise):
    """Each entry to the same power."""

    exponent: Expr


@dataclass(frozen=True, kw_only=True)
class Apply(Entrywise):
    """A function of the entries of its parts."""

    function: type


@dataclass(frozen=True, kw_only=True)
class Indicator(Entrywise):
    """1 where a relation holds between the entries of two matrices, else 0."""

    relation: str


@dataclass(frozen=True, kw_only=True)
class Diagonal(Matrix):
    """The diagonal matrix of a vector."""

    rows: Index
    columns: Index

    @property
    def axes(self) -> Axes:
        return self.rows, self.columns


@dataclass(frozen=True)
class Inner(Matrix):
    """⟨A, B⟩ = Σ_ij A_ij B_ij, of matrices or vectors of the same axes."""

    @property
    def axes(self) -> Axes:
        return SCALAR


@dataclass(frozen=True, kw_only=True)
class Summation(Matrix):
    """Σ over indices that are neither of rows nor of columns: Σ_t A_t."""

    indices: tuple[Index, ...]

    @property
    def axes(self) -> Axes:
        return self.parts[0].axes


@dataclass(frozen=True)
class MatrixForm:
    """left = right, for each value of some indices."""

    left: Matrix
    right: Matrix
    each: tuple[Index, ...]


def nodes(matrix: Matrix) -> Iterator[Matrix]:
    """The matrix and everything that it is made of, the whole first."""
    yield matrix
    for part in matrix.parts:
        yield from nodes(part)


def weight(matrix: Matrix) -> int:
    """How much there is to read."""
    return sum(1 for _ in nodes(matrix))


def transposed(matrix: Matrix) -> Matrix:
    """(A B)ᵀ = Bᵀ Aᵀ, and (A ⊙ B)ᵀ or Aᵀ ⊙ Bᵀ, whichever has less to read."""
    if matrix.axes == SCALAR:
        return matrix
    if isinstance(matrix, Transpose):
        return matrix.parts[0]
    if isinstance(matrix, (Diagonal, Identity)):
        return replace(matrix, rows=matrix.columns, columns=matrix.rows)
    if isinstance(matrix, Product):
        return Product(tuple(transposed(p) for p in reversed(matrix.parts)))
    if isinstance(matrix, Scale):
        return replace(matrix, parts=(transposed(matrix.parts[0]), *matrix.parts[1:]))
    if isinstance(matrix, Summation):
        return replace(matrix, parts=(transposed(matrix.parts[0]),))
    wrapped = Transpose((matrix,))
    if not isinstance(matrix, Entrywise):
        return wrapped
    pushed = replace(matrix, parts=tuple(map(transposed, matrix.parts)))
    return pushed if weight(pushed) < weight(wrapped) else wrapped


def multiplied(*factors: Matrix) -> Matrix:
    """The product of matrices whose rows and columns line up."""
    flat = tuple(p for f in factors for p in (f.parts if isinstance(f, Product) else (f,)))
    return flat[0] if len(flat) == 1 else Product(flat)


def entrywise(factors: list[Matrix]) -> Matrix:
    """A ⊙ B ⊙ …"""
    flat = tuple(p for f in factors for p in (f.parts if isinstance(f, Hadamard) else (f,)))
    return flat[0] if len(flat) == 1 else Hadamard(flat)


def scaled(factor: Expr, scalars: tuple[Matrix, ...], matrix: Matrix) -> Matrix:
    """A scalar times a matrix, scalars of the matrix itself and numbers among them together."""
    if isinstance(matrix, Scale):
        factor, scalars = factor * matrix.factor, (*scalars, *matrix.parts[1:])
        matrix = matrix.parts[0]
    if isinstance(matrix, Scalar):
        factor *= matrix.value
        if not scalars:
            return Scalar(value=factor)
        matrix, scalars = scalars[0], scalars[1:]
    return Scale((matrix, *scalars), factor=factor) if factor != 1 or scalars else matrix


def is_number(matrix: Matrix) -> bool:
    """Whether it is a number, which stands for itself in each entry of a sum."""
    return isinstance(matrix, Scalar) and bool(matrix.value.is_number)


def raised(matrix: Matrix, exponent: Expr) -> Matrix:
    """Each entry to a power."""
    if exponent == 1:
        return matrix
    if isinstance(matrix, Scalar):
        return Scalar(value=matrix.value**exponent)
    if isinstance(matrix, Power) and exponent == -1:
        return raised(matrix.parts[0], -matrix.exponent)
    return Power((matrix,), exponent=exponent)
