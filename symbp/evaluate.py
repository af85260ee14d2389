"""Direct evaluation of the declared equations: the oracle that emitted modules are checked against.

It reads the user's own SymPy and shares nothing with the stages that rewrite it. Recurrences run step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import ArrayLike
from sympy import Expr, Idx, Integer

from symbp.direct import Expressions, Scope, Sizes, whole
from symbp.errors import CompilerError
from symbp.ir.loops import Loop, names_in
from symbp.ir.network import Declaration, Declared, Equation
from symbp.ir.nodes import size_of
from symbp.numbers import FLOAT64, Array, Numbers

At = Mapping[int, int]
"""The step that a loop has reached, of each axis that it runs over."""


@dataclass(frozen=True)
class Evaluation:
    """Every tensor's value, (P or 1, *shape), "loss" among them where there is one."""

    values: Mapping[str, Array]
    straddled: bool  # whether a comparison came out differently for different probes


def evaluate(
    declared: Declared,
    sizes: Sizes,
    values: Mapping[str, ArrayLike],
    numbers: Numbers = FLOAT64,
    shifts: Mapping[str, Array] | None = None,
    known: Mapping[str, Array] | None = None,
) -> Evaluation:
    """All equations and the loss, as they are declared.

    `values` gives parameters, inputs and constants, each (*shape) or with probes (P, *shape). `shifts` is added to the
    value of any tensor, a defined one too, and so to all that reads it: (*shape) or (P, *shape), of `numbers`' kind.
    `known` holds every tensor's value without shifts, (1, *shape): what no shift reaches is taken from there.
    Raises CompilerError for a node it does not know, a value of a wrong shape, and an index outside its axis.
    """
    equations = {eq.name: eq for eq in declared.equations}
    evaluator = _Network(
        numbers, sizes, declared.declarations, equations=equations, shifts=shifts or {}
    )
    moved = set(shifts or {})
    for name, declaration in declared.declarations.items():
        evaluator.shapes[name] = tuple(whole(size, sizes) for size in declaration.shape)
        if declaration.kind != "defined":
            evaluator.bind(name, numbers.array(values[name]))
    with np.errstate(all="ignore"):
        for item in (*declared.order, *([declared.loss] if declared.loss else [])):
            if isinstance(item, Equation):
                evaluator.define(item, {})
            elif (
                known is None
                or isinstance(item, Loop)
                or declared.declarations[item].over
                is not None  # with what is before its first step
                or moved & {item, *_symbols(equations[item].expr)}
            ):
                moved.update(names_in([item]))
                evaluator.run([item], {})
            else:
                value = evaluator.values[item] = known[item]
                evaluator.shapes[item] = value.shape[1:]
    return Evaluation(evaluator.values, evaluator.straddled)


@lru_cache(maxsize=10_000)
def _symbols(expr: Expr) -> frozenset[str]:
    """The names in an expression: those of the tensors that it reads, and others."""
    return frozenset(symbol.name for symbol in expr.atoms(sympy.Symbol))


def _running(declaration: Declaration, at: Mapping[str, At]) -> bool:
    """Whether a recurrent tensor is inside the loop over its own steps."""
    return declaration.indices.index(declaration.over) in at.get(declaration.name, {})


def _places(shape: tuple[int, ...], at: At) -> tuple[slice, ...]:
    """Where a tensor with a probe axis holds its values at one step of some axes, each an axis of length 1."""
    steps = (
        slice(at[axis], at[axis] + 1) if axis in at else slice(None) for axis in range(len(shape))
    )
    return (slice(None), *steps)


@dataclass
class _Network(Expressions):
    """Evaluates equations, one after the other, and loops step by step."""

    equations: Mapping[str, Equation] = field(default_factory=dict)
    shifts: Mapping[str, Array] = field(default_factory=dict)

    def bind(self, name: str, value: Array) -> None:
        """Give a tensor its value, shifted, with its probe axis."""
        shape = self.shapes[name]
        for given in (value, *(self.shifts[n] for n in (name,) if n in self.shifts)):
            if given.shape not in (shape, (*given.shape[:1], *shape)):
                raise CompilerError(
                    f"{name}: a value of shape {given.shape}, where {shape} is declared"
                )
        value = value if value.ndim > len(shape) else value[None]
        self.values[name] = value + self.shifts[name] if name in self.shifts else value

    def run(self, order: Iterable[str | Loop], at: Mapping[str, At]) -> None:
        """Equations in order, and loops step by step; `at` has the step of each loop around them."""
        for item in order:
            if isinstance(item, str):
                declaration = self.declarations[item]
                if declaration.over is not None and not _running(declaration, at):
                    self.begin(declaration, at)
                self.define(self.equations[item], at.get(item, {}))
                continue
            for name, axis in item.axes.items():
                if self.declarations[name].over == self.equations[name].indices[axis]:
                    self.begin(self.declarations[name], at)
            name, axis = next(iter(item.axes.items()))
            steps = range(whole(self.declarations[name].shape[axis], self.sizes))
            for step in steps if item.forward else reversed(steps):
                here = {n: {**at.get(n, {}), axis: step} for n, axis in item.axes.items()}
                self.run(item.body, {**at, **here})

    def begin(self, declaration: Declaration, at: Mapping[str, At]) -> None:
        """What stands for a recurrent tensor before its first step."""
        over = declaration.indices.index(declaration.over)
        rest = tuple(i for i in declaration.indices if i != declaration.over)
        here = {a - (a > over): step for a, step in at.get(declaration.name, {}).items()}
        value = self.at(rest, declaration.initial, here)
        self.initials[declaration.name] = self.filled(
            self.initials.get(declaration.name), value, rest, here
        )

    def define(self, equation: Equation, at: At) -> None:
        """Evaluate an equation: all of its tensor, or only at the step of each axis in `at`."""
        name = equation.name
        value = self.at(equation.indices, equation.expr, at)
        if not at:
            self.shapes[name] = value.shape[1:]
            self.bind(name, value)
            return
        if name in self.shifts:
            value = value + self.shifts[name][_places(self.shapes[name], at)]
        self.values[name] = self.filled(self.values.get(name), value, equation.indices, at)

    def at(self, indices: tuple[Idx, ...], expr: Expr, at: At) -> Array:
        """The value of an expression for all values of its indices, but of those in `at`: one."""
        scope = Scope()
        for axis, index in enumerate(indices):
            low = Integer(at[axis]) if axis in at else index.lower
            scope, _ = self.enter(scope, index, low, low if axis in at else index.upper)
        value = self.value(expr, scope)
        shape = tuple(v.shape[-1] for _, v in scope.indices)
        return np.broadcast_to(value, (len(value), *shape))

    def filled(self, whole_: Array | None, part: Array, indices: tuple[Idx, ...], at: At) -> Array:
        """A tensor with its values at one step of some axes put in; the others are not there yet, or stay."""
        shape = tuple(whole(size_of(i), self.sizes) for i in indices)
        if whole_ is None:
            whole_ = np.empty((len(part), *shape), part.dtype)
        if len(whole_) < len(part):
            whole_ = np.repeat(whole_, len(part), axis=0)
        whole_[_places(shape, at)] = part
        return whole_
