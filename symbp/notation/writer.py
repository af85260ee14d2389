"""What both notations share: which node is written how, and where brackets are due.

A writer turns every node into a `Piece`, bottom-up. A piece knows how tightly it binds, and how it
looks where more follows it: Σ reaches to the end of its product, and is bracketed before that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import singledispatchmethod

from sympy import (
    Abs,
    Add,
    And,
    Basic,
    Expr,
    Function,
    Idx,
    Mul,
    Not,
    Number,
    NumberSymbol,
    Or,
    Piecewise,
    Pow,
    S,
    Symbol,
    exp,
)  # fmt: skip
from sympy.core.relational import Relational

from symbp.errors import CompilerError
from symbp.ir.functions import Magnitude, SafeInverse
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Head,
    Index,
    Iverson,
    Reduce,
    Slope,
    free_indices,
)
from symbp.ir.trace import Group, Rate, Total
from symbp.notation.order import SCALAR, Order, Quotient, common_number, is_negative_sum

# functions that people write by another name than that of their class
_NAMES = {
    "Largest": "max", "Max": "max", "Smallest": "min", "Min": "min",
    "LogAddExp": "logaddexp", "Sign": "sign", "Finite": "finite",
}  # fmt: skip


def function_name(kind: type) -> str:
    """The name that people write a function by."""
    return _NAMES.get(kind.__name__, kind.__name__)


class Level(IntEnum):
    """How tightly a piece binds; a piece in a place that asks for more stands in brackets."""

    SUM = 0  # a + b, and whatever begins with a sign
    FRACTION = 1  # a / b
    PRODUCT = 2  # a b
    POWER = 3  # a²
    ATOM = 4


@dataclass(frozen=True)
class Piece:
    """A finished part of a formula."""

    text: str
    level: Level = Level.ATOM
    closed: str = ""  # the text where more of the same product or sum follows, if that differs

    @property
    def inside(self) -> str:
        return self.closed or self.text


class Writer(ABC):
    """The notation of the whole node language; a subclass decides how each mark looks."""

    def __init__(self, adjoints: Collection[str]) -> None:
        self.order = Order(adjoints)

    def __call__(self, expr: Basic) -> str:
        return self.write(expr).text

    def place(self, expr: Expr) -> str:
        """A place on an axis: t + 1, where a value is 1 + x."""
        offset, rest = expr.as_coeff_Add()
        if offset.is_positive and rest != 0:
            return f"{self(rest)} + {self(offset)}"
        return self(expr)

    # --- marks of one notation

    @abstractmethod
    def brackets(self, text: str) -> str: ...

    @abstractmethod
    def juxtapose(self, factors: Sequence[str]) -> str: ...

    @abstractmethod
    def sign(self, negative: bool, first: bool) -> str: ...

    @abstractmethod
    def fraction(self, numerator: Piece, denominator: Piece) -> Piece: ...

    @abstractmethod
    def power(self, base: Piece, exponent: Expr) -> Piece: ...

    @abstractmethod
    def root(self, radicand: str) -> Piece: ...

    @abstractmethod
    def number(self, value: Number | NumberSymbol) -> Piece: ...

    @abstractmethod
    def symbol(self, name: str) -> Piece: ...

    @abstractmethod
    def index(self, name: str) -> Piece: ...

    @abstractmethod
    def entry(self, entry: Entry) -> Piece: ...

    @abstractmethod
    def operator(self, reducer: str, indices: tuple[Index, ...]) -> str:
        """Σ, Π or max with its indices; CompilerError on another reducer."""

    @abstractmethod
    def others(self, indices: tuple[Index, ...], place: tuple[Expr, ...]) -> str:
        """Π over all indices but those of one place."""

    @abstractmethod
    def delta(self, indices: tuple[Expr, ...]) -> Piece: ...

    @abstractmethod
    def iverson(self, condition: str) -> Piece: ...

    @abstractmethod
    def function(self, name: str, arguments: Sequence[str]) -> Piece: ...

    @abstractmethod
    def exponential(self, exponent: Expr) -> Piece: ...

    @abstractmethod
    def inverse(self, base: Piece) -> Piece:
        """1/a, and 0 where a is 0: written a⁺, as a pseudo-inverse is."""

    result: str  # what is differentiated

    @abstractmethod
    def derivative(self, above: str, below: str) -> Piece: ...

    @abstractmethod
    def absolute(self, text: str) -> Piece: ...

    @abstractmethod
    def cases(self, branches: Sequence[tuple[str, str]], otherwise: str | None) -> Piece: ...

    @abstractmethod
    def relation(self, operator: str) -> str: ...

    @abstractmethod
    def connective(self, operator: str) -> str: ...

    # --- nodes

    @singledispatchmethod
    def write(self, expr: Basic) -> Piece:
        """The piece of any node; CompilerError on one that the notation does not know."""
        raise CompilerError(f"no notation for {type(expr).__name__}: {expr}")

    @write.register(Add)
    def _(self, expr: Add) -> Piece:
        if abs(common_number(expr)) != 1:
            return self._quotient(expr)
        terms = self.order.terms(expr)
        parts = []
        for k, term in enumerate(terms):
            piece = self._magnitude(term)
            text = piece.text if k == len(terms) - 1 else piece.inside
            parts.append(self.sign(term.negative, first=k == 0) + text)
        return Piece("".join(parts), Level.SUM)

    @write.register(Number)
    @write.register(NumberSymbol)
    def _(self, expr: Number | NumberSymbol) -> Piece:
        if expr.is_extended_negative or (expr.is_Rational and not expr.is_Integer):
            return self._quotient(expr)
        return self.number(expr)

    @write.register(Mul)
    def _(self, expr: Mul) -> Piece:
        return self._quotient(expr)

    def _quotient(self, expr: Expr) -> Piece:
        quotient = self.order.quotient(expr)
        piece = self._magnitude(quotient)
        if not quotient.negative:
            return piece
        minus = self.sign(True, first=True)
        return Piece(minus + piece.text, Level.SUM, minus + piece.inside)

    @write.register(Pow)
    def _(self, expr: Pow) -> Piece:
        if expr.exp == S.Half:
            return self.root(self(expr.base))
        if expr.exp.is_Number and expr.exp.is_negative:
            return self._magnitude(self.order.quotient(expr))
        return self.power(self.write(expr.base), expr.exp)

    @write.register(Symbol)
    def _(self, expr: Symbol) -> Piece:
        return self.symbol(expr.name)

    @write.register(Idx)
    def _(self, expr: Idx) -> Piece:
        return self.index(expr.name)

    @write.register(Entry)
    def _(self, expr: Entry) -> Piece:
        return self.entry(expr)

    @write.register(Reduce)
    def _(self, expr: Reduce) -> Piece:
        if is_negative_sum(expr):
            return self._quotient(expr)
        return self._big(self.operator(expr.reducer, expr.indices), expr.body)

    @write.register(Group)
    def _(self, expr: Group) -> Piece:
        inside = self.write(expr.inside)
        return Piece(self._bracketed(inside, Level.ATOM))

    @write.register(Rate)
    def _(self, expr: Rate) -> Piece:
        return self.derivative(self(expr.above), self(expr.below))

    @write.register(Total)
    def _(self, expr: Total) -> Piece:
        return self.derivative(self.result, self(expr.below))

    @write.register(Slope)
    def _(self, expr: Slope) -> Piece:
        node = expr.reduction
        return self._big(self.others(node.indices, expr.place), node.body)

    def _big(self, mark: str, expr: Expr) -> Piece:
        """Σ, Π or max and its body."""
        body = self.write(expr)
        text = f"{mark} {self._bracketed(body, Level.FRACTION)}"
        # below a fraction bar, Σ needs no brackets where its body is one thing
        level = Level.POWER if body.level >= Level.POWER else Level.PRODUCT
        return Piece(text, level, self.brackets(text))

    @write.register(Iverson)
    def _(self, expr: Iverson) -> Piece:
        return self.iverson(self(expr.args[0]))

    @write.register(Delta)
    def _(self, expr: Delta) -> Piece:
        return self.delta(expr.args)

    @write.register(Head)
    def _(self, expr: Head) -> Piece:
        return self.write(expr.index)

    @write.register(Cases)
    def _(self, expr: Cases) -> Piece:
        if expr.is_indicator:
            return self.iverson(self(expr.args[1]))
        return self.cases([(self(v), self(c)) for v, c in expr.branches], self(expr.otherwise))

    @write.register(Piecewise)
    def _(self, expr: Piecewise) -> Piece:
        branches = [(self(value), self(condition)) for value, condition in expr.args]
        if expr.args[-1].cond == S.true:
            return self.cases(branches[:-1], branches[-1][0])
        return self.cases(branches, None)

    @write.register(exp)
    def _(self, expr: exp) -> Piece:
        return self.exponential(expr.args[0])

    @write.register(SafeInverse)
    def _(self, expr: SafeInverse) -> Piece:
        return self.inverse(self.write(expr.args[0]))

    @write.register(Abs)
    @write.register(Magnitude)
    def _(self, expr: Abs | Magnitude) -> Piece:
        return self.absolute(self(expr.args[0]))

    @write.register(Function)
    def _(self, expr: Function) -> Piece:
        name = function_name(expr.func)
        args = self.order.arguments(expr.args) if name in ("max", "min") else expr.args
        return self.function(name, [self(a) for a in args])

    @write.register(Relational)
    def _(self, expr: Relational) -> Piece:
        # what moves stands first: i < k, where SymPy has k > i
        expr = expr if free_indices(expr.lhs) or not free_indices(expr.rhs) else expr.reversed
        return Piece(self(expr.lhs) + self.relation(expr.rel_op) + self(expr.rhs))

    @write.register(And)
    @write.register(Or)
    def _(self, expr: And | Or) -> Piece:
        parts = [self._operand(a) for a in sorted(expr.args, key=self.order.key)]
        return Piece(self.connective("and" if isinstance(expr, And) else "or").join(parts))

    @write.register(Not)
    def _(self, expr: Not) -> Piece:
        return Piece(self.connective("not") + self.brackets(self(expr.args[0])))

    @write.register(type(S.true))
    @write.register(type(S.false))
    def _(self, expr: Basic) -> Piece:
        return Piece(self.connective("true" if expr == S.true else "false"))

    # --- products and fractions

    def _magnitude(self, term: Quotient) -> Piece:
        """A term without its sign. Over scalars, Σ stands behind the fraction: (1 / n) Σ_i x[i]."""
        above, below = term.numerator, term.denominator
        if not below:
            return self._product(above)
        tail: tuple[Expr, ...] = ()
        if all(self.order.rank(f) <= SCALAR for f in below):
            tail = tuple(f for f in above if isinstance(f, (Reduce, Slope)))
        head = self.fraction(self._product(above[: len(above) - len(tail)]), self._product(below))
        return self.joined([head, *map(self.write, tail)]) if tail else head

    def _product(self, factors: tuple[Expr, ...]) -> Piece:
        if len(factors) <= 1:
            return self.write(factors[0]) if factors else self.number(S.One)
        return self.joined([self.write(f) for f in factors])

    def joined(self, pieces: Sequence[Piece]) -> Piece:
        """Factors side by side; each but the last is closed."""
        *first, last = pieces
        parts = [self.closed(p) for p in first]
        text = self.juxtapose([*parts, self._bracketed(last, Level.PRODUCT)])
        closed = self.juxtapose([*parts, self.closed(last)])
        return Piece(text, Level.PRODUCT, closed)

    def _bracketed(self, piece: Piece, least: Level) -> str:
        """A piece that nothing follows, in brackets if it binds less tightly than `least`."""
        return self.brackets(piece.text) if piece.level < least else piece.text

    def closed(self, piece: Piece, least: Level = Level.PRODUCT) -> str:
        """A piece that something may follow."""
        return self.brackets(piece.text) if piece.level < least else piece.inside

    def _operand(self, condition: Basic) -> str:
        text = self(condition)
        return self.brackets(text) if isinstance(condition, (And, Or)) else text
