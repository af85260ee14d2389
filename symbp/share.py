"""Common subexpressions, computed once and named after what they are.

Two subexpressions are one if they differ in the names of indices alone: exp(z[s,i]) in a numerator and exp(z[s,c]) under
the sum below it become one array, `exp_z`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Add, Basic, Expr, Idx, Mul, Pow, Symbol, exp, log

from symbp.ir.nodes import (
    Cases, Entry, Index, Iverson, LogAddExp, Reduce, base_exponent, free_indices, rebuild, walk,
)  # fmt: skip
from symbp.ir.schedule import Assign
from symbp.rewrite import TRANSCENDENTAL, cost, volume

LONGEST_NAME = 24


def canonical(expr: Expr) -> tuple[Expr, tuple[Index, ...]]:
    """The expression with free indices renamed in order of appearance, bound ones by depth; and the free ones so ordered."""
    free = free_indices(expr)
    order = tuple(dict.fromkeys(i for i in _appearing(expr) if i in free))
    names: dict[Basic, Expr] = {i: _renamed(i, f"_{k}") for k, i in enumerate(order)}
    return _canonical(expr, names, 0), order


def _appearing(expr: Basic) -> Iterable[Index]:
    for node in walk(expr):
        if isinstance(node, Idx):
            yield node
        elif isinstance(node, Entry):
            yield from (i for e in node.indices for i in walk(e) if isinstance(i, Idx))


def _renamed(index: Index, name: str) -> Index:
    return Idx(Symbol(name, integer=True), (index.lower, index.upper))


def _canonical(expr: Any, names: dict[Basic, Expr], depth: int) -> Any:
    if isinstance(expr, Idx):
        return names[expr]
    if not expr.args:
        return expr
    if isinstance(expr, Reduce):
        names = names | {i: _renamed(i, f"_bound{depth + k}") for k, i in enumerate(expr.indices)}
        depth += len(expr.indices)
    return rebuild(expr, [_canonical(a, names, depth) for a in expr.args])


@dataclass
class Sharing:
    """The values already computed, by canonical form, and how often each form is asked for."""

    taken: set[str]
    counts: Counter[Expr] = field(default_factory=Counter)
    values: dict[Expr, tuple[str, tuple[int, ...]]] = field(default_factory=dict)

    def count(self, expr: Expr) -> None:
        """Count every form once for each distinct place that asks for it."""
        expr = expr.as_coeff_Mul()[1] if isinstance(expr, Mul) else expr
        if isinstance(expr, (Entry, Idx)) or not expr.args:
            return
        form, _ = canonical(expr)
        self.counts[form] += 1
        if self.counts[form] == 1:
            for arg in expr.args[1:] if isinstance(expr, Reduce) else expr.args:
                self.count(arg)

    def name_value(self, assign: Assign) -> None:
        """Remember that a tensor holds the value of an expression, so that later readers use it."""
        form, order = canonical(assign.expr)
        if worth_sharing(assign.expr) and set(order) == set(assign.indices):
            self.values.setdefault(form, (assign.name, tuple(order.index(i) for i in assign.indices)))

    def share(self, assign: Assign) -> list[Assign]:
        """The statement with shared parts read by name, and before it the statements that compute new ones."""
        before: list[Assign] = []
        expr = self._visit(assign.expr, assign, before, top=True)
        done = replace(assign, expr=expr)
        self.name_value(assign)
        return [*before, done]

    def _visit(self, expr: Expr, home: Assign, before: list[Assign], top: bool = False) -> Expr:
        if isinstance(expr, (Entry, Idx)) or not expr.args:
            return expr
        if isinstance(expr, Mul) and expr.args[0].is_Rational:
            coefficient, rest = expr.as_coeff_Mul()
            return coefficient * self._visit(rest, home, before, top)
        form, order = canonical(expr)
        if not top or form in self.values:
            known = self.values.get(form)
            if known is not None:
                return Entry(known[0], *(order[k] for k in known[1]))
            if self.counts[form] > 1 and worth_sharing(expr):
                return self.extract(expr, home, before)
        return rebuild(expr, [self._visit(a, home, before) for a in expr.args])  # type: ignore[return-value]

    def extract(self, expr: Expr, home: Assign, before: list[Assign]) -> Entry:
        """A statement of its own for a subexpression, and the entry that reads it."""
        form, order = canonical(expr)
        name = self.fresh(describe(expr), home.name)
        indices = tuple(sorted(order, key=_frame(home, expr)))
        inner = rebuild(expr, [self._visit(a, home, before) for a in expr.args])
        before.append(Assign(name, indices, inner, inner, home.like))  # type: ignore[arg-type]
        self.values[form] = (name, tuple(order.index(i) for i in indices))
        return Entry(name, *indices)

    def fresh(self, description: str, home: str) -> str:
        """A name that nothing has yet; of a value too long to describe, a part of what it is for."""
        stem = description if 0 < len(description) <= LONGEST_NAME else f"{home}_part"
        name, n = stem, 1
        while name in self.taken:
            n += 1
            name = f"{stem}_{n}"
        self.taken.add(name)
        return name


def _frame(home: Assign, expr: Expr):  # type: ignore[no-untyped-def]
    """Axes in the order of the statement's own indices, then of appearance."""
    order = [*home.indices, *canonical(expr)[1]]
    return order.index


def worth_sharing(expr: Expr) -> bool:
    """Arrays that cost a function, a sum or at least two operations an entry; never a scalar of sizes and constants."""
    if isinstance(expr, (Iverson,)) or not any(isinstance(n, Entry) for n in walk(expr)):
        return False
    if isinstance(expr, Reduce):
        return True
    each = volume(free_indices(expr))
    if isinstance(expr, Mul) and expr.args[0] == -1:
        return False
    return cost(expr) >= (2 if isinstance(expr, (Add, Mul, Pow)) else TRANSCENDENTAL) * each


_HEADS = {"maximum": "max", "sum": "sum"}


def describe(expr: Basic) -> str:
    """A name for what an expression is: exp_z2, sum_exp_z2, max_z2; empty where it is too mixed for one."""
    if isinstance(expr, Entry):
        return expr.tensor
    if isinstance(expr, Reduce):
        return _join(_HEADS[expr.reducer], describe(expr.body))
    if isinstance(expr, exp):
        # the shift is the code's affair: exp(z − max z) is the exponential of z
        inner = [t for t in Add.make_args(expr.args[0]) if not _is_shift(t)]
        return _join("exp", describe(Add(*inner)))
    if isinstance(expr, LogAddExp):
        return _join("softplus", describe(expr.args[1])) if expr.args[0] == 0 else ""
    if isinstance(expr, log):
        return _join("log", describe(expr.args[0]))
    if isinstance(expr, Cases):
        return ""
    if isinstance(expr, Pow):
        base, power = base_exponent(expr)
        head = {2: "square", -1: "inverse"}.get(power, "root" if power.is_Rational and power.q == 2 else "power")
        return _join(head, describe(base))
    if isinstance(expr, Mul):
        names = [describe(a) for a in expr.args if any(isinstance(n, Entry) for n in walk(a))]
        return "_".join(names) if all(names) and len(names) <= 2 else ""
    if expr.is_Function and len(expr.args) == 1:
        return _join(type(expr).__name__.lower(), describe(expr.args[0]))
    return ""


def _is_shift(term: Expr) -> bool:
    return any(isinstance(n, Reduce) and n.reducer == "maximum" for n in walk(term))


def _join(head: str, tail: str) -> str:
    return f"{head}_{tail}" if tail else ""
