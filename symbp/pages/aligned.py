r"""Formulas as the lines of an align*: steps share a line, reasons and code stand at the right where there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from symbp.notation import display
from symbp.notation.names import literal
from symbp.pages.blocks import Display, Row

CODE = 0.75  # the width of a character of code, in glyphs


@dataclass(frozen=True)
class Aligned:
    """Sets displays in lines of this many glyphs."""

    line: float = display.LINE

    def lines(self, block: Display, code: str = "") -> tuple[list[str], bool]:
        """The lines of an align*, and whether this line of code found room behind the last formula."""
        rows = block.rows
        found = list(self._set(self._joined(rows, block.loose)))
        formula, mark, note = found[-1].rstrip("}").partition(r" \step{")
        room = self._room(rows) - display.width(formula.partition("&")[2])
        beside = bool(code) and CODE * len(code) + display.prose_width(note) < room
        if beside:
            if mark:
                note = rf"\quad {found[-1][len(formula) + len(mark) : -1]}"
            found[-1] = (
                rf"{formula if mark else found[-1]} \step{{\texttt{{{typewriter(code)}}}{note}}}"
            )
        return found, beside

    def _set(self, rows: Sequence[Row]) -> Iterator[str]:
        room = self._room(rows)
        for k, row in enumerate(rows):
            pieces = display.lines(row.right, room)
            margin = room - display.prose_width(row.note)
            beside = [n for n, piece in enumerate(pieces) if display.width(piece) < margin]
            if row.note and not beside:
                yield rf"\intertext{{\footnotesize {row.note}}}"
            first = f"{row.left} &{relation(row)} {pieces[0]}"
            pieces = [first, *(rf"&\quad {{}} {piece}" for piece in pieces[1:])]
            if row.note and beside:
                pieces[beside[-1]] += rf" \step{{{row.note}}}"
            yield from (piece + r" \\" for piece in pieces[:-1])
            following = rows[k + 1 : k + 2]
            yield pieces[-1] + "".join(r" \\[0.8ex]" if row.left else r" \\" for row in following)

    def _joined(self, rows: Sequence[Row], loose: bool) -> list[Row]:
        """Steps on one line, a = b = c, as long as they fit with their reasons; so do loose formulas with the same."""
        room = self._room(rows)
        found: list[Row] = []
        for row in (replace(row, note=_joint(row.note, row.cost), cost="") for row in rows):
            before = found[-1] if found else row
            note = _joint(before.note, row.note)
            right = f"{before.right} {relation(row)} {row.right}"
            apart = row.aside or loose and row.left and row.note in ("", before.note)
            if apart:
                right = rf"{before.right} \qquad {row.left} {relation(row)} {row.right}"
            fits = display.width(right) + display.prose_width(note) < room
            if found and (apart or not row.left) and fits:
                found[-1] = replace(before, right=right, note=note)
            else:
                found.append(row)
        return found

    def _room(self, rows: Sequence[Row]) -> float:
        """The width that is left for right sides."""
        return self.line - max(display.width(row.left) for row in rows)


def _joint(*notes: str) -> str:
    """All that is said of a line."""
    return "; ".join(dict.fromkeys(filter(None, notes)))


def relation(row: Row) -> str:
    """The sign of equality, with a mark where it was checked."""
    return r"\checked" if row.checked else "="


_QUOTES = {'"': r"\char34{}", "'": r"\char13{}"}  # straight ones, of the typewriter font


def typewriter(line: str) -> str:
    """A line of Python with its indentation and its straight quotes."""
    code = line.lstrip(" ")
    indent = rf"\hspace*{{{0.5 * (len(line) - len(code))}em}}" if len(code) < len(line) else ""
    return indent + "".join(_QUOTES.get(character) or literal(character) for character in code)
