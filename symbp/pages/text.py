"""Documents as plain Unicode text."""

from __future__ import annotations

from collections.abc import Sequence

from symbp.pages.blocks import Block, Code, Display, Figure, Prose, Section
from symbp.pictures.outline import picture


def text_page(title: str, sections: Sequence[Section]) -> str:
    """Plain Unicode text; a formula is never wrapped, so that it can be copied whole."""
    parts = [_underlined(title, "=")]
    for section in sections:
        head = [_underlined(section.title, "-")] if section.level == 1 else []
        parts += [*head, *map(_text_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _underlined(title: str, rule: str) -> str:
    return f"{title}\n{rule * len(title)}"


def _text_block(block: Block) -> str:
    if isinstance(block, Prose):
        return block.text
    if isinstance(block, Code):
        return _indented("\n".join(block.lines))
    if isinstance(block, Display):
        reasons = ["; ".join(filter(None, (row.note, row.cost))) for row in block.rows]
        notes = [f"    ({reason})" if reason else "" for reason in reasons]
        heads = [row.left or "   " for row in block.rows]
        return "\n".join(f"  {h} = {row.right}{n}" for h, row, n in zip(heads, block.rows, notes))
    if isinstance(block, Figure):
        return _indented(picture(block.picture))  # a caption is of arrows that are drawn
    widths = [max(map(len, column)) for column in zip(block.head, *block.rows)]
    lines = [block.head, *block.rows]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.split("\n"))
