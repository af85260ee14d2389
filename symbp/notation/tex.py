r"""Formulas as LaTeX for math mode: \sum_{s} \bar{z}^{(2)}_{si}\, h^{(1)}_{sa}.

Brackets have a fixed size, chosen by what they enclose: a long formula can be broken inside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Basic, Expr, Idx, Number, NumberSymbol, S

from symbp.errors import CompilerError
from symbp.ir.nodes import Entry, Index, opened
from symbp.notation.display import width
from symbp.notation.names import index_latex, name_latex
from symbp.notation.unicode import is_letter
from symbp.notation.writer import Level, Piece, Writer

PRODUCT = r"\, "  # between factors: a formula may be broken here
WIDEST_FRACTION = 60.0  # glyphs; a wider one is written with a slash, so that it can be broken

_OPERATORS = {"sum": r"\sum", "product": r"\prod", "maximum": r"\max"}
_RELATIONS = {"==": " = ", "!=": r" \ne ", ">=": r" \ge ", "<=": r" \le ", ">": " > ", "<": " < "}
_CONNECTIVES = {
    "and": r" \land ", "or": r" \lor ", "not": r"\lnot ",
    "true": r"\text{true}", "false": r"\text{false}",
}  # fmt: skip
_CONSTANTS = {S.Pi: r"\pi", S.Exp1: r"\mathrm{e}", S.Infinity: r"\infty"}
_FUNCTIONS = frozenset("sin cos tan sinh cosh tanh log exp max min".split())
_ROUNDED = {"floor": (r"\lfloor ", r" \rfloor"), "ceiling": (r"\lceil ", r" \rceil")}
_TALL = (r"\frac", r"\sum", r"\prod", r"\begin")
_SHORT = 8.0  # glyphs up to which an exponential is written as a power of e


def latex(
    expr: Basic, adjoints: Mapping[str, str] | None = None, widest: float = WIDEST_FRACTION
) -> str:
    r"""An expression of the IR (or of plain SymPy scalars) for math mode.

    `adjoints` maps the name of an adjoint to its tensor: with {"dz": "z"}, dz[i] is written
    \bar{z}_{i}. A fraction of `widest` glyphs or more is written with a slash. Raises CompilerError
    on a node that has no notation.
    """
    return LatexWriter(adjoints or {}, widest)(opened(expr))


def lhs_latex(
    name: str, indices: Sequence[Index], adjoints: Mapping[str, str] | None = None
) -> str:
    r"""The left side of an equation: z^{(2)}_{si}, or \bar{z}^{(2)}_{si} for an adjoint."""
    return latex(Entry(name, *indices), adjoints)


def sum_latex(indices: tuple[Index, ...], factors: Sequence[str]) -> str:
    r"""\sum over indices (or none) of a product of finished formulas."""
    writer = LatexWriter({})
    product = writer.juxtapose(factors)
    return f"{writer.operator('sum', indices)} {product}" if indices else product


class LatexWriter(Writer):
    def __init__(self, adjoints: Mapping[str, str], widest: float = WIDEST_FRACTION) -> None:
        super().__init__(adjoints)
        self.adjoints = adjoints
        self.widest = widest

    def brackets(self, text: str) -> str:
        return enclose("(", text, ")")

    def juxtapose(self, factors: Sequence[str]) -> str:
        joined = factors[0]
        for factor in factors[1:]:
            joined += (r" \cdot " if factor[0].isdigit() else PRODUCT) + factor
        return joined

    def sign(self, negative: bool, first: bool) -> str:
        if first:
            return "-" if negative else ""
        return " - " if negative else " + "

    def fraction(self, numerator: Piece, denominator: Piece) -> Piece:
        if max(width(numerator.text), width(denominator.text)) < self.widest:
            return Piece(rf"\frac{{{numerator.text}}}{{{denominator.text}}}", Level.POWER)
        above, below = self.closed(numerator), self.closed(denominator, Level.POWER)
        return Piece(rf"{above} \mathbin{{\big/}} {below}", Level.FRACTION)

    def power(self, base: Piece, exponent: Expr) -> Piece:
        below = self._bracketed(base, Level.ATOM)
        return Piece(f"{below}^{{{self(exponent)}}}", Level.POWER)

    def root(self, radicand: str) -> Piece:
        return Piece(rf"\sqrt{{{radicand}}}")

    def number(self, value: Number | NumberSymbol) -> Piece:
        if value.is_Float:
            mantissa, _, exponent = repr(float(value)).partition("e")
            if not exponent:
                return Piece(mantissa)
            head = "" if mantissa == "1" else mantissa + r" \cdot "
            return Piece(f"{head}10^{{{int(exponent)}}}", Level.PRODUCT if head else Level.POWER)
        return Piece(_CONSTANTS.get(value, str(value)))

    def symbol(self, name: str) -> Piece:
        return Piece(name_latex(name, layer=False))

    def index(self, name: str) -> Piece:
        return Piece(index_latex(name))

    def entry(self, entry: Entry) -> Piece:
        tensor = self.adjoints.get(entry.tensor, entry.tensor)
        text = name_latex(
            tensor, self._places(entry.indices), adjoint=entry.tensor in self.adjoints
        )
        return Piece(text, Level.POWER if "^" in text or "'" in text else Level.ATOM)

    def operator(self, reducer: str, indices: tuple[Index, ...]) -> str:
        if reducer not in _OPERATORS:
            raise CompilerError(f"no notation for a reduction of reducer {reducer}")
        return f"{_OPERATORS[reducer]}_{{{','.join(self(i) for i in indices)}}}"

    def others(self, indices: tuple[Index, ...], place: tuple[Expr, ...]) -> str:
        sides = [",".join(self(i) for i in side) for side in (indices, place)]
        text = r" \neq ".join(s if len(indices) == 1 else f"({s})" for s in sides)
        return rf"{_OPERATORS['product']}_{{{text}}}"

    def delta(self, indices: tuple[Expr, ...]) -> Piece:
        return Piece(rf"\delta_{{{self._places(indices)}}}")

    def iverson(self, condition: str) -> Piece:
        return Piece(enclose("[", condition, "]"))

    def function(self, name: str, arguments: Sequence[str]) -> Piece:
        if name in _ROUNDED:
            left, right = _ROUNDED[name]
            return Piece(enclose(left, arguments[0], right))
        command = rf"\{name}" if name in _FUNCTIONS else rf"\operatorname{{{name}}}"
        return Piece(command + self.brackets(", ".join(arguments)))

    def exponential(self, exponent: Expr) -> Piece:
        inner = self(exponent)
        if width(inner) > _SHORT or any(mark in inner for mark in _TALL):
            return self.function("exp", [inner])
        return Piece(f"e^{{{inner}}}", Level.POWER)

    def inverse(self, base: Piece) -> Piece:
        return Piece(self._bracketed(base, Level.ATOM) + "^{+}", Level.POWER)

    result = r"\mathcal{L}"

    def derivative(self, above: str, below: str) -> Piece:
        return Piece(rf"\frac{{\partial {above}}}{{\partial {below}}}")

    def absolute(self, text: str) -> Piece:
        return Piece(enclose(r"\lvert ", text, r" \rvert"))

    def cases(self, branches: Sequence[tuple[str, str]], otherwise: str | None) -> Piece:
        rows = [rf"{value} & \text{{if }} {condition}" for value, condition in branches]
        if otherwise is not None:
            rows.append(rf"{otherwise} & \text{{otherwise}}")
        text = r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"
        return Piece(text, Level.SUM, self.brackets(text))

    def relation(self, operator: str) -> str:
        return _RELATIONS[operator]

    def connective(self, operator: str) -> str:
        return _CONNECTIVES[operator]

    def _places(self, indices: tuple[Expr, ...]) -> str:
        """Letters side by side (z_{si}); anything longer with commas between."""
        letters = all(isinstance(i, Idx) and is_letter(i.name) for i in indices)
        return ("" if letters else ",").join(self.place(i) for i in indices)


def enclose(left: str, text: str, right: str) -> str:
    r"""Text between brackets large enough for it: \Bigl around a fraction, \biggl around that."""
    if r"\Bigl" in text or r"\biggl" in text:
        size = "bigg"
    elif any(mark in text for mark in _TALL):
        size = "Big"
    elif r"\bigl" in text or r"\bar" in text or "^" in text:
        size = "big"
    else:
        return left + text + right
    return rf"\{size}l{left}{text}\{size}r{right.strip()}"
