"""What documents are made of: sections of prose, formulas, tables, code and pictures.

The cells and formulas are finished strings in the notation of the document; the pages only find places for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from symbp.pictures.graph import Chain, Graph


@dataclass(frozen=True)
class Row:
    """left = right, with the reason; without a left side, the next step of the row before."""

    left: str
    right: str
    note: str = ""
    cost: str = ""  # what computing the right side costs, as prose, where that changed
    checked: bool = False  # both sides were evaluated, and agree
    aside: bool = False  # says the same as the row before in another way


@dataclass(frozen=True)
class Prose:
    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Display:
    """Formulas, one below the other; loose ones may also stand side by side."""

    rows: tuple[Row, ...]
    loose: bool = False
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


@dataclass(frozen=True)
class Figure:
    """A picture with its caption, which is prose."""

    picture: Graph | Chain
    caption: str
    kind: ClassVar[str] = "figure"


Block = Prose | Display | Table | Code | Figure


@dataclass(frozen=True)
class Section:
    """A title, which is prose, and blocks. The anchor is what a reference from elsewhere leads to."""

    title: str
    blocks: tuple[Block, ...]
    anchor: str = ""  # the name of the tensor that the section is about
    level: int = 1  # 2: a subsection of the last section of level 1 before it
