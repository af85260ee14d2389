"""The language of optimisers: an update of all parameters is a network of its own, a recurrence over steps.

A parameter after step k is `w[k, p]`, and before it `w[k - 1, p]`; its gradient is `g[k, p]`. One index p runs over the
entries of all parameters, so that Σ_p is over all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import getdoc
from typing import Any

from symbp.declare import Network, as_number, indices, sizes
from symbp.errors import ModelError, printable
from symbp.ir.network import Declaration, Declared
from symbp.tensor import Tensor
from symbp.validate import model_error, show

OWN = frozenset({"k", "p", "name", "state"})
"""Names that the emitted `step` needs, beside those that no network may use."""


class Update(Network):
    """One step of training, in equations: what an optimiser writes its own in, with `constant`, `state` and `define`.

    Of the network it also has `k`, the index of the steps; `p`, that of the entries; `w`, the parameters, defined last;
    `learning_rate`, a number. Raises `ModelError` as a network does.
    """

    def __init__(self) -> None:
        super().__init__("update")
        steps, entries = sizes("K N")
        self.k, self.p = indices("k", steps), indices("p", entries)
        self.gradient = self.input("g", self.k, self.p)
        given = self.input("w0", self.p)
        self.w = self.recurrent("w", (self.k, self.p), over=self.k, initial=given[self.p])
        # a name that no network may use, because `step` has it: so it is not checked against these
        rate = Declaration("learning_rate", "constant", ())
        self.learning_rate = self._add(rate, self._check("learning_rate"))

    def state(self, name: str, *axes: Any, initial: float = 0) -> Tensor:
        """What is kept from one step to the next, read as s[k - 1, p]; `define` gives its equation.

        `axes` are k and p, or k alone for a number that all entries share; `initial` is a number.
        """
        begin = as_number(f"state {show(name)}: initial", initial)
        begin = int(begin) if begin.is_integer() else begin  # 0, as people write it
        return self.recurrent(name, axes or (self.k, self.p), over=self.k, initial=begin)

    @property
    def complete(self) -> bool:
        """Whether the parameters have their equation."""
        return any(equation.name == self.w.name for equation in self._equations)

    def declared(self) -> Declared:
        """The whole update, its output the parameters after each step."""
        for name in self._declarations.keys() & OWN:
            raise model_error(f"update: the emitted step needs the name {name}; choose another")
        kinds = {d.name: d.kind for d in self._declarations.values() if d.name not in ("g", "w0")}
        for name, kind in kinds.items():
            if kind not in ("constant", "defined"):
                raise model_error(f"update: {name} is of kind {kind}; a step takes constants alone")
        if not self._outputs:
            self.output(self.w)
        return super().declared()


Optimizer = Callable[[Update, Tensor], Tensor]
"""Writes equations of an update, given the gradient[k, p] to use.

Gives the gradient for the next one in a row; the last defines `update.w` and gives it back. Its docstring says what it
is, in the first line, and where the equations are from: both are printed with them.
"""


class Rule:
    """Optimisers in a row, and the update that they wrote together."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        """Raises `ModelError` where they do not lead from the gradient to new parameters."""
        self.names = tuple(getattr(part, "__name__", type(part).__name__) for part in parts)
        self.update = Update()
        gradient = self.update.gradient
        for name, part in zip(self.names, parts):
            if not name.isidentifier():  # it stands in the module
                raise ModelError(f"optimizer: {show(name)} is no name; write a def")
            if self.update.complete:
                raise ModelError(f"optimizer: {name} stands behind the one that ends the step")
            gradient = part(self.update, gradient)
            if not isinstance(gradient, Tensor):
                raise ModelError(f"optimizer: {name} gives {show(gradient)}, not a tensor")
        if not self.update.complete:
            raise ModelError(
                f"optimizer: {', '.join(self.names) or 'an empty list'} gives no new parameters; "
                "name one behind it that does, as in ['clip', 'adam']"
            )
        texts = (getdoc(part) or name for name, part in zip(self.names, parts))
        self.texts = tuple("\n".join(map(printable, text.splitlines())) for text in texts)
        self.declared = self.update.declared()
