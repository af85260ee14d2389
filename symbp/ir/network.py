"""What a model file declares, as frozen records: the input of the pipeline and of the oracle in `verify`.

Expressions here are the user's own plain SymPy. A tensor z with axes is
`Indexed(IndexedBase(Symbol("z", real=True), shape=...), ...)` (an integer input has `integer=True`
instead), a scalar tensor or a constant is `Symbol(name, real=True)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sympy import Expr

from symbp.ir.loops import Loop

Kind = Literal["param", "input", "constant", "random", "defined"]
Law = Literal["bernoulli", "normal"]
Init = str | float | Callable[..., Any] | None


@dataclass(frozen=True)
class Declaration:
    """One named thing of a network: a tensor of any kind, or a constant."""

    name: str
    kind: Kind
    indices: tuple[Any, ...]  # sympy.Idx, one for each axis
    where: str | None = None  # "file:line" of the declaration
    init: Init = None
    integer: bool = False
    sums_to_one: Any = None  # the sympy.Idx over which an input sums to 1
    default: float | None = None  # of a constant
    over: Any = None  # of a recurrent tensor: the sympy.Idx that it runs over
    initial: Expr | None = None  # what a recurrent tensor is before its first step
    law: Law | None = None  # of noise
    parameters: Mapping[str, float | str] = field(
        default_factory=dict
    )  # p, or mean and std: numbers or constants

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The size of each axis, an expression in the size symbols."""
        return tuple(i.upper - i.lower + 1 for i in self.indices)

    @property
    def expected(self) -> float | str:
        """The mean of noise, which stands in for it in `predict`: a number, or the name of a constant."""
        return self.parameters["p" if self.law == "bernoulli" else "mean"]


@dataclass(frozen=True)
class Equation:
    """name[indices] = expr, as the user wrote it."""

    name: str
    indices: tuple[Any, ...]
    expr: Expr
    where: str | None = None


@dataclass(frozen=True)
class Declared:
    """A whole network: validated, in declared order (which is an order of evaluation)."""

    name: str
    declarations: Mapping[str, Declaration]
    equations: tuple[Equation, ...]  # without the loss
    loss: Equation | None  # named "loss", no indices; None: the network is a layer
    outputs: tuple[str, ...]
    indices: tuple[Any, ...]  # every index the user's equations mention, to name derived sums with
    order: tuple[str | Loop, ...]  # the equations by name, those of a cycle in a loop

    def written(self) -> tuple[Expr, ...]:
        """Every expression of the user's: of equations, of what stands before a first step, of the loss."""
        equations = (*self.equations, *((self.loss,) if self.loss else ()))
        initials = (d.initial for d in self.declarations.values() if d.initial is not None)
        return (*(eq.expr for eq in equations), *initials)

    def of_kind(self, kind: Kind) -> tuple[Declaration, ...]:
        """The declarations of one kind, in declared order."""
        return tuple(d for d in self.declarations.values() if d.kind == kind)
