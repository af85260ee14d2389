"""Each equation as declared and as rewritten, and its local partials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sympy import Expr

from symbp.costs import cost, jacobian
from symbp.explain.author import Author, grouped
from symbp.explain.repeats import WORTH, Repeats
from symbp.ir.network import Equation
from symbp.ir.nodes import entries, tensors_of
from symbp.ir.program import Partial
from symbp.naming import standard_names
from symbp.pages.blocks import Block, Display, Prose, Row, Section


def equations(author: Author, brief: bool) -> tuple[Section, ...]:
    """A section for each equation, in the order of evaluation; in brief, one for all."""
    found = [
        Section(author.own(eq.name), tuple(blocks), f"eq-{eq.name}", 2)
        for eq, blocks in _described(author, brief)
    ]
    if not brief:
        return (Section("Equations and their local partials", (), "equations"), *found)
    rows = [row for s in found for b in s.blocks if isinstance(b, Display) for row in b.rows]
    rest = [b for s in found for b in s.blocks if not isinstance(b, Display)]
    return (Section("Equations", (Display(tuple(rows)), *rest), "equations"),)


def _described(author: Author, brief: bool) -> Iterator[tuple[Equation, list[Block]]]:
    partials = dict(grouped(author.adjoint.partials, lambda p: p.output))
    final = {eq.name: eq.expr for eq in author.program.equations}
    declared = {eq.name for eq in author.view.declared.equations}
    added = {eq.name: eq for eq in author.program.equations if eq.name not in declared}
    repeats = Repeats()
    for eq in author.view.declared.equations:
        if eq.name in author.hidden:
            continue
        last = final.get(eq.name, eq.expr)
        blocks: list[Block] = [Display(tuple(_stated(author, eq, last, brief)))]
        blocks += _boundary(author, eq.name)
        if not brief:
            rows = [r for p in partials.get(eq.name, ()) for r in _partial(author, p, repeats)]
            blocks += [Display(tuple(rows), loose=True)] * bool(rows)
        yield eq, blocks
        for other in _introduced(last, added):
            shown = Row(author.tensor(other.name, other.indices), author.formula(other.expr))
            rows = [r for p in partials.get(other.name, ()) for r in _partial(author, p, repeats)]
            yield other, [Display((shown, *([] if brief else rows)))]


def _stated(author: Author, eq: Equation, last: Expr, brief: bool) -> Iterator[Row]:
    """The equation, and how it was rewritten before anything was differentiated."""
    left = author.tensor(eq.name, eq.indices)
    steps = [step for step in author.program.trace if step.subject == eq.name]
    first = steps[0].before if steps else eq.expr
    if brief:
        yield Row(left, author.formula(first))
    else:
        price = author.price(cost(eq.indices, eq.expr, author.shared))
        scaled = any(step.stage == "scale" for step in steps)  # then names change their meaning
        stated, *rewritten = author.chained(left, first, steps, None if scaled else last)
        yield from (replace(stated, cost=price), *rewritten)
        if not scaled:
            yield from author.aside(eq.name)
        elif last != steps[-1].after:
            yield Row(left, author.formula(last), "what this name means in all that is derived")


def _introduced(expr: Expr, added: dict[str, Equation]) -> Iterator[Equation]:
    """The equations of tensors that a rewriting made, behind the first that reads them."""
    for name in tensors_of(expr):
        if name in added:
            eq = added.pop(name)
            yield eq
            yield from _introduced(eq.expr, added)


def _boundary(author: Author, name: str) -> Iterator[Block]:
    """What stands for a recurrent tensor outside its steps."""
    shift = next((s for s in author.program.shifts if s.source == name), None)
    if shift is not None:
        when = "before the first" if shift.by < 0 else "after the last"
        left = author.write.inline(author.tensor(name, shift.indices))
        yield Prose(f"{left} is {author.symbol(shift.outside)} {when} step.")


def _partial(author: Author, p: Partial, repeats: Repeats) -> Iterator[Row]:
    """A local partial as it is derived, where it is not 0; one that was derived before in other names, in one row."""
    steps = [
        replace(s, before=_met(author, p, s.before), after=_met(author, p, s.after))
        for s in p.steps
    ]
    left = author.partial(p)
    first, last = _met(author, p, p.derived), _met(author, p, p.expr)
    rows = list(author.chained(left, first, steps, last, derived=True))
    forms = (first, *(step.after for step in steps))
    if len(rows) > WORTH and (earlier := repeats.earlier(left, forms)) is not None:
        rows = [replace(rows[-1], left=left, note=f"as {author.write.inline(earlier)}")]
    if _is_spread(p, last):
        price = author.price(jacobian(p, author.shared)[1])
        rows[-1] = replace(rows[-1], cost=f"as an array {price}")
    yield from rows


def _is_spread(p: Partial, expr: Expr) -> bool:
    """Whether the partial as an array has more entries, where they can differ from 0, than any tensor it is made of."""
    above = set(p.output_indices).difference(p.diagonal.values())
    below = set(p.input_indices).difference(p.diagonal)
    made = any(above | below <= set(e.indices) for e in entries(expr))
    return bool(above) and bool(below) and not made


def _met(author: Author, p: Partial, expr: Expr) -> Expr:
    """A form of a partial where those indices agree without which it is 0."""
    free = (*p.output_indices, *(j for j in p.input_indices if j not in p.diagonal))
    return standard_names(p.on_diagonal(expr), free, author.program.indices)
