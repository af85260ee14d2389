"""Checking an emitted module, also one edited by hand, against a direct evaluation of the declared equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from symbp.invoke import Invocation, ModuleFailed, Outcome
from symbp.ir.network import Declared
from symbp.numbers import Array
from symbp.reference import Directions, Oracle, Reference, unit_directions
from symbp.report import Report, Row
from symbp.sample import LAWS, Point, Sampler

DType = type[np.floating[Any]]
DTYPES: tuple[DType, ...] = (np.float64, np.float32)

VALUE_TOLERANCE = 1e-10
"""float64: values differ from a direct evaluation by the order of operations alone, some 1e-15."""

FLOAT32_TOLERANCE = 1e-4
"""float32: some thousand roundings of 1e-7. What a point's own condition adds is measured where this is exceeded."""

EXTREME_TOLERANCE: Mapping[DType, float] = {np.float64: 1e-6, np.float32: 1e-2}
"""At numbers near 1000 an exponent of several thousand is rounded, which alone costs four digits."""

_NOISE_SAMPLES = 3
_PROBED_AT_EXTREMES = 8  # tensors whose gradient is judged at one extreme point
_ATTEMPTS = 3


def verify(
    declared: Declared, module: ModuleType, wrt: tuple[str, ...], trials: int = 3, seed: int = 0
) -> Report:
    """Compare a module with the declared equations at random points, small and extreme, in float64 and float32.

    `wrt` names the tensors whose gradients the module must return, defined ones perhaps among them. Raises nothing
    about the module: what is wrong with it, exceptions included, is a failed row of the report.
    """
    return _Verification(declared, module, wrt, np.random.default_rng(seed)).run(trials)


@dataclass(frozen=True)
class _Judgement:
    """How an outcome at a point is compared."""

    point: Point
    directions: Directions
    reference: Reference
    dtype: DType
    extreme: bool
    disturbed: Callable[[Point], Reference]  # the reference at a nearby point, for the condition


class _Verification:
    def __init__(
        self,
        declared: Declared,
        module: ModuleType,
        wrt: tuple[str, ...],
        rng: np.random.Generator,
    ) -> None:
        self.declared, self.module, self.wrt, self.rng = declared, module, wrt, rng
        self.oracle = Oracle(declared)
        self.sampler = Sampler(declared, rng)
        self.report = Report.empty(layer=declared.loss is None)
