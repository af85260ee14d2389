"""Formulas in index notation as formulas of matrices, where they have such a form: Σ_s δ_si x_sj as δᵀ x.

A product under Σ is a graph: its indices are the vertices, a matrix joins its row and its column index, and a vector
stands at one. A sum over an index takes its vertex away:

    nothing but vectors there    uᵀ v
    one matrix                   A v, with v = 1 where no vector is there
    two matrices                 A B, or A diag(v) B

Matrices that join the same two indices are one, entry by entry. An index where three meet has no such form.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import combinations

from sympy import Add, Basic, Expr, Function, Idx, Integer, Mul, Pow
from sympy.core.relational import Relational

from symbp.ir.matrix import (
    SCALAR,
    Apply,
    Axes,
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
    Scale,
    Sum,
    Summation,
    Tensor,
    Unit,
    entrywise,
    is_number,
    multiplied,
    nodes,
    raised,
    scaled,
    transposed,
    weight,
)
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Head,
    Index,
    Iverson,
    Reduce,
    entries,
    free_indices,
    opened,
    size_of,
    summands,
    walk,
)
from symbp.notation.order import Order, Quotient, common_number


def matrix_form(
    name: str,
    indices: tuple[Index, ...],
    expr: Expr,
    adjoints: Collection[str] = (),
    steps: Collection[Index] = (),
) -> MatrixForm | None:
    """name[indices] = expr without indices; None where it has no such form, or says no more in it.

    Of a tensor with three axes or more, and of one that is read at single places, the form is one for each value of
    some indices; always of those in `steps`, which recurrences run over. `adjoints` are the names of adjoints, which
    stand first in products.
    """
    plain = opened(expr)
    if plain == 0:
        return None
    for each in _held(indices, steps):
        if len(indices) < 3 and not all(i in steps or _places(plain, i) for i in each):
            continue
        reader = _Reader(frozenset(each), tuple(steps), Order(adjoints))
        try:
            left = reader.tensor(Entry(name, *indices))
            right = oriented(reader.read(plain), left.axes)
        except NoForm:
            continue
        return MatrixForm(left, right, each) if _tells(right, bool(each)) else None
    return None


class NoForm(Exception):
    """A formula has no form in matrices."""


def _held(indices: tuple[Index, ...], steps: Collection[Index]) -> Iterator[tuple[Index, ...]]:
    """Which indices to hold fixed: as few as possible, and the first rather than later ones."""
    always = {*indices} & {*steps}
    for number in range(max(0, len(indices) - 2), max(len(indices), 1)):
        yield from (each for each in combinations(indices, number) if always <= {*each})


def _places(expr: Basic, index: Index) -> bool:
    """Whether a place on another axis depends on an index: w[s], t − 1."""
    read = (node for node in walk(expr) if isinstance(node, (Entry, Delta)))
    places = (p for node in read for p in (node.indices if isinstance(node, Entry) else node.args))
    return any(p != index and index in free_indices(p) for p in places)


def _tells(matrix: Matrix, held: bool) -> bool:
    """Whether a form says more than the formula with its indices left out."""
    kinds = {type(n) for n in nodes(matrix)}
    if held or Summation in kinds:
        return bool(kinds & {Product, Hadamard, Diagonal, Inner, Unit})
    return bool(kinds - {Scalar, Tensor, Scale, Ones}) and bool(kinds & {Tensor, Ones})


class _Reader:
    """Reads expressions as matrices over the indices that are not held fixed."""

    def __init__(self, held: frozenset[Index], steps: tuple[Index, ...], order: Order) -> None:
        self.held = held
        self.steps = steps
        self.order = order

    def moving(self, expr: Basic) -> frozenset[Index]:
        """The free indices that are rows or columns."""
        return free_indices(expr) - self.held

    def is_scalar(self, expr: Basic) -> bool:
        return not self.moving(expr) and not any(isinstance(n, Reduce) for n in walk(expr))

    def read(self, expr: Expr) -> Matrix:
        """The matrix of an expression; NoForm where there is none."""
        if self.is_scalar(expr):
            return self.scalar(expr)
        if isinstance(expr, Entry):
            return self.tensor(expr)
        if isinstance(expr, Delta):
            return self.delta(*expr.args)
        if isinstance(expr, Add):
            return self.terms(expr)
        if isinstance(expr, Mul):
            return self.term(self.order.quotient(expr), ())
        if isinstance(expr, Reduce) and expr.reducer == "sum":
            inside = _Reader(self.held - {*expr.indices}, self.steps, self.order)
            return inside.term(self.order.quotient(expr.body), expr.indices)
        if isinstance(expr, Pow) and self.is_scalar(expr.exp):
            return raised(self.read(expr.base), expr.exp)
        if isinstance(expr, Iverson) and isinstance(expr.args[0], Relational):
            relation = expr.args[0]
            return Indicator(_aligned(map(self.read, relation.args)), relation=relation.rel_op)
        if isinstance(expr, Function):
            return Apply(_aligned(map(self.read, expr.args)), function=expr.func)
        raise NoForm

    def scalar(self, expr: Expr) -> Matrix:
        """An expression of single entries, sizes and numbers; conditions on places say little in matrices."""
        for node in walk(expr):
            if isinstance(node, (Cases, Iverson, Delta)):
                raise NoForm
            if isinstance(node, Entry) and not all(map(_is_place, node.indices)):
                raise NoForm
        return Scalar(value=expr)

    def tensor(self, entry: Entry) -> Matrix:
        """A tensor, or the slice of it at the places that stand still."""
        moving = tuple(p for p in entry.indices if self.moving(p))
        plain = all(isinstance(p, Idx) for p in moving) and all(map(_is_place, entry.indices))
        if len(moving) > 2 or len({*moving}) < len(moving) or not plain:
            raise NoForm
        return Tensor(entry=entry, moving=moving)

    def delta(self, left: Expr, right: Expr) -> Matrix:
        """δ_ij as the identity, and δ_{i,w} at a place w that stands still as a unit vector."""
        if isinstance(left, Idx) and isinstance(right, Idx) and not {left, right} & self.held:
            return Identity(rows=left, columns=right)
        for index, place in ((left, right), (right, left)):
            if isinstance(index, Idx) and index not in self.held and not self.moving(place):
                if not _is_place(place):
                    raise NoForm
                return Unit(index=index, place=place)
        raise NoForm

    def terms(self, expr: Add) -> Matrix:
        """A sum, a number that its terms share before it."""
        number = common_number(expr)
        if abs(number) != 1:
            return scaled(number, (), self.terms(Add(*(t / number for t in expr.args))))
        return _sum([self.term(q, ()) for q in self.order.terms(expr)])

    def term(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        """Σ over `bound` of a product: multiplied out or not, whichever has less to read."""
        attempts = [partial(self.product, quotient, bound)]
        for factor in quotient.numerator:
            if isinstance(factor, Add) and self.is_uneven(factor):
                attempts.append(partial(self.expanded, quotient, factor, bound))
        found = [m for attempt in attempts for m in _tried(attempt)]
        return min(found, key=weight) if found else self.stepwise(quotient, bound)

    def is_uneven(self, expr: Add) -> bool:
        """Whether a sum as a matrix repeats what is the same in all rows or columns, or has too many axes for one."""
        axes = self.moving(expr)
        uneven = any(self.moving(t) != axes and not t.is_Number for t in summands(expr))
        return uneven or len(axes) > 2 or any(isinstance(n, Delta) for n in summands(expr))

    def expanded(self, quotient: Quotient, factor: Add, bound: tuple[Index, ...]) -> Matrix:
        rest = _value(quotient) / factor
        return _sum([self.term(self.order.quotient(rest * t), bound) for t in summands(factor)])

    def stepwise(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        """Σ over indices that are held fixed: Σ_t of products of slices, and Σ_st with unit vectors at places w_st."""
        read = entries(_value(quotient))
        deep = [e for e in read if len(self.moving(e)) > 2]
        for number in (1, 2):
            ways = combinations(bound, number)
            for held in sorted(ways, key=lambda held: -len({*held} & {*self.steps})):
                rest = tuple(i for i in bound if i not in held)
                reader = _Reader(self.held.union(held), self.steps, self.order)
                for found in _tried(partial(reader.product, quotient, rest)):
                    kinds = {type(n) for n in nodes(found)}
                    sliced = number == 1 and any(held[0] in self.moving(e) for e in deep)
                    told = {Unit} | ({Hadamard, Product, Diagonal, Inner} if sliced else set())
                    if Tensor in kinds and told & kinds:
                        return Summation((found,), indices=held)
        raise NoForm

    def product(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        graph = _Graph(Integer(-1 if quotient.negative else 1))
        for factor in quotient.numerator:
            graph.add(self.read(factor))
        for factor in quotient.denominator:
            graph.add(raised(self.read(factor), Integer(-1)))
        return graph.summed(bound)


def _is_place(place: Expr) -> bool:
    """i, t − 1, T − 1, w[s] or 1 + w[s]: a place that one index moves at most, by one at a time."""
    offset, rest = place.as_coeff_Add()
    if isinstance(rest, Entry):
        return all(map(_is_place, rest.indices))
    return isinstance(rest, (Idx, Head)) or not free_indices(rest)


def _value(quotient: Quotient) -> Expr:
    value = Mul(*quotient.numerator) / Mul(*quotient.denominator)
    return -value if quotient.negative else value


def _tried(attempt: Callable[[], Matrix]) -> tuple[Matrix, ...]:
    """What an attempt gives; nothing where there is no form."""
    try:
        return (attempt(),)
    except NoForm:
        return ()


class _Graph:
    """The factors of a product, by the indices that they have."""

    def __init__(self, factor: Expr) -> None:
        self.factor = factor
        self.scalars: list[Matrix] = []
        self.vectors: dict[Index, list[Matrix]] = {}
        self.edges: dict[frozenset[Index], list[Matrix]] = {}

    def add(self, matrix: Matrix) -> None:
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
            self.vectors.setdefault(*indices, []).append(matrix)
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
        edges, vectors = self.at(index), self.vectors.pop(index, [])
        others = [i for edge in edges for i in edge if i != index]
        if not edges and not vectors:
            self.factor *= size_of(index)
        elif not edges:
            self.add(_inner(vectors))
        elif len(edges) == 1 and not vectors and self.is_apart(others[0]) and others[0] in left:
            left.remove(others[0])
            self.add(_total(self.matrix(index, others[0])))
        elif len(edges) == 1:
            vector = entrywise(vectors) if vectors else Ones(index=index)
            self.add(multiplied(_dense(self.matrix(others[0], index)), vector))
        elif len(edges) == 2:
            between = [_diagonal(vectors, index, index)] if vectors else []
            before, after = (
                self.matrix(*pair) for pair in ((others[0], index), (index, others[1]))
            )
            self.add(multiplied(_dense(before), *between, _dense(after)))
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
            return _diagonal([*vectors.values()], rows, columns)
        before, after = (
            [_diagonal([vectors[i]], i, i)] if i in vectors else [] for i in (rows, columns)
        )
        return multiplied(*before, matrix, *after)


def _diagonal(vectors: list[Matrix], rows: Index, columns: Index) -> Matrix:
    return Diagonal((entrywise(vectors),), rows=rows, columns=columns)


def _dense(matrix: Matrix) -> Matrix:
    if isinstance(matrix, Identity):
        raise NoForm
    return matrix


def _inner(vectors: list[Matrix]) -> Matrix:
    """Σ_i u_i v_i …; what is a product stands last, as A x in xᵀ A x."""
    first, *others = sorted(vectors, key=lambda v: isinstance(v, Product))
    if others:
        last = entrywise(others)
        ways = (multiplied(transposed(first), last), multiplied(transposed(last), first))
        return min(ways, key=weight)
    return _square(first) or multiplied(transposed(Ones(index=first.axes[0])), first)


def _total(matrix: Matrix) -> Matrix:
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


def _sum(terms: list[Matrix]) -> Matrix:
    """A + B + 𝟏 bᵀ − C: what is the same in all rows or columns behind the rest, negative terms last. W x + b."""
    most = max(map(_rank, terms))

    def place(term: Matrix) -> tuple[bool, ...]:
        factor = term.factor if isinstance(term, Scale) else Integer(1)
        negative = bool(factor.could_extract_minus_sign())
        spread = not is_number(term) and _rank(term) < most
        return negative, spread, most == 1 and not isinstance(term, Product)

    return Sum(_aligned(sorted(terms, key=place)))


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


def _aligned(matrices: Iterable[Matrix]) -> tuple[Matrix, ...]:
    """Matrices with the same axes, those of all together; of two ways round the one with less to read."""
    found = list(matrices)
    union = tuple(dict.fromkeys(i for m in found for i in m.axes if i is not None))
    if len(union) > 2:
        raise NoForm
    rows, columns = (*union, None, None)[:2]
    ways = [(rows, columns), *([(columns, rows)] if columns else [])]
    results = [tuple(m if is_number(m) else oriented(m, way) for m in found) for way in ways]
    return min(results, key=lambda parts: sum(map(weight, parts)))
