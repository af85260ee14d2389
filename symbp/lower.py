"""The adjoint program as statements of forward, backward and predict: shared parts once, and a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sympy import Basic, Expr, Float, Idx, Integer, Mul, Symbol

from symbp.contraction import nest
from symbp.hoisting import Recurrent, hoisted, nesting
from symbp.ir.network import Declaration
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    Slope,
    factors,
    free_indices,
    rebuild,
    size_of,
    summands,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Adjoint, AdjointProgram, Program, reached
from symbp.ir.schedule import Assign, Schedule, Statement, reads_of
from symbp.ir.trace import Step
from symbp.looping import loop_variable, looped
from symbp.masks import with_masks
from symbp.rewrite import is_accumulated, max_over, tidy_sums
from symbp.share import Sharing, worth_sharing
from symbp.validate import RESERVED

Fits = Callable[[Assign], bool]  # whether the target language can say a statement in one line
Finish = Callable[[list[Assign], Recurrent, Sharing], list[Assign]]


def lower(adjoint: AdjointProgram, meanings: dict[str, Expr], fits: Fits) -> Schedule:
    """`meanings` are the formulas of tensors and adjoints before they were stabilised, for the comments."""
    program = adjoint.program
    adjoints = {*adjoint.tensors(), *adjoint.adjoint_names().values()}
    shifted = {s.name for s in adjoint.shifts}
    taken = {*RESERVED, *program.declarations, *program.sizes(), *adjoints, *shifted}
    sharing = Sharing({*taken}, program.indices)
    forward, backward = _statements(adjoint, meanings, sharing)
    for assign in (*forward, *backward):
        sharing.count(assign.expr)

    def finished(body: list[Assign], recurrent: Recurrent, sharing: Sharing) -> list[Assign]:
        shared = [s for a in body for s in sharing.share(a)]
        sharing.changed("share", "a value that is already computed, by its name", body, shared)
        apart = hoisted(shared, recurrent, sharing)
        sharing.changed("hoist", "what no step of the loop changes, before it", shared, apart)
        done = [s for a in apart for s in _fitting([a], sharing, fits)]
        sharing.changed("split", "a part of a long line, or of a loop, before it", apart, done)
        for a in done:
            if a.meaning != a.expr:
                sharing.record(a, "compute", "the formula of the line", a.meaning)
        return done

    parameters = frozenset(d.name for d in program.declarations.values() if d.kind == "param")
    forth = Recurrent(program.shifts, parameters)
    shared_forward = finished(forward, forth, sharing)
    back = Recurrent(adjoint.shifts, parameters, nesting(shared_forward, forth))
    shared_backward = _of_one_dtype(finished(backward, back, sharing), program)
    names = adjoint.adjoint_names()
    gradients = [names[w] for w in adjoint.wrt]
    done = looped(shared_backward, back, gradients, sharing.taken)
    cached = set(reads_of(done))
    goal = [program.loss] if program.loss else list(program.outputs)
    kept = reached([*goal, *cached], shared_forward, program.shifts)
    kept_forward = [a for a in shared_forward if a.name in kept]
    read = cached - parameters - set(adjoint.seeds.values())
    order = [*program.declarations, *(a.name for a in shared_forward)]
    cache = tuple(sorted(read, key=lambda r: (order.index(r) if r in order else len(order), r)))
    predicted, expected = _predicted(program, forward, shared_forward, forth, taken, finished)
    return Schedule(
        adjoint,
        looped(kept_forward, forth, [*goal, *cached], sharing.taken),
        done,
        predicted,
        cache,
        (*sharing.trace, *expected),
    )


def _statements(
    adjoint: AdjointProgram, meanings: dict[str, Expr], sharing: Sharing
) -> tuple[list[Assign], list[Assign]]:
    """The lines of forward and backward, before anything that they have in common is found."""
    program = adjoint.program
    like = next(
        d.name
        for d in program.declarations.values()
        if d.kind in ("param", "input") and not d.integer
    )
    forward = [
        Assign(eq.name, eq.indices, eq.expr, meanings.get(eq.name, eq.expr), like)
        for eq in program.equations
    ]
    backward = [_assigned(a, adjoint, meanings) for a in _live(adjoint)]
    sloped = [s for a in backward for s in sharing.slopes(a)]
    backward = sharing.changed("slopes", "what is computed once for all entries", backward, sloped)
    forward, backward = (_nested(body, sharing) for body in (forward, backward))
    masked = with_masks(forward, backward, sharing)
    reason = "a condition by its name"
    return (
        sharing.changed("mask", reason, forward, masked[0]),
        sharing.changed("mask", reason, backward, masked[1]),
    )


def _nested(body: list[Assign], sharing: Sharing) -> list[Assign]:
    nested = [replace(a, expr=nest(a.expr)) for a in body]
    reason = "Σ_jk a_ij b_jk c_k = Σ_j a_ij Σ_k b_jk c_k"
    return sharing.changed("nest", reason, body, nested)


def _of_one_dtype(body: list[Assign], program: Program) -> list[Assign]:
    """The statements with the dtype of a tensor that one of them reads: no other need be kept for that alone."""
    real = [d for d in program.declarations.values() if not d.integer and d.kind != "constant"]
    read = {t for a in body for t in tensors_of(a.expr)}
    like = next(
        (d.name for d in sorted(real, key=lambda d: d.kind != "param") if d.name in read), None
    )
    return body if like is None else [replace(a, like=like) for a in body]


def _predicted(
    program: Program,
    forward: list[Assign],
    shared: list[Assign],
    recurrent: Recurrent,
    taken: set[str],
    finished: Finish,
) -> tuple[tuple[Statement, ...], list[Step]]:
    """What the outputs are computed by: as in forward, but with the mean of any noise in its place; and the steps."""
    outputs = list(program.outputs)

    def only(body: list[Assign]) -> list[Assign]:
        kept = reached(outputs, body, program.shifts)
        return [a for a in body if a.name in kept]

    body = only(shared)
    steps: list[Step] = []
    means = {d.name: _mean(d) for d in program.declarations.values() if d.kind == "random"}
    if means.keys() & {name for assign in body for name in reads_of((assign,))}:
        sharing = Sharing({*taken}, program.indices, stage="predict")
        noisy = only(forward)
        expected = [
            replace(a, expr=_without_noise(a.expr, means), meaning=_without_noise(a.meaning, means))
            for a in noisy
        ]
        sharing.changed("mean", "the mean of noise in its place", noisy, expected)
        kept = _without_copies(expected, {*outputs})
        sharing.changed("copy", "a tensor for one that equals it", expected, kept)
        for assign in kept:
            sharing.count(assign.expr)
        body = only(finished(kept, recurrent, sharing))
        steps = sharing.trace
    return looped(body, recurrent, outputs, taken | {a.name for a in body}), steps


def _without_copies(body: list[Assign], outputs: set[str]) -> list[Assign]:
    """The body without statements r[s,a] = h[s,a]: h is read in the place of r."""
    names: dict[Basic, Expr] = {}
    kept = []
    for assign in body:
        expr, meaning = assign.expr.xreplace(names), assign.meaning.xreplace(names)
        copied = isinstance(expr, Entry) and expr.indices == assign.indices
        if copied and assign.name not in outputs:
            names[Entry(assign.name).args[0]] = expr.args[0]
        else:
            kept.append(replace(assign, expr=expr, meaning=meaning))
    return kept


def _mean(noise: Declaration) -> Expr:
    mean = noise.expected
    return Symbol(mean, real=True) if isinstance(mean, str) else Float(mean)


def _without_noise(expr: Expr, means: Mapping[str, Expr]) -> Expr:
    """Numbers for noise; Σ, max and Π over an index that then is nowhere are done away with."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Entry) and node.tensor in means:
            return means[node.tensor]
        if isinstance(node, Reduce) and node.reducer == "maximum":
            return max_over(node.body, node.indices)
        if isinstance(node, Reduce) and node.reducer == "product":
            return _product_over(node.body, node.indices)
        return None

    def whole(node: Basic) -> Basic | None:
        """0.7 / 0.7 is 1 but for rounding."""
        close = isinstance(node, Float) and abs(node - round(node)) < 1e-14 * abs(node)
        return Integer(round(node)) if close else None

    return tidy_sums(transform(transform(expr, visit), whole))


