"""The sections of a derivation, in the order of a lecture."""

from __future__ import annotations

from collections.abc import Iterator

from symbp.explain.backward import adjoints
from symbp.explain.forward import equations
from symbp.explain.results import computed, gradients
from symbp.explain.setting import conventions
from symbp.explain.update import update_sections
from symbp.explain.view import Author, View
from symbp.notation.style import Notation
from symbp.pages.blocks import Block, Section


def explain(
    view: View, write: Notation, brief: bool = False, wrt: tuple[str, ...] | None = None
) -> tuple[str, tuple[Section, ...]]:
    """The title and the sections of a derivation, every string in the notation of `write`.

    `brief` gives each equation and each adjoint on one line; `wrt` leaves out what does not lead to the gradients in
    these tensors, which must be among those derived.
    """
    author = Author(view if wrt is None else view.only(wrt), write)
    sections = (
        *_section("Notation", conventions(author, brief)),
        *equations(author, brief),
        *adjoints(author, brief),
        *_section("Gradients", gradients(author)),
        *_section("In floating point", computed(author)),
        *update_sections(view.update, write),
    )
    return f"The gradient of {write.name(author.program.name)}", sections


def _section(title: str, blocks: Iterator[Block]) -> tuple[Section, ...]:
    """A section; none where there is nothing to say."""
    found = tuple(blocks)
    return (Section(title, found, title.lower().replace(" ", "-")),) if found else ()
