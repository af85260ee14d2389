"""Equations that give the right number where their text, taken literally, overflows, divides 0 by 0 or takes log 0.

Two passes: `expose` puts the definition of an exponential in the place where a quotient or a logarithm reads it (so
that e = exp z, S = Σ e, y = e / S is one quotient), before anything is differentiated; `stabilise` rewrites every
equation, forward and adjoint, by the rules of `symbp.rules.exponentials`. Neither changes the mathematics.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from sympy import Add, And, Basic, Expr, Mul, Not, Pow, S, exp, log

from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import (
    Cases,
    Entry,
    Reduce,
    Slope,
    factors,
    free_indices,
    rebuild,
    substitute,
    transform,
    walk,
)
from symbp.ir.program import AdjointProgram, Program, Statement, reached
from symbp.ir.slots import is_leaf
from symbp.ir.trace import Step, steps_along
from symbp.naming import standard_names, unify
from symbp.quotients import Quotients
from symbp.rewrite import max_over, tidy_sums
from symbp.rules.exponentials import (
    exponentials,
    has_exponential,
    is_inverse,
    is_pure,
    is_quotient,
    one_fraction,
    product,
    stable,
)  # fmt: skip
from symbp.rules.infinite import bounded, open_rows

MOST_LEVELS = 4  # how deep definitions are looked into below a logarithm


def expose(program: Program, keep: Collection[str] = ()) -> Program:
    """Exponentials that a quotient or a logarithm reads, put in its place; equations that nothing reads then go.

    Tensors in `keep` stay as they are: a gradient in one of them is asked for.
    """
    keep = {*keep, *program.fixed}
    definitions: dict[str, Equation] = {}
    inverses: dict[str, Equation] = {}
    declarations = dict(program.declarations)
    equations: list[Equation] = []
    steps: list[Step] = []
    for eq in program.equations:
        found = _exposed(eq.expr, definitions, inverses)
        if found != eq.expr:
            named = standard_names(tidy_sums(found), eq.indices, program.indices)
            reason = "an exponential below a fraction or a logarithm may overflow on its own"
            steps.append(Step(eq.name, "substitute", reason, eq.expr, named, "expose", eq.indices))
            eq = replace(eq, expr=named)
        quotients = Quotients(eq, {*declarations})
        split = quotients.apart()
        if quotients.found and not has_exponential(split.expr):
            reason = "a quotient of exponentials is a value of its own"
            steps.append(Step(eq.name, "name", reason, eq.expr, split.expr, "expose", eq.indices))
            equations += quotients.found
            declarations |= {q.name: _declared(q) for q in quotients.found}
            eq = split
        whole = replace(eq, expr=_inline(eq.expr, definitions))
        if eq.name not in keep and is_quotient(whole.expr):
            inverses |= {eq.name: whole} if is_inverse(whole.expr) else {}
        elif eq.name not in keep and exponentials(whole.expr) is not None:
            definitions[eq.name], exponents = _with_exponents(whole, declarations)
            equations += exponents
        equations.append(eq)
    if not steps:
        return program
    kept = _reachable(program, equations, keep)
    return replace(
        program, declarations=declarations, equations=kept, trace=(*program.trace, *steps)
    )


def _declared(eq: Equation) -> Declaration:
    return Declaration(eq.name, "defined", eq.indices, eq.where)


def _with_exponents(
    eq: Equation, declarations: dict[str, Declaration]
) -> tuple[Equation, list[Equation]]:
    """e = exp(Σ …) as e = exp(log_e) and log_e = Σ …: a sum in an exponent is a value of its own, computed once."""
    added: list[Equation] = []

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, exp) or not any(isinstance(n, Reduce) for n in walk(node)):
            return None
        if not free_indices(node) <= frozenset(eq.indices):
            return None
        name = f"log_{eq.name}"
        while name in declarations:
            name += "_"
        declarations[name] = Declaration(name, "defined", eq.indices, eq.where)
        added.append(Equation(name, eq.indices, node.args[0], eq.where))
        return exp(Entry(name, *eq.indices))

    return replace(eq, expr=transform(eq.expr, visit)), added


def _exposed(
    expr: Expr, definitions: Mapping[str, Equation], inverses: Mapping[str, Equation]
) -> Expr:
    """Of p = e S with S = 1 / Σ e and e = exp z, the quotient exp z / Σ exp z; of S alone nothing."""
    if isinstance(expr, Entry) or not expr.args:
        return expr
    if isinstance(expr, log):
        expr = log(_inline(expr.args[0], definitions))
    if isinstance(expr, (Mul, Pow)):
        if any(exponentials(_inline(f, definitions)) is not None for f in factors(expr)):
            whole = _inline(expr, inverses)
            expr = whole if whole == expr else _inline(whole, definitions)
        below = [
            f.base for f in factors(expr) if isinstance(f, Pow) and f.exp.could_extract_minus_sign()
        ]
        if any(_inline(b, definitions) != b for b in below):
            expr = _inline(expr, definitions)
    return rebuild(expr, [_exposed(a, definitions, inverses) for a in expr.args])


def _inline(expr: Expr, definitions: Mapping[str, Equation]) -> Expr:
    """Definitions in the place of entries, in terms, factors and sums, but in no function's argument."""
    if isinstance(expr, Entry):
        if expr.tensor not in definitions:
            return expr
        eq = definitions[expr.tensor]
        return substitute(eq.expr, dict(zip(eq.indices, expr.indices)))
    if isinstance(expr, (Add, Mul, Pow, Reduce)):
        return rebuild(expr, [_inline(a, definitions) for a in expr.args])
    return expr


