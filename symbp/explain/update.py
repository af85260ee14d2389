"""How parameters are updated, as a section of a derivation."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Symbol

from symbp.ir.nodes import Entry
from symbp.ir.program import unshifted
from symbp.ir.update import UpdateProgram
from symbp.notation.style import Notation
from symbp.pages.blocks import Block, Display, Prose, Row, Section, Table


def update_sections(update: UpdateProgram | None, write: Notation) -> tuple[Section, ...]:
    """The section of an update; none without one."""
    return () if update is None else (Section("Update", tuple(_blocks(update, write)), "update"),)


def _blocks(update: UpdateProgram, write: Notation) -> Iterator[Block]:
    """What the optimisers are, where they are from, what they take, and their equations."""
    program = update.program
    for part in (part for text in update.texts for part in text.split("\n\n")):
        yield Prose(write.prose(" ".join(part.split())))
    w, g = program.declarations["w"], program.declarations["g"]
    k, p = w.indices

    def shown(name: str) -> str:
        return write.inline(write.formula(Entry(name, *program.indices_of(name))))

    step, entry = write.inline(write.formula(k)), write.inline(write.formula(p))
    yield Prose(
        f"Here {shown(w.name)} is an entry of any parameter after step {step}, and {shown(g.name)} is the gradient "
        f"that the step is given; {entry} runs over the entries of all parameters. Before the first step, "
        f"{shown(w.name)} is {shown('w0')}."
    )
    rows = [
        (
            write.inline(write.formula(Symbol(d.name, real=True))),
            "given" if d.default is None else f"{d.default:g} by default",
        )
        for d in program.declarations.values()
        if d.kind == "constant"
    ]
    kept = [
        (shown(s.source), f"kept, {write.inline(write.formula(s.outside))} before the first step")
        for s in program.shifts
        if s.source != w.name
    ]
    yield Table(("number", "is"), tuple(rows))
    if kept:
        yield Table(("state", "is"), tuple(kept))
    yield Display(
        tuple(
            Row(
                write.formula(Entry(eq.name, *eq.indices)),
                write.formula(unshifted(eq.expr, program)),
            )
            for eq in program.equations
        )
    )
