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
from symbp.emit import emit
from symbp.errors import ModelError
from symbp.explain import document, text_document
from symbp.fast.style import fast
from symbp.files import write_files
from symbp.ir.network import Declared
from symbp.ir.nodes import Entry, size_of
from symbp.ir.program import AdjointProgram, Program, check_adjoint, check_program, unshifted
from symbp.ir.schedule import Schedule, assigns, check_schedule
from symbp.ir.trace import Step
from symbp.ir.update import UpdateProgram
from symbp.lower import lower
from symbp.normalise import normalise
from symbp.notation import lhs_text, text
from symbp.optimizers import rule
from symbp.results import needed
from symbp.rules.scaling import scaled
from symbp.simplify import simplify
from symbp.stabilise import expose, stabilise
from symbp.stepping import stepping
from symbp.sympify import to_sympy
from symbp.targets import numpy as target
from symbp.targets.update import with_update
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
    if style not in get_args(Style):
        raise ModelError(f"style: {style!r} is none of {', '.join(get_args(Style))}")
    tell = progress or (lambda stage: None)
    update = None if optimizer is None else rule(optimizer)
    tell("normalise")
    declared = net.declared()
    names = _wrt(declared, wrt)
    plain = normalise(declared)
    check_program(plain)
    program = expose(scaled(plain, names), names)
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
    tell("emit")
    computed = {a.name for a in assigns((*schedule.forward, *schedule.backward))}
    changed = stable.program.trace[len(program.trace) :]
    safe = tuple(step for step in changed if step.subject in computed)
    equations = tuple(_equations(plain))
    module = target.module(schedule, equations)
    if style == "fast":
        tell("buffers")
        module = fast(needed(module))
    if update is not None:
        steps = normalise(update.declared)
        check_program(steps)
        module = with_update(module, update.names, update.texts, stepping(steps))
    source = emit(module, __version__)
    return Derivation(declared, plain, simple, safe, schedule, equations, source, update)


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
        program: Program,
        adjoint: AdjointProgram,
        stable: tuple[Step, ...],
        schedule: Schedule,
        equations: tuple[str, ...],
        source: str,
        update: Rule | None = None,
    ) -> None:
        self.name = declared.name
        self.equations = equations
        self.source = source
        self._declared = declared
        self._program = program
        self._adjoint = adjoint
        self._stable = stable
        self._schedule = schedule
        self._update = update

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before relying on the module: a state that may underflow over many steps."""
        return self._adjoint.program.notes

    @cached_property
    def latex(self) -> str:
        """The derivation as a LaTeX document."""
        return document(self._adjoint, None, self._program, self._stable, self._steps)

    @cached_property
    def text(self) -> str:
        """The derivation as plain text."""
        return text_document(self._adjoint, self._program, self._stable, self._steps)

    @cached_property
    def _steps(self) -> UpdateProgram | None:
        """The equations of the optimiser."""
        update = self._update
        return None if update is None else UpdateProgram(normalise(update.declared), update.texts)

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

    def write(self, folder: str | Path = "generated") -> list[Path]:
        """Write `<name>.py` and `<name>.tex`; both or neither. The paths."""
        return write_files(folder, {f"{self.name}.py": self.source, f"{self.name}.tex": self.latex})

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
        return to_sympy(adjoint.expr, _indices(whole))

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
