"""What comes out: one table of all gradients, and the forms that the module computes."""

from __future__ import annotations

from collections.abc import Iterator

from symbp.costs import cost, total
from symbp.explain.author import Author
from symbp.ir.nodes import Entry, size_of
from symbp.pages.blocks import Block, Display, Prose, Row, Table


def gradients(author: Author) -> Iterator[Block]:
    """Every gradient with its shape and what it costs, once what it is computed from is known; and the whole."""
    found = {a.tensor: a for a in author.adjoint.adjoints}
    rows = []
    for name in author.adjoint.wrt:
        indices = author.indices_of(name)
        left = author.symbol(Entry(author.names[name], *indices))
        a = found.get(name)
        price = author.price(cost(indices, a.expr, author.shared, of=name)) if a else ""
        rows.append((left, author.write.shape(tuple(size_of(i) for i in indices)), price))
    if rows:
        yield Table(("gradient", "shape", "operations"), tuple(rows))
    schedule = author.view.schedule
    if rows and schedule is not None:
        forward, backward = (
            author.symbol(total(b).leading) for b in (schedule.forward, schedule.backward)
        )
        yield Prose(
            f"In all, forward takes {forward} operations, and backward {backward}, in leading terms."
        )


def computed(author: Author) -> Iterator[Block]:
    """The forms in which the module computes what could overflow as written."""
    yield from (Prose(f"{note}.") for note in author.program.notes)
    if not author.view.stable:
        return
    yield Prose(
        "The module computes equal forms of these, in which nothing overflows or turns to log 0."
    )
    tensors = author.adjoint.tensors()
    rows: list[Row] = []
    for step in author.view.stable:
        indices = author.indices_of(tensors.get(step.subject, step.subject))
        left = author.tensor(step.subject, indices)
        rows += author.chained(left, step.before, (step,))
    yield Display(tuple(rows))
