"""What happened, recorded when it happened: documents are views of this."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr


@dataclass(frozen=True)
class Step:
    """One rewriting: `before` equals `after` by `rule`."""

    subject: str  # what it acts on, as a person reads it: "∂y/∂z2", "∂L/∂z2", "y"
    rule: str  # a short name: "chain rule", "contract δ", "in terms of y", …
    reason: str  # one sentence, or the identity applied
    before: Expr
    after: Expr
