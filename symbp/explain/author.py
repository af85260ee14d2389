"""How the formulas and phrases of a document are written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from sympy import Basic, Expr

from symbp.costs import Cost, big_o, same_for_all
from symbp.explain.matrices import forms
from symbp.explain.view import View
from symbp.ir.nodes import Entry, Index
from symbp.ir.program import Partial, unshifted
from symbp.ir.trace import Step
from symbp.notation.style import Notation
from symbp.pages.blocks import Row

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Author:
    """Writes the formulas of one view in one notation."""

    def __init__(self, view: View, write: Notation) -> None:
        self.view = view
        self.write = write
        self.adjoint = view.adjoint
        self.program = view.adjoint.program
        self.names = view.adjoint.adjoint_names()
        self.hidden = view.hidden
        self.forms = forms(view)
        self.shared = same_for_all(self.program)
        self._told: set[str] = set()

    def formula(self, expr: Basic) -> str:
        """A formula, with what is read of other steps written as such."""
        return self.write.formula(unshifted(expr, self.program, self.adjoint.shifts))

    def symbol(self, expr: Basic) -> str:
        """A formula in a line of prose."""
        return self.write.inline(self.formula(expr))

    def indices_of(self, tensor: str) -> tuple[Index, ...]:
        return self.program.indices_of(tensor)

    def tensor(self, name: str, indices: tuple[Expr, ...]) -> str:
        """A tensor at indices; the loss by its sign."""
        if name == self.program.loss:
            return self.write.loss
        return self.formula(Entry(name, *indices))

    def own(self, name: str) -> str:
        """A tensor at its own indices, in a line of prose."""
        return self.write.inline(self.tensor(name, self.indices_of(name)))

    def partial(
        self,
        p: Partial,
        output: tuple[Expr, ...] | None = None,
        wrt: tuple[Expr, ...] | None = None,
    ) -> str:
        """∂y/∂z at these indices, by default at those of the partial where it is not 0."""
        met = p.diagonal
        places = tuple(met.get(j, j) for j in p.input_indices)
        return self.write.partial(
            self.tensor(p.output, p.output_indices if output is None else output),
            self.tensor(p.input, places if wrt is None else wrt),
        )

    def price(self, cost: Cost) -> str:
        """What something costs, a row where it falls apart into equal rows; nothing is said of what does not grow."""
        if cost.order.is_number:
            return ""
        row = cost.a_row
        text = self.write.inline(big_o(row or cost, self.write, self.program.indices))
        return f"{text} a row" if row else text

    def aside(self, name: str) -> Iterator[Row]:
        """The matrix form of an equation or an adjoint, beside its index form."""
        form = self.forms.get(name)
        if form is not None:
            left = self.write.loss if name == self.program.loss else self.write.matrix(form.left)
            each = ", ".join(map(self.symbol, form.each))
            note = f"for each {each}" if each else ""
            yield Row(left, self.write.matrix(form.right), note, aside=True)

    def chained(
        self,
        left: str,
        first: Expr,
        steps: Sequence[Step],
        last: Expr | None = None,
        derived: bool = False,
    ) -> Iterator[Row]:
        """left = first = … = last. A step that rewrites only a part stands as an equation of its own.

        `derived`: the first equality is a step, too.
        """
        shown = self.formula(first)
        yield Row(left, shown, checked=derived and self.view.checked > 0)
        for step in steps:
            before, after = self.formula(step.before), self.formula(step.after)
            if before == shown != after:
                yield Row("", after, self.reason(step), checked=self.view.checked > 0)
                shown = after
            elif before != after:
                yield Row(before, after, self.reason(step), checked=self.view.checked > 0)
        if last is not None and self.formula(last) != shown:
            yield Row("", self.formula(last))

    def reason(self, step: Step) -> str:
        """Why a step holds: its rule, and at the first use the identity applied."""
        return self.told(step.rule, step.reason) or self.named(step.rule)

    def told(self, rule: str, reason: str) -> str:
        """A rule with its reason, where that was not given before."""
        if not reason or reason in self._told:
            return ""
        self._told.add(reason)
        return f"{self.named(rule)}: {self.write.prose(reason)}"

    def named(self, rule: str) -> str:
        """A rule as prose; a tensor, or an adjoint, that it ends in, as a symbol."""
        words, _, last = rule.rpartition(" ")
        name = last.removeprefix("∂L/∂")
        if not words or name not in self.program.declarations:
            return self.write.prose(rule)
        symbol = self.names.get(name, "") if name != last else name
        return (
            f"{self.write.prose(words)} {self.symbol(Entry(symbol))}"
            if symbol
            else self.write.prose(rule)
        )


def grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterable[tuple[K, list[T]]]:
    """Items with equal keys together, in order of first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


def listed(parts: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
