"""Common subexpressions, computed once and named after what they are.

Two subexpressions are one if they differ in the names of indices alone: exp(z[s,i]) in a numerator
and exp(z[s,c]) under the sum below it become one array, `exp_z`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sympy import Add, Basic, Eq, Expr, Idx, Mul, Pow, Symbol, exp

from symbp.contraction import is_wide
from symbp.ir.functions import Largest, LogAddExp
from symbp.ir.nodes import (
    Entry,
    Index,
    Iverson,
    Reduce,
    Slope,
    entries,
    free_indices,
    prime,
    rebuild,
    size_of,
    substitute,
    sum_over,
    transform,
    walk,
)
from symbp.ir.schedule import Assign
from symbp.ir.trace import Stage, Step
from symbp.naming import alpha, standard_names
from symbp.rewrite import TRANSCENDENTAL, cost, volume

LONGEST_NAME = 24


@lru_cache(maxsize=20_000)
def canonical(expr: Expr) -> tuple[Expr, tuple[Index, ...]]:
    """The expression with indices renamed by appearance and depth, and its free ones in that order."""
    free = free_indices(expr)
    order = tuple(dict.fromkeys(i for i in _appearing(expr) if i in free))
    return alpha(substitute(expr, {i: _renamed(i, f"_{k}") for k, i in enumerate(order)})), order


def _appearing(expr: Basic) -> Iterable[Index]:
    for node in walk(expr):
        if isinstance(node, Idx):
            yield node
        elif isinstance(node, Entry):
            yield from (i for e in node.indices for i in walk(e) if isinstance(i, Idx))


def _renamed(index: Index, name: str) -> Index:
    return Idx(Symbol(name, integer=True), (index.lower, index.upper))


@dataclass
class Sharing:
    """The values already computed, by canonical form, and how often each form is asked for."""

    taken: set[str]
    pool: tuple[Index, ...]  # the user's indices
    counts: Counter[Expr] = field(default_factory=Counter)
    values: dict[Expr, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    marks: dict[Expr, str] = field(default_factory=dict)  # reduction -> the statement of its slope
    stage: Stage = "lower"
    trace: list[Step] = field(default_factory=list)

    def record(self, subject: Assign, rule: str, reason: str, before: Expr) -> None:
        """A step to what a statement computes now; of a new statement also where that is what it is for."""
        step = Step(subject.name, rule, reason, before, subject.expr, self.stage, subject.indices)
        self.trace.append(step)

    def changed(
        self, rule: str, reason: str, before: Iterable[Assign], after: list[Assign]
    ) -> list[Assign]:
        """The statements after a pass, with a step for each that it changed."""
        known = {a.name: a.expr for a in before}
        for a in after:
            if a.name in known and _in_order(a.expr) != _in_order(known[a.name]):
                self.record(a, rule, reason, known[a.name])
        return after

    def count(self, expr: Expr) -> None:
        """Count every form once for each distinct place that asks for it."""
        expr = expr.as_coeff_Mul()[1] if isinstance(expr, Mul) else expr
        if isinstance(expr, (Entry, Idx)) or not expr.args:
            return
        form, _ = canonical(expr)
        self.counts[form] += 1
        if self.counts[form] == 1:
            if isinstance(expr, Slope):  # the product of all others, of which only the body is read
                self.count(expr.reduction.body)
                return
            for group in _operands(expr):
                self.counts[canonical(group)[0]] += 1
            for arg in expr.args[1:] if isinstance(expr, Reduce) else expr.args:
                self.count(arg)

    def name_value(self, assign: Assign) -> None:
        """Remember that a tensor holds the value of an expression, so that later readers use it."""
        form, order = canonical(assign.expr)
        if worth_sharing(assign.expr) and set(order) == set(assign.indices):
            self.values.setdefault(
                form, (assign.name, tuple(order.index(i) for i in assign.indices))
            )

    def share(self, assign: Assign) -> list[Assign]:
        """The statement with shared parts read by name, and before it the statements that compute new ones."""
        before: list[Assign] = []
        expr = self._visit(assign.expr, assign, before, top=True)
        done = replace(assign, expr=expr)
        self.name_value(assign)
        return [*before, done]

    def _visit(self, expr: Expr, home: Assign, before: list[Assign], top: bool = False) -> Expr:
        if isinstance(expr, Entry) and any(isinstance(p, Entry) for p in expr.indices):
            form, order = canonical(expr)  # gathered before, for a loop
            name, axes = self.values.get(form, (expr.tensor, ()))
            return expr if name == expr.tensor else Entry(name, *(order[k] for k in axes))
        if isinstance(expr, (Entry, Idx)) or not expr.args:
            return expr
        if isinstance(expr, Mul) and expr.args[0].is_Rational:
            coefficient, rest = expr.as_coeff_Mul()
            return coefficient * self._visit(rest, home, before, top)
        if isinstance(expr, Slope):
            body = self._visit(expr.reduction.body, home, before)
            node = rebuild(expr.reduction, [expr.reduction.args[0], body, *expr.reduction.indices])
            return Slope(node, node, *expr.place)
        form, order = canonical(expr)
        if not top or form in self.values:
            known = self.values.get(form)
            if known is not None:
                return Entry(known[0], *(order[k] for k in known[1]))
            if self.counts[form] > 1 and worth_sharing(expr):
                return self.extract(expr, home, before)
        for group in _operands(expr):
            form, _ = canonical(group)
            if worth_sharing(group) and (form in self.values or self.counts[form] > 1):
                rest = Mul(*(f for f in expr.body.args if f not in group.args))
                body = self.extract(group, home, before) * rest
                expr = rebuild(expr, [expr.args[0], body, *expr.indices])
        return rebuild(expr, [self._visit(a, home, before) for a in expr.args])

    def extract(
        self, expr: Expr, home: Assign, before: list[Assign], stem: str | None = None
    ) -> Entry:
        """A statement of its own for a subexpression, and the entry that reads it; its name, unless it describes it."""
        form, order = canonical(expr)
        known = self.values.get(form)
        if known is not None:
            return Entry(known[0], *(order[k] for k in known[1]))
        name = self.fresh(describe(expr) if stem is None else stem, home.name)
        indices = _own_order(expr, order) or tuple(sorted(order, key=[*home.indices, *order].index))
        inner = rebuild(expr, [self._visit(a, home, before) for a in expr.args])
        own = self.own_indices(indices)
        whole, renamed = (
            standard_names(substitute(e, dict(zip(indices, own))), own, self.pool)
            for e in (expr, inner)
        )
        before.append(Assign(name, own, renamed, renamed, home.like))
        self.record(before[-1], "part", "a value of its own, computed once", whole)
        self.values[form] = (name, tuple(order.index(i) for i in indices))
        return Entry(name, *indices)

    def slopes(self, assign: Assign) -> list[Assign]:
        """The statement with the slopes of reductions read by name, and before it those that compute new ones."""
        before: list[Assign] = []

        def visit(node: Basic) -> Basic | None:
            return self._slope(node, assign, before) if isinstance(node, Slope) else None

        found = transform(assign.expr, visit)
        return [*before, replace(assign, expr=found)]

    def _slope(self, node: Slope, home: Assign, before: list[Assign]) -> Expr:
        """Which entries tie for a maximum, marked by 1, over how many they are; or the product of all others."""
        form, order = canonical(node.reduction)
        free = {_renamed(i, f"_{k}"): i for k, i in enumerate(order)}
        axes = tuple(dict.fromkeys(i for i in _appearing(form.body) if i in {*free, *form.indices}))
        if form not in self.marks:
            own = dict(zip(axes, self.own_indices(axes)))
            whole = substitute(form, {i: own[i] for i in free})
            marks: Expr = Slope(whole, whole, *(own[i] for i in form.indices))
            head = "others"
            if node.reduction.reducer == "maximum":
                marks = Iverson(Eq(substitute(form.body, own), whole, evaluate=False))
                head = "ties"
            marks = standard_names(marks, tuple(own.values()), self.pool)
            self.marks[form] = self.fresh(_join(head, describe(node.reduction.body)), home.name)
            before.append(Assign(self.marks[form], tuple(own.values()), marks, marks, home.like))
            reason = "what each entry has of the slope, computed once"
            self.record(before[-1], "slope", reason, marks)

        def at(place: Iterable[Expr]) -> Entry:
            where = {**free, **dict(zip(form.indices, place))}
            return Entry(self.marks[form], *(where[i] for i in axes))

        indices = node.reduction.indices
        if node.reduction.reducer == "product":
            return at(node.place)
        return at(node.place) / sum_over(at(indices), indices)

    def own_indices(self, indices: tuple[Index, ...]) -> tuple[Index, ...]:
        """The user's first names for these axes, as a tensor of the user's would have them."""
        own: list[Index] = []
        for index in indices:
            same = [
                p
                for p in self.pool
                if (p.lower, p.upper) == (index.lower, index.upper) and p not in own
            ]
            own.append(
                same[0] if same else prime(index, {i.name for i in own}) if index in own else index
            )
        return tuple(own)

    def fresh(self, description: str, home: str) -> str:
        """A name that nothing has yet; of a value too long to describe, a part of what it is for."""
        stem = description if 0 < len(description) <= LONGEST_NAME else f"{home}_part"
        name, n = stem, 1
        while name in self.taken:
            n += 1
            name = f"{stem}_{n}"
        self.taken.add(name)
        return name


def _own_order(expr: Expr, axes: tuple[Index, ...]) -> tuple[Index, ...] | None:
    """These axes in the order that all tensors have them in that have them all; None where there is none, or two."""
    found = {
        tuple(i for i in entry.indices if i in axes)
        for entry in entries(expr)
        if set(axes) <= set(entry.indices)
    }
    return found.pop() if len(found) == 1 else None


def _in_order(expr: Expr) -> Expr:
    """The expression with the indices of each reduction in one order."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Reduce) and len(node.indices) > 1:
            return Reduce(node.args[0], node.body, *sorted(node.indices, key=str))
        return None

    found: Expr = transform(expr, visit)
    return found


