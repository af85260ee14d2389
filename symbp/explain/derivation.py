"""The derivation as a person reads it: as a LaTeX document, and as plain text. Both are views of one list of sections
in the order of a lecture: notation, equations, local partials, adjoints from the loss back, gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

from sympy import Abs, Basic, Eq, Expr, Idx, Integer, Symbol, sign

from symbp.explain.update import update_sections
from symbp.ir.functions import SafeInverse
from symbp.ir.network import Declaration, Equation
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    size_of,
    substitute,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Adjoint, AdjointProgram, Partial, Program, unshifted
from symbp.ir.trace import Step
from symbp.ir.update import UpdateProgram
from symbp.naming import standard_names
from symbp.notation.style import Latex, Notation, Text
from symbp.pages.blocks import Block, Code, Display, Prose, Row, Section, Table
from symbp.pages.latex import latex_page
from symbp.pages.text import text_page

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def document(
    adjoint: AdjointProgram,
    gradients_code: Mapping[str, tuple[str, ...]] | None = None,
    declared: Program | None = None,
    stable: Sequence[Step] = (),
    update: UpdateProgram | None = None,
) -> str:
    """The derivation as a complete LaTeX document for pdflatex.

    `gradients_code` gives, for a tensor, the Python statements that compute its gradient; they are shown at the end.
    `declared` is the program before any rewriting: it still has the equations that a rewriting made superfluous.
    `stable` are the steps from the formulas derived to those computed. `update` is what an optimiser does.
    """
    write = Latex(adjoint)
    derivation = _Derivation(adjoint, declared, write, gradients_code or {}, stable)
    title = f"The gradient of {write.code(adjoint.program.name)}"
    return latex_page(title, (*derivation.sections(), *update_sections(update, write)))


def text_document(
    adjoint: AdjointProgram,
    declared: Program | None = None,
    stable: Sequence[Step] = (),
    update: UpdateProgram | None = None,
) -> str:
    """The same as plain Unicode text; a formula is never wrapped, so that it can be copied whole."""
    write = Text(adjoint)
    sections = _Derivation(adjoint, declared, write, {}, stable).sections()
    title = f"The gradient of {adjoint.program.name}"
    return text_page(title, (*sections, *update_sections(update, write)))


def explain(
    adjoint: AdjointProgram,
    write: Notation,
    declared: Program | None = None,
    stable: Sequence[Step] = (),
    update: UpdateProgram | None = None,
    *,
    brief: bool = False,
    wrt: tuple[str, ...] | None = None,
) -> tuple[str, tuple[Section, ...]]:
    """The title and the sections, in any notation. `brief` and `wrt` are to come."""
    sections = _Derivation(adjoint, declared, write, {}, stable).sections()
    title = f"The gradient of {write.code(adjoint.program.name)}"
    return title, (*sections, *update_sections(update, write))


class _Derivation:
    """The sections of one derivation."""

    KINDS: ClassVar[Mapping[str, str]] = {
        "param": "parameter", "input": "input", "constant": "constant", "random": "noise",
        "defined": "computed",
    }  # fmt: skip

    def __init__(
        self,
        adjoint: AdjointProgram,
        declared: Program | None,
        write: Notation,
        code: Mapping[str, tuple[str, ...]],
        stable: Sequence[Step],
    ) -> None:
        self.adjoint = adjoint
        self.declared = declared or adjoint.program
        self.program = adjoint.program
        self.names = adjoint.adjoint_names()
        self.write = write
        self.code = code
        self.stable = stable
        shifts = adjoint.program.shifts
        self.hidden = {*(s.name for s in shifts), *adjoint.program.ends.values()}

    def formula(self, expr: Basic) -> str:
        """A formula, with what is read of other steps written as such."""
        return self.write.formula(unshifted(expr, self.program, self.adjoint.shifts))

    def sections(self) -> tuple[Section, ...]:
        found = (
            Section("Notation", tuple(self.conventions())),
            Section("Equations", tuple(self.equations())),
            Section("Local partials", tuple(self.partials())),
            Section("Adjoints", tuple(self.adjoints())),
            Section("Gradients", tuple(self.gradients())),
            Section("In floating point", tuple(self.computed())),
        )
        return tuple(section for section in found if section.blocks)

    def conventions(self) -> Iterator[Block]:
        """What the symbols mean, and how kinks are settled."""
        if self.program.loss:
            yield Prose(f"{self.write.scalar} is the loss. {self.write.legend}")
        else:
            seeds = self.adjoint.seeds.items()
            given = ", ".join(self.inline(seed, self.indices_of(o)) for o, seed in seeds)
            yield Prose(
                f"{self.write.scalar} is any scalar computed from the outputs. {self.write.legend} "
                f"Given: {given}."
            )
        nodes = [n for p in self.adjoint.partials for n in (*walk(p.derived), *walk(p.expr))]
        if any(isinstance(n, Delta) for n in nodes):
            i, j = Idx("i"), Idx("j")
            yield Prose(f"{self.symbol(Delta(i, j))} is 1 where {self.symbol(Eq(i, j))}, else 0.")
        if any(isinstance(n, Iverson) for n in nodes):
            condition = Symbol("P")
            yield Prose(
                f"{self.symbol(Iverson(condition))} is 1 where {self.symbol(condition)} holds, else 0. At a kink, of "
                "a constant and a variable the constant wins; variables that tie have equal shares."
            )
        if any(isinstance(n, (Abs, sign)) for n in nodes):
            yield Prose(f"The sign of 0 is {self.symbol(Integer(0))}.")
        if any(isinstance(n, SafeInverse) for n in nodes):
            a = Symbol("a")
            inverse, zero = self.symbol(SafeInverse(a)), self.symbol(Eq(a, 0))
            yield Prose(f"{inverse} is {self.symbol(1 / a)}, and 0 where {zero}.")
        yield from self.ranges()
        rows = tuple(self.declaration(d) for d in self.shown())
        yield Table(("tensor", "is", "shape"), rows)

    def shown(self) -> Iterator[Declaration]:
        """The tensors that have a name of their own."""
        return (d for n, d in self.program.declarations.items() if n not in self.hidden)

    def ranges(self) -> Iterator[Block]:
        """Indices over the same range in one row; a primed index runs with the index that it is named after."""
        rows = []
        for (lower, upper), group in _grouped(self.program.indices, lambda i: (i.lower, i.upper)):
            names = ", ".join(self.symbol(i) for i in group)
            rows.append((names, f"{self.symbol(lower)}, …, {self.symbol(upper)}"))
        if rows:
            yield Table(("index", "runs over"), tuple(rows))

    def declaration(self, d: Declaration) -> tuple[str, str, str]:
        words = self.KINDS[d.kind]
        if d.name in self.program.outputs:
            words += ", output"
        if d.default is not None:
            words += f", {d.default:g} by default"
        if d.law is not None:
            numbers = (
                f"{key} = {value:g}"
                if isinstance(value, float)
                else f"{key} = {self.inline(value, ())}"
                for key, value in d.parameters.items()
            )
            words += f", {d.law} with {' and '.join(numbers)}"
        if d.sums_to_one is not None:
            words += f", sums to 1 over {self.symbol(d.sums_to_one)}"
        return self.inline(d.name, d.indices), words, self.write.shape(d.shape)

    def equations(self) -> Iterator[Block]:
        """Each equation as declared, and how it was rewritten before anything was differentiated."""
        final = {eq.name: eq.expr for eq in self.program.equations}
        declared = {eq.name for eq in self.declared.equations}
        added = {eq.name: eq for eq in self.program.equations if eq.name not in declared}
        rows: list[Row] = []
        for eq in self.declared.equations:
            if eq.name in self.hidden:
                continue
            steps = [step for step in self.program.trace if step.subject == eq.name]
            first = steps[0].before if steps else eq.expr
            left = self.tensor(eq.name, eq.indices)
            rows += self.chained(left, first, steps, final.get(eq.name, eq.expr))
            rows += self.introduced(final.get(eq.name, eq.expr), added)
        if rows:
            yield Display(tuple(rows))
        yield from self.boundaries()

    def introduced(self, expr: Expr, added: dict[str, Equation]) -> Iterator[Row]:
        """The equations of tensors that a rewriting made, behind the first that reads them."""
        for name in tensors_of(expr):
            if name in added and name not in self.hidden:
                eq = added.pop(name)
                yield Row(self.tensor(name, eq.indices), self.formula(eq.expr))
                yield from self.introduced(eq.expr, added)

    def boundaries(self) -> Iterator[Block]:
        """What stands for a recurrent tensor outside its steps."""
        for source, group in _grouped(self.program.shifts, lambda s: s.source):
            shift = group[0]
            when = "before the first" if shift.by < 0 else "after the last"
            left, right = self.inline(source, shift.indices), self.symbol(shift.outside)
            yield Prose(f"{left} is {right} {when} step.")

    def partials(self) -> Iterator[Block]:
        """Each local partial as it is derived, with every δ, and then in terms of forward values."""
        for output, group in _grouped(self.adjoint.partials, lambda p: p.output):
            yield Prose(f"Of {self.inline(output, self.indices_of(output))}:")
            rows: list[Row] = []
            for p in group:
                left = self.local(p, p.output_indices, p.input_indices)
                rows += self.chained(left, p.derived, p.steps, p.expr)
            yield Display(tuple(rows))

    def adjoints(self) -> Iterator[Block]:
        """Each adjoint: the chain rule, multiplied out, every collapse, and the result."""
        partials = {(p.output, p.input): p for p in self.adjoint.partials}
        for a in self.adjoint.adjoints:
            yield Prose(self.paths(a))
            left = self.tensor(a.name, a.indices)
            rule = self.chain_rule(a, [partials[path, a.tensor] for path in a.paths])
            rows = [*self.chained("" if rule else left, a.chain, a.steps, a.expr)]
            later = self.of_next_step(a)
            yield Display((*([Row(left, rule)] if rule else []), *rows, *later))
            yield from self.beginning(a)

    def paths(self, a: Adjoint) -> str:
        """Which equations a tensor feeds: the terms of its total derivative."""
        own = self.inline(a.tensor, self.indices_of(a.tensor))
        fed = [self.inline(path, self.indices_of(path)) for path in a.paths]
        for shift in self.program.shifts:
            read = self.inline(shift.name, shift.indices)
            back = shift.by < 0
            if shift.source == a.tensor and shift.name in self.names:
                fed.append(f"the {'next' if back else 'previous'} step, as {read}")
            if tensors_of(shift.outside) == (a.tensor,):
                fed.append(f"the {'first' if back else 'last'} step, as {read}")
        if not fed:
            return f"{own} feeds nothing that leads to {self.write.scalar}."
        end = "." if len(fed) == 1 else ": the total derivative has one term for each path."
        return f"{own} feeds {' and '.join(fed)}{end}"

    def of_next_step(self, a: Adjoint) -> Iterator[Row]:
        """The adjoint as a recurrence: what the next step adds in terms of that step's own adjoints."""
        found = {b.name: b for b in self.adjoint.shifts}
        adds = {x.name: x for x in self.adjoint.adjoints}

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, Entry) or node.tensor not in found:
                return None
            shift = found[node.tensor]
            added = adds.get(shift.source)
            if added is None:
                return None
            places = dict(zip(added.indices, node.indices))
            at = node.indices[shift.axis] + shift.by
            return substitute(added.expr, {**places, added.indices[shift.axis]: at})

        after = transform(a.expr, visit)
        if after != a.expr:
            yield Row("", self.formula(standard_names(after, a.indices, self.program.indices)))

    def beginning(self, a: Adjoint) -> Iterator[Block]:
        """Where the recurrence of an adjoint begins."""
        for shift in self.adjoint.shifts:
            if shift.source == a.name:
                when = "after the last" if shift.by > 0 else "before the first"
                yield Prose(
                    f"{self.inline(a.name, a.indices)} is {self.symbol(shift.outside)} {when} step."
                )

    def chain_rule(self, a: Adjoint, partials: Sequence[Partial]) -> str:
        """Σ over paths of Σ_I ∂L/∂y[I] ∂y[I]/∂z[J], the partials not yet put in."""
        plain: list[str] = []
        sums: list[str] = []
        for p in partials:
            if p.output == self.program.loss:
                plain.append(self.local(p, (), a.indices))
                continue
            summed, at = self.apart(p.output_indices, a.indices)
            above = self.tensor(self.names[p.output], at)
            term = self.write.sum(summed, (above, self.local(p, at, a.indices)))
            (sums if summed else plain).append(term)
        for shift in self.program.shifts:
            if shift.source == a.tensor and shift.name in self.names and partials:
                back = next(b for b in self.adjoint.shifts if b.source == self.names[shift.name])
                plain.append(self.tensor(back.name, a.indices))
        if partials and a.tensor in self.adjoint.seeds:
            plain.append(self.tensor(self.adjoint.seeds[a.tensor], a.indices))
        return " + ".join([*plain, *map(self.write.brackets, sums[:-1]), *sums[-1:]])

    def apart(
        self, indices: tuple[Index, ...], free: tuple[Index, ...]
    ) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
        """Output indices renamed apart from the free ones, as differentiation does: in order of Σ, and of axes."""
        if not indices:
            return (), ()
        body = Reduce("sum", Entry("output", *indices), *indices)
        named = standard_names(body, free, self.program.indices)
        return named.indices, named.body.indices

    def gradients(self) -> Iterator[Block]:
        found = {a.tensor: a for a in self.adjoint.adjoints}
        rows = []
        for name in self.adjoint.wrt:
            indices = self.indices_of(name)
            left = self.write.total_derivative(self.tensor(name, indices))
            expr = found[name].expr if name in found else Entry(self.names[name], *indices)
            shape = self.write.shape(tuple(size_of(i) for i in indices))
            note = f"shape {shape}" if indices else shape
            rows.append(Row(left, self.formula(expr), note))
        if rows:
            yield Display(tuple(rows))
        lines = tuple(line for name in self.adjoint.wrt for line in self.code.get(name, ()))
        if lines:
            yield Prose("In NumPy:")
            yield Code(lines)

    def computed(self) -> Iterator[Block]:
        """The forms in which the module computes what could overflow as written."""
        yield from (Prose(f"{note}.") for note in self.program.notes)
        if not self.stable:
            return
        yield Prose(
            "The module computes equal forms of these, in which nothing overflows or turns to log 0."
        )
        tensors = self.adjoint.tensors()
        rows: list[Row] = []
        for step in self.stable:
            indices = self.indices_of(tensors.get(step.subject, step.subject))
            rows.append(Row(self.tensor(step.subject, indices), self.formula(step.before)))
            rows.append(Row("", self.formula(step.after)))
        yield Display(tuple(rows))

    def chained(self, left: str, first: Expr, steps: Sequence[Step], last: Expr) -> Iterator[Row]:
        """left = first = … = last. A step that rewrites only a part stands as an equation of its own."""
        shown = self.formula(first)
        yield Row(left, shown)
        for step in steps:
            before, after = self.formula(step.before), self.formula(step.after)
            if before == shown != after:
                yield Row("", after, self.note(step))
                shown = after
            elif before != after:
                yield Row(before, after, self.note(step))
        if self.formula(last) != shown:
            yield Row("", self.formula(last))

    def note(self, step: Step) -> str:
        return self.write.prose(f"{step.rule}: {step.reason}" if step.reason else step.rule)

    def indices_of(self, tensor: str) -> tuple[Index, ...]:
        return self.program.indices_of(tensor)

    def tensor(self, name: str, indices: tuple[Index, ...]) -> str:
        """A tensor at indices; the loss by its sign."""
        if name == self.program.loss:
            return self.write.loss
        return self.formula(Entry(name, *indices))

    def local(self, p: Partial, output: tuple[Index, ...], wrt: tuple[Index, ...]) -> str:
        return self.write.partial(self.tensor(p.output, output), self.tensor(p.input, wrt))

    def inline(self, name: str, indices: tuple[Index, ...]) -> str:
        return self.write.inline(self.tensor(name, indices))

    def symbol(self, expr: Basic) -> str:
        return self.write.inline(self.formula(expr))


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterable[tuple[K, list[T]]]:
    """Items with equal keys together, in order of first appearance."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups.items()


# The two notations
