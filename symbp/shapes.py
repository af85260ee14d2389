"""Sizes from shapes: which statements of an emitted function solve the sizes, and which axes remain to be checked.

An axis is an integer expression of sizes (`n`, `2*m`, `n + m`, `floor(n/2)`, `3`). The arrays' shapes give one equation
for each axis. They are solved here, when the module is made; the module only reads, divides and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sympy import (
    Add,
    Expr,
    Integer,
    Matrix,
    Mul,
    Poly,
    Pow,
    Symbol,
    ceiling,
    floor,
    fraction,
    together,
)

from symbp.errors import CompilerError


@dataclass(frozen=True)
class Plan:
    """How a function learns its sizes, as Python code."""

    statements: tuple[str, ...]  # `h, d = W1.shape`, in an order in which each can run
    checks: tuple[
        tuple[str, str], ...
    ]  # (tensor, `(n, d)`): the shapes that are still to be compared
    open: tuple[str, ...]  # sizes that no array determines: arguments of the function
    tensors: frozenset[str]  # whose shapes the statements read
    solves: bool  # whether a statement calls `_solve`


@dataclass(frozen=True)
class _Axis:
    """One axis of an array, and the size that it must have."""

    tensor: str
    number: int
    size: Expr

    @property
    def found(self) -> Symbol:
        """The size that the array has there, as a symbol that prints as its code."""
        return Symbol(f"{self.tensor}.shape[{self.number}]", integer=True)


@dataclass(frozen=True)
class _Solution:
    """size = numerator / denominator, from the equations of these axes; a direct read has just one axis and 1."""

    size: Symbol
    axes: tuple[_Axis, ...]
    numerator: Expr
    denominator: Expr

    @property
    def reads(self) -> set[str]:
        """The sizes that it is computed from."""
        return {s.name for s in self.numerator.free_symbols | self.denominator.free_symbols}

    @property
    def direct(self) -> bool:
        """Whether an axis has this very size."""
        return bool(self.numerator == self.axes[0].found and self.denominator == 1)


def plan_sizes(
    shapes: Mapping[str, Sequence[Expr]], needed: Iterable[str], order: Sequence[str]
) -> Plan:
    """A plan that gives every size in `needed` and checks every axis of `shapes` (tensor -> size of each axis).

    Tensors that stand first determine, those behind them are checked. `order` is the order of all sizes, in which the
    open ones are listed.
    """
    equations = _Equations(
        [_Axis(t, i, size) for t, shape in shapes.items() for i, size in enumerate(shape)]
    )
    equations.read()
    while equations.solve_one() or equations.solve_together():
        pass
    known = {s.size.name for s in equations.solutions}
    unchecked = {a.tensor for a in equations.axes if a not in equations.settled}
    checks = tuple(
        (t, tuple_code(map(size_code, shape))) for t, shape in shapes.items() if t in unchecked
    )
    wanted = set(needed) | {
        s.name for t in unchecked for size in shapes[t] for s in size.free_symbols
    }
    used = wanted.union(*(s.reads for s in equations.solutions))
    kept = [s for s in equations.solutions if s.size.name in used or not s.direct]
    return Plan(
        statements=tuple(_statements(kept, shapes, used)),
        checks=checks,
        open=tuple(sorted(wanted - known, key=list(order).index)),
        tensors=frozenset(a.tensor for s in kept for a in s.axes),
        solves=not all(s.direct for s in kept),
    )


@dataclass
class _Equations:
    """The equations of all axes, solved step by step. An axis is settled where its equation was used up."""

    axes: list[_Axis]
    solutions: list[_Solution] = field(default_factory=list)
    settled: set[_Axis] = field(default_factory=set)

    def unknown(self, axis: _Axis) -> set[Symbol]:
        """The sizes in this axis that no solution gives yet."""
        return set(axis.size.free_symbols) - {s.size for s in self.solutions}

    def read(self) -> None:
        """Axes that are one size each: the first that has it gives it."""
        for axis in self.axes:
            if isinstance(axis.size, Symbol) and self.unknown(axis):
                self.solutions.append(_Solution(axis.size, (axis,), axis.found, Integer(1)))
                self.settled.add(axis)

    def solve_one(self) -> bool:
        """An equation that is linear in its only unknown, if there is one."""
        for axis in self.axes:
            unknown = sorted(self.unknown(axis), key=str)
            linear = _linear(axis.size, unknown) if len(unknown) == 1 else None
            if linear is not None:
                (coefficient,), constant = linear
                numerator, denominator = fraction(together((axis.found - constant) / coefficient))
                self.solutions.append(_Solution(unknown[0], (axis,), numerator, denominator))
                self.settled.add(axis)
                return True
        return False

    def solve_together(self) -> bool:
        """Linear equations with several unknowns each: every unknown that they determine together, if there is one."""
        left = [a for a in self.axes if len(self.unknown(a)) > 1]
        unknown = sorted(set().union(*map(self.unknown, left)), key=str)
        rows: list[tuple[_Axis, list[Expr], Expr]] = []
        for axis in left:
            linear = _linear(axis.size, unknown)
            if linear is None or not all(c.is_Rational for c in linear[0]):
                continue
            if Matrix([r[1] for r in rows] + [linear[0]]).rank() > len(rows):
                rows.append((axis, linear[0], axis.found - linear[1]))
        if not rows:
            return False
        determined = self._eliminate(unknown, rows)
        self.settled.update(axis for axis, *_ in rows if self.unknown(axis) == set())
        return determined

    def _eliminate(self, unknown: list[Symbol], rows: list[tuple[_Axis, list[Expr], Expr]]) -> bool:
        """Gauss and Jordan: [A | 1] becomes [R | C]; a row of R with one entry is the solution for one unknown."""
        reduced, _ = Matrix([r[1] for r in rows]).row_join(Matrix.eye(len(rows))).rref()
        before = len(self.solutions)
        for i in range(len(rows)):
            columns = [j for j in range(len(unknown)) if reduced[i, j] != 0]
            if len(columns) == 1:
                weights = list(reduced[i, len(unknown) :])
                value = Add(*(w * value for w, (_, _, value) in zip(weights, rows, strict=True)))
                axes = tuple(axis for w, (axis, _, _) in zip(weights, rows, strict=True) if w != 0)
                self.solutions.append(
                    _Solution(unknown[columns[0]], axes, *fraction(together(value)))
                )
        return len(self.solutions) > before


def _linear(size: Expr, unknown: Sequence[Symbol]) -> tuple[list[Expr], Expr] | None:
    """The coefficients of the unknowns and the rest, where the size is linear in them."""
    if not size.is_polynomial(*unknown):
        return None
    poly = Poly(size, *unknown)
    if poly.total_degree() != 1:
        return None
    return [poly.coeff_monomial(u) for u in unknown], poly.coeff_monomial(1)


def _statements(
    solutions: Sequence[_Solution], shapes: Mapping[str, Sequence[Expr]], used: set[str]
) -> Iterable[str]:
    """The code of each solution; one that nothing uses is computed all the same, to check that it is a size."""
    read = {s.axes[0]: s.size.name for s in solutions if s.direct}
    for tensor, shape in shapes.items():
        names = {axis.number: name for axis, name in read.items() if axis.tensor == tensor}
        if len(names) == len(shape) > 1:
            yield f"{', '.join(names.values())} = {tensor}.shape"
        else:
            yield from (f"{name} = {tensor}.shape[{number}]" for number, name in names.items())
    for s in solutions:
        if not s.direct:
            target = f"{s.size.name} = " if s.size.name in used else ""
            axes = ", ".join(f'("{a.tensor}", {a.number})' for a in s.axes)
            equation = f"{size_code(s.numerator)}, {size_code(s.denominator)}"
            yield f'{target}_solve(arrays, "{s.size.name}", {equation}, {axes})'


# Size expressions as Python code, spaced as ruff formats it

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)  # how tightly a piece of code binds


def tuple_code(items: Iterable[str]) -> str:
    """A tuple display: `()`, `(n,)`, `(n, d)`."""
    texts = list(items)
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"


def size_code(size: Expr) -> str:
    """A size expression as exact integer arithmetic in Python: `floor(n/2) + 1` is `n // 2 + 1`."""
    return _code(size)[0]


def _code(size: Expr) -> tuple[str, int]:
    if isinstance(size, Symbol):
        return str(size.name), _ATOM
    if isinstance(size, Integer):
        return str(size), _ATOM if size >= 0 else _SIGN
    if isinstance(size, floor):
        return _quotient(size.args[0])
    if isinstance(size, ceiling):
        negative, _ = _quotient(-size.args[0])
        return f"-({negative})", _SIGN
    if isinstance(size, Pow) and size.exp.is_Integer and size.exp > 0:
        base, exponent = _bound(size.base, _ATOM), str(size.exp)
        return f"{base}**{exponent}" if base.isidentifier() else f"{base} ** {exponent}", _POWER
    if isinstance(size, (Add, Mul)):
        if fraction(together(size))[1] != 1:
            return _quotient(size)  # a size is whole, so this division is exact
        return _sum(size) if isinstance(size, Add) else _product(size)
    raise CompilerError(f"size {size}: no code for {type(size).__name__}")


def _bound(size: Expr, strength: int) -> str:
    """The code of a size, in parentheses where it binds less tightly than this."""
    code, own = _code(size)
    return code if own >= strength else f"({code})"


def _quotient(size: Any) -> tuple[str, int]:
    numerator, denominator = fraction(together(size))
    if denominator == 1:
        return _code(numerator)
    return f"{_bound(numerator, _PRODUCT)} // {_bound(denominator, _SIGN)}", _PRODUCT


def _sum(size: Add) -> tuple[str, int]:
    terms = sorted(size.as_ordered_terms(), key=lambda t: bool(t.as_coeff_Mul()[0] < 0))
    code = _bound(terms[0], _PRODUCT)
    for term in terms[1:]:
        negative = term.as_coeff_Mul()[0] < 0
        code += f" - {_bound(-term, _PRODUCT)}" if negative else f" + {_bound(term, _PRODUCT)}"
    return code, _SUM


def _product(size: Mul) -> tuple[str, int]:
    if size.as_coeff_Mul()[0] < 0:
        return f"-{_bound(-size, _SIGN)}", _SIGN
    return " * ".join(_bound(f, _SIGN) for f in size.as_ordered_factors()), _PRODUCT
