"""What an emitted function computes and returns: only what is needed, and nothing that is not its own.

A line whose variable nobody reads is left out, and a result that may share memory with another array is copied.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from symbp.errors import CompilerError
from symbp.ir.module import Block, Body, Line, Module, code_of

_FRESH = frozenset(
    "array astype clip concatenate copy dot empty eye full full_like inner max mean min ones ones_like outer prod"
    " reduce stack sum tensordot trace vdot where zeros zeros_like".split()
)
"""Functions and methods of NumPy, beside its ufuncs, that never return a view."""


def needed(module: Module) -> Module:
    """The module without lines, names and entries of the cache that its code does not need.

    In the end a formula may read less than it says: a fixed place picks one of the terms, δ makes a term zero.
    """
    outputs = [variable for _, variable in module.outputs]
    backward = _live(module.backward, [variable for _, variable in module.gradients])
    cache = tuple(name for name in module.cache if name in backward.reads)
    results = [*outputs, *cache] if module.loss is None else [module.loss, *cache]
    return replace(
        module,
        backward=backward,
        cache=cache,
        forward=_live(module.forward, results),
        predict=None if module.predict is None else _live(module.predict, outputs),
    )


def _live(body: Body, results: Iterable[str]) -> Body:
    """The lines that lead to these results, and the names that they read from outside."""
    views = _views(body)
    live = set(results)
    lines: list[Line | Block] = []
    for line in reversed(body.lines):
        tree = _parsed([*code_of([line])])
        if any(views.get(name, {name}) & live for name in _written(tree)):
            lines.insert(0, line)
            live |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return replace(body, lines=tuple(lines), reads=tuple(n for n in body.reads if n in live))


def _views(body: Body) -> dict[str, set[str]]:
    """Variable -> all views on the same array, itself among them, of `after, before = whole[1:], whole[:-1]`."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(_parsed([*code_of(body.lines)])):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = {n.id for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)}
            if isinstance(node.value, ast.Tuple):
                found |= dict.fromkeys(names, names)
    return found


def _written(tree: ast.Module) -> set[str]:
    """The variables that statements assign, or whose arrays they write to."""
    stored = [n for n in ast.walk(tree) if isinstance(getattr(n, "ctx", None), ast.Store)]
    found = set()
    for node in stored:
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        if isinstance(node, ast.Name):
            found.add(node.id)
    return found


def assignments(body: Body) -> dict[str, list[ast.expr | None]]:
    """Variable -> the expressions assigned to it; None where it is assigned in any other way."""
    tree = _parsed([*code_of(body.lines)])
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


def _parsed(statements: Sequence[str]) -> ast.Module:
    code = "\n".join(statements)
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise CompilerError(
            f"line of a body is not Python: {(error.text or code).strip()}"
        ) from error


def is_fresh(value: ast.expr | None) -> bool:
    """Whether an expression surely makes a new array: no view, no alias, nothing read-only."""
    if isinstance(value, (ast.BinOp, ast.UnaryOp, ast.Compare)):
        return True
    if not isinstance(value, ast.Call) or any(k.arg == "out" for k in value.keywords):
        return False
    if isinstance(value.func, ast.Name):
        return (
            value.func.id.startswith("_") and value.func.id != "_windows"
        )  # a helper of the module
    if not isinstance(value.func, ast.Attribute):
        return False
    name = value.func.attr
    if name == "einsum":
        return len(value.args) > 2  # of a single operand it may be a view
    of_numpy = isinstance(value.func.value, ast.Name) and value.func.value.id == "np"
    return name in _FRESH or (of_numpy and isinstance(getattr(np, name, None), np.ufunc))


class Results:
    """The variables of a body as the function returns them."""

    def __init__(self, body: Body, made: Collection[str] = ()) -> None:
        """`made` are arrays of the body's own, which it writes to and does not assign."""
        self._assigned = assignments(body)
        self._made = made
        self._given: set[str] = set()

    def code(self, variable: str, scalar: bool = False) -> str:
        """The variable, or a copy of it. `scalar`: as a 0-d array, where arithmetic gives a NumPy number."""
        if scalar:
            return f"np.array({variable})"
        fresh = map(is_fresh, self._assigned.get(variable, [None]))
        own = variable not in self._given and (variable in self._made or all(fresh))
        self._given.add(variable)
        return variable if own else f"{variable}.copy()"
