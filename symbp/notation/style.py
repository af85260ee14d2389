"""How one kind of document writes things: formulas and what stands around them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import ClassVar, Protocol

from sympy import Basic, Expr

from symbp import notation
from symbp.ir.matrix import Matrix
from symbp.ir.nodes import Index
from symbp.ir.program import AdjointProgram
from symbp.notation import display
from symbp.notation.tex import WIDEST_FRACTION
from symbp.pages.mathml import mathml


class Notation(Protocol):
    """How one kind of document writes things. Formulas are bare; `inline` sets one in a line of prose."""

    loss: str  # the left side of the loss's equation
    mark: str  # which sign stands beside a step that was checked, where the page does not say so itself

    def __init__(self, adjoint: AdjointProgram) -> None: ...

    @property
    def scalar(self) -> str:
        """What is differentiated, in prose."""

    @property
    def legend(self) -> str:
        """What an adjoint and a local partial are, and how they are written."""

    @property
    def chain_rule(self) -> str:
        """The adjoint of z from those of all y, in a line of prose."""

    def formula(self, expr: Basic) -> str: ...

    def partial(self, above: str, below: str) -> str: ...

    def matrix(self, matrix: Matrix) -> str: ...

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str: ...

    def brackets(self, formula: str) -> str: ...

    def shape(self, sizes: tuple[Expr, ...]) -> str: ...

    def inline(self, formula: str) -> str: ...

    def prose(self, text: str) -> str: ...

    def name(self, text: str) -> str:
        """A name from the model, as it stands in code."""
        ...


class Latex:
    loss = r"\mathcal{L}"
    mark = r" ($\checked$)"
    widest: ClassVar[float] = WIDEST_FRACTION  # glyphs in a fraction

    def __init__(self, adjoint: AdjointProgram) -> None:
        self.adjoints = {name: tensor for tensor, name in adjoint.adjoint_names().items()}

    @property
    def scalar(self) -> str:
        return self.inline(self.loss)

    @property
    def legend(self) -> str:
        adjoint = self.inline(r"\bar{z} = d \mathcal{L} / d z")
        local = self.inline(r"\partial y / \partial z")
        return (
            f"A bar marks an adjoint, the total derivative: {adjoint}, in code {self.name('dz')}. "
            f"A local partial {local} is that of one equation."
        )

    @property
    def chain_rule(self) -> str:
        return self.inline(r"\bar{z} = \sum \bar{y} \, \partial y / \partial z")

    def formula(self, expr: Basic) -> str:
        return notation.latex(expr, self.adjoints, self.widest)

    def matrix(self, matrix: Matrix) -> str:
        return notation.matrix_latex(matrix, self.adjoints)

    def partial(self, above: str, below: str) -> str:
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str:
        return notation.sum_latex(indices, factors)

    def brackets(self, formula: str) -> str:
        return notation.enclose("(", formula, ")")

    def shape(self, sizes: tuple[Expr, ...]) -> str:
        write = self._factor if len(sizes) > 1 else self.formula
        return self.inline(r" \times ".join(map(write, sizes))) if sizes else "scalar"

    def _factor(self, size: Expr) -> str:
        formula = self.formula(size)
        return self.brackets(formula) if size.is_Add else formula

    def inline(self, formula: str) -> str:
        return f"${formula}$"

    def prose(self, text: str) -> str:
        return notation.prose(text)

    def name(self, text: str) -> str:
        return rf"\texttt{{{notation.escape(text)}}}"


class Html(Latex):
    """Prose is HTML, with MathML in it. Formulas stay LaTeX, which the page turns into MathML piece by piece."""

    widest = 30.0  # fits a phone
    mark = ""

    def inline(self, formula: str) -> str:
        if display.width(formula) <= self.widest:
            return mathml(formula)
        infix = (*display.OPERATORS, r"\cdot")
        parts = display.pieces(formula, self.widest)
        return " ".join(mathml(rf"{{}} {p}" if p.startswith(infix) else p) for p in parts)

    def prose(self, text: str) -> str:
        return notation.prose(text, html.escape, mathml)

    def name(self, text: str) -> str:
        return f"<code>{html.escape(text)}</code>"


_MARKS = re.compile(r"([\\`*_{}\[\]<>|~$&#])")
_BEGINNING = re.compile(r"^(\d*)([-+=.)])")  # of a list, or of a line below a title
_OPERATOR_NAME = re.compile(r"\\operatorname(\{[^{}]*\})")


class Markdown(Latex):
    r"""Prose is Markdown, with mathematics as $`…`$: between such marks hosts leave _, * and \{ alone.

    Hosts that set it by MathJax refuse \operatorname.
    """

    mark = ""
    widest = 45.0  # the column of a host is narrower than a page

    def formula(self, expr: Basic) -> str:
        return _OPERATOR_NAME.sub(r"\\mathop{\\mathrm\1}", super().formula(expr))

    def matrix(self, matrix: Matrix) -> str:
        return _OPERATOR_NAME.sub(r"\\mathop{\\mathrm\1}", super().matrix(matrix))

    def inline(self, formula: str) -> str:
        return f"$`{formula}`$"

    def prose(self, text: str) -> str:
        return notation.prose(text, _escaped, self.inline)

    def name(self, text: str) -> str:
        fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
        room = " " if text.startswith("`") or text.endswith("`") else ""
        return f"{fence}{room}{text}{room}{fence}"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it stands."""
    return _BEGINNING.sub(r"\1\\\2", _MARKS.sub(r"\\\1", text))


class Text:
    scalar = "L"
    loss = "loss"
    mark = ""
    chain_rule = "∂L/∂z = Σ ∂L/∂y ∂y/∂z"

    def __init__(self, adjoint: AdjointProgram) -> None:
        self.adjoints = {name: tensor for tensor, name in adjoint.adjoint_names().items()}
        self.has_loss = adjoint.program.loss is not None

    @property
    def legend(self) -> str:
        of_loss = ": ∂loss/∂y is that of the loss's equation" if self.has_loss else ""
        return (
            "∂L/∂z is the adjoint of z, the total derivative, as a matrix dz; "
            f"∂y/∂z is the local partial of one equation{of_loss}."
        )

    def formula(self, expr: Basic) -> str:
        return notation.text(expr, self.adjoints)

    def matrix(self, matrix: Matrix) -> str:
        return notation.matrix_text(matrix, self.adjoints)

    def partial(self, above: str, below: str) -> str:
        return f"∂{above}/∂{below}"

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str:
        return notation.sum_text(indices, factors)

    def brackets(self, formula: str) -> str:
        return f"({formula})"

    def shape(self, sizes: tuple[Expr, ...]) -> str:
        write = self._factor if len(sizes) > 1 else self.formula
        return " × ".join(map(write, sizes)) if sizes else "scalar"

    def _factor(self, size: Expr) -> str:
        formula = self.formula(size)
        return self.brackets(formula) if size.is_Add else formula

    def inline(self, formula: str) -> str:
        return formula

    def prose(self, text: str) -> str:
        return text

    def name(self, text: str) -> str:
        return text
