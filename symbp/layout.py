"""Finished code laid out as `ruff format` (and Black) lays it out, so that an emitted module is left as it is.

Every function returns lines without indentation; `width` is what an indented line may hold.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from symbp.ir.module import Block, Line

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


def comment(formula: str, shape: str, width: int = BODY_WIDTH) -> list[str]:
    """The formula of a step, to stand above its code, and behind it the shape of what the step gives."""
    return formula_lines(formula, width, "# ", "#     ", shape)


def statement(code: str, width: int = BODY_WIDTH) -> list[str]:
    """One statement, on several lines where it is too long for one.

    It stays on one line, too long, where it is of a form that is not laid out here.
    """
    if len(code) <= width or "\n" in code:
        return code.split("\n")
    node = ast.parse(code).body[0]
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) or not code.isascii():
        return [code]
    head, value = code[: node.value.col_offset], code[node.value.col_offset :]
    try:
        operands = _operands(value)
        lines = _brackets(head, value, "", width) if _opens(value, operands) else []
        if operands and not (lines and _within(lines, width)):
            lines = [f"{head}(", *indented(_inside(value, width - len(INDENT))), ")"]
    except _Unknown:
        return [code]
    return lines if _within(lines, width) else [code]


class _Unknown(Exception):
    """The form of an expression is not laid out here."""


def _within(lines: Sequence[str], width: int) -> bool:
    return all(len(line) <= width for line in lines)


def _opens(value: str, operands: Sequence[str]) -> bool:
    """Whether an expression may be broken inside its own brackets, without a pair around all of it.

    So it is where its loosest operator stands once, and it begins or ends with parentheses that hold something.
    """
    end = re.sub(r"(\.\w+)+$", "", value)
    bracketed = value[0] == "(" or (end[-1] == ")" and not end.endswith("()"))
    return len(operands) < 2 or (len(operands) == 2 and bracketed)


def _inside(text: str, width: int, head: str = "", tail: str = "") -> list[str]:
    """An expression that stands in brackets: on one line, or one operand a line."""
    if len(head + text + tail) <= width:
        return [head + text + tail]
    operands = _operands(text)
    if not operands:
        return _brackets(head, text, tail, width)
    lines = _inside(operands[0], width, head)
    for k, operand in enumerate(operands[1:], 2):
        operator, _, right = operand.partition(" ")
        lines += _inside(right, width, f"{operator} ", tail if k == len(operands) else "")
    return lines


def _brackets(head: str, text: str, tail: str = "", width: int = BODY_WIDTH) -> list[str]:
    """An expression broken behind an opening bracket: the first that holds what does not fit into the line."""
    spans = _spans(text)
    if sum(text[end : end + 1] == "." and text.find("(", end) > 0 for _, end in spans) > 1:
        raise _Unknown  # a chain of calls, which may be broken before its dots
    lines, line, done = [], head, 0
    for k, (start, end) in enumerate(spans):
        following = spans[k + 1][0] + 1 if k + 1 < len(spans) else len(text)
        last = "" if k + 1 < len(spans) else tail
        if len(line + text[done:following] + last) > width:
            lines.append(line + text[done : start + 1])
            lines += indented(_content(text, start, end, width - len(INDENT)))
            line, done = "", end - 1
        line, done = line + text[done:end], end
    return [*lines, line + text[done:] + tail]


def _content(text: str, start: int, end: int, width: int) -> list[str]:
    """What stands in the brackets at these places of an expression."""
    inner = text[start + 1 : end - 1]
    if text[start] == "[":
        if len(inner) > width:
            raise _Unknown
        return [inner]
    source = f"_({inner})"
    node = ast.parse(source, mode="eval").body
    is_call = re.match(r"[\w)\]]", text[start - 1 : start]) is not None
    if not isinstance(node, ast.Call) or not (is_call or len(node.args) == 1):
        raise _Unknown  # a tuple
    if not is_call:
        return _inside(inner, width)
    if len(inner) <= width:
        return [inner]
    arguments = [("", a) for a in node.args] + [(f"{k.arg}=", k.value) for k in node.keywords]
    found = [(name, ast.get_source_segment(source, a) or "") for name, a in arguments]
    if ", ".join(name + code for name, code in found) != inner:
        raise _Unknown  # brackets around an argument
    comma = "," if len(found) > 1 else ""
    return [line for name, code in found for line in _inside(code, width, name, comma)]


def _spans(text: str) -> list[tuple[int, int]]:
    """The outermost brackets of an expression that hold something: from the opening to behind the closing one."""
    found, depth, start = [], 0, 0
    for token in re.finditer(r'"[^"]*"|[(\[]|[)\]]', text):
        if token[0] in "([":
            start = start if depth else token.start()
            depth += 1
        elif token[0] in ")]":
            depth -= 1
            if depth == 0 and token.end() - start > 2:
                found.append((start, token.end()))
    return found


_STRENGTHS: dict[type[ast.operator], int] = {
    ast.BitOr: 1,
    ast.BitAnd: 2,
    ast.Add: 3,
    ast.Sub: 3,
    ast.Mult: 4,
    ast.Div: 4,
    ast.MatMult: 4,
    ast.Pow: 5,
}  # operator -> how tightly it binds; a comparison less than all of them


def _operands(value: str) -> list[str]:
    """`a + b - c` as `a`, `+ b`, `- c`: the operands of its loosest operators, each but the first with its operator.

    None of an expression that stands in brackets itself, or has no operator that is listed.
    """
    node = ast.parse(value, mode="eval").body
    loosest = _strength(node)
    if loosest < 0 or node.col_offset > 0:
        return []
    found: list[str] = []
    while _strength(node) == loosest and node.col_offset == 0:
        left, right = _sides(node)
        between = value[left.end_col_offset : right.col_offset]
        operator = re.search(r" \S+ ", between)
        if operator is None:
            raise _Unknown  # x**2
        start = (left.end_col_offset or 0) + operator.start()
        found.insert(0, value[start + 1 :])
        value = value[:start]
        node = ast.parse(value, mode="eval").body
    return [value, *found]


def _strength(node: ast.expr) -> int:
    """How tightly the operator of an expression binds; −1 without one."""
    if isinstance(node, ast.BinOp):
        return _STRENGTHS.get(type(node.op), -1)
    return 0 if isinstance(node, ast.Compare) and len(node.ops) == 1 else -1


def _sides(node: ast.expr) -> tuple[ast.expr, ast.expr]:
    if isinstance(node, ast.Compare):
        return node.left, node.comparators[0]
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    raise _Unknown


# Functions


def function(head: list[str], summary: str, details: Sequence[str], body: Sequence[str]) -> str:
    """A whole function as text."""
    lines = [*head, f'    """{summary}']
    lines += ["", *indented(details), '    """'] if details else []
    if not details:
        lines[-1] += '"""'
    return "\n".join([*lines, *indented(body)])


def definition(name: str, parameters: Sequence[str]) -> list[str]:
    """The head of a function."""
    return call(f"def {name}(", parameters, "):", LINE_WIDTH)


def step_lines(step: Line | Block, width: int) -> list[str]:
    """The statements of a step under its formula; of a loop, those of all its steps."""
    if isinstance(step, Block):
        inner = [text for s in step.lines for text in step_lines(s, width - len(INDENT))]
        return [step.head, *indented(inner)]
    shape = step.shape if step.shape != "()" else ""
    lines = comment(step.formula, shape, width) if step.formula else []
    for code in step.code:
        lines += statement(code, width)
    return lines


def paragraphs(*parts: Sequence[str]) -> list[str]:
    """Parts with an empty line between them."""
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines
