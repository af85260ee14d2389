"""A product under Σ as a graph: its indices are the vertices, a matrix joins its row and its column index.

A vector stands at a vertex. A sum over an index takes its vertex away:

    nothing but vectors there    uᵀ v
    one matrix                   A v, with v = 𝟏 where no vector is there
    two matrices                 A B, or A diag(v) B

Matrices that join the same two indices are one, entry by entry. An index where three meet has no such form.
"""

from __future__ import annotations

from sympy import Expr, Integer

from symbp.ir.matrix import (
    Identity,
    Matrix,
    Ones,
    Scalar,
    Scale,
    entrywise,
    multiplied,
    scaled,
    transposed,
)
from symbp.ir.nodes import Index, size_of
from symbp.matrices.algebra import NoForm, dense, diagonal, inner, oriented, total


class Graph:
    """The factors of a product, by the indices that they have."""

    def __init__(self, factor: Expr) -> None:
        self.factor = factor
        self.scalars: list[Matrix] = []
        self.vectors: dict[Index, list[Matrix]] = {}
        self.edges: dict[frozenset[Index], list[Matrix]] = {}

    def add(self, matrix: Matrix) -> None:
        """One more factor."""
        if isinstance(matrix, Scale):
            self.factor *= matrix.factor
            for scalar in matrix.parts[1:]:
                self.add(scalar)
            matrix = matrix.parts[0]
        indices = frozenset(i for i in matrix.axes if i is not None)
        if isinstance(matrix, Scalar):
            self.factor *= matrix.value
        elif not indices:
            self.scalars.append(matrix)
        elif len(indices) == 1:
            self.vectors.setdefault(next(iter(indices)), []).append(matrix)
        else:
            self.edges.setdefault(indices, []).append(matrix)

    def summed(self, bound: tuple[Index, ...]) -> Matrix:
        """Σ over `bound`, an index with the fewest matrices first."""
        left = list(bound)
        while left:
            index = min(left, key=lambda i: len(self.at(i)))
            left.remove(index)
            self.eliminate(index, left)
        return scaled(self.factor, tuple(self.scalars), self.rest())

    def at(self, index: Index) -> list[frozenset[Index]]:
        """The edges at a vertex."""
        return [edge for edge in self.edges if index in edge]

    def matrix(self, rows: Index, columns: Index) -> Matrix:
        """The matrix that joins two indices, taken out of the graph."""
        found = self.edges.pop(frozenset((rows, columns)))
        if len(found) > 1 and any(isinstance(m, Identity) for m in found):
            raise NoForm
        across = entrywise([oriented(m, (columns, rows)) for m in found])
        return transposed(across)

    def eliminate(self, index: Index, left: list[Index]) -> None:
        """Σ over an index; `left` are those to sum over after it, one of which may go together with it."""
        edges, vectors = self.at(index), self.vectors.pop(index, [])
        others = [i for edge in edges for i in edge if i != index]
        if not edges and not vectors:
            self.factor *= size_of(index)
        elif not edges:
            self.add(inner(vectors))
        elif len(edges) == 1 and not vectors and self.is_apart(others[0]) and others[0] in left:
            left.remove(others[0])
            self.add(total(self.matrix(index, others[0])))
        elif len(edges) == 1:
            vector = entrywise(vectors) if vectors else Ones(index=index)
            self.add(multiplied(dense(self.matrix(others[0], index)), vector))
        elif len(edges) == 2:
            between = [diagonal(vectors, index, index)] if vectors else []
            before, after = (
                self.matrix(*pair) for pair in ((others[0], index), (index, others[1]))
            )
            self.add(multiplied(dense(before), *between, dense(after)))
        else:
            raise NoForm

    def is_apart(self, index: Index) -> bool:
        """Whether a single matrix and nothing else is at a vertex."""
        return index not in self.vectors and len(self.at(index)) == 1

    def rest(self) -> Matrix:
        """The product of what is left, over the free indices."""
        free = list(dict.fromkeys((*self.vectors, *(i for edge in self.edges for i in edge))))
        if len(free) > 2:
            raise NoForm
        if not free:
            return Scalar(value=Integer(1))
        vectors = {i: entrywise(v) for i, v in self.vectors.items()}
        if len(free) == 1:
            return vectors[free[0]]
        rows, columns = free
        if not self.edges:
            return multiplied(vectors[rows], transposed(vectors[columns]))
        matrix = self.matrix(rows, columns)
        if isinstance(matrix, Identity) and vectors:
            return diagonal([*vectors.values()], rows, columns)
        before, after = (
            [diagonal([vectors[i]], i, i)] if i in vectors else [] for i in (rows, columns)
        )
        return multiplied(*before, matrix, *after)
