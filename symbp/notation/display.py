r"""Breaking a long formula over lines, at the operators that bind least: a display never runs off the page.

The width of a formula is that of its glyphs, estimated from the LaTeX that `tex` writes: \frac{a}{b} is as
wide as the wider of a and b, a subscript is small, and \, is thin.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import accumulate

LINE = 83.0  # glyphs of average width across the text of a page
SHORT_LINE = 3.0  # what an empty line costs where a formula is broken; one pair of brackets costs 2

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_SMALL = 0.75  # size of a subscript
_WIDE = 2.6  # a binary operator or a relation with the space around it
_WIDTHS = {
    r"\,": 0.4, "'": 0.3, ",": 0.7, ".": 0.6, "(": 0.9, ")": 0.9, "[": 0.7, "]": 0.7, r"\lvert": 0.7, r"\rvert": 0.7,
    r"\lfloor": 0.8, r"\rfloor": 0.8, r"\lceil": 0.8, r"\rceil": 0.8,
    r"\sum": 3.0, r"\prod": 2.6, r"\infty": 2.0, r"\bigl": 0.2, r"\bigr": 0.2, r"\Bigl": 0.5, r"\Bigr": 0.5,
    r"\big": 0.2, r"\mathbin": 1.0,
    r"\biggl": 0.8, r"\biggr": 0.8, r"\quad": 2.0, r"\qquad": 4.0,
    r"\{": 1.0, r"\}": 1.0, "&": 2.0, "$": 0.0, "m": 1.6, "w": 1.4,
    **dict.fromkeys(["+", "-", "=", "<", ">", r"\checked", r"\le", r"\ge", r"\ne", r"\cdot", r"\land", r"\lor"], _WIDE),
    **dict.fromkeys([r"\bar", r"\overline", r"\hat", r"\widehat", r"\tilde", r"\widetilde"], 0.0),
    **dict.fromkeys([r"\mathrm", r"\mathcal", r"\text", r"\operatorname"], 0.0),
    **dict.fromkeys([r"\sin", r"\cos", r"\tan", r"\log", r"\exp", r"\max", r"\min"], 3.3),
    **dict.fromkeys([r"\sinh", r"\cosh", r"\tanh"], 4.3),
}  # fmt: skip
_HEIGHTS = {"^": 1.25, r"\sum": 1.9, r"\prod": 1.9, r"\max_": 1.5, r"\biggl": 1.8, r"\Bigl": 1.5}
_RELATIONS = ("=", "<", ">", r"\le", r"\ge", r"\ne", r"\land", r"\lor")
OPERATORS = ("+", "-", r"\mathbin", *_RELATIONS)
"""What a line after a break begins with, besides the dot of a product."""

_OPENING = {"(", "[", r"\lvert", r"\lfloor", r"\lceil"}
_CLOSING = {")", "]", r"\rvert", r"\rfloor", r"\rceil"}


def width(formula: str) -> float:
    """How wide a formula is, in glyphs of average width."""
    return _width(_Tokens(formula))


def height(formula: str) -> float:
    """How high a display is, in lines of text: fractions in each other, sums with what they run over, rows of cases."""
    groups: list[str] = []  # the open braces, by what they are of a fraction
    deepest, last = 0, ""
    for token in _TOKEN.findall(formula):
        if token == "{":
            groups.append({r"\frac": "above", "bar": "below"}.get(last, ""))
            deepest = max(deepest, sum(map(bool, groups)))
        last = "bar" if token == "}" and groups.pop() == "above" else token
    rows = formula.count(r"\\") + 1 if r"\begin" in formula else 0
    large = max((lines for mark, lines in _HEIGHTS.items() if mark in formula), default=1.0)
    return max(large + 0.7 * deepest, 1.4 + 0.7 * deepest if deepest else 1.0, 1.3 * rows)


def prose_width(text: str) -> float:
    """How wide a line of prose of footnote size is, formulas in it included."""
    return 0.85 * (width(text) + 0.6 * text.count(" "))


def lines(formula: str, limit: float = LINE) -> list[str]:
    """The formula in pieces no wider than `limit`, where it can be broken so; all but the first begin with an operator.

    Rather a sum is broken than a product, what stands in few brackets than in many, and a full line than a short one.
    """
    found = []
    while width(formula) > limit:
        chosen = _best_break(formula, limit)
        if chosen is None:
            break
        end, start = chosen
        found.append(formula[:end])
        operator = "" if formula.startswith(OPERATORS, start) else r"\cdot "
        formula = operator + formula[start:]
    return [*found, formula]


def pieces(formula: str, limit: float) -> list[str]:
    """The formula cut at every + and − outside brackets, and where a piece is wider than `limit` as by `lines`.

    Side by side the pieces are the formula: a page that knows its own width breaks between them.
    """
    cuts = [end for rank, end, _ in _breaks(formula) if rank == 0]
    found = [formula[a:b].strip() for a, b in zip([0, *cuts], [*cuts, len(formula)])]
    return [part for piece in found for part in lines(piece, limit)]


def _best_break(formula: str, limit: float) -> tuple[int, int] | None:
    """The end of the first line and the start of the rest; None where no break leaves a line within the limit."""
    used, before, best = 0.0, 0, None
    least = math.inf
    for rank, end, start in _breaks(formula):
        used, before = used + width(formula[before:end]), end
        if used > limit:
            break
        cost = rank + SHORT_LINE * (1 - used / limit)
        if cost < least:
            least, best = cost, (end, start)
    return best


def _breaks(formula: str) -> Iterator[tuple[float, int, int]]:
    """(rank, end of the line before, start of the line after) wherever the formula may be broken."""
    tokens = _TOKEN.findall(formula)
    braces = position = 0
    brackets = -min(accumulate(map(_depth, tokens), initial=0))  # those open before a rest
    for token in tokens:
        braces += (token in ("{", r"\begin")) - (token in ("}", r"\end"))
        brackets += _depth(token)
        spaced = formula[position - 1 : position] == " " and position > 1
        after = position + len(token)
        if braces == 0 and spaced and token in "+-" and formula[after : after + 1] == " ":
            yield 2 * brackets, position - 1, position
        elif braces == 0 and spaced and brackets and token in _RELATIONS:
            yield 2 * brackets - 0.5, position - 1, position
        elif braces == 0 and token == r"\,":
            yield 2 * brackets + 1, position, after + 1
        elif braces == 0 and spaced and token == r"\mathbin":
            yield 2 * brackets + 1, position - 1, position
        position = after


def _depth(token: str) -> int:
    return (token in _OPENING) - (token in _CLOSING)


class _Tokens:
    """The tokens of a formula, to be read one after the other."""

    def __init__(self, formula: str) -> None:
        self._rest: list[str] = [t for t in _TOKEN.findall(formula) if not t.isspace()][::-1]

    def peek(self) -> str:
        return self._rest[-1] if self._rest else ""

    def next(self) -> str:
        return self._rest.pop()


def _width(tokens: _Tokens, end: str = "") -> float:
    """The width up to the token `end`, which is read too."""
    total = 0.0
    while tokens.peek() and tokens.peek() != end:
        total += _part(tokens)
    if tokens.peek():
        tokens.next()
    return total


def _part(tokens: _Tokens) -> float:
    """The width of the next token, with all that belongs to it."""
    token = tokens.next()
    if token in ("_", "^"):
        return _scripts(tokens, token)
    if token == r"\begin":
        return _environment(tokens)
    if token == r"\frac":
        return max(_argument(tokens), _argument(tokens)) + 0.6
    if token == r"\sqrt":
        return _argument(tokens) + 1.6
    if token == "{":
        return _width(tokens, "}")
    return _WIDTHS.get(token, 1.0)


def _argument(tokens: _Tokens) -> float:
    """The width of what a command or a script applies to: a group or a single token."""
    token = tokens.next()
    return _width(tokens, "}") if token == "{" else _WIDTHS.get(token, 1.0)


def _scripts(tokens: _Tokens, first: str) -> float:
    """A subscript and a superscript stand one above the other."""
    found = _argument(tokens)
    if tokens.peek() in ("_", "^") and tokens.peek() != first:
        tokens.next()
        found = max(found, _argument(tokens))
    return _SMALL * found


def _environment(tokens: _Tokens) -> float:
    """The widest row of cases."""
    _argument(tokens)
    widest = row = 0.0
    while tokens.peek() != r"\end":
        if tokens.peek() == r"\\":
            tokens.next()
            widest, row = max(widest, row), 0.0
        else:
            row += _part(tokens)
    tokens.next()
    _argument(tokens)
    return max(widest, row) + 2.0
