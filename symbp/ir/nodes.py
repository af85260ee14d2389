"""The expression language of every stage after `normalise`: SymPy scalars plus four nodes.

SymPy's own `Indexed`, `Sum`, `Max` and `Piecewise` evaluate early, capture bound names or differentiate to other values
at kinks than the language fixes, so the stages speak these instead, and `to_sympy` gives the user SymPy's back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sympy import (
    Add,
    Basic,
    Eq,
    Expr,
    Idx,
    Integer,
    Mul,
    Pow,
    S,
    Symbol,
)  # fmt: skip

Index = Any  # sympy.Idx; SymPy ships no types


class Entry(Expr):
    """z[i, j]: one entry of a tensor; of a scalar tensor, the tensor itself."""

    is_commutative = True
    is_extended_real = True
    is_real = True
    _diff_wrt = True

    def __new__(cls, tensor: Symbol | str, *indices: Expr) -> Entry:
        symbol = Symbol(tensor) if isinstance(tensor, str) else tensor
        obj: Entry = Expr.__new__(cls, symbol, *indices)
        return obj

    @property
    def tensor(self) -> str:
        name: str = self.args[0].name
        return name

    @property
    def indices(self) -> tuple[Expr, ...]:
        return tuple(self.args[1:])

    @property
    def is_whole(self) -> bool:
        """Whether the tensor holds integers."""
        return bool(self.args[0].is_integer)

    def _sympystr(self, printer: Any) -> str:
        inner = ", ".join(printer._print(a) for a in self.indices)
        return f"{self.tensor}[{inner}]" if inner else self.tensor


class Reduce(Expr):
    """Σ, Π or max over indices of a body: `reducer` is "sum", "product" or "maximum"."""

    is_commutative = True
    is_extended_real = True
    is_real = True

    def __new__(cls, reducer: Symbol | str, body: Expr, *indices: Index) -> Reduce:
        symbol = Symbol(reducer) if isinstance(reducer, str) else reducer
        obj: Reduce = Expr.__new__(cls, symbol, body, *indices)
        return obj

    @property
    def reducer(self) -> str:
        name: str = self.args[0].name
        return name

    @property
    def body(self) -> Expr:
        return self.args[1]

    @property
    def indices(self) -> tuple[Index, ...]:
        return tuple(self.args[2:])

    def _sympystr(self, printer: Any) -> str:
        inner = ", ".join(printer._print(a) for a in self.indices)
        return f"{self.reducer}_{{{inner}}}({printer._print(self.body)})"


class Slope(Expr):
    """∂(max_c f_c)/∂f_i, or ∂(Π_c f_c)/∂f_i = Π_{c≠i} f_c: what a reduction gains at a place i.

    Of a sum it is 1.

    `value` is how the reduction itself is written: a forward value that equals it, where there is one. The body stands
    here once and for all places, so that what is compared with the maximum is what the maximum was taken of.
    """

    is_commutative = True
    is_extended_real = True
    is_real = True

    @property
    def reduction(self) -> Reduce:
        found: Reduce = self.args[0]
        return found

    @property
    def value(self) -> Expr:
        return self.args[1]

    @property
    def place(self) -> tuple[Expr, ...]:
        """What stands in the place of each bound index of the reduction."""
        return tuple(self.args[2:])

    def open(self) -> Expr:
        """The same in other nodes. Those that tie for a maximum have equal shares, which add up to 1.

        Of a product it is the product of all others, Π_{c≠i} f_c, which has no other name here.
        """
        node = self.reduction
        if node.reducer == "product":
            return self
        names = {i.name for i in walk(self) if isinstance(i, Idx)}
        inside = set(walk(self.value))
        others = {i: prime(i, names) if i in inside else i for i in node.indices}
        tied = _tie(substitute(node.body, others), self.value)
        at = substitute(node.body, dict(zip(node.indices, self.place)))
        return _tie(at, self.value) / Reduce("sum", tied, *others.values())


class Iverson(Expr):
    """[P]: 1 where the relation P holds, else 0. Constant almost everywhere, so its derivative is taken as 0."""

    is_commutative = True
    is_extended_real = True
    is_real = True
    is_nonnegative = True

    def __new__(cls, condition: Basic) -> Expr:
        if condition == S.true:
            return S.One
        if condition == S.false:
            return S.Zero
        obj: Expr = Expr.__new__(cls, condition)
        return obj

    def _eval_derivative(self, symbol: Expr) -> Expr:
        return S.Zero

    def _sympystr(self, printer: Any) -> str:
        return f"[{printer._print(self.args[0])}]"


class Delta(Expr):
    """δ_ij: 1 where two index expressions are equal, else 0 (Kronecker)."""

    is_commutative = True
    is_extended_real = True
    is_real = True
    is_nonnegative = True

    def __new__(cls, left: Expr, right: Expr) -> Expr:
        difference = left - right
        if difference.is_number:
            return S.One if difference == 0 else S.Zero
        first, second = sorted((left, right), key=lambda e: (str(e), repr(e)))
        obj: Expr = Expr.__new__(cls, first, second)
        return obj

    def _sympystr(self, printer: Any) -> str:
        return f"δ({printer._print(self.args[0])}, {printer._print(self.args[1])})"


class Head(Expr):
    """A plain index at the first places of an axis that is longer than its range. Any other place is itself."""

    is_commutative = True
    is_integer = True

    def __new__(cls, index: Expr) -> Expr:
        if not isinstance(index, Idx):
            return index
        obj: Expr = Expr.__new__(cls, index)
        return obj

    @property
    def index(self) -> Index:
        return self.args[0]


class Cases(Expr):
    """The first branch whose condition holds: args are value, condition, value, condition, …, value (otherwise)."""

    is_commutative = True
    is_extended_real = True
    is_real = True

    def __new__(cls, *args: Basic) -> Expr:
        """Branches that are never taken go, those behind one that always is, and last ones that change nothing."""
        kept: list[Basic] = []
        for value, condition in zip(args[:-1:2], args[1:-1:2]):
            if condition == S.true:
                return cls(*kept, value)
            if condition != S.false:
                kept += [value, condition]
        while kept and kept[-2] == args[-1]:
            del kept[-2:]
        if not kept:
            return args[-1]
        obj: Expr = Expr.__new__(cls, *kept, args[-1])
        return obj

    @property
    def branches(self) -> tuple[tuple[Expr, Basic], ...]:
        """(value, condition) of every branch but the last."""
        return tuple(zip(self.args[:-1:2], self.args[1:-1:2]))

    @property
    def otherwise(self) -> Expr:
        return self.args[-1]

    @property
    def is_indicator(self) -> bool:
        """Whether it is [P]: 1 where its one condition holds, else 0."""
        return bool(self.args[0] == 1 and self.args[2:] == (0,))

    def _eval_derivative(self, symbol: Expr) -> Expr:
        """d/dx {f if P; g} = {f' if P; g'}: the conditions are constant almost everywhere."""
        values = [v.diff(symbol) for v in (*self.args[:-1:2], self.otherwise)]
        if all(v == values[0] for v in values):
            return values[0]
        pairs = [x for v, (_, c) in zip(values, self.branches) for x in (v, c)]
        return Cases(*pairs, values[-1])


def opened(expr: Basic) -> Basic:
    """The expression with every slope in other nodes, as people write it."""
    return transform(expr, lambda node: node.open() if isinstance(node, Slope) else None)


def _tie(body: Expr, largest: Expr) -> Expr:
    """[f_c = m]"""
    return Iverson(Eq(body, largest, evaluate=False))


def sum_over(body: Expr, indices: tuple[Index, ...]) -> Expr:
    """Σ over indices, with Σ over nothing the body itself and Σ 0 = 0."""
    if not indices or body == 0:
        return body
    return Reduce("sum", body, *indices)


def size_of(index: Index) -> Expr:
    """How many values an index takes."""
    return index.upper - index.lower + 1


@lru_cache(maxsize=200_000)
def free_indices(expr: Basic) -> frozenset[Index]:
    """The index symbols of an expression that no reduction in it binds."""
    if isinstance(expr, Idx):
        return frozenset((expr,))
    if isinstance(expr, Reduce):
        return free_indices(expr.body) - frozenset(expr.indices)
    if not expr.args:
        return frozenset()
    return frozenset().union(*(free_indices(a) for a in expr.args))


def is_placed(place: Basic) -> bool:
    """Whether a place is computed from other indices: read from an integer tensor, or 2 p + a."""
    return isinstance(place, Entry) or (not isinstance(place, Idx) and bool(free_indices(place)))


def walk(expr: Basic) -> Iterator[Basic]:
    """Every subexpression, the whole first. The ranges inside an index are no subexpressions."""
    yield expr
    if isinstance(expr, Idx):
        return
    for arg in expr.args[1:] if isinstance(expr, (Entry, Reduce)) else expr.args:
        yield from walk(arg)


@lru_cache(maxsize=100_000)
def entries(expr: Basic) -> tuple[Entry, ...]:
    """The distinct entries in an expression, in order of first appearance."""
    return tuple(dict.fromkeys(e for e in walk(expr) if isinstance(e, Entry)))


def tensors_of(expr: Basic) -> tuple[str, ...]:
    """The distinct tensors that an expression reads, in order of first appearance."""
    return tuple(dict.fromkeys(e.tensor for e in entries(expr)))


def rebuild(expr: Basic, args: list[Basic]) -> Basic:
    """The node with other arguments; the same object where nothing changed."""
    if len(args) == len(expr.args) and all(a is b for a, b in zip(args, expr.args)):
        return expr
    return expr.func(*args)


def transform(expr: Basic, visit: Callable[[Basic], Basic | None]) -> Basic:
    """Bottom-up rewriting: `visit` sees each node after its arguments and returns its successor, or None to keep it."""
    if not expr.args or isinstance(expr, Idx):
        found = visit(expr)
        return expr if found is None else found
    new = rebuild(expr, [transform(a, visit) for a in expr.args])
    found = visit(new)
    return new if found is None else found


def prime(index: Index, avoid: set[str]) -> Index:
    """The index i' (or i'', …) over the same range, with a name that `avoid` lacks."""
    name = index.name + "'"
    while name in avoid:
        name += "'"
    return Idx(Symbol(name, integer=True), (index.lower, index.upper))


