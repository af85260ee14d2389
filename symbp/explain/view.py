"""What a document shows, and how its formulas and phrases are written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sympy import Basic, Expr

from symbp.ir.nodes import Entry, Index
from symbp.ir.program import AdjointProgram, Partial, Program, reached, unshifted
from symbp.ir.trace import Step
from symbp.ir.update import UpdateProgram
from symbp.notation.style import Notation
from symbp.pages.blocks import Row

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class View:
    """All that documents are views of: what each stage left behind."""

    adjoint: AdjointProgram
    declared: Program  # before any rewriting: it still has the equations that a rewriting made superfluous
    stable: tuple[Step, ...] = ()  # from the formulas derived to those computed
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of tensors and adjoints
    update: UpdateProgram | None = None
    checked: int = 0  # how many steps were evaluated on both sides, and agree; 0: none was tried

    def only(self, wrt: Sequence[str]) -> View:
        """The part that leads to these gradients."""
        whole = self.adjoint
        names = whole.adjoint_names()
        chains = [replace(a, expr=a.chain) for a in whole.adjoints]  # what is inlined later, too
        kept = reached([names[w] for w in wrt], chains, whole.shifts)
        tensors = {a.tensor for a in whole.adjoints if a.name in kept}
        adjoint = AdjointProgram(
            whole.program,
            tuple(p for p in whole.partials if p.input in tensors),
            tuple(a for a in whole.adjoints if a.name in kept),
            tuple(w for w in whole.wrt if w in wrt),
            whole.seeds,
            whole.shifts,
        )
        return View(adjoint, self.declared, self.stable, self.code, self.update, self.checked)


class Author:
    """Writes the formulas of one view in one notation."""

    def __init__(self, view: View, write: Notation) -> None:
        self.view = view
        self.write = write
        self.adjoint = view.adjoint
        self.program = view.adjoint.program
        self.names = view.adjoint.adjoint_names()
        shifts = self.program.shifts
        self.hidden = {*(s.name for s in shifts), *self.program.ends.values()}
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

    def chained(
        self, left: str, first: Expr, steps: Sequence[Step], last: Expr | None = None
    ) -> Iterator[Row]:
        """left = first = … = last. A step that rewrites only a part stands as an equation of its own."""
        shown = self.formula(first)
        yield Row(left, shown)
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
        return self.told(step.rule, step.reason) or self.write.prose(step.rule)

    def told(self, rule: str, reason: str) -> str:
        """A rule with its reason, where that was not given before."""
        if not reason or reason in self._told:
            return ""
        self._told.add(reason)
        return self.write.prose(f"{rule}: {reason}")


def grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterable[tuple[K, list[T]]]:
    """Items with equal keys together, in order of first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


def listed(parts: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""
