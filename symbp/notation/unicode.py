"""Formulas as one line of Unicode: Σ_s ∂L/∂z2[s,i] h1[s,a]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import digits

from sympy import Basic, Expr, Number, NumberSymbol, S

from symbp.errors import CompilerError
from symbp.ir.nodes import Entry, Index, opened
from symbp.notation.writer import Level, Piece, Writer

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_OPERATORS = {"sum": "Σ", "product": "Π", "maximum": "max"}
_RELATIONS = {"==": " = ", "!=": " ≠ ", ">=": " ≥ ", "<=": " ≤ ", ">": " > ", "<": " < "}
_CONNECTIVES = {"and": " and ", "or": " or ", "not": "not "}
_CONSTANTS = {S.Pi: "π", S.Exp1: "e", S.Infinity: "∞"}


def text(expr: Basic, adjoints: Mapping[str, str] | None = None) -> str:
    """An expression of the IR (or of plain SymPy scalars) as one line of Unicode.

    `adjoints` maps the name of an adjoint to its tensor: with {"dz": "z"}, dz[i] is written
    ∂L/∂z[i]. Raises CompilerError on a node that has no notation.
    """
    return TextWriter(adjoints or {})(opened(expr))


def lhs_text(name: str, indices: Sequence[Index], adjoints: Mapping[str, str] | None = None) -> str:
    """The left side of an equation for a tensor: "z2[s,i]", or "∂L/∂z2[s,i]" for an adjoint."""
    return text(Entry(name, *indices), adjoints)


def sum_text(indices: tuple[Index, ...], factors: Sequence[str]) -> str:
    """Σ over indices (or none) of a product of finished formulas."""
    writer = TextWriter({})
    product = writer.juxtapose(factors)
    return f"{writer.operator('sum', indices)} {product}" if indices else product


class TextWriter(Writer):
    def __init__(self, adjoints: Mapping[str, str]) -> None:
        super().__init__(adjoints)
        self.adjoints = adjoints

    def brackets(self, text: str) -> str:
        return f"({text})"

    def juxtapose(self, factors: Sequence[str]) -> str:
        joined = factors[0]
        for factor in factors[1:]:
            joined += (" · " if factor[0] in digits else " ") + factor
        return joined

    def sign(self, negative: bool, first: bool) -> str:
        if first:
            return "−" if negative else ""
        return " − " if negative else " + "

    def fraction(self, numerator: Piece, denominator: Piece) -> Piece:
        bar = "/" if numerator.text.isdigit() and denominator.text.isdigit() else " / "
        head = self.closed(numerator) + bar
        open_end = head + self._bracketed(denominator, Level.POWER)
        return Piece(open_end, Level.FRACTION, head + self.closed(denominator, Level.POWER))

    def power(self, base: Piece, exponent: Expr) -> Piece:
        below = self._bracketed(base, Level.ATOM)
        if exponent.is_Integer:
            return Piece(below + str(exponent).translate(_SUPERSCRIPT), Level.POWER)
        return Piece(f"{below}^{self._bracketed(self.write(exponent), Level.ATOM)}", Level.POWER)

    def root(self, radicand: str) -> Piece:
        return Piece(f"√({radicand})")

    def number(self, value: Number | NumberSymbol) -> Piece:
        if value.is_Float:
            return Piece(repr(float(value)).replace("-", "−"))
        return Piece(_CONSTANTS.get(value, str(value)))

    def symbol(self, name: str) -> Piece:
        return Piece(name)

    def index(self, name: str) -> Piece:
        return Piece(name)

    def entry(self, entry: Entry) -> Piece:
        inner = ",".join(self.place(i) for i in entry.indices)
        place = f"[{inner}]" if inner else ""
        if entry.tensor in self.adjoints:
            return Piece(f"∂L/∂{self.adjoints[entry.tensor]}{place}", Level.PRODUCT)
        return Piece(entry.tensor + place)

    def operator(self, reducer: str, indices: tuple[Index, ...]) -> str:
        if reducer not in _OPERATORS:
            raise CompilerError(f"no notation for a reduction of reducer {reducer}")
        names = ",".join(i.name for i in indices)
        return f"{_OPERATORS[reducer]}_{names if len(indices) == 1 else '{' + names + '}'}"

    def others(self, indices: tuple[Index, ...], place: tuple[Expr, ...]) -> str:
        sides = [",".join(self(i) for i in side) for side in (indices, place)]
        return f"Π_{{{'≠'.join(s if len(indices) == 1 else f'({s})' for s in sides)}}}"

    def delta(self, indices: tuple[Expr, ...]) -> Piece:
        names = [self(i) for i in indices]
        letters = all(is_letter(n) for n in names)
        return Piece(f"δ_{''.join(names)}" if letters else f"δ_{{{','.join(names)}}}", Level.POWER)

    def iverson(self, condition: str) -> Piece:
        return Piece(f"[{condition}]")

    def function(self, name: str, arguments: Sequence[str]) -> Piece:
        return Piece(f"{name}({', '.join(arguments)})")

    def exponential(self, exponent: Expr) -> Piece:
        return self.function("exp", [self(exponent)])

    def inverse(self, base: Piece) -> Piece:
        return Piece(self._bracketed(base, Level.ATOM) + "⁺", Level.POWER)

    result = "L"

    def derivative(self, above: str, below: str) -> Piece:
        return Piece(f"∂{above}/∂{below}")

    def absolute(self, text: str) -> Piece:
        return Piece(f"|{text}|")

    def cases(self, branches: Sequence[tuple[str, str]], otherwise: str | None) -> Piece:
        parts = [f"{value} if {condition}" for value, condition in branches]
        if otherwise is not None:
            parts.append(f"{otherwise} otherwise")
        return Piece("{" + "; ".join(parts) + "}")

    def relation(self, operator: str) -> str:
        return _RELATIONS[operator]

    def connective(self, operator: str) -> str:
        return _CONNECTIVES.get(operator, operator)


def is_letter(name: str) -> bool:
    """Whether an index is one letter, primes aside: such names need no commas between them."""
    return len(name.rstrip("'")) == 1 and name[0].isalpha()
