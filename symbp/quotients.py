"""Quotients of exponentials that stand among other factors and terms, as tensors of their own.

x / (1 + exp(−x)) is x q with q = 1 / (1 + exp(−x)): as an equation of its own, q is differentiated to its short form,
q (1 − q), and stabilised, where the whole would be neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sympy import Add, Basic, Expr, Function, Mul, Pow, log

from symbp.ir.network import Equation
from symbp.ir.nodes import Entry, Index, Reduce, entries, factors, free_indices, rebuild, walk
from symbp.rules.exponentials import exponent_of, exponentials, is_quotient


@dataclass
class Quotients:
    """Takes the quotients out of one equation; `found` are the equations for them."""

    eq: Equation
    taken: set[str]
    known: dict[Expr, Entry] = field(default_factory=dict)
    found: list[Equation] = field(default_factory=list)

    def apart(self) -> Equation:
        return replace(self.eq, expr=self.visit(self.eq.expr, self.eq.indices))

    def visit(self, expr: Basic, axes: tuple[Index, ...]) -> Basic:
        if isinstance(expr, (Mul, Pow)) and is_quotient(expr):
            parts = [f for f in factors(expr) if _is_exponential(f)]
            others = [f for f in factors(expr) if f not in parts]
            beside = any(entries(f) for f in others) or expr is not self.eq.expr
            if beside and self.fits(Mul(*parts), axes):
                return Mul(self.named(Mul(*parts), axes), *(self.visit(f, axes) for f in others))
            return expr
        if isinstance(expr, Reduce):
            inner = (*axes, *expr.indices)
            return rebuild(expr, [expr.args[0], self.visit(expr.body, inner), *expr.indices])
        if isinstance(expr, (Add, Mul, Pow, Function)) and not isinstance(expr, log):
            return rebuild(expr, [self.visit(a, axes) for a in expr.args])
        return expr

    def fits(self, quotient: Expr, axes: tuple[Index, ...]) -> bool:
        """Whether it is a value at each place of the equation, or of a sum in it that it does not itself sum over."""
        own = free_indices(quotient)
        summed = any(isinstance(n, Reduce) for n in walk(quotient))
        return own <= frozenset(self.eq.indices if summed else axes)

    def named(self, quotient: Expr, axes: tuple[Index, ...]) -> Entry:
        if quotient not in self.known:
            stem = f"{self.eq.name}_quotient"
            names = (stem, *(f"{stem}_{k}" for k in range(2, 99)))
            name = next(n for n in names if n not in self.taken)
            self.taken.add(name)
            own = tuple(i for i in axes if i in free_indices(quotient))
            self.found.append(Equation(name, own, quotient, self.eq.where))
            self.known[quotient] = Entry(name, *own)
        return self.known[quotient]


def _is_exponential(factor: Expr) -> bool:
    base = factor.base if isinstance(factor, Pow) else factor
    return exponent_of(factor) is not None or exponentials(base) is not None
