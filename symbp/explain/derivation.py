"""The sections of a derivation, in the order of a lecture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symbp.explain.author import Author
from symbp.explain.backward import adjoints
from symbp.explain.figures import longest_chain, network_graph
from symbp.explain.forward import equations
from symbp.explain.results import computed, gradients
from symbp.explain.setting import conventions
from symbp.explain.update import update_sections
from symbp.explain.view import View
from symbp.notation.style import Notation
from symbp.pages.blocks import Block, Figure, Prose, Section


def explain(
    view: View, write: Notation, brief: bool = False, wrt: tuple[str, ...] | None = None
) -> tuple[str, tuple[Section, ...]]:
    """The title and the sections of a derivation, every string in the notation of `write`.

    `brief` gives each equation and each adjoint on one line; `wrt` leaves out what does not lead to the gradients in
    these tensors, which must be among those derived.
    """
    author = Author(view if wrt is None else view.only(wrt), write)
    sections = (
        *_section("The network", () if brief else _network(author)),
        *_section("Notation", conventions(author, brief)),
        *equations(author, brief),
        *_section("The chain rule", () if brief else _chain(author)),
        *adjoints(author, brief),
        *_section("Gradients", gradients(author)),
        *_section("In floating point", computed(author)),
        *update_sections(view.update, write),
    )
    return f"The gradient of {write.name(author.program.name)}", sections


def _network(author: Author) -> Iterator[Block]:
    graph = network_graph(author.adjoint, author.write)
    caption = "Values go along the solid arrows, adjoints back along the dashed ones, each times its local partial."
    if any(node.paths > 1 for node in graph.nodes):
        caption += " Where a value fans out, what comes back is added up."
    yield Figure(graph, caption)


def _chain(author: Author) -> Iterator[Block]:
    """The product along one path, of which every gradient is a sum."""
    chain = longest_chain(author.adjoint, author.write)
    if chain is not None:
        yield Prose(
            "Along a path the partials are multiplied, and summed over the indices that neighbours share; a derivative "
            "is the sum of such products over all paths. The arrow shows how one is built up, along the longest:"
        )
        yield Figure(chain, "")


def _section(title: str, blocks: Iterable[Block]) -> tuple[Section, ...]:
    """A section; none where there is nothing to say."""
    found = tuple(blocks)
    return (Section(title, found, title.lower().replace(" ", "-")),) if found else ()
