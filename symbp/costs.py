"""What formulas cost: arithmetic operations, and entries of arrays, as polynomials in the sizes.

An addition, a multiplication, a division, a comparison and a call of a function are one operation each, for each entry
that they are done for. What equals something counted before counts no more, and neither do reads, places, and what
sizes and constants alone give. Of a condition all branches count: the cost is an upper bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

from sympy import Add, Basic, Expr, Idx, Integer, Mul, Pow, Rational
from sympy.core.relational import Relational

from symbp.contraction import nest
from symbp.ir.functions import Largest, Smallest
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    Slope,
    entries,
    factors,
    free_indices,
    size_of,
    tensors_of,
    walk,
)
from symbp.ir.program import Partial, Program
from symbp.ir.schedule import Assign, Repeat, Statement
from symbp.notation.order import natural
from symbp.notation.style import Notation
from symbp.rewrite import volume
from symbp.share import canonical

Terms = Counter[Expr]
"""monomial in sizes -> coefficient. A size such as H − K + 1 is one thing: by itself, none of its terms is a cost."""


@dataclass(frozen=True)
class Cost:
    """A number of operations or of entries. `rows` run over parts that stand apart, and cost the same each."""

    terms: Terms
    rows: tuple[Index, ...] = ()

    @property
    def total(self) -> Expr:
        """The number as SymPy."""
        return _value(self.terms)

    @property
    def leading(self) -> Expr:
        """The terms that no other outgrows as the sizes grow, with their coefficients."""
        return _value(self._leading)

    @property
    def order(self) -> Expr:
        """The same without coefficients: O of it is how the cost grows."""
        return _value(Counter(dict.fromkeys(self._leading, 1)))

    @property
    def _leading(self) -> Terms:
        found = {m: c for m, c in self.terms.items() if c}
        kept = {m: c for m, c in found.items() if not any(_outgrows(o, m) for o in found)}
        return Counter(kept)

    @property
    def a_row(self) -> Cost | None:
        """The cost of one row; None where there are no rows, a row is one entry, or costs are not by rows alone."""
        number = _extent(frozenset(self.rows))
        if not self.rows or len(number) != 1:
            return None
        ((monomial, coefficient),) = number.items()
        parts = {m / monomial: Rational(c, coefficient) for m, c in self.terms.items() if c}
        if all(m == 1 for m in parts) or any(e < 0 for m in parts for e in _degrees(m).values()):
            return None
        return Cost(Counter(parts))

    def __add__(self, other: Cost) -> Cost:
        return Cost(_plus(self.terms, other.terms))


def big_o(cost: Cost, write: Notation, indices: Sequence[Index] = ()) -> str:
    """O(n k), in the notation of a document. Sizes stand in the order of the indices, then by name."""
    first = list(dict.fromkeys(g for i in indices for m in _size(size_of(i)) for g in _degrees(m)))

    def place(generator: Expr) -> tuple[object, ...]:
        known = generator in first
        return not known, first.index(generator) if known else 0, natural(str(generator))

    products = []
    for monomial in Counter(cost._leading):
        degrees = _degrees(monomial)
        powers = sorted(degrees, key=place)
        written = [write.formula(Pow(g, degrees[g])) for g in powers]
        whole = [
            write.brackets(w) if isinstance(g, Add) and degrees[g] == 1 else w
            for g, w in zip(powers, written)
        ]
        names = tuple((-degrees[g], place(g)) for g in powers)
        products.append((names, write.sum((), whole) if whole else write.formula(Integer(1))))
    inside = " + ".join(text for _, text in sorted(products, key=lambda p: p[0]))
    return f"O({inside or write.formula(Integer(1))})"


def cost(indices: Sequence[Index], expr: Expr, shared: Collection[str] = (), of: str = "") -> Cost:
    """The operations of name[indices] = expr as it is computed: sums over pairs of factors, in the best order.

    `shared` are the tensors that are the same for all samples, as parameters are; `of` is the tensor, of an adjoint its
    tensor. What adds up over samples, as the gradient of a shared one does, has no rows.
    """
    adds_up = of in shared and not set(tensors_of(expr)) <= set(shared)
    return Cost(_Operations()(nest(expr)), () if adds_up else rows(indices, expr, shared))


def cost_as_written(indices: Sequence[Index], expr: Expr, shared: Collection[str] = ()) -> Cost:
    """The operations where each sum is done as it stands, for all values of its indices and of the free ones."""
    return Cost(_Operations(places=False)(expr), rows(indices, expr, shared))


def rows(indices: Sequence[Index], expr: Expr, shared: Collection[str] = ()) -> tuple[Index, ...]:
    """The free indices that every tensor carries, shared ones aside; of shared ones alone, those that all carry."""
    read = [e for e in entries(expr) if e.indices]
    own = [e for e in read if e.tensor not in shared] or read
    return tuple(i for i in indices if own and all(i in e.indices for e in own))


def entries_of(indices: Iterable[Index]) -> Cost:
    """How many entries an array over these indices has."""
    return Cost(_extent(frozenset(indices)))


def jacobian(partial: Partial, shared: Collection[str] = ()) -> tuple[Cost, Cost]:
    """(all entries of a local partial, those that its δ do not make 0).

    The latter has rows where it falls apart into blocks, unless all samples share what it is a partial in.
    """
    axes = (*partial.output_indices, *partial.input_indices)
    supports = [frozenset(f for f in factors(delta) if f != 1) for delta, _ in partial.terms]
    least = {s for s in supports if not any(other < s for other in supports)}
    nonzero = Terms()
    for support in least:
        nonzero = _plus(nonzero, _extent(frozenset(axes).difference(_pinned(support))))
    apart = partial.input not in shared or partial.output in shared
    return entries_of(axes), Cost(nonzero, tuple(partial.diagonal.values()) if apart else ())


def total(body: Iterable[Statement]) -> Cost:
    """The operations of statements, those in a loop for all its steps."""
    found = Terms()
    for statement in body:
        if isinstance(statement, Assign):
            found = _plus(found, _Operations()(statement.expr))
        elif isinstance(statement, Repeat):
            steps = _size(size_of(statement.index))
            found = _plus(found, _times(total(statement.body).terms, steps))
    return Cost(found)


def same_for_all(program: Program) -> frozenset[str]:
    """Parameters, constants, and what is computed from them alone: the same for all samples."""
    kinds = ("param", "constant")
    found = {name for name, d in program.declarations.items() if d.kind in kinds}
    for eq in program.equations:
        if set(tensors_of(eq.expr)) <= found:
            found.add(eq.name)
    return frozenset(found)


# Polynomials


def _value(terms: Terms) -> Expr:
    return Add(*(c * m for m, c in terms.items()))


def _plus(a: Terms, b: Terms) -> Terms:
    found = Terms(a)
    for monomial, coefficient in b.items():
        found[monomial] += coefficient
    return found


def _times(a: Terms, b: Terms) -> Terms:
    found = Terms()
    for (m, c), (n, d) in ((p, q) for p in a.items() for q in b.items()):
        found[m * n] += c * d
    return found


@lru_cache(maxsize=1_000)
def _size(size: Expr) -> Terms:
    """A size as a polynomial. One whose negative terms count, such as H − K + 1, or of functions, is one thing."""
    terms = [t.as_coeff_Mul() for t in Add.make_args(size.expand())]
    positive = [m for c, m in terms if c.is_positive]
    small = all(any(_outgrows(p, m) for p in positive) for c, m in terms if c.is_negative)
    if small and all(c.is_Integer and m.is_polynomial() for c, m in terms):
        return Terms({m: c for c, m in terms})
    coefficient, rest = size.as_coeff_Mul()
    return Terms({rest: coefficient})


@lru_cache(maxsize=10_000)
def _extent(indices: frozenset[Index]) -> Terms:
    """How many values some indices take together."""
    return reduce(_times, (_size(size_of(i)) for i in indices), Terms({Integer(1): 1}))


def _degrees(monomial: Expr) -> dict[Expr, Expr]:
    return {g: e for g, e in monomial.as_powers_dict().items() if g != 1}


def _outgrows(larger: Expr, smaller: Expr) -> bool:
    """Whether one monomial is another times sizes."""
    degrees = _degrees(larger / smaller)
    return bool(degrees) and all(e > 0 for e in degrees.values())


# Operations


def _is_given(expr: Basic) -> bool:
    """Whether sizes and constants, or places, alone give an expression: it costs nothing."""
    if any(isinstance(n, Entry) and (n.indices or not n.is_whole) for n in walk(expr)):
        return False
    return not free_indices(expr) or bool(expr.is_integer)


def _operands(product: Mul) -> list[Expr]:
    """The factors that are multiplied or divided by: all numbers and sizes as one, signs and δ as none."""
    moving = [f for f in product.args if not isinstance(f, Delta)]
    given = Mul(*(f for f in moving if _is_given(f)))
    return [*([given] if abs(given) != 1 else []), *(f for f in moving if not _is_given(f))]


def _is_divisor(factor: Expr) -> bool:
    return isinstance(factor, Pow) and bool(factor.exp.is_Number and factor.exp.is_negative)


def _own(expr: Basic) -> int:
    """The operations of a node for one entry, its arguments given."""
    if isinstance(expr, Add):
        return len(expr.args) - 1
    if isinstance(expr, Mul):
        operands = _operands(expr)
        return len(operands) - 1 + all(map(_is_divisor, operands))
    if isinstance(expr, Pow):
        return _to_power(expr.exp) + _is_divisor(expr)
    if isinstance(expr, (Largest, Smallest)):
        return len(expr.args) - 1
    if isinstance(expr, Iverson):
        return sum(isinstance(n, Relational) for n in walk(expr))
    return int(bool(expr.is_Function))


def _to_power(exponent: Expr) -> int:
    """x³ = x x x by repeated squaring; any power that is not whole is a function."""
    if not exponent.is_Integer:
        return 1
    digits = bin(abs(int(exponent)))[2:]
    return len(digits) + digits.count("1") - 2


def _parts(expr: Basic) -> tuple[Basic, ...]:
    """What an expression is computed from; of a quotient, what is divided by."""
    if isinstance(expr, (Entry, Idx, Delta)):
        return ()
    if isinstance(expr, Reduce):
        return (expr.body,)
    if isinstance(expr, Mul):
        return tuple(Pow(f.base, -f.exp) if _is_divisor(f) else f for f in _operands(expr))
    return tuple(expr.args)


def _pinned(product: Iterable[Expr]) -> dict[Index, Expr]:
    """index -> the one place where δ lets a product be anything but 0."""
    found: dict[Index, Expr] = {}
    for delta in (f for f in product if isinstance(f, Delta)):
        for index, place in (delta.args, delta.args[::-1]):
            if isinstance(index, Idx) and index not in found and index not in free_indices(place):
                found[index] = place
                break
    return found


def _axes(expr: Basic, pinned: Mapping[Index, Expr]) -> frozenset[Index]:
    """The indices that an expression is computed for."""
    axes = free_indices(expr)
    places = (free_indices(place) for index, place in pinned.items() if index in axes)
    return axes.union(*places).difference(pinned)


class _Operations:
    """Counts operations, those of each distinct part once, for all values of the indices that it has itself.

    Where `places` is false, a product with δ counts for all values of its indices too.
    """

    def __init__(self, places: bool = True) -> None:
        self.places = places
        self.seen: set[Basic] = set()

    def __call__(self, expr: Basic) -> Terms:
        if not expr.args or isinstance(expr, (Entry, Idx, Delta)) or _is_given(expr):
            return Terms()
        form, _ = canonical(expr)
        if form in self.seen:
            return Terms()
        self.seen.add(form)
        if isinstance(expr, Slope):
            return self.slope(expr)
        return reduce(_plus, map(self, _parts(expr)), self.own(expr))

    def own(self, expr: Basic) -> Terms:
        if isinstance(expr, Reduce):
            axes = _axes(expr.body, self.pinned(expr.body))
            steps, results = _extent(axes), free_indices(expr)
            return _plus(steps, _times(_extent(results), _LESS)) if results <= axes else steps
        if isinstance(expr, (Add, Mul)):
            return self.together(expr)
        return _times(_extent(free_indices(expr)), Terms({Integer(1): _own(expr)}))

    def pinned(self, expr: Basic) -> dict[Index, Expr]:
        return _pinned(factors(expr)) if self.places else {}

    def together(self, expr: Add | Mul) -> Terms:
        """Terms or factors one after the other, those with the fewest axes first."""
        pinned = self.pinned(expr)
        operands = _operands(expr) if isinstance(expr, Mul) else expr.args
        each = sorted((_axes(o, pinned) for o in operands), key=volume)
        found, axes = Terms(), frozenset[Index]()
        for k, own in enumerate(each):
            axes |= own
            found = _plus(found, _extent(axes)) if k else found
        return _plus(found, _extent(axes)) if _own(expr) == len(each) > 0 else found

    def slope(self, expr: Slope) -> Terms:
        """Of a product, those of what stands before a place and of what stands behind it, multiplied."""
        if expr.reduction.reducer != "product":
            return self(expr.open())
        body = expr.reduction.body
        return _plus(self(body), _times(_extent(free_indices(body)), Terms({Integer(1): 3})))


_LESS = Terms({Integer(1): -1})
