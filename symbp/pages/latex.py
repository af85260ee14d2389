"""Documents for pdflatex."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from symbp.notation import display
from symbp.notation.names import literal
from symbp.pages.blocks import Block, Code, Display, Figure, Row, Section
from symbp.pages.templates import environment
from symbp.pictures.tikz import PREAMBLE, picture

# braces belong to LaTeX
_MARKS = {
    "block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<",
    "variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>",
}  # fmt: skip


def latex_page(title: str, sections: Sequence[Section]) -> str:
    """A complete document for pdflatex; every string is LaTeX already, except code."""
    template = environment("latex", **_MARKS).get_template("derivation.tex.jinja")
    drawn = any(isinstance(block, Figure) for section in sections for block in section.blocks)
    return template.render(
        title=title,
        preamble=PREAMBLE if drawn else "",
        sections=[_latex_section(s) for s in sections],
    )


CODE = 0.75  # the width of a character of code, in glyphs


@dataclass(frozen=True)
class _Lines:
    """A display as the lines of an align*, or code as lines of prose: what the template sets as it stands."""

    kind: str
    lines: tuple[str, ...]


def _latex_section(section: Section) -> dict[str, object]:
    return {"title": section.title, "level": section.level, "blocks": list(_blocks(section.blocks))}


def _blocks(blocks: Sequence[Block]) -> Iterator[object]:
    """Each block as the template sets it; a line of code stands beside the formula above it where there is room."""
    beside = False
    for block, following in zip(blocks, (*blocks[1:], None)):
        if isinstance(block, Display):
            lines = list(_align(block.rows))
            code = following.lines if isinstance(following, Code) else ()
            beside = len(code) == 1 and _has_room(block.rows, lines[-1], code[0])
            if beside:
                lines[-1] += rf" \step{{\texttt{{{_typewriter(code[0])}}}}}"
            yield _Lines(block.kind, tuple(lines))
        elif isinstance(block, Code):
            if not beside:
                yield _Lines(block.kind, tuple(_typewriter(line) for line in block.lines))
            beside = False
        elif isinstance(block, Figure):
            yield {"kind": block.kind, "picture": picture(block.picture), "caption": block.caption}
        else:
            yield block


def _has_room(rows: Sequence[Row], line: str, code: str) -> bool:
    """Whether the last line of a display has no reason beside it, and room for code."""
    right = line.partition("&")[2]
    return r"\step" not in line and display.width(right) + CODE * len(code) < _room(rows)


def _align(rows: Sequence[Row]) -> Iterator[str]:
    r"""The lines of an align*. A reason stands at the right margin where there is room, else above its formula."""
    rows = _joined(rows)
    room = _room(rows)
    for k, row in enumerate(rows):
        pieces = display.lines(row.right, room)
        margin = room - display.prose_width(row.note)
        beside = [n for n, piece in enumerate(pieces) if display.width(piece) < margin]
        if row.note and not beside:
            yield rf"\intertext{{\footnotesize {row.note}}}"
        pieces = [f"{row.left} &= {pieces[0]}", *(rf"&\quad {{}} {piece}" for piece in pieces[1:])]
        if row.note and beside:
            pieces[beside[-1]] += rf" \step{{{row.note}}}"
        yield from (piece + r" \\" for piece in pieces[:-1])
        following = rows[k + 1 : k + 2]
        yield pieces[-1] + "".join(r" \\[0.8ex]" if row.left else r" \\" for row in following)


def _room(rows: Sequence[Row]) -> float:
    """The width that is left for right sides."""
    return display.LINE - max(display.width(row.left) for row in rows)


def _joined(rows: Sequence[Row]) -> list[Row]:
    """Steps on one line, a = b = c, as long as they fit with their reasons."""
    room = _room(rows)
    found: list[Row] = []
    for row in rows:
        before = found[-1] if found else row
        note = "; ".join(dict.fromkeys(filter(None, (before.note, row.note))))
        right = f"{before.right} = {row.right}"
        fits = display.width(right) + display.prose_width(note) < room
        if found and not row.left and fits:
            found[-1] = replace(before, right=right, note=note)
        else:
            found.append(row)
    return found


_QUOTES = {'"': r"\char34{}", "'": r"\char13{}"}  # straight ones, of the typewriter font


def _typewriter(line: str) -> str:
    """A line of Python with its indentation and its straight quotes."""
    code = line.lstrip(" ")
    indent = rf"\hspace*{{{0.5 * (len(line) - len(code))}em}}" if len(code) < len(line) else ""
    return indent + "".join(_QUOTES.get(character) or literal(character) for character in code)
