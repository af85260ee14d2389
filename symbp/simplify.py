"""Adjoints in their shortest form: cheap ones are inlined where that takes fewer operations.

    softmax with cross-entropy   y_j (ȳ_j − Σ_i ȳ_i y_i) with ȳ_i = −t_i / y_i    is    y_j Σ_i t_i − t_j

Nothing here knows softmax: an adjoint is put in the place where it is read, multiplied out with the factors beside it,
and kept if that costs less, or if it removes a division by a forward value that may underflow to 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
from symbp.ir.trace import Chain, Group, steps_along
from symbp.known import FIXED, HELD, Known
from symbp.naming import standard_names, unify
from symbp.rewrite import (
    contraction,
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

EXPAND, COLLECT = "a (b + c) = a b + a c", "a b + a c = a (b + c)"

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

        def record(chain: Chain) -> None:
            nonlocal expr
            indices, pool = a.indices, self.program.indices
            named = tuple((r, why, standard_names(e, indices, pool)) for r, why, e in chain)
            for step in steps_along(f"∂L/∂{a.tensor}", expr, named, "simplify", indices):
                been = next((k for k, s in enumerate(steps) if s.before == step.after), None)
                if been is None:
                    steps.append(step)
                else:  # there and back again
                    del steps[been:]
            after = named[-1][-1]
            self.uses.subtract(tensors_of(expr))
            self.uses.update(tensors_of(after))
            expr = after

        record(self.collected(expr))
        for _ in range(len(self.done)):
            inlined = self.inline_one(expr)
            if inlined is None:
                break
            source, chain = inlined
            record(chain)
            if self.uses[source.name] == 0 and source.tensor not in self.wrt:
                self.uses.subtract(tensors_of(source.expr))
        stated = sums_to_one(expr, self.program.declarations)
        if stated != expr:
            fact = ("data sum to 1", "stated of the input: Σ_i t_i = 1", stated)
            record((fact, *self.tidy(stated)))
        return replace(a, expr=expr, steps=tuple(steps))

    def inline_one(self, expr: Expr) -> tuple[Adjoint, Chain] | None:
        """(adjoint, the steps to the new expression) for the first adjoint in it that is better inlined."""
        for name in tensors_of(expr):
            source = self.done.get(name)
            if source is None:
                continue
            forms = self.inlined(expr, source)
            best = min(forms, key=lambda e: (len(divisors(e)), cost(e)))
            if self.worth(expr, source, best):
                return source, forms[best]
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

    def inlined(self, expr: Expr, source: Adjoint) -> dict[Expr, Chain]:
        """The forms that the expression can take with an adjoint replaced by its definition."""
        plain = transform(expr, lambda n: _definition(n, source))
        beside = _beside(expr, source, self.known.held)
        apart = distribute(expr)
        opened = _beside(apart, source, self.known.held)
        put, multiplied = (*_put(expr, source, plain),), (*_put(expr, source, beside),)
        first = (*_multiplied(expr), *_put(apart, source, opened))
        return self.tidied(
            (
                put,
                multiplied,
                first,
                (*first, *_multiplied(opened)),
                (*put, *_multiplied(plain)),
            )
        )

    def collected(self, expr: Expr) -> Chain:
        """The steps to the expression tidied, and in terms of forward values where that divides by nothing else."""
        forms = self.tidied(((("", "", expr),),))
        best = min(forms, key=lambda e: (bool(divisors(e) - divisors(expr)), cost(e)))
        return forms[best]

    def tidied(self, forms: Iterable[Chain]) -> dict[Expr, Chain]:
        """Each form tidied, as it stands and in terms of what the forward values hold, with the steps to it."""
        found: dict[Expr, Chain] = {}
        first: dict[Expr, Chain] = {}
        for chain in forms:
            first.setdefault(chain[-1][-1], chain)
        for form, chain in first.items():
            tidy = self.tidy(form)
            found.setdefault(tidy[-1][-1], (*chain, *tidy))
            if (held := self.known.held(form)) != form:
                tidy = self.tidy(held)
                named = ("in terms of forward values", HELD, held)
                found.setdefault(tidy[-1][-1], (*chain, named, *tidy))
        return found

    def tidy(self, expr: Expr) -> Chain:
        """Constant factors before sums, sums merged, common factors before terms; whatever of it costs least."""
        sifted = sift(transform(expr, _scaled))
        plain = tidy_sums(sifted)
        known = self.known.sums(plain)
        fixed = tidy_sums(known) if known != plain else known
        split = fixed if has_exponential(fixed) else split_wide(fixed)  # those are made safe as is
        (whole,) = unify([split])
        forms = dict.fromkeys((merge_sums(whole), whole))
        return (
            ("sift δ", "δ_ij f_i = δ_ij f_j", sifted),
            ("constant factors before sums", "Σ_i a f_i = a Σ_i f_i", plain),
            ("known sums", FIXED, known),
            ("constant factors before sums", "Σ_i a f_i = a Σ_i f_i", fixed),
            ("split sums", "Σ_i (a_i + b_i) = Σ_i a_i + Σ_i b_i", whole),
            ("collect", COLLECT, min((*map(factored, forms), *forms), key=cost)),
        )


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


def _multiplied(expr: Expr) -> Iterator[tuple[str, str, Expr]]:
    """Products over sums, then what that lets be summed."""
    apart = distribute(expr, contracted=False)
    yield "multiply out", EXPAND, apart
    yield (*contraction(apart), distribute(expr))


def _put(expr: Expr, source: Adjoint, after: Expr) -> Iterator[tuple[str, str, Expr]]:
    """The definition in its place, and what that gives multiplied out: one step where nothing cancels."""
    rule = f"substitute ∂L/∂{source.tensor}"
    reason = "saves operations, a division or a line"

    def visit(node: Basic) -> Basic | None:
        found = _definition(node, source)
        return None if found is None else Group(found)

    grouped = transform(expr, visit)
    if _reads(grouped) == _reads(after):
        yield rule, reason, after
    else:
        yield rule, reason, grouped
        yield "cancel", "a / a = 1", after


def _reads(expr: Basic) -> int:
    return sum(isinstance(n, Entry) for n in walk(expr))


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
