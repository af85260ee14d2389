"""Documents as Markdown, with mathematics as repository hosts set it.

Between ```math and ``` a host leaves marks of Markdown alone, as between $` and `$; between dollars it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symbp.notation import display
from symbp.pages.blocks import Block, Code, Display, Figure, Prose, Row, Section
from symbp.pictures.graph import Chain, Graph
from symbp.pictures.outline import mermaid

LINE = 60.0  # glyphs across the column of a host

_CHECKED = r"\checkmark"
_LEGEND = f"$`{_CHECKED}`$ Both sides of this line were evaluated at random points with many digits, and they agree."


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """A complete document. Titles, prose and cells are Markdown already, formulas are LaTeX."""
    blocks = [(section, block) for section in sections for block in section.blocks]
    checked = any(row.checked for _, b in blocks if isinstance(b, Display) for row in b.rows)
    parts = [f"# {title}", *([_LEGEND] if checked else [])]
    for section in sections:
        parts.append(f"{'#' * (section.level + 1)} {section.title}")
        for block in section.blocks:
            parts += _block(block)
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Prose):
        yield block.text
    elif isinstance(block, Code):
        yield "\n".join(["```python", *block.lines, "```"])
    elif isinstance(block, Display):
        yield from _display(block.rows)
    elif isinstance(block, Figure):
        yield _picture(block.picture)
        yield block.caption
    else:
        lines = (block.head, ("---",) * len(block.head), *block.rows)
        yield "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _picture(picture: Graph | Chain) -> str:
    """A network as a host draws it; the chain rule as a formula."""
    if isinstance(picture, Graph):
        return f"```mermaid\n{mermaid(picture)}\n```"
    return _math([Row(picture.left, r"\, ".join(picture.factors))])


def _cell(text: str) -> str:
    """A cell of a table, in which a bar would begin another, within a formula too."""
    return text.replace(r"\|", "|").replace("|", r"\|")


def _display(rows: Sequence[Row]) -> Iterator[str]:
    """Formulas below each other; the reason for a line stands above it, because hosts set no prose in formulas."""
    run: list[Row] = []
    for row in rows:
        reason = ", ".join(filter(None, [row.note, row.cost]))
        if reason:
            if run:
                yield _math(run)
            yield reason
            run = []
        run.append(row)
    if run:
        yield _math(run)


def _math(rows: Sequence[Row]) -> str:
    return f"```math\n{aligned(rows)}\n```"


def aligned(rows: Sequence[Row]) -> str:
    """Formulas below each other, without their reasons, as LaTeX for a display."""
    room = LINE - max(display.width(row.left) for row in rows)
    lines: list[str] = []
    for row in rows:
        first, *rest = display.lines(row.right, room)
        lines += [f"{row.left} &= {first}", *(rf"&\quad {{}} {piece}" for piece in rest)]
        lines[-1] += rf" \quad {_CHECKED}" if row.checked else ""
    text = " \\\\\n".join(lines)
    return f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}"