def substitute(expr: Expr, mapping: Mapping[Basic, Expr]) -> Expr:
    """Replace free indices (or whole nodes) without capture: a bound index that would capture is primed first."""
    if not mapping:
        return expr
    if expr in mapping:
        return mapping[expr]
    if not expr.args or isinstance(expr, Idx):
        return expr
    if isinstance(expr, Reduce):
        return _substitute_reduce(expr, mapping)
    args = [substitute(a, mapping) for a in expr.args]
    if isinstance(
        expr, (Entry, Delta)
    ):  # a place p + a at p = 0 is a, and still one of a longer axis
        args = [
            Head(new) if isinstance(old, (Add, Mul)) else new for old, new in zip(expr.args, args)
        ]
    return rebuild(expr, args)


def _substitute_reduce(expr: Reduce, mapping: Mapping[Basic, Expr]) -> Expr:
    bound = frozenset(expr.indices)
    inner = {k: v for k, v in mapping.items() if not free_indices(k) & bound}
    if not inner:
        return expr
    incoming = frozenset().union(*(free_indices(v) for v in inner.values()))
    clash = bound & incoming
    if clash:
        taken = {i.name for i in incoming | bound | free_indices(expr.body)}
        for index in sorted(clash, key=lambda i: i.name):
            inner[index] = prime(index, taken)
            taken.add(inner[index].name)
    indices = [inner.get(i, i) if i in clash else i for i in expr.indices]
    return Reduce(expr.args[0], substitute(expr.body, inner), *indices)


def summands(expr: Expr) -> tuple[Expr, ...]:
    """The terms of a sum; of anything else, itself."""
    return tuple(Add.make_args(expr))


def factors(expr: Expr) -> tuple[Expr, ...]:
    """The factors of a product; of anything else, itself."""
    return tuple(Mul.make_args(expr))


def base_exponent(factor: Expr) -> tuple[Expr, Expr]:
    """(b, e) of b**e; exp(a) counts as a base of its own."""
    if isinstance(factor, Pow):
        return factor.base, factor.exp
    return factor, Integer(1)
