"""Adjoints in their shortest form: cheap ones are inlined where that takes fewer operations.

    softmax with cross-entropy   y_j (ȳ_j − Σ_i ȳ_i y_i) with ȳ_i = −t_i / y_i    is    y_j Σ_i t_i − t_j

Nothing here knows softmax: an adjoint is put in the place where it is read, multiplied out with the factors beside it,
and kept if that costs less, or if it removes a division by a forward value that may underflow to 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from sympy import Add, Basic, Expr, Idx, Integer, Mul, Pow, expand_mul

from symbp.contraction import split_wide
from symbp.ir.nodes import (
    Cases,
    Entry,
    Reduce,
    entries,
    free_indices,
    substitute,
    summands,
    tensors_of,
    transform,
    walk,
)  # fmt: skip
from symbp.ir.program import Adjoint, AdjointProgram
from symbp.ir.trace import Step
from symbp.known import Known
from symbp.naming import standard_names, unify
from symbp.rewrite import (
    cost,
    distribute,
    factor_common,
    is_accumulated,
    merge_sums,
    sift,
    split_number,
    tidy_sums,
    volume,
)
from symbp.rules.data import sums_to_one
from symbp.rules.exponentials import has_exponential, is_pure
from symbp.rules.outputs import rational

Reasons = tuple[str, ...]

MOST_ENTRIES = 6  # a line that reads more is harder to follow than two


def simplify(adjoint: AdjointProgram) -> AdjointProgram:
    """Each adjoint in its shortest form, in terms of forward values and of the adjoints that remain."""
    stage = _Simplify(adjoint)
    for a in adjoint.adjoints:
        stage.done[a.name] = stage.shorten(a)
    return adjoint.with_adjoints(tuple(stage.done.values()))


class _Simplify:
    def __init__(self, adjoint: AdjointProgram) -> None:
        self.program = adjoint.program
        self.wrt = frozenset(adjoint.wrt)
        self.known = Known(self.program)
        self.vanishing = {eq.name for eq in self.program.equations if is_pure(eq.expr)}
        self.done: dict[str, Adjoint] = {}
        self.uses = Counter(t for a in adjoint.adjoints for t in tensors_of(a.expr))
        for shift in adjoint.shifts:
            self.uses.update((shift.source, *tensors_of(shift.outside)))

    def shorten(self, a: Adjoint) -> Adjoint:
        """One adjoint, with every step that changed it."""
        steps = list(a.steps)
        expr = a.expr
        subject = f"∂L/∂{a.tensor}"

        def record(rule: str, reason: str, after: Expr) -> None:
            nonlocal expr
            named = standard_names(after, a.indices, self.program.indices)
            if named != expr:
                steps.append(Step(subject, rule, reason, expr, named, "simplify", a.indices))
                self.uses.subtract(tensors_of(expr))
                self.uses.update(tensors_of(named))
            expr = named

        after, reasons = self.collected(expr)
        record("collect", "; ".join(("a b + a c = a (b + c)", *reasons)), after)
        for _ in range(len(self.done)):
            inlined = self.inline_one(expr)
            if inlined is None:
                break
            source, after, reasons = inlined
            why = "; ".join(("fewer operations than computing it apart", *reasons))
            record(f"substitute ∂L/∂{source.tensor}", why, after)
            if self.uses[source.name] == 0 and source.tensor not in self.wrt:
                self.uses.subtract(tensors_of(source.expr))
        stated = sums_to_one(expr, self.program.declarations)
        if stated != expr:
            record("data sum to 1", "stated of the input: Σ_i t_i = 1", self.tidy(stated))
        return replace(a, expr=expr, steps=tuple(steps))

    def inline_one(self, expr: Expr) -> tuple[Adjoint, Expr, Reasons] | None:
        """(adjoint, new expression, what else was used) for the first adjoint in it that is better inlined."""
        for name in tensors_of(expr):
            source = self.done.get(name)
            if source is None:
                continue
            forms = self.inlined(expr, source)
            best = min(forms, key=lambda e: (len(divisors(e)), cost(e)))
            if self.worth(expr, source, best):
                return source, best, forms[best]
        return None

    def worth(self, expr: Expr, source: Adjoint, best: Expr) -> bool:
        """Whether inlining saves operations, removes a division by a value that may vanish, or just saves a line."""
        if any(map(is_accumulated, walk(source.expr))):
            return False
        hazard = source.tensor in self.vanishing and Entry(source.tensor) in divisors(source.expr)
        if hazard or len(divisors(best)) < len(divisors(expr) | divisors(source.expr)):
            return cost(best) <= 2 * (cost(expr) + cost(source.expr))
        alone = self.uses[source.name] == 1 and source.tensor not in self.wrt
        saved = cost(expr) + (cost(source.expr) if alone else 0) - cost(best)
        if saved > 0 or isinstance(source.expr, Entry):
            return True
        # a value over fewer axes keeps its own line, unless all that it reads stands in this one
        smaller = volume(frozenset(source.indices)) < volume(free_indices(expr))
        most = len(entries(expr)) if smaller else MOST_ENTRIES
        deeper = depth(best) > max(depth(expr), depth(source.expr))
        return alone and saved == 0 and not deeper and len(entries(best)) <= most

    def inlined(self, expr: Expr, source: Adjoint) -> dict[Expr, Reasons]:
        """The forms that the expression can take with an adjoint replaced by its definition."""
        plain = transform(expr, lambda n: _definition(n, source))
        beside = _beside(expr, source, self.known.held)
        opened = _beside(distribute(expr), source, self.known.held)
        return self.tidied((plain, beside, opened, distribute(opened), distribute(plain)))

    def collected(self, expr: Expr) -> tuple[Expr, Reasons]:
        """The expression tidied, and in terms of what the forward values hold where that divides by nothing else."""
        forms = self.tidied((expr,))
        best = min(forms, key=lambda e: (bool(divisors(e) - divisors(expr)), cost(e)))
        return best, forms[best]

    def tidied(self, forms: Iterable[Expr]) -> dict[Expr, Reasons]:
        """Each form tidied, as it stands and in terms of what the forward values hold, with the facts that it took."""
        found: dict[Expr, Reasons] = {}
        for form in dict.fromkeys(forms):
            self.known.reasons.clear()
            found.setdefault(self.tidy(form), tuple(sorted(self.known.reasons)))
            self.known.reasons.clear()
            if (held := self.known.held(form)) != form:
                found.setdefault(self.tidy(held), tuple(sorted(self.known.reasons)))
        return found

    def tidy(self, expr: Expr) -> Expr:
        """Constant factors before sums, sums merged, common factors before terms; whatever of it costs least."""
        plain = tidy_sums(sift(transform(expr, _scaled)))
        known = self.known.sums(plain)
        if known != plain:
            known = tidy_sums(known)
        if not has_exponential(known):  # those are made safe as they stand
            known = split_wide(known)
        (plain,) = unify([known])
        forms = dict.fromkeys((merge_sums(plain), plain))
        return min((*map(factored, forms), *forms), key=cost)


def _scaled(node: Basic) -> Expr | None:
    """{c if P; 0 otherwise} = c {1 if P; 0 otherwise} for a number c."""
    if not isinstance(node, Cases) or len(node.branches) > 1 or node.otherwise != 0:
        return None
    (value, condition) = node.branches[0]
    is_plain = value != 1 and not any(isinstance(n, (Entry, Idx)) for n in walk(value))
    return value * Cases(Integer(1), condition, Integer(0)) if is_plain else None


def _definition(node: Basic, source: Adjoint) -> Expr | None:
    if isinstance(node, Entry) and node.tensor == source.name:
        return substitute(source.expr, dict(zip(source.indices, node.indices)))
    return None


def _beside(expr: Expr, source: Adjoint, fold: Callable[[Expr], Expr]) -> Expr:
    """The definition in place of every entry, multiplied out with those factors beside it that share its indices."""

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, Mul):
            return _definition(node, source) if node == expr else None
        for factor in node.args:
            definition = _definition(factor, source)
            if definition is None:
                continue
            own = free_indices(factor)
            others = [f for f in node.args if f is not factor]
            near = [f for f in others if free_indices(f) <= own and not isinstance(f, Reduce)]
            far = [f for f in others if f not in near]
            return Mul(shortest_product(definition, Mul(*near), fold), *far)
        return None

    found: Expr = transform(expr, visit)
    return transform(found, lambda n: _definition(n, source))


def shortest_product(left: Expr, right: Expr, fold: Callable[[Expr], Expr]) -> Expr:
    """left · right: as it stands, term by term so that factors cancel, multiplied out, or as one fraction."""
    by_term = Add(*(t * right for t in summands(expand_mul(left, deep=False))))
    forms = (left * right, by_term, fold(by_term), expand_mul(by_term), rational(by_term))
    return min((factor_common(f) for f in forms), key=cost)


def factored(expr: Expr) -> Expr:
    """Common factors before the terms of every sum in an expression, common numbers too."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Add):
            return factor_common(node)
        if isinstance(node, Mul) and any(isinstance(a, Add) for a in node.args):
            return Mul(*(x for a in node.args for x in split_number(a)))
        return None

    found: Expr = transform(expr, visit)
    return found


def depth(expr: Basic) -> int:
    """How deep reductions stand in reductions."""
    below = max((depth(a) for a in expr.args), default=0) if not isinstance(expr, Idx) else 0
    return below + isinstance(expr, Reduce)


def divisors(expr: Basic) -> set[Expr]:
    """The forward values and adjoints that an expression divides by, at any depth: any of them may underflow to 0."""
    found: set[Expr] = set()
    for node in walk(expr):
        if isinstance(node, Pow) and node.exp.could_extract_minus_sign():
            found.update(Entry(e.tensor) for e in entries(node.base))
    return found