def _product_over(body: Expr, bound: tuple[Index, ...]) -> Expr:
    """Π_c f = f to the power n, for n values of an index that f lacks."""
    used = [i for i in bound if i in free_indices(body)]
    repeated = Mul(*(size_of(i) for i in bound if i not in used))
    return (Reduce("product", body, *used) if used else body) ** repeated


def _assigned(a: Adjoint, adjoint: AdjointProgram, meanings: dict[str, Expr]) -> Assign:
    meaning = meanings.get(a.name, a.expr)
    return Assign(a.name, a.indices, a.expr, meaning, a.tensor, a.tensor in adjoint.wrt)


def _live(adjoint: AdjointProgram) -> list[Adjoint]:
    """The adjoints that a wanted gradient is computed from; the others were inlined."""
    names = adjoint.adjoint_names()
    live = reached([names[w] for w in adjoint.wrt], adjoint.adjoints, adjoint.shifts)
    return [a for a in adjoint.adjoints if a.name in live]


def _fitting(body: list[Assign], sharing: Sharing, fits: Fits) -> list[Assign]:
    """Statements that do not fit in a line lose their costliest part, about half of them, to a line before."""
    done: list[Assign] = []
    for assign in body:
        assign = _loops_apart(assign, sharing, done)
        while not fits(assign):
            part = _half(assign)
            if part is None:
                break
            before: list[Assign] = []
            entry = sharing.extract(part, assign, before)
            done += _fitting(before, sharing, fits)
            assign = replace(assign, expr=_replace(assign.expr, part, entry))
        done.append(assign)
    return done


