"""Checking the `step` of an emitted module against a direct evaluation of its optimiser's equations.

What a step does to an entry depends on no shape, so that small parameters of any shapes will do.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from symbp.evaluate import evaluate
from symbp.ir.network import Declared
from symbp.numbers import Array
from symbp.report import Row

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
"""As of a network's values: what differs is the order of operations."""

_STEPS = 3
_RATE = 0.125


def verify_step(
    update: Declared, module: ModuleType, declared: Declared, wrt: tuple[str, ...], stateful: bool
) -> tuple[Row, ...]:
    """A row for each type: how far parameters are off after some steps with random gradients; none without parameters.

    `update` is what an optimiser declared, and `stateful` whether step takes the state of init_state. What is wrong
    with the module, exceptions included, is a failed row and never raised.
    """
    runs = [_Run(update, module, declared, wrt, stateful, dtype) for dtype in TOLERANCES]
    return tuple(run.row() for run in runs if run.graded)


class _Run:
    def __init__(
        self,
        update: Declared,
        module: ModuleType,
        declared: Declared,
        wrt: tuple[str, ...],
        stateful: bool,
        dtype: str,
    ) -> None:
        self.update, self.module, self.stateful, self.dtype = update, module, stateful, dtype
        self.rng = np.random.default_rng(0)
        self.params = {
            d.name: self.drawn(tuple(range(2, 2 + len(d.indices))))
            for d in declared.of_kind("param")
        }
        self.graded = [name for name in self.params if name in wrt]

    def drawn(self, shape: tuple[int, ...]) -> Array:
        """Numbers that are exact in either type."""
        return np.asarray(self.rng.standard_normal(shape), np.float32).astype(self.dtype)

    def row(self) -> Row:
        row = Row("step", "value", self.dtype, "direct evaluation", np.inf, TOLERANCES[self.dtype])
        before = copy.deepcopy(self.params)
        arrays = dict(self.params)
        grads = [{n: self.drawn(self.params[n].shape) for n in self.graded} for _ in range(_STEPS)]
        given = copy.deepcopy(grads)
        try:
            self.train(grads)
        except Exception as error:  # whatever a module raises is a finding
            return replace(row, note=f"raised {type(error).__name__}: {error}")
        for note in self.breaches(arrays, before, zip(grads, given)):
            return replace(row, note=note)
        got = self.flat(self.params)
        exact = self.exact(before, given)
        scale = float(np.abs(exact).max(initial=0.0)) or 1.0
        return replace(row, error=float(np.abs(got - exact).max(initial=0.0)) / scale)

    def train(self, grads: list[dict[str, Array]]) -> None:
        state = [self.module.init_state(self.params)] if self.stateful else []
        for gradients in grads:
            self.module.step(self.params, gradients, *state, _RATE)

    def breaches(
        self, arrays: dict[str, Array], before: dict[str, Array], grads: Any
    ) -> Iterator[str]:
        """What is wrong beside numbers."""
        for name, array in arrays.items():
            if self.params.get(name) is not array:
                yield f"puts another array in the place of {name}"
            if name not in self.graded and not np.array_equal(array, before[name]):
                yield f"wrote to {name}, which has no gradient"
        for used, given in grads:
            if any(not np.array_equal(used[name], array) for name, array in given.items()):
                yield "wrote to a gradient"

    def exact(self, before: dict[str, Array], grads: list[dict[str, Array]]) -> Array:
        """The parameters after the last step, by the equations."""
        given: dict[str, ArrayLike] = {
            d.name: _RATE if d.default is None else d.default
            for d in self.update.of_kind("constant")
        }
        given["g"] = every = np.stack([self.flat(gradients) for gradients in grads])
        given["w0"] = self.flat(before)
        last: Array = evaluate(self.update, dict(zip("KN", every.shape)), given).values["w"][0, -1]
        return last

    def flat(self, arrays: dict[str, Array]) -> Array:
        """The entries of all that have a gradient, one after the other."""
        parts = [np.ravel(arrays[name]) for name in self.graded]
        return np.concatenate([np.empty(0), *parts])
