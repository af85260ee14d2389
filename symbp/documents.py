"""The forms of a document. A further form is one notation, one page and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from symbp.ir.program import AdjointProgram
from symbp.notation.style import Html, Latex, Markdown, Notation, Text
from symbp.pages.blocks import Section
from symbp.pages.html import html_page
from symbp.pages.latex import latex_page
from symbp.pages.markdown import markdown_page
from symbp.pages.text import text_page


@dataclass(frozen=True)
class Form:
    """How a document is written: its formulas and prose, and what finds places for them."""

    notation: Callable[[AdjointProgram], Notation]
    page: Callable[[str, Sequence[Section]], str]
    suffix: str  # of a file


FORMS: Mapping[str, Form] = {
    "text": Form(Text, text_page, "txt"),
    "tex": Form(Latex, latex_page, "tex"),
    "html": Form(Html, html_page, "html"),
    "md": Form(Markdown, markdown_page, "md"),
}