def _loops_apart(assign: Assign, sharing: Sharing, done: list[Assign]) -> Assign:
    """Sums that loops add up are terms of a statement: those that stand deeper get one of their own.

    Their indices become variables of the loops, with names that nothing else has.
    """
    for term in summands(assign.expr):
        inside = (
            term
            if not any(map(is_accumulated, factors(term)))
            else Mul(*(f for f in factors(term) if not is_accumulated(f)))
        )
        terms_apart = inside is term or not is_number(inside)
        for node in [n for n in walk(term) if is_accumulated(n)] if terms_apart else ():
            before: list[Assign] = []
            entry = sharing.extract(node, assign, before)
            done += [_loops_apart(b, sharing, done) for b in before]
            assign = replace(assign, expr=_replace(assign.expr, node, entry))
    for node in [n for n in walk(assign.expr) if is_accumulated(n)]:
        for part in _steady(node):
            entry = sharing.extract(part, assign, done)
            rest = Mul(*(f for f in factors(node.body) if f not in factors(part)))
            after = Reduce(node.args[0], rest * entry, *node.indices)
            assign, node = replace(assign, expr=_replace(assign.expr, node, after)), after
    names: dict[Expr, Index] = {}
    for node in [n for n in walk(assign.expr) if is_accumulated(n)]:
        for index in node.indices:
            if index.name in sharing.taken or not index.name.isidentifier():
                stem = index.name.rstrip("'")  # which other indices of the statement may have
                others = {n.name for i, n in names.items() if i != index}
                names[index] = loop_variable(index, {*sharing.taken, stem, *others})
    return assign if not names else replace(assign, expr=assign.expr.xreplace(names))


def _steady(node: Reduce) -> list[Expr]:
    """Products in Σ_{p,u} δ(j, 2p + u) v that lack an index of a place: the steps of a loop have them in common."""
    deltas = [f for f in factors(node.body) if isinstance(f, Delta)]
    moving = free_indices(Mul(*deltas)) & frozenset(node.indices)
    groups: dict[frozenset[Index], Expr] = {}
    for factor in factors(node.body):
        axes = free_indices(factor)
        if not isinstance(factor, Delta) and not moving <= axes:
            groups[axes] = groups.get(axes, Integer(1)) * factor
    return [g for g in groups.values() if worth_sharing(g)]


def is_number(expr: Expr) -> bool:
    """Whether an expression has no axes and reads no tensor."""
    return not any(isinstance(n, (Entry, Idx, Reduce)) for n in walk(expr))


def _half(assign: Assign) -> Expr | None:
    """The subexpression whose length is nearest to half of the whole; no part of a contraction.

    Of a sum with fewer axes than the left side, all.
    """
    expr = assign.expr
    if any(map(is_accumulated, walk(expr))):
        return None  # a loop computes the parts of its own step alone
    if isinstance(expr, Reduce) and free_indices(expr) != frozenset(assign.indices):
        return expr
    whole = {expr, *(n.body for n in walk(expr) if isinstance(n, Reduce))}
    whole.update(n.reduction for n in walk(expr) if isinstance(n, Slope))
    parts = [n for n in walk(expr) if n not in whole and worth_sharing(n)]
    length = _length(expr)
    return min(parts, key=lambda n: abs(2 * _length(n) - length), default=None)


def _length(expr: Expr) -> int:
    return sum(1 for _ in walk(expr))


def _replace(expr: Expr, part: Expr, by: Expr) -> Expr:
    if expr == part:
        return by
    if isinstance(expr, (Entry, Idx)) or not expr.args:
        return expr
    return rebuild(expr, [_replace(a, part, by) for a in expr.args])
