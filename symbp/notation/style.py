"""How one kind of document writes things: formulas and what stands around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sympy import Basic, Expr

from symbp import notation
from symbp.ir.nodes import Index
from symbp.ir.program import AdjointProgram


class Notation(Protocol):
    """How one kind of document writes things. Formulas are bare; `inline` sets one in a line of prose."""

    scalar: str  # what is differentiated, in prose
    loss: str  # the left side of the loss's equation
    legend: str

    def formula(self, expr: Basic) -> str: ...

    def partial(self, above: str, below: str) -> str: ...

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str: ...

    def brackets(self, formula: str) -> str: ...

    def shape(self, sizes: tuple[Expr, ...]) -> str: ...

    def inline(self, formula: str) -> str: ...

    def prose(self, text: str) -> str: ...

    def name(self, text: str) -> str:
        """A name from the model, as it stands in code."""
        ...


class Latex:
    scalar = r"$\mathcal{L}$"
    loss = r"\mathcal{L}"
    legend = (
        r"A bar marks an adjoint, the total derivative: $\bar{z} = d \mathcal{L} / d z$. "
        r"A local partial $\partial y / \partial z$ is that of one equation."
    )

    def __init__(self, adjoint: AdjointProgram) -> None:
        self.adjoints = {name: tensor for tensor, name in adjoint.adjoint_names().items()}

    def formula(self, expr: Basic) -> str:
        return notation.latex(expr, self.adjoints)

    def partial(self, above: str, below: str) -> str:
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str:
        return notation.sum_latex(indices, factors)

    def brackets(self, formula: str) -> str:
        return notation.enclose("(", formula, ")")

    def shape(self, sizes: tuple[Expr, ...]) -> str:
        product = r" \times ".join(map(self.formula, sizes))
        return f"${product}$" if sizes else "scalar"

    def inline(self, formula: str) -> str:
        return f"${formula}$"

    def prose(self, text: str) -> str:
        return notation.prose(text)

    def name(self, text: str) -> str:
        return rf"\texttt{{{notation.escape(text)}}}"


class Text:
    scalar = "L"
    loss = "loss"
    legend = "∂L/∂z is the adjoint of z, the total derivative; ∂y/∂z is the local partial of one equation."

    def __init__(self, adjoint: AdjointProgram) -> None:
        self.adjoints = {name: tensor for tensor, name in adjoint.adjoint_names().items()}

    def formula(self, expr: Basic) -> str:
        return notation.text(expr, self.adjoints)

    def partial(self, above: str, below: str) -> str:
        return f"∂{above}/∂{below}"

    def sum(self, indices: tuple[Index, ...], factors: Sequence[str]) -> str:
        return notation.sum_text(indices, factors)

    def brackets(self, formula: str) -> str:
        return f"({formula})"

    def shape(self, sizes: tuple[Expr, ...]) -> str:
        return " × ".join(map(self.formula, sizes)) if sizes else "scalar"

    def inline(self, formula: str) -> str:
        return formula

    def prose(self, text: str) -> str:
        return text

    def name(self, text: str) -> str:
        return text
