"""Documents: sections of prose, formulas, tables and code, set as LaTeX or as plain text.

The cells and formulas are finished strings in the notation of the document; here they only find their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from symbp.notation import display
from symbp.notation.names import literal


@dataclass(frozen=True)
class Row:
    """left = right, with the reason; without a left side, the next step of the row before."""

    left: str
    right: str
    note: str = ""


@dataclass(frozen=True)
class Prose:
    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Display:
    """Formulas, one below the other."""

    rows: tuple[Row, ...]
    kind: ClassVar[str] = "display"


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Code:
    lines: tuple[str, ...]
    kind: ClassVar[str] = "code"


Block = Prose | Display | Table | Code


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


def latex_page(title: str, sections: Sequence[Section]) -> str:
    """A complete document for pdflatex; every string is LaTeX already, except code."""
    template = _environment().get_template("derivation.tex.jinja")
    return template.render(title=title, sections=[_latex_section(s) for s in sections])


def text_page(title: str, sections: Sequence[Section]) -> str:
    """Plain Unicode text; a formula is never wrapped, so that it can be copied whole."""
    parts = [_underlined(title, "=")]
    for section in sections:
        parts += [_underlined(section.title, "-"), *map(_text_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


# LaTeX


@dataclass(frozen=True)
class _Lines:
    """A display as the lines of an align*, or code as lines of prose: what the template sets as it stands."""

    kind: str
    lines: tuple[str, ...]


def _latex_section(section: Section) -> dict[str, object]:
    return {"title": section.title, "blocks": [_latex_block(b) for b in section.blocks]}


def _latex_block(block: Block) -> object:
    if isinstance(block, Display):
        return _Lines(block.kind, tuple(_align(block.rows)))
    if isinstance(block, Code):
        return _Lines(block.kind, tuple(_typewriter(line) for line in block.lines))
    return block


def _align(rows: Sequence[Row]) -> Iterator[str]:
    r"""The lines of an align*. A reason stands at the right margin where there is room, else above its formula."""
    room = display.LINE - max(display.width(row.left) for row in rows)
    for k, row in enumerate(rows):
        pieces = display.lines(row.right, room)
        beside = display.width(pieces[-1]) + display.prose_width(row.note) < room
        if row.note and not beside:
            yield rf"\intertext{{\footnotesize {row.note}}}"
        pieces = [f"{row.left} &= {pieces[0]}", *(rf"&\quad {{}} {piece}" for piece in pieces[1:])]
        if row.note and beside:
            pieces[-1] += rf" \step{{{row.note}}}"
        yield from (piece + r" \\" for piece in pieces[:-1])
        following = rows[k + 1 : k + 2]
        yield pieces[-1] + "".join(r" \\[1.2ex]" if row.left else r" \\" for row in following)


_QUOTES = {'"': r"\char34{}", "'": r"\char13{}"}  # straight ones, of the typewriter font


def _typewriter(line: str) -> str:
    """A line of Python with its indentation and its straight quotes."""
    code = line.lstrip(" ")
    return rf"\hspace*{{{0.5 * (len(line) - len(code))}em}}" + "".join(
        _QUOTES.get(character) or literal(character) for character in code
    )


def _environment() -> Environment:
    """Templates of the package where it is installed, else of the checkout around it.

    Their marks are << >> and <% %>, because braces belong to LaTeX.
    """
    package = Path(__file__).parent.parent
    folders = [package / "_templates" / "latex", package.parent / "templates" / "latex"]
    return Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )


# Plain text


def _underlined(title: str, rule: str) -> str:
    return f"{title}\n{rule * len(title)}"


def _text_block(block: Block) -> str:
    if isinstance(block, Prose):
        return block.text
    if isinstance(block, Code):
        return "\n".join(f"  {line}" for line in block.lines)
    if isinstance(block, Display):
        notes = [f"    ({row.note})" if row.note else "" for row in block.rows]
        heads = [row.left or "   " for row in block.rows]
        return "\n".join(f"  {h} = {row.right}{n}" for h, row, n in zip(heads, block.rows, notes))
    widths = [max(map(len, column)) for column in zip(block.head, *block.rows)]
    lines = [block.head, *block.rows]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines
    )
