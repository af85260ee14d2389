"""What an emitted function returns is its own: a result that may share memory with another array is copied."""

from __future__ import annotations

import ast

import numpy as np

from symbp.errors import CompilerError
from symbp.ir.module import Body

_FRESH = frozenset(
    "array astype clip concatenate copy dot eye full full_like inner max mean min ones ones_like outer prod reduce"
    " stack sum tensordot trace vdot where zeros zeros_like".split()
)
"""Functions and methods of NumPy, beside its ufuncs, that never return a view."""


def assignments(body: Body) -> dict[str, list[ast.expr | None]]:
    """Variable -> the expressions assigned to it; None where it is assigned in any other way."""
    code = "\n".join(statement for line in body.lines for statement in line.code)
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise CompilerError(
            f"line of a body is not Python: {(error.text or code).strip()}"
        ) from error
    found: dict[str, list[ast.expr | None]] = {}
    whole: set[ast.expr] = set()
    for node in ast.walk(tree):  # an assignment comes before its own target
        if (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ):
            found.setdefault(node.targets[0].id, []).append(node.value)
            whole.add(node.targets[0])
        elif isinstance(node, ast.AugAssign):
            whole.add(node.target)  # changes what the variable holds, in place
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in whole:
            found.setdefault(node.id, []).append(None)
    return found


def is_fresh(value: ast.expr | None) -> bool:
    """Whether an expression surely makes a new array: no view, no alias, nothing read-only."""
    if isinstance(value, (ast.BinOp, ast.UnaryOp, ast.Compare)):
        return True
    if not isinstance(value, ast.Call) or any(k.arg == "out" for k in value.keywords):
        return False
    if isinstance(value.func, ast.Name):
        return value.func.id.startswith("_")  # a helper of the module
    if not isinstance(value.func, ast.Attribute):
        return False
    name = value.func.attr
    if name == "einsum":
        return len(value.args) > 2  # of a single operand it may be a view
    of_numpy = isinstance(value.func.value, ast.Name) and value.func.value.id == "np"
    return name in _FRESH or (of_numpy and isinstance(getattr(np, name, None), np.ufunc))


class Results:
    """The variables of a body as the function returns them."""

    def __init__(self, body: Body) -> None:
        self._assigned = assignments(body)
        self._given: set[str] = set()

    def code(self, variable: str, scalar: bool = False) -> str:
        """The variable, or a copy of it. `scalar`: as a 0-d array, where arithmetic gives a NumPy number."""
        if scalar:
            return f"np.array({variable})"
        own = variable not in self._given and all(
            map(is_fresh, self._assigned.get(variable, [None]))
        )
        self._given.add(variable)
        return variable if own else f"{variable}.copy()"
