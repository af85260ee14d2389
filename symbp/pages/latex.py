"""Documents for pdflatex."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from symbp.notation import display
from symbp.pages.aligned import Aligned, typewriter
from symbp.pages.blocks import Block, Code, Display, Figure, Prose, Section, Table
from symbp.pages.templates import environment
from symbp.pictures.tikz import PREAMBLE, picture

# braces belong to LaTeX
_MARKS = {
    "block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<",
    "variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>",
}  # fmt: skip

# points
TEXT = 500.0  # the width of a page
NARROW = 240.0  # of a picture that leaves room beside it
MARGIN = 30.0  # around it
CAPTION = 45.0  # the height of one, with a title
SLACK = 170.0  # by which what stands beside may be higher: heights are estimated, rather too high
TALL, LOW = 25.0, 14.0  # lines of formulas with and without what stands above or below
LINE = 12.0  # of prose

LONG = 16  # rows from which on a table is folded
COLUMN = 2.0  # glyphs between columns

WIDE = Aligned()


def latex_page(title: str, sections: Sequence[Section]) -> str:
    """A complete document for pdflatex; every string is LaTeX already, except code."""
    template = environment("latex", **_MARKS).get_template("derivation.tex.jinja")
    drawn = any(isinstance(block, Figure) for section in sections for block in section.blocks)
    width, beside = _beside(sections)
    narrow = Aligned(display.LINE * (TEXT - width - MARGIN) / TEXT)
    return template.render(
        title=title,
        preamble=PREAMBLE if drawn else "",
        room=f"{width:.0f}pt",
        picture=[_latex_section(s) for s in sections[: 1 if beside else 0]],
        beside=[_latex_section(s, narrow) for s in beside],
        sections=[_latex_section(s) for s in sections[len(beside) + (1 if beside else 0) :]],
    )


def _beside(sections: Sequence[Section]) -> tuple[float, Sequence[Section]]:
    """The width of a narrow picture that the document begins with, and the sections that find room beside it."""
    first = sections[0].blocks if sections else ()
    if len(first) != 1 or not isinstance(first[0], Figure):
        return 0.0, ()
    drawing = picture(first[0].picture)
    if drawing.width > NARROW:
        return 0.0, ()
    width = drawing.width + MARGIN
    room = drawing.height + CAPTION + SLACK
    line = display.LINE * (TEXT - width - MARGIN) / TEXT
    ends = [k for k, s in enumerate(sections) if s.level == 1 and k > 1] + [len(sections)]
    heights = ((end, sum(_height(s, line) for s in sections[1:end])) for end in ends)
    tables = [b for s in sections[1 : ends[0]] for b in s.blocks if isinstance(b, Table)]
    if max(map(_width, tables), default=0.0) > line:
        return 0.0, ()
    fitting = [end for end, _ in takewhile(lambda pair: pair[1] < room, heights)]
    return width, sections[1 : fitting[-1]] if fitting else ()


def _height(section: Section, line: float) -> float:
    """About how high a section is in lines of so many glyphs."""
    total = CAPTION / 2 if section.level == 1 else 0.0
    for block in section.blocks:
        if isinstance(block, Prose):
            total += LINE * math.ceil(0.8 * display.prose_width(block.text) / line) + LINE / 3
        elif isinstance(block, Table):
            total += LINE * (len(_folded(block, line).rows) + 1.5)
        elif isinstance(block, Code):
            total += LINE * len(block.lines)
        elif isinstance(block, Display):
            lines, _ = Aligned(line).lines(block)
            tall = (any(mark in text for mark in (r"\frac", r"\sum")) for text in lines)
            total += LINE / 2 + sum(TALL if is_tall else LOW for is_tall in tall)
        else:
            total += picture(block.picture).height + CAPTION
    return total


@dataclass(frozen=True)
class _Lines:
    """A display as the lines of an align*, or code as lines of prose: what the template sets as it stands."""

    kind: str
    lines: tuple[str, ...]


def _latex_section(section: Section, aligned: Aligned = WIDE) -> dict[str, object]:
    blocks = list(_blocks(section.blocks, aligned))
    return {"title": section.title, "level": section.level, "blocks": blocks}


def _blocks(blocks: Sequence[Block], aligned: Aligned) -> Iterator[object]:
    """Each block as the template sets it; a line of code stands beside the formula above it where there is room."""
    beside = False
    for block, following in zip(blocks, (*blocks[1:], None)):
        if isinstance(block, Display):
            single = isinstance(following, Code) and len(following.lines) == 1
            code = following.lines[0] if single and isinstance(following, Code) else ""
            lines, beside = aligned.lines(block, code)
            yield _Lines(block.kind, tuple(lines))
        elif isinstance(block, Code):
            if not beside:
                yield _Lines(block.kind, tuple(typewriter(line) for line in block.lines))
            beside = False
        elif isinstance(block, Figure):
            drawing = picture(block.picture)
            yield {"kind": block.kind, "picture": drawing.text, "caption": block.caption}
        else:
            yield _folded(block, aligned.line) if isinstance(block, Table) else block


def _folded(table: Table, line: float) -> Table:
    """A long table as two halves side by side, where a line of so many glyphs has room for them."""
    count = len(table.rows)
    if count < LONG or 2 * _width(table) > line:
        return table
    half = (count + 1) // 2
    empty = ("",) * len(table.head)
    pairs = zip_longest(table.rows[:half], table.rows[half:], fillvalue=empty)
    return Table(
        (*table.head, "", *table.head), tuple((*left, "", *right) for left, right in pairs)
    )


def _width(table: Table) -> float:
    """About how wide a table is, in glyphs."""
    columns = zip(table.head, *table.rows)
    return sum(COLUMN + max(map(display.prose_width, column)) for column in columns)
