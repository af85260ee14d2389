"""Conditions as arrays of booleans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sympy import Abs, And, Basic, Not, Or
from sympy.core.relational import Eq, Ge, Gt, Le, Lt, Ne, Relational

from symbp.errors import CompilerError
from symbp.ir.functions import Mask
from symbp.ir.nodes import Entry, Index, walk
from symbp.targets.code import AND, ATOM, COMPARE, NEGATE, OR, Code, align, union

RELATIONS: dict[type, str] = {Gt: ">", Ge: ">=", Lt: "<", Le: "<=", Eq: "==", Ne: "!="}

Show = Callable[[Basic], Code]


def condition(expr: Basic, value: Show, position: Show, frame: Sequence[Index]) -> Code:
    """A relation, or relations joined by and, or, not: of values, or of integers by their positions."""
    if isinstance(expr, Eq) and _is_masked(expr.args[0]):
        return replace(position(expr.args[0]), kind="bool")
    if isinstance(expr, Relational):
        real = any(isinstance(n, Entry) and not n.is_whole for n in walk(expr))
        sides = [value(a) if real else _whole_number(a, position) for a in expr.args]
        axes = union(sides, frame)
        left, right = (align(s, axes).at(COMPARE + 1) for s in sides)
        return Code(f"{left} {RELATIONS[expr.func]} {right}", COMPARE, axes, "bool")
    if isinstance(expr, Not):
        code = condition(expr.args[0], value, position, frame)
        return Code(f"~{code.at(ATOM)}", NEGATE, code.axes, "bool")
    if isinstance(expr, (And, Or)):
        parts = [condition(a, value, position, frame) for a in expr.args]
        axes = union(parts, frame)
        word, level = ("&", AND) if isinstance(expr, And) else ("|", OR)
        text = f" {word} ".join(align(p, axes).at(level + 1) for p in parts)
        return Code(text, level, axes, "bool")
    raise CompilerError(f"the NumPy target has no text for the condition {expr}")


def _is_masked(side: Basic) -> bool:
    return isinstance(side, Entry) and isinstance(side.args[0], Mask)


def _whole_number(side: Basic, position: Show) -> Code:
    """A place, or how far two of them are apart."""
    if not isinstance(side, Abs):
        return position(side)
    apart = position(side.args[0])
    return Code(f"np.abs({apart.text})", ATOM, apart.axes)
