"""What the forward equations say of parts of an adjoint: differences that they hold, and sums that they fix.

    held    x_j − m = r h_j  where h_j = (x_j − m) / r, and v = r² where r = √v
    named   Σ_j x_j = d m    where m = (1/d) Σ_j x_j
    fixed   Σ_j h_j = 0      where h_j = x_j − (1/d) Σ_i x_i, or that times anything without j
            Σ_j y_j = 1      where y_j = e_j / Σ_i e_i

No layer is known here by name. With these the gradients of normalised values take one pass fewer over the data: what a
mean would subtract from a value whose own mean is 0 is never computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Add, Basic, Expr, Idx, Mul, S

from symbp.ir.network import Equation
from symbp.ir.nodes import (
    Entry,
    Index,
    Reduce,
    base_exponent,
    factors,
    free_indices,
    substitute,
    summands,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Program
from symbp.naming import unify
from symbp.rewrite import contract, cost, pull_out, split_number
from symbp.share import canonical


@dataclass(frozen=True)
class Part:
    """A factor of an equation y = part**(1/exponent) · rest, so that part = (y / rest)**exponent."""

    equation: Equation
    order: tuple[Index, ...]  # of the equation's indices, as `canonical` found them in the part
    rest: Expr
    exponent: Expr

    def at(self, order: tuple[Index, ...]) -> Expr:
        """(y / rest)**exponent, where the part stands with these indices."""
        names: dict[Basic, Expr] = dict(zip(self.order, order))
        entry = Entry(self.equation.name, *(names[i] for i in self.equation.indices))
        return (entry / substitute(self.rest, names)) ** self.exponent


HELD = "a forward value in place of what it was computed from"
FIXED = "sums that the forward equations fix"


class Known:
    """The facts of one program's forward equations."""

    def __init__(self, program: Program) -> None:
        self._equations = {eq.name: eq for eq in program.equations}
        self._held: dict[Expr, Part] = {}
        self._named: dict[Expr, Part] = {}
        self._fixed: dict[Expr, Expr | None] = {}
        self._tensors: set[frozenset[str]] = set()  # nothing that reads others is looked up
        for eq in program.equations:
            for factor in factors(eq.expr):
                if free_indices(factor) == frozenset(eq.indices):
                    self._learn(eq, factor)

    def _learn(self, eq: Equation, factor: Expr) -> None:
        base, exponent = base_exponent(factor)
        if not (exponent.is_Rational and abs(exponent.p) == 1):
            base, exponent = factor, S.One  # ±√y would have two values
        form, order = canonical(base)
        part = Part(eq, order, eq.expr / factor, 1 / exponent)
        if is_sum(base) and exponent == 1 and _is_scalar(part.rest):
            self._named[form] = part
        elif (_is_scalar(part.rest) or free_indices(part.rest) < frozenset(eq.indices)) and (
            (isinstance(base, Add) and cost(base))
            or (isinstance(base, Entry) and (exponent != 1 or tensors_of(part.rest)))
        ):
            self._held[form] = part
        else:
            return
        self._tensors.add(frozenset(tensors_of(form)))

    def held(self, expr: Expr) -> Expr:
        """1 − y where the user defined q = 1 − y: q, so that it cancels against a division by q."""

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, (Add, Entry)) or not self._may_know(node):
                return None
            number, core = split_number(node)
            for sign in (1, -1):
                form, order = canonical(sign * core)
                if form in self._held:
                    return sign * number * self._held[form].at(order)
            return None

        if not self._held:
            return expr
        found: Expr = transform(expr, visit)
        return found

    def _may_know(self, node: Basic) -> bool:
        return frozenset(tensors_of(node)) in self._tensors

    def sums(self, expr: Expr) -> Expr:
        """Sums that the equations name or fix, by their value, also where they are terms of other sums."""
        if not any(map(is_sum, walk(expr))):
            return expr
        found: Expr = transform(expr, lambda n: self._apart(n) if is_sum(n) else None)
        return found

    def _apart(self, node: Reduce) -> Expr | None:
        """Σ_j (f_j + h_j + c) = Σ_j f_j + 0 + d c: the terms apart, where one is known or some cancel."""
        terms = summands(node.body)
        totals = [pull_out(t, node.indices) for t in terms]
        values = [self._value(t) for t in totals]
        live = frozenset(node.indices)
        left = [v == t and bool(free_indices(x) & live) for x, t, v in zip(terms, totals, values)]
        unknown = Add(*(x for x, is_left in zip(terms, left) if is_left))
        others = Add(*(v for v, is_left in zip(values, left) if not is_left))
        (after,) = unify([others + pull_out(unknown, node.indices)])
        shorter = values != totals or reductions(after) < reductions(node)
        if not shorter or cost(after) >= cost(node):
            return None
        return after

    def _value(self, product: Expr) -> Expr:
        return Mul(*(self._total(f) if is_sum(f) else f for f in factors(product)))

    def _total(self, node: Reduce) -> Expr:
        if self._may_know(node):
            form, order = canonical(node)
            if form in self._named:
                return self._named[form].at(order)
        fixed = self._constant(node)
        return node if fixed is None else fixed

    def _constant(self, node: Reduce) -> Expr | None:
        """What a sum of one tensor's entries is by the definition of that tensor, where no tensor stands in that."""
        entry = node.body
        if not (isinstance(entry, Entry) and entry.tensor in self._equations):
            return None
        form, _ = canonical(node)
        if form not in self._fixed:
            eq = self._equations[entry.tensor]
            body = substitute(eq.expr, dict(zip(eq.indices, entry.indices)))
            (whole,) = unify([contract(body, node.indices)])  # so that equal sums cancel
            (total,) = unify([self.sums(whole)])
            self._fixed[form] = total if _is_scalar(total) else None
        return self._fixed[form]


def is_sum(node: Basic) -> bool:
    """Whether a node is a Σ."""
    return isinstance(node, Reduce) and node.reducer == "sum"


def reductions(expr: Basic) -> int:
    """How many Σ, Π and max stand in an expression."""
    return sum(isinstance(n, Reduce) for n in walk(expr))


def _is_scalar(expr: Expr) -> bool:
    """Whether only numbers, sizes and constants stand in it."""
    return not any(isinstance(n, (Entry, Idx, Reduce)) for n in walk(expr))
