"""The stages in order. This is the one file that knows them all.

declare → normalise → expose → differentiate → simplify → stabilise → lower → emit, and off the line: verify, explain.
In the fast style `fast` stands before emit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from sympy import Integer

from symbp import __version__
from symbp.declare import Network
from symbp.differentiate import differentiate, partial
from symbp.documents import FORMS
from symbp.emit import emit
from symbp.errors import ModelError
from symbp.exact.checking import NO_CHECKS, Checks, Derived, check
from symbp.explain import View, explain
from symbp.fast.style import fast
from symbp.files import write_files
from symbp.ir.module import Module, code_by_name
from symbp.ir.network import Declared
from symbp.ir.nodes import Entry, size_of
from symbp.ir.program import AdjointProgram, Program, check_adjoint, check_program, unshifted
from symbp.ir.schedule import Schedule, assigns, check_schedule
from symbp.ir.trace import Step
from symbp.ir.update import UpdateProgram
from symbp.layout import statement
from symbp.lower import lower
from symbp.normalise import normalise
from symbp.notation import lhs_text, text
from symbp.optimizers import rule
from symbp.pages.blocks import Display, Section
from symbp.pages.html import html_part
from symbp.pages.markdown import aligned
from symbp.pages.pdf import pdf
from symbp.results import needed
from symbp.rules.scaling import scaled
from symbp.simplify import simplify
from symbp.stabilise import expose, stabilise
from symbp.stepping import stepping
from symbp.sympify import to_sympy
from symbp.targets import numpy as target
from symbp.targets.update import with_update
from symbp.ulps import Ulps, measure
from symbp.update import Optimizer, Rule
from symbp.verify import Report, verify
from symbp.verify_step import verify_step

Progress = Callable[[str], None]
Style = Literal["readable", "fast"]


def derive(
    net: Network,
    wrt: Iterable[str] | None = None,
    progress: Progress | None = None,
    optimizer: str | Optimizer | Sequence[str | Optimizer] | None = None,
    style: Style = "readable",
) -> Derivation:
    """Derive the gradients of a network's loss, or of a layer's outputs against any adjoint.

    `wrt` names the tensors to differentiate in; by default the parameters, and for a layer its real inputs too.
    `progress` is told the name of each stage as it begins. `optimizer` names the update that the module's `step` makes,
    or several in a row, as in ["clip", "adam"]; a function of one's own can stand for a name. `style` is "readable", or
    "fast": every operation writes into an array that is made before. Raises `ModelError` where the model is wrong.
    """
    _check_style(style)
    tell = progress or (lambda stage: None)
    update = None if optimizer is None else rule(optimizer)
    tell("normalise")
    declared = net.declared()
    names = _wrt(declared, wrt)
    plain = normalise(declared)
    check_program(plain)
    unexposed = scaled(plain, names)
    program = expose(unexposed, names)
    check_program(program)
    tell("differentiate")
    adjoint = differentiate(program, names)
    check_adjoint(adjoint)
    tell("simplify")
    simple = simplify(adjoint)
    check_adjoint(simple)
    tell("stabilise")
    stable = stabilise(simple)
    check_adjoint(stable)
    tell("lower")
    schedule = lower(stable, _meanings(plain, simple), target.fitting(stable.program))
    check_schedule(schedule)
    tell("check")
    first, later = program.trace, stable.program.trace[len(program.trace) :]
    trace = (*plain.origin, *first, *simple.steps(), *later, *schedule.trace)
    checks = check(Derived(declared, plain, unexposed, simple), trace)
    tell("emit")
    computed = {a.name for a in assigns((*schedule.forward, *schedule.backward))}
    changed = stable.program.trace[len(program.trace) :]
    safe = tuple(step for step in changed if step.subject in computed)
    equations = tuple(_equations(plain))
    module = target.module(schedule, equations)
    module = fast(needed(module)) if style == "fast" else module
    if update is not None:
        steps = normalise(update.declared)
        check_program(steps)
        module = with_update(module, update.names, update.texts, stepping(steps))
    source = emit(module, __version__)
    wanted = {*simple.tensors(), *stable.program.declarations, program.loss or ""}
    checked = 0 if checks.untold else len(trace)  # a document marks all steps, or none
    code = _code(module, wanted)
    view = View(simple, plain, safe, code, _update_program(update), schedule, checked)
    return Derivation(declared, view, schedule, equations, source, update, trace, checks)


def _code(module: Module, wanted: set[str]) -> dict[str, tuple[str, ...]]:
    """The lines that compute each of some tensors and adjoints, laid out as in the module."""
    found = code_by_name(module.forward.lines, wanted) | code_by_name(module.backward.lines, wanted)
    return {
        name: tuple(x for line in lines for x in statement(line)) for name, lines in found.items()
    }


def _check_style(style: str) -> None:
    if style not in get_args(Style):
        raise ModelError(f"style: {style!r} is none of {', '.join(get_args(Style))}")


def _update_program(update: Rule | None) -> UpdateProgram | None:
    """The equations of the optimiser."""
    return None if update is None else UpdateProgram(normalise(update.declared), update.texts)


def _wrt(declared: Declared, wrt: Iterable[str] | None) -> tuple[str, ...]:
    real = [d for d in declared.declarations.values() if not d.integer and d.kind != "constant"]
    if wrt is None:
        kinds = {"param"} if declared.loss else {"param", "input"}
        return tuple(d.name for d in real if d.kind in kinds)
    if isinstance(wrt, str):
        raise ModelError(f"wrt is a list of names: write wrt=[{wrt!r}]")
    names = tuple(dict.fromkeys(wrt))
    known = [d.name for d in real]
    for name in names:
        if name not in known:
            raise ModelError(
                f"wrt: {name!r} is no real tensor of {declared.name}; it has {', '.join(known)}"
            )
    return names


def _meanings(plain: Program, adjoint: AdjointProgram) -> dict[str, Any]:
    """What each line of the module computes, as the user wrote it or as it was derived."""
    program = adjoint.program
    scaled = {step.subject for step in program.trace if step.rule == "scale"}
    written = {eq.name: eq.expr for eq in program.equations}
    written |= {name: expr for name, expr in _stated(plain).items() if name not in scaled}
    return {name: unshifted(expr, program) for name, expr in written.items()} | {
        a.name: unshifted(a.expr, program, adjoint.shifts) for a in adjoint.adjoints
    }


def _stated(program: Program) -> dict[str, Any]:
    """The equations as the user stated them: where a branch is read only where it is taken, by its condition."""
    stated = {step.subject: step.before for step in program.trace}
    return {eq.name: stated.get(eq.name, eq.expr) for eq in program.equations}


def _equations(program: Program) -> Iterator[str]:
    """The equations as they are declared, as text, and what stands for a recurrent tensor before its first step."""
    begins = {s.source: s for s in program.shifts}
    stated = _stated(program)
    for eq in program.equations:
        if eq.name in program.ends.values():
            continue
        if eq.name in begins:
            shift = begins[eq.name]
            outside = Integer(-1) if shift.by < 0 else size_of(shift.over)
            places = (outside if i == shift.over else i for i in shift.indices)
            yield f"{text(Entry(eq.name, *places))} = {text(unshifted(shift.outside, program))}"
        yield f"{lhs_text(eq.name, eq.indices)} = {text(unshifted(stated[eq.name], program))}"


class Derivation:
    """A derived network: its formulas, its source, its document, and its check."""

    def __init__(
        self,
        declared: Declared,
        view: View,
        schedule: Schedule,
        equations: tuple[str, ...],
        source: str,
        update: Rule | None = None,
        trace: tuple[Step, ...] = (),
        checks: Checks = NO_CHECKS,
    ) -> None:
        self.name = declared.name
        self.equations = equations
        self.source = source
        self.trace = trace  # from the equations as declared to what each line of code computes
        self.checks = checks  # of both sides of every step, by number
        self._declared = declared
        self._view = view
        self._program = view.declared
        self._adjoint = view.adjoint
        self._schedule = schedule
        self._update = update

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before relying on the module: a state that may underflow over many steps."""
        return self._adjoint.program.notes

    @cached_property
    def latex(self) -> str:
        """The derivation as a LaTeX document."""
        return self.document("tex")

    @cached_property
    def text(self) -> str:
        """The derivation as plain text."""
        return self.document("text")

    @cached_property
    def html(self) -> str:
        """The derivation as a page that needs nothing else."""
        return self.document("html")

    @cached_property
    def markdown(self) -> str:
        """The derivation as Markdown, with mathematics as repository hosts set it."""
        return self.document("md")

    def document(
        self, form: str = "text", brief: bool = False, wrt: Iterable[str] | None = None
    ) -> str:
        """The derivation as "text", "tex", "html" or "md".

        `brief` gives the result of each equation alone; `wrt` names the tensors whose gradients are shown, by default
        all. Raises `ModelError` on another form, and on a name whose gradient was not derived.
        """
        if form not in FORMS:
            raise ModelError(f"form: {form!r} is unknown; known are {', '.join(FORMS)}")
        return FORMS[form].page(*self._explained(form, brief, wrt))

    def pdf(self, brief: bool = False, wrt: Iterable[str] | None = None) -> bytes:
        """The LaTeX document as PDF. Raises OSError where no LaTeX program is there, `ModelError` where it fails."""
        return pdf(self.document("tex", brief, wrt))

    def _explained(
        self, form: str, brief: bool = False, wrt: Iterable[str] | None = None
    ) -> tuple[str, tuple[Section, ...]]:
        """The title and the sections of a document."""
        names = None if wrt is None else _wrt(self._declared, wrt)
        for name in names or ():
            if name not in self._adjoint.wrt:
                derived = ", ".join(self._adjoint.wrt)
                raise ModelError(f"wrt: no gradient in {name!r} was derived; there are {derived}")
        write = FORMS[form].notation(self._adjoint)
        return explain(self._view, write, brief=brief, wrt=names)

    def _repr_html_(self) -> str:
        """What a notebook shows: the derivation, as a part of its page."""
        return html_part(*self._explained("html"))

    def _repr_latex_(self) -> str:
        """What a notebook shows that has no HTML: every adjoint, from the loss back to the gradients."""
        _, sections = self._explained("tex", brief=True)
        blocks = next(s.blocks for s in sections if s.anchor == "adjoints")
        rows = [row for block in blocks if isinstance(block, Display) for row in block.rows]
        return f"$${aligned(rows)}$$" if rows else ""

    @cached_property
    def gradients(self) -> dict[str, str]:
        """tensor -> "∂L/∂W1[a,j] = Σ_s …", for every adjoint that the module computes, in its order."""
        adjoints = self._adjoint.tensors()
        return {
            adjoints[
                a.name
            ]: f"{lhs_text(a.name, a.label or a.indices, adjoints)} = {text(a.meaning, adjoints)}"
            for a in assigns(self._schedule.backward)
            if a.name in adjoints
        }

    @cached_property
    def _module(self) -> ModuleType:
        module = ModuleType(self.name)
        module.__file__ = f"<symbp {self.name}>"
        exec(compile(self.source, module.__file__, "exec"), module.__dict__)
        return module

    def load(self) -> ModuleType:
        """The emitted module, imported from `source` under its own name; nothing is written."""
        return self._module

    def verify(self, module: ModuleType | None = None) -> Report:
        """What a check of the module (by default the emitted one) against the declared equations measured.

        Its `step` is checked against the optimiser that was derived, or else the one that the module names. Raises
        `ModelError` where it names one that is unknown.
        """
        module, wrt = module or self.load(), self._adjoint.wrt
        report = verify(self._declared, module, wrt)
        named = getattr(module, "OPTIMIZER", None)
        update = rule(named) if self._update is None and named else self._update
        declared = (update or rule("sgd")).declared
        rows = verify_step(declared, module, self._declared, wrt, update is not None)
        return replace(report, rows=(*report.rows, *rows))

    def ulps(
        self, module: ModuleType | None = None, digits: int = 50, points: int = 5, seed: int = 0
    ) -> Ulps:
        """The errors of the module (by default the emitted one) in ulps, against the equations in so many digits.

        Raises ModuleFailed where it does not run.
        """
        return measure(
            self._declared, module or self.load(), self._adjoint.wrt, digits, points, seed
        )

    def write(
        self,
        folder: str | Path = "generated",
        docs: Iterable[str] = ("tex",),
        force: bool = False,
    ) -> list[Path]:
        """Write `<name>.py`, and beside it a document for each of `docs`; all or none. The paths.

        `docs` are suffixes: "tex", "html", "md", "txt" and "pdf". Raises `ModelError` on another. A file begins with a
        digest of its text: FileExistsError where one is there that was edited since, or is not from here, unless
        `force`.
        """
        documents = {f"{self.name}.{suffix}": self.file(suffix) for suffix in dict.fromkeys(docs)}
        return write_files(folder, {f"{self.name}.py": self.source, **documents}, force)

    def file(
        self, suffix: str, brief: bool = False, wrt: Iterable[str] | None = None
    ) -> str | bytes:
        """What a file with that suffix holds: a document, as text or as PDF. Raises `ModelError` on another suffix."""
        form = next((name for name, form in FORMS.items() if form.suffix == suffix), None)
        if form is not None:
            return self.document(form, brief, wrt)
        if suffix != "pdf":
            known = ", ".join([*(form.suffix for form in FORMS.values()), "pdf"])
            raise ModelError(f"docs: {suffix!r} is unknown; known are {known}")
        return self.pdf(brief, wrt)

    def gradient(self, name: str) -> Any:
        """dL/d`name` as SymPy, in index form, in terms of forward values and adjoints (of z: a tensor dz)."""
        whole = self._adjoint
        adjoint = next((a for a in whole.adjoints if a.tensor == name), None)
        if adjoint is None:
            wanted = (*whole.wrt, *_wrt(self._declared, [name]))
            whole = simplify(differentiate(expose(self._program, wanted), wanted))
            adjoint = next((a for a in whole.adjoints if a.tensor == name), None)
        if adjoint is None:  # of an output that nothing else reads: the adjoint that is given
            given = Entry(self._adjoint.seeds[name], *self._adjoint.program.indices_of(name))
            return to_sympy(given, _indices(self._adjoint))
        return to_sympy(unshifted(adjoint.expr, whole.program, whole.shifts), _indices(whole))

    def partial(self, output: str, wrt: str) -> Any:
        """∂output/∂wrt of the one equation that defines `output`, as SymPy: all axes of `output`, then all of `wrt`."""
        eq = next((e for e in self._program.equations if e.name == output), None)
        if eq is None:
            defined = ", ".join(e.name for e in self._program.equations)
            raise ModelError(
                f"partial: {output!r} is not defined by an equation; these are: {defined}"
            )
        _wrt(self._declared, [wrt])
        return to_sympy(partial(self._program, eq, wrt).expr, _indices(self._adjoint))

    def __repr__(self) -> str:
        return f"<Derivation of {self.name}: gradients of {', '.join(self._adjoint.wrt)}>"


def _indices(adjoint: AdjointProgram) -> dict[str, tuple[Any, ...]]:
    """The axes of every tensor and of every adjoint, those of parts that are tensors of our own too."""
    indices = {n: d.indices for n, d in adjoint.program.declarations.items()}
    return indices | {a: indices[t] for a, t in adjoint.tensors().items() if t in indices}


__all__ = ["Derivation", "derive"]