def _operands(expr: Expr) -> list[Expr]:
    """The products of factors with the same axes that stand beside others in a contraction: Σ_b (u_b v_b) W_ab."""
    if not (isinstance(expr, Reduce) and expr.reducer == "sum" and isinstance(expr.body, Mul)):
        return []
    groups: dict[frozenset[Index], list[Expr]] = {}
    for factor in expr.body.args:
        if axes := free_indices(factor):
            groups.setdefault(axes, []).append(factor)
    return [Mul(*group) for group in groups.values() if len(groups) > 1 and len(group) > 1]


def worth_sharing(expr: Expr) -> bool:
    """Arrays that cost a function, a sum or at least two operations an entry; never a scalar of sizes and constants."""
    if (
        not isinstance(expr, Expr)
        or isinstance(expr, Iverson)
        or not any(isinstance(n, Entry) for n in walk(expr))
    ):
        return False
    if isinstance(expr, Reduce):
        return True
    if is_wide(expr):
        return False  # part of a contraction, which builds no such array
    each = volume(free_indices(expr))
    if isinstance(expr, Mul) and expr.args[0] == -1:
        return False
    return cost(expr) >= (2 if isinstance(expr, (Add, Mul, Pow)) else TRANSCENDENTAL) * each


_HEADS = {"maximum": "max", "sum": "sum", "product": "product"}


