"""The sections of a derivation, in the order of a lecture."""

from __future__ import annotations

from symbp.explain.backward import adjoints
from symbp.explain.forward import equations
from symbp.explain.results import computed, gradients
from symbp.explain.setting import conventions
from symbp.explain.update import update_sections
from symbp.explain.view import Author, View
from symbp.notation.style import Notation
from symbp.pages.blocks import Section


def explain(
    view: View, write: Notation, brief: bool = False, wrt: tuple[str, ...] | None = None
) -> tuple[str, tuple[Section, ...]]:
    """The title and the sections of a derivation, every string in the notation of `write`.

    `brief` gives each equation and each adjoint on one line; `wrt` leaves out what does not lead to the gradients in
    these tensors, which must be among those derived.
    """
    author = Author(view if wrt is None else view.only(wrt), write)
    found = (
        Section("Notation", tuple(conventions(author)), "notation"),
        *equations(author, brief),
        *adjoints(author, brief),
        Section("Gradients", tuple(gradients(author)), "gradients"),
        Section("In floating point", tuple(computed(author)), "floating-point"),
        *update_sections(view.update, write),
    )
    title = f"The gradient of {write.name(author.program.name)}"
    return title, tuple(section for section in found if section.blocks or section.level == 1)
