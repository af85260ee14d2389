"""Values and gradients of the declared equations in many digits: slow, and as direct as it can be.

The equations are evaluated as the user wrote them, a recurrence step by step, in multiprecision. A gradient is a
central difference of the loss in one entry after the other. Nothing is shared with the stages that derive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from symbp.evaluate import Evaluation, evaluate
from symbp.ir.network import Declared
from symbp.numbers import Array, Multiprecision
from symbp.sample import Point

_MOST_DIGITS = 1600
_OF_GRADIENTS = 20  # the digits that a gradient is right to at least
_CHUNK = 2**16  # the most entries of an array, over all probes at once


@dataclass(frozen=True)
class Exact:
    """Values and gradients at a point, as arrays of mpmath numbers."""

    values: Mapping[str, Array]  # "loss" where there is one, and each output
    gradients: Mapping[str, Array]  # of each tensor: one number for each of the places asked for
    digits: int  # computed with, at least as many as asked for


def exact(
    declared: Declared, point: Point, places: Mapping[str, Array], digits: int
) -> Exact | None:
    """Values, and gradients of some tensors at some places, (number, axes) each; of a layer those of Σ seed · output.

    Values are right to about `digits` digits, and gradients to two thirds of them. Where summands lie far apart, and an
    addition loses digits of one, more are taken: at least 20 digits of a gradient stay. None where that would be beyond
    1600, and where a step is across a kink, or on it.
    """
    while digits <= _MOST_DIGITS:
        precise = Multiprecision(digits)
        with np.errstate(all="ignore"):
            base = evaluate(declared, point.sizes, point.values, precise.numbers)
        gap = precise.gap
        if gap + _OF_GRADIENTS <= 2 * digits / 3:
            return _found(declared, point, places, precise, base)
        digits = int(1.5 * (gap + _OF_GRADIENTS)) + 1
    return None


@np.errstate(all="ignore")
def _found(
    declared: Declared,
    point: Point,
    places: Mapping[str, Array],
    precise: Multiprecision,
    base: Evaluation,
) -> Exact | None:
    names = (*(("loss",) if declared.loss else ()), *declared.outputs)
    values = {name: base.values[name][0] for name in names}
    gradients = {}
    for name, at in places.items():
        slopes = [precise.numbers.array([])]
        most = max(1, _CHUNK // point.work)
        for part in (at[k : k + most] for k in range(0, len(at), most)):
            steps, shift = _steps(base.values[name], part, precise)
            shifts = {name: np.concatenate([shift, -shift])}
            moved = evaluate(
                declared, point.sizes, point.values, precise.numbers, shifts, base.values
            )
            if moved.straddled:
                return None
            above, below = np.split(_objective(declared, point, moved, precise, 2 * len(part)), 2)
            slopes.append((above - below) / (2 * steps))
        gradients[name] = np.concatenate(slopes)
    return Exact(values, gradients, precise.digits)


def _steps(tensor: Array, places: Array, precise: Multiprecision) -> tuple[Array, Array]:
    """The step at each place of a tensor (1, *shape), and the shift by it: (number,), and (number, *shape).

    A third of the digits balances what a central difference leaves out with what it rounds. A step is relative to
    an entry below 1, as functions of it are drawn out there.
    """
    entries = tensor[(np.zeros(len(places), int), *places.T)]
    scale = np.array([min(abs(entry), 1) or 1 for entry in entries], object)
    steps = precise.numbers.array(scale) * precise.numbers.array(10)[()] ** -(precise.digits // 3)
    shifts = precise.numbers.array(np.zeros((len(places), *tensor.shape[1:])))
    shifts[(np.arange(len(places)), *places.T)] = steps
    return steps, shifts


def _objective(
    declared: Declared, point: Point, moved: Evaluation, precise: Multiprecision, count: int
) -> Array:
    """The loss, or Σ seed · output of a layer, for each probe."""
    if declared.loss is not None:
        return np.broadcast_to(moved.values["loss"], (count,))
    total = precise.numbers.array(np.zeros(count))
    for name, seed in point.seeds.items():
        product = precise.numbers.array(seed) * moved.values[name]
        total = total + product.reshape(len(product), math.prod(seed.shape)).sum(axis=1)
    return total
