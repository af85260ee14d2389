"""A state that is a sum of products of exponentials overflows however it is divided; its logarithm does not.

    x[t, b] = Σ_a x[t − 1, a] exp(u_ab)    is    x = exp ξ, ξ[t, b] = log Σ_a exp(ξ[t − 1, a] + u_ab)

which is a log-sum-exp, as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Basic, Expr, S, exp, expand_log, log

from symbp.ir.loops import Loop
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import Cases, Entry, size_of, substitute, tensors_of, transform, walk
from symbp.ir.program import Program, Shift
from symbp.ir.trace import Step
from symbp.rules.exponentials import is_pure, is_quotient


def in_log_space(program: Program, loop: Loop, shift: Shift) -> Program | None:
    """The program with the logarithm of a state in its place; None where it is no sum of products of exponentials."""
    state = next(eq for eq in program.equations if eq.name == shift.source)
    old = (shift.name, state.name, *(e for x, e in program.ends.items() if x == state.name))
    renamed = {name: f"log_{name}" for name in old}
    whole = _opened(state.expr, program)
    found = _exponentials(whole, renamed)
    alone = {shift.name, state.name} == set(loop.axes)
    bare = any(isinstance(n, exp) for n in walk(whole))
    taken = any(name in program.declarations for name in renamed.values())
    begins = _beginning(program, state, shift)
    if begins is None or not alone or not bare or taken or not all(map(is_pure, _values(found))):
        return None
    equations: list[Equation] = []
    for eq in program.equations:
        expr = _exponentials(eq.expr, renamed)
        if eq.name == state.name:
            expr = _logarithm(found)
        elif eq.name in renamed:  # its last step
            expr = expr.args[0]
        equations.append(replace(eq, name=renamed.get(eq.name, eq.name), expr=expr))
    indices = {new: program.indices_of(name) for name, new in renamed.items()}
    declared = {new: Declaration(new, "defined", axes) for new, axes in indices.items()}
    moved = replace(shift, name=renamed[shift.name], source=renamed[shift.source], outside=begins)
    reason = f"{state.name} = exp({renamed[state.name]}) may leave the range of floating point"
    steps = []
    for old_eq, eq in zip(program.equations, equations):
        after = exp(eq.expr) if eq.name != old_eq.name else eq.expr
        if after != old_eq.expr:
            step = Step(old_eq.name, "logarithm", reason, old_eq.expr, after, "scale", eq.indices)
            steps.append(step)
    return replace(
        program,
        declarations={**program.declarations, **declared},
        equations=tuple(equations),
        shifts=tuple(moved if s.name == shift.name else s for s in program.shifts),
        trace=(*program.trace, *steps),
        ends={renamed.get(k, k): renamed.get(v, v) for k, v in program.ends.items()},
    )


def _beginning(program: Program, state: Equation, shift: Shift) -> Expr | None:
    """The logarithm of what stands before the first step: any number, where nothing reads that."""
    if shift.outside.is_positive:
        return expand_log(log(shift.outside))
    begins = _at_first_step(state.expr, shift)
    readers = [eq.name for eq in program.equations if shift.name in tensors_of(eq.expr)]
    unread = begins is not None and shift.name not in tensors_of(begins)
    return S.Zero if unread and readers == [state.name] else None


def _at_first_step(expr: Expr, shift: Shift) -> Expr | None:
    """The branch that is taken at the first step; None where that is not decided by the step alone."""
    first = S.Zero if shift.by < 0 else size_of(shift.over) - 1
    for value, condition in expr.branches if isinstance(expr, Cases) else ():
        taken = condition.xreplace({shift.over: first})
        if taken != S.false:
            return value if taken == S.true else None
    return expr.otherwise if isinstance(expr, Cases) else expr


def _values(expr: Expr) -> tuple[Expr, ...]:
    """An expression, or each of its branches."""
    return (*expr.args[:-1:2], expr.otherwise) if isinstance(expr, Cases) else (expr,)


def _logarithm(expr: Expr) -> Expr:
    """log {a if P; b otherwise} = {log a if P; log b otherwise}."""
    if not isinstance(expr, Cases):
        return log(expr)
    pairs = [part for value, condition in expr.branches for part in (log(value), condition)]
    return Cases(*pairs, log(expr.otherwise))


def _opened(expr: Expr, program: Program) -> Expr:
    """Definitions that are made of exponentials in the place of their entries."""
    pure = {
        eq.name: eq for eq in program.equations if is_pure(eq.expr) and not is_quotient(eq.expr)
    }

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, Entry) or node.tensor not in pure:
            return None
        eq = pure[node.tensor]
        here = substitute(eq.expr, dict(zip(eq.indices, node.indices)))
        return transform(here, visit)

    found: Expr = transform(expr, visit)
    return found


def _exponentials(expr: Expr, logarithms: Mapping[str, str]) -> Expr:
    """exp ξ for x, where a tensor has its logarithm."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Entry) and node.tensor in logarithms:
            return exp(Entry(logarithms[node.tensor], *node.indices))
        return None

    found: Expr = transform(expr, visit)
    return found
