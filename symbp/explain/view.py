"""What a document shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from symbp.ir.program import AdjointProgram, Program, reached
from symbp.ir.schedule import Schedule
from symbp.ir.trace import Step
from symbp.ir.update import UpdateProgram


@dataclass(frozen=True)
class View:
    """All that documents are views of: what each stage left behind."""

    adjoint: AdjointProgram
    declared: Program  # before any rewriting: it still has the equations that a rewriting made superfluous
    stable: tuple[Step, ...] = ()  # from the formulas derived to those computed
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of tensors and adjoints
    update: UpdateProgram | None = None
    schedule: Schedule | None = None
    checked: int = 0  # how many steps were evaluated on both sides, and agree; 0: none was tried

    @property
    def hidden(self) -> frozenset[str]:
        """The tensors that stand for others at other steps: they are written as those."""
        program = self.adjoint.program
        return frozenset((*(s.name for s in program.shifts), *program.ends.values()))

    def only(self, wrt: Sequence[str]) -> View:
        """The part that leads to these gradients."""
        whole = self.adjoint
        names = whole.adjoint_names()
        chains = [replace(a, expr=a.chain) for a in whole.adjoints]  # what is inlined later, too
        kept = reached([names[w] for w in wrt], chains, whole.shifts)
        tensors = {a.tensor for a in whole.adjoints if a.name in kept}
        adjoint = AdjointProgram(
            whole.program,
            tuple(p for p in whole.partials if p.input in tensors),
            tuple(a for a in whole.adjoints if a.name in kept),
            tuple(w for w in whole.wrt if w in wrt),
            whole.seeds,
            whole.shifts,
        )
        return replace(self, adjoint=adjoint)