def describe(expr: Basic) -> str:
    """A name for what an expression is: exp_z2, sum_exp_z2, one_minus_y; empty where it is too mixed for one."""
    if isinstance(expr, Entry):
        return expr.tensor
    if isinstance(expr, Reduce):
        return _join(_HEADS[expr.reducer], describe(expr.body))
    if isinstance(expr, exp):
        # the shift is the code's affair: exp(z − max z) is the exponential of z
        return _join(
            "exp", describe(Add(*(t for t in Add.make_args(expr.args[0]) if not _is_shift(t))))
        )
    if isinstance(expr, Pow):
        root = expr.exp.is_Rational and expr.exp.q == 2
        head = {2: "square", -1: "inverse"}.get(expr.exp, "root" if root else "power")
        return _join(head, describe(expr.base))
    if isinstance(expr, Add):
        return _describe_sum(expr)
    if isinstance(expr, Mul):
        return _describe_product(expr)
    if isinstance(expr, Largest) and len(expr.args) == 2 and expr.args[0].is_Number:
        return _join("clipped", describe(expr.args[1]))
    if isinstance(expr, LogAddExp):
        return _join("softplus", describe(expr.args[1])) if expr.args[0] == 0 else ""
    if expr.is_Function and len(expr.args) == 1:
        return _join(type(expr).__name__.lower(), describe(expr.args[0]))
    return {1: "one", -1: "minus_one"}.get(expr, "") if expr.is_Number else ""


def _describe_sum(expr: Add) -> str:
    """a_minus_b, one_plus_a: two terms, the positive one first."""
    if len(expr.args) != 2:
        return ""
    first, second = sorted(expr.args, key=lambda t: (t.could_extract_minus_sign(), not t.is_Number))
    sign = "minus" if second.could_extract_minus_sign() else "plus"
    names = describe(first), describe(-second if sign == "minus" else second)
    return f"{names[0]}_{sign}_{names[1]}" if all(names) else ""


def _describe_product(expr: Mul) -> str:
    """mean_x for Σ_i x_i over their number; a_b for two factors; −a as minus_a; numbers and sizes unnamed."""
    named = [a for a in expr.args if any(isinstance(n, Entry) for n in walk(a))]
    others = Mul(*(a for a in expr.args if a not in named))
    if len(named) == 1 and isinstance(named[0], Reduce) and named[0].reducer == "sum":
        if others == 1 / Mul(*(size_of(i) for i in named[0].indices)):
            return _join("mean", describe(named[0].body))
    below = [a for a in named if isinstance(a, Pow) and a.exp == -1]
    above = [a for a in named if a not in below]
    names = [describe(a.base if above and a in below else a) for a in (*above, *below)]
    if not all(names) or len(names) > 2:
        return ""
    sign = "minus_" if others == -1 else ""
    return sign + ("_over_" if above and below else "_").join(names)


def _is_shift(term: Expr) -> bool:
    return any(isinstance(n, Reduce) and n.reducer == "maximum" for n in walk(term))


def _join(head: str, tail: str) -> str:
    return f"{head}_{tail}" if tail else ""
