"""A state that is multiplied at every step under- or overflows after some hundred. Where all that is read of it in
the end is a logarithm, or a quotient, it is divided by its own size at each step, and their logarithms are added up:

    x[t] = f(x[t − 1]), f(k x) = k f(x)    is    y[t] = f(y[t − 1]), c[t] = Σ_j |y[t]_j|, x̂[t] = y[t] / c[t]
    x[t] = x̂[t] exp(Σ_{u ≤ t} log c[u])    so    log g(x[t]) = log g(x̂[t]) + Σ_{u ≤ t} log c[u], if g(k x) = k g(x)

(Rabiner, Proceedings of the IEEE 77, 1989, §V.A, for hidden Markov models.) It holds whatever c is, so that the result
does not depend on c, and no gradient goes through it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from sympy import Abs, Add, Basic, Eq, Expr, Ge, Le, Mul, Number, Pow, S, exp, expand, log

from symbp.ir.functions import Largest, Smallest
from symbp.ir.loops import CycleError, Loop, aligned, names_in
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    entries,
    factors,
    free_indices,
    rebuild,
    size_of,
    substitute,
    sum_over,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Program, Shift, arranged, reads_between
from symbp.ir.trace import Step
from symbp.naming import bound_indices, fresh_index
from symbp.rules.log_space import in_log_space


class _Unscaled(Exception):
    """The scale of an expression is no factor of it."""


def scaled(program: Program, keep: Collection[str] = ()) -> Program:
    """The program with each state scaled that logarithms and quotients alone read; tensors in `keep` stay."""
    for loop in arranged(program.equations, program.shifts) if program.shifts else ():
        if isinstance(loop, Loop) and not any(isinstance(x, Loop) for x in loop.body):
            states = [s for s in program.shifts if loop.axes.get(s.name) == s.axis]
            if len(states) == 1 and abs(states[0].by) == 1:
                try:
                    divided = _Scaling(program, loop, states[0], keep).program()
                except _Unscaled:
                    program = _noted(program, loop, states[0])
                    continue
                program = in_log_space(program, loop, states[0]) or divided
    return program


def _noted(program: Program, loop: Loop, shift: Shift) -> Program:
    """With a note, where a logarithm or quotient reads a state multiplied at every step that cannot be scaled."""
    state = next(eq for eq in program.equations if eq.name == shift.source)
    try:
        scale = _Scaling(program, loop, shift, ()).of_step()
    except _Unscaled:
        return program
    inside = {*loop.axes, program.ends.get(state.name)}
    read = any(
        (isinstance(n, log) or isinstance(n, Pow) and n.exp.is_negative)
        and inside & {*tensors_of(n)}
        for eq in program.equations
        for n in walk(eq.expr)
    )
    if scale == 0 or not read:
        return program
    note = (
        f"{state.name} is multiplied at every step of {shift.over}, and over many steps may leave the range of floating"
        " point: it is scaled only where all that reads it are logarithms and quotients, each of one row"
    )
    return replace(program, notes=(*program.notes, note))


@dataclass
class _Scaling:
    """One loop, over one state. `scales` has the logarithm of what each tensor is to be multiplied with."""

    before: Program
    loop: Loop
    shift: Shift
    keep: Collection[str]
    scales: dict[str, tuple[tuple[Index, ...], Expr]] = field(default_factory=dict)
    steps: Index | None = None  # the index of the steps in the equation at hand

    def __post_init__(self) -> None:
        self.table = {eq.name: eq for eq in self.before.equations}
        taken = {*self.before.declarations, *self.before.sizes()}
        stem = self.shift.source

        def name(text: str) -> str:
            return next(n for n in (text + "_" * k for k in range(99)) if n not in taken)

        self.step, self.size = name(f"{stem}_step"), name(f"{stem}_size")
        self.log, self.log_before = name(f"log_{stem}_size"), name(f"log_{stem}_size_before")
        self.rows = self.own_rows()
        own = tuple(self.shift.indices[axis] for axis in self.rows)
        self.scales[self.shift.name] = (self.shift.indices, Entry(self.log_before, *own))

    def own_rows(self) -> tuple[int, ...]:
        """The axes of the state along which it is a state of its own, such as that of samples; the steps among them."""
        reads = reads_between(self.before.equations, self.before.shifts, set(self.loop.axes))
        found = []
        for axis in range(len(self.shift.indices)):
            try:
                aligned(reads, self.shift.name, axis)
            except CycleError:
                continue
            found.append(axis)
        return tuple(found)

    def of_step(self) -> Expr:
        """The scale of the state's own equation, from that of the step before."""
        for eq in (self.table[name] for name in names_in(self.loop.body) if name in self.table):
            self.scales[eq.name] = (eq.indices, self.scaled(eq)[1])
        return self.scales[self.shift.source][1]

    def scaled(self, eq: Equation) -> tuple[Expr, Expr]:
        """What an equation becomes, and its scale."""
        axis = self.loop.axes.get(eq.name)
        self.steps = None if axis is None else eq.indices[axis]
        return self.visit(eq.expr)

    def program(self) -> Program:
        state = self.table[self.shift.source]
        equations: list[Equation] = []
        used = False
        for eq in self.before.equations:
            expr, scale = self.scaled(eq)
            if eq.name == state.name:
                equations += self.normalised(replace(eq, expr=expr), scale)
                continue
            if scale != 0:
                fixed = {*self.keep, *self.before.outputs, self.before.loss}
                if eq.name in fixed or not free_indices(scale) <= frozenset(eq.indices):
                    raise _Unscaled
                self.scales[eq.name] = (eq.indices, scale)
            used = used or scale == 0 and any(t in self.scales for t in tensors_of(eq.expr))
            equations.append(replace(eq, expr=expr))
        if not used or state.name in {*self.keep, *self.before.outputs}:
            raise _Unscaled
        return self.finished(equations)

    def normalised(self, eq: Equation, scale: Expr) -> Iterator[Equation]:
        """y = f(x̂ before), c = Σ |y|, x̂ = y / c."""
        own = tuple(eq.indices[axis] for axis in self.rows)
        if scale != Entry(self.log_before, *own):
            raise _Unscaled
        rest = tuple(i for i in eq.indices if i not in own)
        step = Entry(self.step, *eq.indices)
        size = step if self.is_nonnegative(eq.expr) else Abs(step)
        yield replace(eq, name=self.step)
        yield Equation(self.size, own, sum_over(size, rest), eq.where)
        yield replace(eq, expr=step / Entry(self.size, *own))
        self.scales[eq.name] = (eq.indices, Entry(self.log, *own))

    def finished(self, equations: list[Equation]) -> Program:
        """With the sum of logarithms: at the last step a plain sum, at others a recurrence of its own."""
        own = tuple(self.shift.indices[axis] for axis in self.rows)
        at = self.rows.index(self.shift.axis)
        over = own[at]
        last = size_of(over) - 1 if self.shift.by < 0 else S.Zero
        read = [
            e
            for eq in equations
            for e in entries(eq.expr)
            if e.tensor in (self.log, self.log_before)
        ]
        declared = dict(self.before.declarations)
        for name, indices in ((self.step, self.shift.indices), (self.size, own)):
            declared[name] = Declaration(name, "defined", indices)
        shifts, fixed = self.before.shifts, {self.size}
        if all(e.tensor == self.log and e.indices[at] == last for e in read):
            equations = [replace(eq, expr=self.totalled(eq, own, over)) for eq in equations]
        else:
            sum_before = Entry(self.log_before, *own) + log(Entry(self.size, *own))
            where = next(k for k, eq in enumerate(equations) if eq.name == self.shift.source)
            equations.insert(where, Equation(self.log, own, sum_before))
            shifts = (*shifts, Shift(self.log_before, self.log, own, at, self.shift.by, S.Zero))
            fixed |= {self.log, self.log_before}
            for name in (self.log, self.log_before):
                declared[name] = Declaration(name, "defined", own)
        trace = (*self.before.trace, *self.recorded(equations, own, over))
        return replace(
            self.before,
            declarations=declared,
            equations=tuple(equations),
            shifts=shifts,
            trace=trace,
            fixed=self.before.fixed | fixed,
        )

    def recorded(
        self, equations: list[Equation], own: tuple[Index, ...], over: Index
    ) -> Iterator[Step]:
        """x = x̂ exp(Σ_{u ≤ t} log c[u]) for the state, and for all that it is read in, what it becomes."""
        step = fresh_index(over, set(self.shift.indices), self.before.indices)
        until = Le(step, over) if self.shift.by < 0 else Ge(step, over)
        sizes = Entry(self.size, *(step if i == over else i for i in own))
        total = Reduce("sum", Iverson(until) * log(sizes), step)
        reason = "a product of many steps leaves the range of floating point; the result does not depend on the factors"
        for eq in (eq for eq in equations if eq.name in self.table):
            before, after = self.table[eq.name].expr, eq.expr
            if eq.name == self.shift.source:
                after = exp(total) * after
            elif eq.name in self.scales or not any(t in self.scales for t in tensors_of(before)):
                continue
            yield Step(eq.name, "scale", reason, before, after, "scale", eq.indices)

    def totalled(self, eq: Equation, own: tuple[Index, ...], over: Index) -> Expr:
        """The expression with Σ_t log c[t] for what the scale is in the end."""
        taken = bound_indices(eq.expr) | set(eq.indices)

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, Entry) or node.tensor != self.log:
                return None
            step = fresh_index(over, taken, self.before.indices)
            taken.add(step)
            places = (step if i == over else p for i, p in zip(own, node.indices))
            return Reduce("sum", log(Entry(self.size, *places)), step)

        found: Expr = transform(eq.expr, visit)
        return found

    # The scale of an expression

    def visit(self, expr: Basic) -> tuple[Expr, Expr]:
        """(the expression in scaled tensors, the logarithm of the factor by which it is less than it was)."""
        if not any(t in self.scales for t in tensors_of(expr)):
            return expr, S.Zero
        if isinstance(expr, Entry):
            indices, scale = self.scales[expr.tensor]
            return expr, substitute(scale, dict(zip(indices, expr.indices)))
        if isinstance(expr, Cases):
            return self.cases(expr)
        if isinstance(expr, Reduce):
            body, scale = self.visit(expr.body)
            if expr.reducer == "product":
                scale = sum_over(scale, expr.indices)
            if free_indices(scale) & frozenset(expr.indices):
                raise _Unscaled
            return rebuild(expr, [expr.args[0], body, *expr.indices]), scale
        parts = [self.visit(a) for a in expr.args]
        found = rebuild(expr, [p for p, _ in parts])
        if isinstance(expr, Mul):
            return found, Add(*(s for _, s in parts))
        if isinstance(expr, Pow) and expr.exp.is_number:
            return found, expr.exp * parts[0][1]
        if isinstance(expr, (Add, Abs, Largest, Smallest)):
            begins = [
                isinstance(expr, Add) and any(map(self.begins, factors(a))) for a in expr.args
            ]
            return found, self.common(zip((s for _, s in parts), begins))
        if isinstance(expr, log):
            return found + parts[0][1], S.Zero
        if any(scale != 0 for _, scale in parts):
            raise _Unscaled
        return found, S.Zero

    def cases(self, expr: Cases) -> tuple[Expr, Expr]:
        """Branches of one scale."""
        scales: list[tuple[Expr, bool]] = []
        args: list[Basic] = []
        for value, condition in (*expr.branches, (expr.otherwise, S.true)):
            if any(t in self.scales for t in tensors_of(condition)):
                raise _Unscaled
            part, scale = self.visit(value)
            if value != 0:
                scales.append((scale, self.begins(condition)))
            args += [part, condition]
        return Cases(*args[:-1]), self.common(scales)

    def begins(self, node: Basic) -> bool:
        """Whether a δ or a condition holds at the first step alone."""
        first = S.Zero if self.shift.by < 0 else size_of(self.shift.over) - 1
        if self.steps is None or not isinstance(node, (Delta, Eq)):
            return False
        apart, left = expand(self.steps - first), expand(node.args[0] - node.args[1])  # T = t + 1
        return left in (apart, -apart)

    def common(self, scales: Iterable[tuple[Expr, bool]]) -> Expr:
        """The one scale of (scale, whether it counts at the first step alone), where nothing is scaled yet."""
        given = list(scales)
        found = {scale for scale, begins in given if scale != 0 or not begins} or {S.Zero}
        if len(found) > 1:
            raise _Unscaled
        scale = found.pop()
        if any(begins for _, begins in given) and any(e.tensor == self.log for e in entries(scale)):
            raise _Unscaled
        return scale

    def is_nonnegative(self, expr: Expr) -> bool:
        """Whether an expression provably has no negative values, if the state before has none."""
        if isinstance(expr, (exp, Abs)) or isinstance(expr, Number) and expr >= 0:
            return True
        if isinstance(expr, Entry):
            if expr.tensor == self.shift.name:
                return self.is_nonnegative(self.shift.outside)
            return expr.tensor in self.table and self.is_nonnegative(self.table[expr.tensor].expr)
        if isinstance(expr, Reduce):
            return self.is_nonnegative(expr.body)
        if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp % 2 == 0:
            return True
        if isinstance(expr, Pow):
            return self.is_nonnegative(expr.base)
        if isinstance(expr, Cases):
            return all(map(self.is_nonnegative, (*expr.args[:-1:2], expr.otherwise)))
        if isinstance(expr, (Add, Mul)):
            return all(map(self.is_nonnegative, expr.args))
        return bool(expr.is_nonnegative)
