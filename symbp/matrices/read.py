"""Formulas in index notation as formulas of matrices, where they have such a form: Σ_s δ_si x_sj as δᵀ x."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import combinations, islice

from sympy import Add, Basic, Expr, Function, Idx, Integer, Mul, Pow
from sympy.core.relational import Relational

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
    Product,
    Scalar,
    Scale,
    Summation,
    Tensor,
    Unit,
    nodes,
    raised,
    scaled,
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
    summands,
    walk,
)
from symbp.matrices.algebra import NoForm, added, aligned, oriented
from symbp.matrices.graph import Graph
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
        if len(indices) < 3 and not all(i in steps or _is_deep(plain, i) for i in each):
            continue
        reader = Reader(frozenset(each), tuple(steps), Order(adjoints))
        try:
            left = reader.tensor(Entry(name, *indices))
            right = oriented(reader.read(plain), left.axes)
        except NoForm:
            continue
        return MatrixForm(left, right, each) if _tells(right, bool(each)) else None
    return None


def _held(indices: tuple[Index, ...], steps: Collection[Index]) -> Iterator[tuple[Index, ...]]:
    """Which indices to hold fixed: as few as possible, and the first rather than later ones."""
    always = {*indices} & {*steps}
    for number in range(max(0, len(indices) - 2), max(len(indices), 1)):
        yield from (each for each in combinations(indices, number) if always <= {*each})


def _is_deep(expr: Basic, index: Index) -> bool:
    """Whether an index stands among more than two, or a place on another axis depends on it: w[s], t − 1."""
    for node in walk(expr):
        places = node.indices if isinstance(node, Entry) else node.args
        if isinstance(node, (Entry, Delta)) and index in free_indices(node):
            if len(free_indices(node)) > 2 or any(
                p != index and index in free_indices(p) for p in places
            ):
                return True
    return False


def _tells(matrix: Matrix, held: bool) -> bool:
    """Whether a form says more than the formula with its indices left out."""
    kinds = {type(n) for n in nodes(matrix)}
    if held or Summation in kinds:
        return bool(kinds & {Product, Hadamard, Diagonal, Inner, Unit})
    return bool(kinds - {Scalar, Tensor, Scale, Ones}) and bool(kinds & {Tensor, Ones})


class Reader:
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
            inside = Reader(self.held - {*expr.indices}, self.steps, self.order)
            return inside.term(self.order.quotient(expr.body), expr.indices)
        if isinstance(expr, Pow) and self.is_scalar(expr.exp):
            return raised(self.read(expr.base), expr.exp)
        if isinstance(expr, Iverson) and isinstance(expr.args[0], Relational):
            relation = expr.args[0]
            return Indicator(aligned(map(self.read, relation.args)), relation=relation.rel_op)
        if isinstance(expr, Function):
            return Apply(aligned(map(self.read, expr.args)), function=expr.func)
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
        return added([self.term(q, ()) for q in self.order.terms(expr)])

    def term(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        """Σ over `bound` of a product: multiplied out or not, whichever has less to read."""
        attempts = [partial(self.product, quotient, bound)]
        sums = (f for f in quotient.numerator if isinstance(f, Add) and self.is_uneven(f))
        attempts += [partial(self.expanded, quotient, f, bound) for f in islice(sums, 1)]
        found = [m for attempt in attempts for m in _tried(attempt)]
        return min(found, key=weight) if found else self.stepwise(quotient, bound)

    def is_uneven(self, expr: Add) -> bool:
        """Whether a sum as a matrix repeats what is the same in all rows or columns, or has too many axes for one."""
        axes = self.moving(expr)
        uneven = any(self.moving(t) != axes and not t.is_Number for t in summands(expr))
        return uneven or len(axes) > 2 or any(isinstance(t, Delta) for t in summands(expr))

    def expanded(self, quotient: Quotient, factor: Add, bound: tuple[Index, ...]) -> Matrix:
        """Σ over `bound` of a product, multiplied out by the terms of one factor."""
        rest = _value(quotient) / factor
        return added([self.term(self.order.quotient(rest * t), bound) for t in summands(factor)])

    def stepwise(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        """Σ over indices that are held fixed: Σ_t of products of slices, and Σ_st with unit vectors at places w_st."""
        read = entries(_value(quotient))
        deep = [e for e in read if len(self.moving(e)) > 2]
        for number in (1, 2):
            ways = combinations(bound, number)
            for held in sorted(ways, key=lambda held: -len({*held} & {*self.steps})):
                rest = tuple(i for i in bound if i not in held)
                reader = Reader(self.held.union(held), self.steps, self.order)
                for found in _tried(partial(reader.product, quotient, rest)):
                    kinds = {type(n) for n in nodes(found)}
                    sliced = number == 1 and any(held[0] in self.moving(e) for e in deep)
                    told = {Unit} | ({Hadamard, Product, Diagonal, Inner} if sliced else set())
                    if Tensor in kinds and told & kinds:
                        return Summation((found,), indices=held)
        raise NoForm

    def product(self, quotient: Quotient, bound: tuple[Index, ...]) -> Matrix:
        """Σ over `bound` of a product, each factor a matrix."""
        graph = Graph(Integer(-1 if quotient.negative else 1))
        for factor in quotient.numerator:
            graph.add(self.read(factor))
        for factor in quotient.denominator:
            graph.add(raised(self.read(factor), Integer(-1)))
        return graph.summed(bound)


def _is_place(place: Expr) -> bool:
    """i, t − 1, T − 1, w[s] or 1 + w[s]: a place that one index moves at most, by one at a time."""
    _, rest = place.as_coeff_Add()
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
