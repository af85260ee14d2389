r"""Formulas of matrices as people write them: \bar{z}^{\top} x, or dzᵀ x in a line of text."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from functools import singledispatchmethod
from typing import ClassVar

from sympy import Abs, Expr, Idx, Integer, Rational, Symbol

from symbp.errors import CompilerError
from symbp.ir.functions import Magnitude, SafeInverse
from symbp.ir.matrix import (
    SCALAR,
    Apply,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Matrix,
    Ones,
    Power,
    Product,
    Scalar,
    Scale,
    Sum,
    Summation,
    Tensor,
    Transpose,
    Unit,
    raised,
    scaled,
)
from symbp.ir.nodes import Entry
from symbp.notation.order import Order
from symbp.notation.tex import LatexWriter, enclose
from symbp.notation.unicode import TextWriter
from symbp.notation.writer import Level, Piece, Writer, function_name


def matrix_latex(matrix: Matrix, adjoints: Mapping[str, str] | None = None) -> str:
    r"""A formula of matrices for math mode; `adjoints` maps the name of an adjoint to its tensor."""
    return _LatexMatrices(LatexWriter(adjoints or {}))(matrix)


def matrix_text(matrix: Matrix, adjoints: Mapping[str, str] | None = None) -> str:
    """A formula of matrices as one line of Unicode; an adjoint goes by its own name, as in code: dz."""
    write = TextWriter({})
    write.order = Order(adjoints or {})
    return _TextMatrices(write)(matrix)


_SUPERSCRIPT = str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class _Level(IntEnum):
    """How tightly a part binds."""

    SUM = 0
    ENTRYWISE = 1  # A ⊙ B
    PRODUCT = 2  # A B
    POWER = 3
    ATOM = 4


_LEVELS = {
    Level.SUM: _Level.SUM, Level.FRACTION: _Level.SUM, Level.PRODUCT: _Level.PRODUCT,
    Level.POWER: _Level.POWER, Level.ATOM: _Level.ATOM,
}  # fmt: skip
_Part = tuple[str, _Level]


class _Matrices(ABC):
    """The notation of all matrices; a subclass decides how each mark looks."""

    ONES: ClassVar[str]
    IDENTITY: ClassVar[str]
    UNIT: ClassVar[str]
    TIMES: ClassVar[str]  # entry by entry
    OVER: ClassVar[str]

    def __init__(self, write: Writer) -> None:
        self.write = write

    def __call__(self, matrix: Matrix) -> str:
        negative, (text, _) = self.signed(matrix)
        return self.write.sign(negative, first=True) + text

    @abstractmethod
    def tensor(self, tensor: Tensor) -> _Part: ...

    @abstractmethod
    def transpose(self, text: str) -> str: ...

    def transposed_tensor(self, text: str) -> str:
        """The transpose of a tensor, from its name and places."""
        return self.transpose(text)

    @abstractmethod
    def raised(self, base: str, exponent: str) -> str:
        """The power of a matrix."""

    @abstractmethod
    def power(self, base: str, exponent: str) -> str:
        """The power of each entry."""

    @abstractmethod
    def subscript(self, text: str, place: str) -> str: ...

    @abstractmethod
    def inner(self, left: str, right: str) -> str: ...

    @abstractmethod
    def norm(self, text: str) -> str:
        """The squared norm, of a matrix that of Frobenius."""

    def signed(self, matrix: Matrix) -> tuple[bool, _Part]:
        """(whether it begins with a minus, the rest)."""
        if not isinstance(matrix, (Scale, Scalar)):
            return False, self.part(matrix)
        own = matrix.factor if isinstance(matrix, Scale) else matrix.value
        if not self.write.order.quotient(own).negative:
            return False, self.part(matrix)
        opposite = scaled(Integer(-1), (), matrix)
        return True, self.part(opposite)

    def within(self, matrix: Matrix, least: _Level) -> str:
        """A part in brackets if it binds less tightly than `least`."""
        negative, (text, level) = self.signed(matrix)
        if negative:
            return self.write.brackets(self.write.sign(True, first=True) + text)
        return self.write.brackets(text) if level < least else text

    @singledispatchmethod
    def part(self, matrix: Matrix) -> _Part:
        """The text of a matrix without its sign; CompilerError on a node that the notation does not know."""
        raise CompilerError(f"no notation for {type(matrix).__name__}: {matrix}")

    @part.register
    def _(self, matrix: Scalar) -> _Part:
        piece = self.write.write(matrix.value)
        return piece.text, _LEVELS[piece.level]

    @part.register
    def _(self, matrix: Tensor) -> _Part:
        return self.tensor(matrix)

    @part.register
    def _(self, matrix: Ones) -> _Part:
        return self.ONES, _Level.ATOM

    @part.register
    def _(self, matrix: Identity) -> _Part:
        return self.IDENTITY, _Level.ATOM

    @part.register
    def _(self, matrix: Unit) -> _Part:
        return self.subscript(self.UNIT, self.write.place(matrix.place)), _Level.ATOM

    @part.register
    def _(self, matrix: Transpose) -> _Part:
        (part,) = matrix.parts
        if isinstance(part, Tensor):
            return self.transposed_tensor(self.part(part)[0]), _Level.POWER
        return self.transpose(self.within(part, _Level.ATOM)), _Level.POWER

    @part.register
    def _(self, matrix: Product) -> _Part:
        parts = [self.within(p, _Level.POWER) for p in matrix.parts]
        return self.write.juxtapose(parts), _Level.PRODUCT

    @part.register
    def _(self, matrix: Summation) -> _Part:
        body = self.within(matrix.parts[0], _Level.PRODUCT)
        return f"{self.write.operator('sum', matrix.indices)} {body}", _Level.SUM

    @part.register
    def _(self, matrix: Scale) -> _Part:
        of, *scalars = matrix.parts
        own = self.write.order.quotient(matrix.factor)
        above = [self.write.write(f) for f in own.numerator]
        below = [self.write.write(f) for f in own.denominator]
        for scalar in scalars:
            divides = _divides(scalar)
            kept = raised(scalar, Integer(-1)) if divides else scalar
            (below if divides else above).append(Piece(self.within(kept, _Level.POWER)))
        factors = [self.write.fraction(self.one(above), self.one(below))] if below else above
        head = self.write.juxtapose([self.write.closed(f) for f in factors])
        body, binds = self.part(of)
        if body.startswith("1" + self.OVER):
            return head + body[1:], _Level.ENTRYWISE
        text = self.write.juxtapose([head, self.within(of, _Level.ENTRYWISE)])
        return text, _Level.ENTRYWISE if binds == _Level.ENTRYWISE else _Level.PRODUCT

    @part.register
    def _(self, matrix: Sum) -> _Part:
        text = ""
        for k, term in enumerate(matrix.parts):
            negative, (own, level) = self.signed(term)
            if level == _Level.SUM and (negative or k < len(matrix.parts) - 1):
                own = self.write.brackets(own)
            text += self.write.sign(negative, first=k == 0) + own
        return text, _Level.SUM

    @part.register
    def _(self, matrix: Hadamard) -> _Part:
        above = [p for p in matrix.parts if not _divides(p)]
        text = self.TIMES.join(self.within(p, _Level.POWER) for p in above) or "1"
        for part in filter(_divides, matrix.parts):
            text += self.OVER + self.within(raised(part, Integer(-1)), _Level.POWER)
        return text, _Level.ENTRYWISE

    @part.register
    def _(self, matrix: Power) -> _Part:
        (base,) = matrix.parts
        if matrix.exponent.is_negative:
            below = raised(matrix, Integer(-1))
            if matrix.axes != SCALAR:
                return "1" + self.OVER + self.within(below, _Level.POWER), _Level.ENTRYWISE
            fraction = self.write.fraction(Piece("1"), Piece(self.within(below, _Level.POWER)))
            return fraction.text, _LEVELS[fraction.level]
        if matrix.axes != SCALAR:
            exponent = self.write(matrix.exponent)
            return self.power(self.within(base, _Level.ATOM), exponent), _Level.POWER
        if matrix.exponent == Rational(1, 2):
            return self.write.root(self(base)).text, _Level.ATOM
        raised_ = self.write.power(Piece(self.within(base, _Level.ATOM)), matrix.exponent)
        return raised_.text, _Level.POWER

    @part.register
    def _(self, matrix: Apply) -> _Part:
        name = function_name(matrix.function)
        parts = [self(p) for p in matrix.parts]
        if name in ("max", "min"):
            parts = [self(p) for p in sorted(matrix.parts, key=lambda p: p.axes != SCALAR)]
        if issubclass(matrix.function, SafeInverse):
            base = self.within(matrix.parts[0], _Level.ATOM)
            return self.power(base, "+"), _Level.POWER
        name = "abs" if issubclass(matrix.function, (Abs, Magnitude)) else name
        return self.write.function(name, parts).text, _Level.ATOM

    @part.register
    def _(self, matrix: Indicator) -> _Part:
        left, right = map(self, matrix.parts)
        condition = left + self.write.relation(matrix.relation) + right
        return self.ONES + self.write.iverson(condition).text, _Level.ATOM

    @part.register
    def _(self, matrix: Diagonal) -> _Part:
        (vector,) = matrix.parts
        if isinstance(vector, Power) and _divides(vector):
            text = self.write.function("diag", [self(vector.parts[0])]).text
            return self.raised(text, self.write(vector.exponent)), _Level.POWER
        return self.write.function("diag", [self(vector)]).text, _Level.ATOM

    @part.register
    def _(self, matrix: Inner) -> _Part:
        left, right = matrix.parts
        if left == right:
            return self.norm(self(left)), _Level.POWER
        return self.inner(self(left), self(right)), _Level.ATOM

    def one(self, pieces: list[Piece]) -> Piece:
        """Factors as one piece."""
        if not pieces:
            return Piece("1")
        return pieces[0] if len(pieces) == 1 else self.write.joined(pieces)


def _divides(matrix: Matrix) -> bool:
    return isinstance(matrix, Power) and bool(matrix.exponent.is_negative)


def _slice(tensor: Tensor) -> Entry:
    """The entry with the places that stand still, and : for an axis where the letters do not show which one it is."""
    places = tensor.entry.indices
    still = [p for p in places if p not in tensor.moving]
    last = max((k for k, p in enumerate(places) if p not in tensor.moving), default=-1)
    leading = last == len(still) - 1
    if leading or all(_is_step(p) for p in still):
        return Entry(tensor.entry.args[0], *still)
    colon = Symbol(":")
    return Entry(
        tensor.entry.args[0], *(colon if p in tensor.moving else p for p in places[: last + 1])
    )


def _is_step(place: Expr) -> bool:
    """t, t − 1."""
    return isinstance(place.as_coeff_Add()[1], Idx)


class _LatexMatrices(_Matrices):
    ONES = r"\mathbf{1}"
    IDENTITY = r"\mathbf{I}"
    UNIT = r"\mathbf{e}"
    TIMES = r" \mathbin{\odot} "
    OVER = r" \mathbin{\oslash} "

    def tensor(self, tensor: Tensor) -> _Part:
        piece = self.write.entry(_slice(tensor))
        return piece.text, _LEVELS[piece.level]

    def transpose(self, text: str) -> str:
        return rf"{text}^{{\top}}"

    def transposed_tensor(self, text: str) -> str:
        r"""W^{(1)\top}: the number of a layer and the sign stand together."""
        numbered, found = re.subn(r"^([^_]*\^\{\(\d+\))\}", r"\1\\top}", text)
        if found:
            return numbered
        return self.transpose(self.write.brackets(text) if "^" in text else text)

    def raised(self, base: str, exponent: str) -> str:
        return f"{base}^{{{exponent}}}"

    def power(self, base: str, exponent: str) -> str:
        return rf"{base}^{{\circ {exponent}}}"

    def subscript(self, text: str, place: str) -> str:
        return f"{text}_{{{place}}}"

    def inner(self, left: str, right: str) -> str:
        return enclose(r"\langle ", f"{left}, {right}", r" \rangle")

    def norm(self, text: str) -> str:
        return enclose(r"\lVert ", text, r" \rVert") + "^{2}"


class _TextMatrices(_Matrices):
    ONES = "𝟏"
    IDENTITY = "𝐈"
    UNIT = "𝐞"
    TIMES = " ⊙ "
    OVER = " ⊘ "

    def tensor(self, tensor: Tensor) -> _Part:
        entry = _slice(tensor)
        places = ",".join(self.write.place(p) for p in entry.indices)
        return entry.tensor + (f"[{places}]" if places else ""), _Level.ATOM

    def transpose(self, text: str) -> str:
        return f"{text}ᵀ"

    def raised(self, base: str, exponent: str) -> str:
        whole = "/" not in exponent
        return base + exponent.translate(_SUPERSCRIPT) if whole else f"{base}^({exponent})"

    def power(self, base: str, exponent: str) -> str:
        return f"{base}^∘{exponent}" if exponent.isdigit() else f"{base}^∘({exponent})"

    def subscript(self, text: str, place: str) -> str:
        return f"{text}[{place}]"

    def inner(self, left: str, right: str) -> str:
        return f"⟨{left}, {right}⟩"

    def norm(self, text: str) -> str:
        return f"‖{text}‖²"
