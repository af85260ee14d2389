"""What happened, recorded when it happened: documents are views of this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sympy import Expr

from symbp.ir.nodes import Entry, Index, transform

Stage = Literal[
    "normalise", "scale", "expose", "differentiate", "simplify", "stabilise", "lower", "predict"
]


@dataclass(frozen=True)
class Step:
    """One rewriting: `before` equals `after` by `rule`, at all values of `indices`.

    Of the stage "scale", `before` is of tensors as they were, and `after` of scaled ones. Of "predict", noise is at
    its mean.
    """

    subject: str  # what it acts on, as a person reads it: "∂y/∂z2", "∂L/∂z2", "y"; of a line of code, its tensor
    rule: str  # a short name: "chain rule", "contract δ", "in terms of y", …
    reason: str  # one sentence, or the identity applied
    before: Expr
    after: Expr
    stage: Stage = "normalise"
    indices: tuple[Index, ...] = ()  # those that are free

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}"


Chain = tuple[tuple[str, str, Expr], ...]
"""(rule, reason, what it gives) of steps in a row, each from what the one before gives."""


def steps_along(
    subject: str, first: Expr, chain: Chain, stage: Stage, indices: tuple[Index, ...]
) -> tuple[Step, ...]:
    """The steps of a chain that begins with `first`; those that change nothing are left out."""
    steps = []
    for rule, reason, after in chain:
        if after != first:
            steps.append(Step(subject, rule, reason, first, after, stage, indices))
        first = after
    return tuple(steps)


def by_subject(trace: Iterable[Step]) -> dict[str, tuple[Step, ...]]:
    """The steps of each equation, partial, adjoint and computed line, in order."""
    found: dict[str, list[Step]] = {}
    for step in trace:
        found.setdefault(step.subject, []).append(step)
    return {subject: tuple(steps) for subject, steps in found.items()}


class Rate(Expr):
    """∂y[i]/∂z[j], with all else that the equation of y reads held still: a derivative that is not yet taken."""

    is_commutative = True
    is_extended_real = True
    is_real = True

    @property
    def above(self) -> Entry:
        found: Entry = self.args[0]
        return found

    @property
    def below(self) -> Entry:
        found: Entry = self.args[1]
        return found


class Total(Expr):
    """∂L/∂z[j], through all that reads z: the derivative of the result before the chain rule is applied."""

    is_commutative = True
    is_extended_real = True
    is_real = True

    @property
    def below(self) -> Entry:
        found: Entry = self.args[0]
        return found


class Group(Expr):
    """(f): what stands in the place of a name, and is not yet multiplied with what is beside it."""

    is_commutative = True
    is_extended_real = True
    is_real = True

    @property
    def inside(self) -> Expr:
        return self.args[0]


def ungrouped(expr: Expr) -> Expr:
    """The expression without such brackets: SymPy multiplies what stands in them, and cancels."""
    found: Expr = transform(expr, lambda n: n.inside if isinstance(n, Group) else None)
    return found