def _reachable(
    program: Program, equations: list[Equation], keep: Collection[str]
) -> tuple[Equation, ...]:
    goal = {*keep, *program.outputs, *([program.loss] if program.loss else [])}
    live = reached(goal, equations, program.shifts)
    return tuple(eq for eq in equations if eq.name in live)


def stabilise(adjoint: AdjointProgram) -> AdjointProgram:
    """The same adjoint program with every equation in a form that is safe to evaluate.

    The program's trace gains a step for each equation, forward or adjoint, that changed.
    """
    program = adjoint.program
    definitions: dict[str, Equation] = {}
    for eq in program.equations:
        if has_exponential(eq.expr) or _outside_sums(eq.expr, definitions) != eq.expr:
            definitions[eq.name] = eq
    every = {eq.name: eq for eq in program.equations}
    pure = {name: eq for name, eq in definitions.items() if is_pure(eq.expr)}

    def open_definitions(expr: Expr) -> Expr:
        """Definitions with exponentials in the place of the entries that a logarithm reads, level by level.

        Inside sums this is done only beside an exponential: Σ_k p_k exp(a_k) with p a softmax is one such sum.
        """
        if has_exponential(expr):
            return _with_pure(expr, pure)
        for _ in range(MOST_LEVELS):
            opened = _outside_sums(expr, definitions)
            if opened == expr:
                break
            expr = opened
            if product(one_fraction(expr)).sums:
                break
        return one_fraction(expr)

    def safe_slope(node: Basic) -> Basic | None:
        """What is compared with a maximum is rewritten as the maximum itself is."""
        if not isinstance(node, Slope):
            return None
        reduction = stable(node.reduction, open_definitions)
        return Slope(reduction, reduction, *node.place)

    def safe(expr: Expr, indices: tuple[Expr, ...]) -> Expr:
        found = stable(transform(expr, safe_slope), open_definitions)
        found = guarded(found if found == expr else shifted_once(found, every))
        return expr if found == expr else standard_names(tidy_sums(found), indices, program.indices)

    rewritten = [safe(eq.expr, eq.indices) for eq in program.equations]
    given = [d.name for d in program.declarations.values() if d.kind in ("param", "input")]
    found = {eq.name: [*open_rows(e, given)] for eq, e in zip(program.equations, rewritten)}
    rows = {name for y, tensors in found.items() if tensors for name in (y, *tensors)}
    equations, adjoints = [], []
    steps: list[Step] = []
    for eq, expr in zip(program.equations, rewritten):
        steps += _steps(eq, expr, after := bounded(expr, rows))
        equations.append(replace(eq, expr=after))
    for a in adjoint.adjoints:
        expr = safe(a.expr, a.indices)
        steps += _steps(a, expr, after := bounded(expr, rows))
        adjoints.append(replace(a, expr=after))
    program = replace(program, equations=tuple(equations), trace=(*program.trace, *steps))
    return replace(adjoint, program=program, adjoints=tuple(adjoints))


def _steps(before: Statement, safe: Expr, after: Expr) -> tuple[Step, ...]:
    chain = (
        ("stabilise", "equal, and cannot overflow", safe),
        ("stabilise", "equal, and has a value where a whole row is −∞", after),
    )
    return steps_along(before.name, before.expr, chain, "stabilise", before.indices)


def _with_pure(expr: Expr, pure: Mapping[str, Equation]) -> Expr:
    """Σ_k p_k exp(a_k) with p a softmax as one sum of exponentials; unchanged where nothing of the kind is read."""
    opened = _inline(expr, pure)
    return expr if opened == expr else tidy_sums(opened)


def _outside_sums(expr: Expr, definitions: Mapping[str, Equation]) -> Expr:
    if isinstance(expr, Entry) and expr.tensor in definitions:
        return _inline(expr, definitions)
    if is_leaf(expr) or not expr.args:
        return expr
    return rebuild(expr, [_outside_sums(a, definitions) for a in expr.args])


def shifted_once(expr: Expr, equations: Mapping[str, Equation]) -> Expr:
    """The expression with 0 for max_c y_c where the equations y_c = z_c − m and m = max_c z_c say that it is 0."""

    def largest(node: Basic) -> Basic | None:
        found = _inline(node, equations) if isinstance(node, Entry) else node
        return found if isinstance(found, Reduce) and found.reducer == "maximum" else None

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Reduce) and node.reducer == "maximum" and isinstance(node.body, Entry):
            body = transform(_inline(node.body, equations), largest)
            return S.Zero if unify([max_over(body, node.indices)]) == [0] else None
        return None

    found: Expr = transform(expr, visit)
    return found


def guarded(expr: Expr) -> Expr:
    """{log u if P; …}: a function that is not defined everywhere reads 1 where its branch is not taken."""

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, Cases):
            return None
        pairs: list[Basic] = []
        left: Basic = S.true  # where no branch before this one was taken
        for value, condition in node.branches:
            pairs += [_only_where(value, And(left, condition)), condition]
            left = And(left, Not(condition))
        return Cases(*pairs, _only_where(node.otherwise, left))

    found: Expr = transform(expr, visit)
    return found


def _only_where(value: Expr, condition: Basic) -> Expr:
    def visit(node: Basic) -> Basic | None:
        if isinstance(node, (log, exp)):
            return node.func(Cases(node.args[0], condition, S.One))
        if (
            isinstance(node, Pow)
            and not (node.exp.is_Integer and node.exp.is_positive)
            and not (node.base.is_number or node.base.is_positive)  # as a size is
        ):
            return Pow(Cases(node.base, condition, S.One), node.exp)
        return None

    found: Expr = transform(value, visit)
    return found
