"""Whatever the text notation writes can be read again by its own rules, and means the same."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Gt, Idx, Integer, Rational, Symbol, exp, sqrt, symbols

from symbp.ir.functions import Largest
from symbp.ir.nodes import Entry, Iverson, Reduce
from symbp.notation import text

n, k = symbols("n k", integer=True, positive=True)
lam = Symbol("lam", real=True)
i, j = Idx("i", k), Idx("j", k)
x, xj, w, b = Entry("x", i), Entry("x", j), Entry("w", i), Entry("b")
ADJOINTS = {"dy": "y"}
VALUES = {"e": math.e, "n": 3.0, "lam": 0.7, "b": 1.3}
RANGE = (0, 1)


def entry_value(name: str, place: tuple[int, ...]) -> float:
    """Some number, another one for each entry."""
    number = 7 * sum(map(ord, name)) + sum(3**p * (q + 1) for p, q in enumerate(place))
    return VALUES.get(name) or 0.3 + number % 11 / 6


def meaning(expr: Expr, at: Mapping[str, int]) -> float:
    """The value of an expression of the IR, straight from its structure."""
    if isinstance(expr, Entry):
        return entry_value(expr.tensor, tuple(at[index.name] for index in expr.indices))
    if isinstance(expr, Reduce):
        names = [index.name for index in expr.indices]
        return sum(
            meaning(expr.body, {**at, **dict(zip(names, p))})
            for p in product(RANGE, repeat=len(names))
        )
    if isinstance(expr, Iverson):
        return float(meaning(expr.args[0].lhs, at) > meaning(expr.args[0].rhs, at))
    if isinstance(expr, Symbol):
        return VALUES[expr.name]
    values = [meaning(argument, at) for argument in expr.args]
    if expr.is_Add:
        return math.fsum(values)
    if expr.is_Mul:
        return math.prod(values)
    if expr.is_Pow:
        return float(values[0] ** values[1])
    if isinstance(expr, Largest):
        return max(values)
    return math.exp(values[0]) if isinstance(expr, exp) else float(expr)


SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
TOKEN = re.compile(
    r"\s*(∂L/∂\w+\[[\w,]+\]|\w+\[[\w,]+\]|Σ_\{[\w,]+\}|Σ_\w|exp(?=\()|max(?=\()|[a-z]+|\d+|[⁰¹²³⁴-⁹]+|.)"
)


class Reader:
    """Reads the text notation by its rules: Σ reaches to the end of its product, a / b c is never written."""

    def __init__(self, formula: str) -> None:
        self.rest: list[str] = TOKEN.findall(formula)[::-1]

    def peek(self) -> str:
        return self.rest[-1] if self.rest else ""

    def take(self, expected: str = "") -> str:
        token = self.rest.pop()
        assert not expected or token == expected, f"{token} instead of {expected}"
        return token

    def sum(self, at: Mapping[str, int]) -> float:
        negative = self.peek() == "−" and bool(self.take())
        value = -self.term(at) if negative else self.term(at)
        while self.peek() in ("+", "−"):
            value += self.term(at) if self.take() == "+" else -self.term(at)
        return value

    def term(self, at: Mapping[str, int]) -> float:
        if self.peek().startswith("Σ"):
            return self.big(at)
        value = self.factor(at)
        while self.peek() not in ("", "+", "−", ")", "]", ",", ">", "<", "/"):
            if self.peek() == "·":
                self.take()
            value *= self.big(at) if self.peek().startswith("Σ") else self.factor(at)
        if self.peek() == "/":
            self.take()
            value /= self.big(at) if self.peek().startswith("Σ") else self.factor(at)
        return value

    def big(self, at: Mapping[str, int]) -> float:
        names = re.findall(r"\w", self.take()[2:])
        start = list(self.rest)
        found = 0.0
        for place in product(RANGE, repeat=len(names)):
            self.rest = list(start)
            found += self.term({**at, **dict(zip(names, place))})
        return found

    def factor(self, at: Mapping[str, int]) -> float:
        value = self.atom(at)
        if self.peek()[:1] in SUPERSCRIPTS and self.peek():
            return float(value ** int("".join(str(SUPERSCRIPTS.index(d)) for d in self.take())))
        if self.peek() == "^":
            self.take()
            return float(value ** self.atom(at))
        return value

    def atom(self, at: Mapping[str, int]) -> float:
        token = self.take()
        if token == "[":
            left, sign, right = self.sum(at), self.take(), self.sum(at)
            value = float({">": left > right, "<": left < right}[sign])
            self.take("]")
        elif token in ("(", "√", "exp", "max"):
            if token != "(":
                self.take("(")
            values = [self.sum(at)]
            while self.peek() == ",":
                self.take()
                values.append(self.sum(at))
            self.take(")")
            value = {"√": math.sqrt, "exp": math.exp}.get(token, float)(max(values))
        elif token.isdigit():
            value = float(token)
        elif "[" in token:
            name, _, place = token.removesuffix("]").partition("[")
            name = name.replace("∂L/∂y", "dy")
            value = entry_value(name, tuple(at[index] for index in place.split(",")))
        else:
            value = VALUES[token]
        return value


LEAVES = (
    x, xj, w, Entry("A", i, j), Entry("dy", i), b, lam, n,
    Integer(-2), Integer(-1), Integer(2), Integer(3), Rational(1, 2), Rational(-3, 4),
)  # fmt: skip
UNARY = (
    lambda e: e**3,
    lambda e: exp(-(e**2)),
    lambda e: sqrt(e**2 + 1),
    lambda e: (e**2 + 1) ** lam,
    lambda e: Reduce("sum", e, i),
    lambda e: Reduce("sum", e, i, j),
)
BINARY = (
    lambda e, f: e + f,
    lambda e, f: e - f,
    lambda e, f: e * f,
    lambda e, f: e / (f**2 + 1),
    lambda e, f: e / f if f != 0 else e,
    Largest,
    lambda e, f: Iverson(Gt(e, f, evaluate=False)),
)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> Expr:
    """A random expression of every shape that has brackets to get wrong."""
    shape = draw(st.integers(0, 3)) if depth else 0
    if shape == 0:
        return draw(st.sampled_from(LEAVES))
    if shape == 1:
        return draw(st.sampled_from(UNARY))(draw(expressions(depth - 1)))
    return draw(st.sampled_from(BINARY))(draw(expressions(depth - 1)), draw(expressions(depth - 1)))


@settings(deadline=None, max_examples=200)
@given(expressions())
def test_text_reads_back(expr: Expr) -> None:
    at = {"i": 0, "j": 1}
    try:
        expected = meaning(expr, at)
    except (ZeroDivisionError, OverflowError):
        return
    if isinstance(expected, complex) or not math.isfinite(expected) or abs(expected) > 1e12:
        return
    reader = Reader(text(expr, ADJOINTS))
    found = reader.sum(at)
    assert not reader.rest
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6), text(expr, ADJOINTS)
