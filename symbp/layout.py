"""Finished code laid out as `ruff format` (and Black) lays it out, so that an emitted module is left as it is.

Every function returns lines without indentation; `width` is what an indented line may hold.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

LINE_WIDTH = 88
INDENT = "    "
BODY_WIDTH = LINE_WIDTH - len(INDENT)


def indented(lines: Sequence[str]) -> list[str]:
    """Lines of a function's body; an empty line stays empty."""
    return [INDENT + line if line else "" for line in lines]


def call(
    head: str, arguments: Sequence[str], tail: str = ")", width: int = BODY_WIDTH
) -> list[str]:
    """`head` ends with an opening parenthesis. On one line, or the arguments on one, or each on one of its own."""
    inside = ", ".join(arguments)
    if len(head + inside + tail) <= width or not arguments:
        return [head + inside + tail]
    if len(INDENT + inside) <= width:
        return [head, INDENT + inside, tail]
    return [head, *(f"{INDENT}{a}," for a in arguments), tail]


def display(head: str, items: Sequence[str], tail: str, width: int = BODY_WIDTH) -> list[str]:
    """A tuple or dict: `head` ends with its opening bracket. On one line, or each item on one of its own."""
    comma = "," if len(items) == 1 and head.endswith("(") else ""
    line = head + ", ".join(items) + comma + tail
    if len(line) <= width:
        return [line]
    return [head, *(f"{INDENT}{item}," for item in items), tail]


def unpack(names: Sequence[str], value: str) -> list[str]:
    """`x, t = value`, in parentheses where it is long or one name alone."""
    line = f"{', '.join(names)} = {value}"
    if len(names) > 1 and len(line) <= BODY_WIDTH:
        return [line]
    return display("(", names, f") = {value}")


_OPERATORS = frozenset("= + - − * · × / < > ≤ ≥".split())


def formula_lines(text: str, width: int, first: str, rest: str, end: str = "") -> list[str]:
    """A formula in lines of this width, broken before operators; between words where that is not enough.

    `first` stands before the first line, `rest` before the others, `end` behind the last piece.
    """
    pieces: list[str] = []
    for word in text.split():
        longer = f"{pieces[-1]} {word}" if pieces else word
        if pieces and word not in _OPERATORS and len(rest + longer) <= width:
            pieces[-1] = longer
        else:
            pieces.append(word)
    if end:
        pieces.append(f" {end}")
    lines = [first + "".join(pieces[:1])]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(rest + piece.lstrip())
    return lines


def comment(formula: str, shape: str) -> list[str]:
    """The formula of a step, to stand above its code, and behind it the shape of what the step gives."""
    return formula_lines(formula, BODY_WIDTH, "# ", "#     ", shape)


def statement(code: str) -> list[str]:
    """One statement, on several lines where it is too long for one and its outermost operation shows where to break."""
    if len(code) <= BODY_WIDTH or "\n" in code:
        return code.split("\n")
    node = ast.parse(code).body[0]
    if not isinstance(node, (ast.Assign, ast.Expr, ast.Return)) or node.value is None:
        return [code]
    start = len(code) - len(code.encode()[node.value.col_offset :].decode())
    head, value = code[:start], code[start:]
    if isinstance(node.value, ast.Call):
        return _broken_call(head, value) or [code]
    if isinstance(node.value, ast.BinOp) and isinstance(node, ast.Assign):
        return _broken_sum(head, value) or [code]
    return [code]


def _broken_call(head: str, value: str) -> list[str] | None:
    """A call broken behind its last opening parenthesis; None where a line would still be too long."""
    node = ast.parse(value, mode="eval").body
    if not isinstance(node, ast.Call):
        return None
    arguments = [ast.get_source_segment(value, a) or "" for a in node.args]
    for keyword in node.keywords:
        arguments.append(f"{keyword.arg}={ast.get_source_segment(value, keyword.value)}")
    opening = value[: len(ast.get_source_segment(value, node.func) or "")] + "("
    if not all(arguments) or not value.startswith(opening):
        return None
    lines = call(head + opening, arguments)
    return lines if max(map(len, lines)) <= BODY_WIDTH else None


_OPERATOR: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: ("+", 1),
    ast.Sub: ("-", 1),
    ast.Mult: ("*", 2),
    ast.Div: ("/", 2),
    ast.MatMult: ("@", 2),
}  # operator -> its text and how tightly it binds


def _broken_sum(head: str, value: str) -> list[str] | None:
    """A sum or product in parentheses, on one line or with one operand a line.

    With a single operator and a call behind it, the call's parentheses are broken instead.
    """
    operands = _operands(value)
    if operands is None:
        return None
    operator, last = operands[-1][:2], operands[-1][2:]
    if len(operands) == 2 and isinstance(ast.parse(last, mode="eval").body, ast.Call):
        broken = _broken_call(f"{head}{operands[0]} {operator}", last)
        if broken is not None:
            return broken
    for lines in ([" ".join(operands)], operands):
        if max(map(len, lines)) <= BODY_WIDTH - len(INDENT):
            return [f"{head}(", *indented(lines), ")"]
    return None


def _operands(value: str) -> list[str] | None:
    """`a + b - c` as `a`, `+ b`, `- c`: the operands of its loosest operators, each but the first with its operator."""
    node = ast.parse(value, mode="eval").body
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATOR or not value.isascii():
        return None
    loosest = _OPERATOR[type(node.op)][1]
    found: list[str] = []
    while isinstance(node, ast.BinOp) and _OPERATOR.get(type(node.op), ("", 0))[1] == loosest:
        between = value[node.left.end_col_offset : node.right.col_offset]
        offset = between.find(f" {_OPERATOR[type(node.op)][0]} ")
        start = (node.left.end_col_offset or 0) + offset
        found.insert(0, value[start:].strip())
        value, node = value[:start], node.left
        if ")" in between[:offset]:  # the left operand stands in parentheses: it stays together
            break
    return [value, *found]
