"""What a module should return: values and directional derivatives of the declared equations, by direct evaluation.

Ordinary points are judged in float64: by complex steps where the equations are analytic, else by central differences in
longdouble. Extreme ones, where a naive evaluation overflows, are judged in multiprecision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sympy import Abs, Expr, Max, Min, Piecewise, sign
from sympy.core.relational import Relational

from symbp.evaluate import Evaluation, evaluate
from symbp.ir.network import Declared
from symbp.maximum import Maximum
from symbp.numbers import COMPLEX128, FLOAT64, LONGDOUBLE, Array, Multiprecision, Numbers
from symbp.ranges import whole
from symbp.sample import Point, predicted

Directions = Mapping[str, Array]
"""The directions to differentiate in, of each tensor: (rows, *shape)."""

COMPLEX_STEP = 1e-30
"""The error of a complex step is of the order of its square: none."""

CENTRAL_STEP = float(np.finfo(np.longdouble).eps) ** (1 / 3)
"""Balances truncation, h²f‴/6, with rounding, ε f/h: 5e-7 and an error near 1e-12 with an 80-bit longdouble, 6e-6 and
1e-10 where longdouble is float64."""

EXACT_STEP = 1e-20
"""Of a forward difference in 50 digits or more."""

SMALLEST_SCALE = 1e-6
"""Steps in a defined tensor of small entries are shorter, down to this, beyond which rounding would blur too much."""

_DIGITS, _MOST_DIGITS = 50, 1600
_SPARE_DIGITS = 32  # left of the smallest summand: 20 for the step, and 12 of the result
_MEMORY = 2**21  # the most entries of one array in an evaluation of many probes


@dataclass(frozen=True)
class Reference:
    """Values and derivatives at a point, as float64; NaN where undecided."""

    point: Point
    directions: Directions
    values: Mapping[str, Array]  # "loss" where there is one, and each output
    derivatives: Mapping[str, Array]  # of each tensor: (rows,)
    method: str
    tolerance: float = 0.0  # what the method is good for, relative to the largest derivative
    noise: Mapping[str, float] = field(default_factory=dict)
    """Absolute rounding error of each tensor's derivatives."""

    @property
    def finite(self) -> bool:
        arrays = (*self.values.values(), *self.derivatives.values())
        return all(bool(np.isfinite(a).all()) for a in arrays)


class Oracle:
    """The values and derivatives of one network at points. Of a layer, those of Σ seed · output."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.analytic = not any(map(has_kinks, declared.written()))
        self.names = (*(("loss",) if declared.loss else ()), *declared.outputs)

    def at(self, point: Point, directions: Directions) -> Reference | None:
        """The reference at an ordinary point; None where a derivative's steps straddle a kink."""
        if self.analytic:
            return self.smooth(point, directions)
        smooth = self.smooth(point, {})  # its values alone
        if not smooth.finite:
            return smooth
        scales = self._scales(point, directions, FLOAT64)
        differences = self._central_differences(point, directions, scales)
        if differences is None:
            return None
        largest = max([point.magnitude, *(np.abs(v).max() for v in smooth.values.values())])
        return replace(
            smooth,
            directions=directions,
            derivatives=differences,
            method="central differences",
            tolerance=1e-7,  # orders above truncation, for third derivatives are large at times
            noise={
                name: 16 * float(np.finfo(np.longdouble).eps) * largest / (CENTRAL_STEP * scale)
                for name, scale in scales.items()
            },
        )

    def _scales(
        self, point: Point, directions: Directions, numbers: Numbers, least: Any = SMALLEST_SCALE
    ) -> dict[str, Any]:
        """What the steps in each tensor are relative to: 1, or of a defined one its smallest entry, at least `least`.

        The functions of a tensor are drawn out where it is small, as log(y) is where a softmax y comes near 0.
        """
        defined = self._defined(directions)
        scales = dict.fromkeys(directions, numbers.array(1.0)[()])
        if defined:
            evaluation = evaluate(self.declared, point.sizes, point.values, numbers)
            for name in defined:
                sizes = np.abs(evaluation.values[name])
                smallest = min([scales[name], *sizes[sizes > 0]])
                scales[name] = max(smallest, least)
        return scales

    @np.errstate(all="ignore")
    def smooth(self, point: Point, directions: Directions) -> Reference:
        """The reference by complex steps, Im f(x + ihv) / h: exact to rounding, and between kinks, too."""
        values = self._values(point, self._evaluated(point, FLOAT64), FLOAT64)
        parts = []
        chunks = _chunks(directions, max(1, _MEMORY // point.work))
        known = self._known(point, COMPLEX128, chunks)
        for shifts, count in chunks:
            steps = {name: 1j * COMPLEX_STEP * shift for name, shift in shifts.items()}
            evaluation = self._evaluated(point, COMPLEX128, steps, known)
            slopes = self._objective(point, evaluation.values, COMPLEX128).imag / COMPLEX_STEP
            parts.append(np.broadcast_to(slopes, (count,)))
        derivatives = _split(np.concatenate(parts), directions)
        # float64 rounds some thousand times on the way, at 1e-16 each.
        return Reference(point, directions, values, derivatives, "complex steps", 1e-10)

    def _evaluated(
        self,
        point: Point,
        numbers: Numbers,
        steps: Mapping[str, Array] | None = None,
        known: Mapping[str, Array] | None = None,
    ) -> Evaluation:
        """The equations at a point, each probe a step away."""
        shifts = dict(steps or {})
        for name, rounding in point.roundings.items():
            shifts[name] = numbers.array(rounding)[None] + shifts.get(name, 0)
        return evaluate(self.declared, point.sizes, point.values, numbers, shifts, known)

    def _known(
        self, point: Point, numbers: Numbers, chunks: Sequence[Any]
    ) -> Mapping[str, Array] | None:
        """The values that several chunks of probes share, where nothing moves every tensor."""
        shared = len(chunks) > 1 and not point.roundings
        return self._evaluated(point, numbers).values if shared else None

    def _defined(self, names: Iterable[str]) -> list[str]:
        return [n for n in names if self.declared.declarations[n].kind == "defined"]

    @np.errstate(all="ignore")
    def _central_differences(
        self, point: Point, directions: Directions, scales: Mapping[str, float]
    ) -> dict[str, Array] | None:
        parts = []
        chunks = _chunks(directions, max(1, _MEMORY // point.work))
        known = self._known(point, LONGDOUBLE, chunks)
        for shifts, count in chunks:
            moves = {n: np.longdouble(CENTRAL_STEP) * scales[n] * s for n, s in shifts.items()}
            steps = {n: np.concatenate([move, -move]) for n, move in moves.items()}
            evaluation = self._evaluated(point, LONGDOUBLE, steps, known)
            if evaluation.straddled:
                return None
            objective = self._objective(point, evaluation.values, LONGDOUBLE)
            above, below = np.split(np.broadcast_to(objective, (2 * count,)), 2)
            parts.append((above - below) / (2 * np.longdouble(CENTRAL_STEP)))
        found = _split(np.concatenate(parts), directions)
        return {n: np.asarray(slopes / scales[n], np.float64) for n, slopes in found.items()}

    def exact(self, point: Point, directions: Directions) -> Reference:
        """The reference at an extreme point, by forward differences in as many digits as it takes.

        Additions lose a summand that is too small, as 1 + exp(−800) does in 50 digits. Whether that matters shows when
        noise is added to the last digit: if so, again with as many digits as the largest gap asks for.
        """
        digits = _DIGITS
        while True:
            plain, gap = self._differences(point, directions, digits)
            if gap + _SPARE_DIGITS <= digits:
                return plain
            noisy, _ = self._differences(point, directions, digits, noise=True)
            agreed = _agreement(plain, noisy)
            needed = int(gap) + _SPARE_DIGITS + 1
            if agreed.finite or not digits < needed <= _MOST_DIGITS:
                return agreed
            digits = needed

    @np.errstate(all="ignore")
    def _differences(
        self, point: Point, directions: Directions, digits: int, noise: bool = False
    ) -> tuple[Reference, float]:
        """The reference, and the largest gap between summands in digits."""
        precise = Multiprecision(digits, noise)
        array = precise.numbers.array
        step = array(EXACT_STEP)[()]
        scales = self._scales(point, directions, precise.numbers, least=0)
        (shifts, count), *_ = _chunks(directions, 1 + sum(map(len, directions.values())))
        steps = {
            name: array(np.concatenate([np.zeros_like(shift[:1]), shift])) * (step * scales[name])
            for name, shift in shifts.items()
        }
        evaluation = self._evaluated(point, precise.numbers, steps)
        # Subtracted before outputs are added up: a huge one would swallow what the others differ by.
        found = {n: evaluation.values[n] for n in self.names}
        moved = {
            n: np.broadcast_to(v - v[:1], (1 + count, *v.shape[1:]))[1:] for n, v in found.items()
        }
        slopes = _split(self._objective(point, moved, precise.numbers) / step, directions)
        values = self._values(point, evaluation, precise.numbers)
        derivatives = {n: np.asarray(s / scales[n], np.float64) for n, s in slopes.items()}
        gap = precise.gap
        for name in self._defined(directions):  # an entry far above the smallest may lose its step
            added = Multiprecision(digits)
            added.numbers.add(evaluation.values[name][:1], steps[name])
            gap = max(gap, added.gap + math.log10(EXACT_STEP))
            if added.gap + math.log10(EXACT_STEP) + _SPARE_DIGITS > digits:
                derivatives[name] = np.full_like(derivatives[name], np.nan)
        reference = Reference(point, directions, values, derivatives, "multiprecision")
        return reference, gap

    def _values(self, point: Point, evaluation: Evaluation, numbers: Numbers) -> dict[str, Array]:
        """What each function returns. Where there is noise, `predict` is given its mean: of a layer, a value apart."""
        values = {n: np.asarray(evaluation.values[n][0], np.float64) for n in self.names}
        if self.declared.of_kind("random") and self.declared.outputs:
            mean = evaluate(
                self.declared, point.sizes, point.expected(self.declared).values, numbers
            )
            for name in self.declared.outputs:
                label = name if self.declared.loss else predicted(name)
                values[label] = np.asarray(mean.values[name][0], np.float64)
        return values

    def _objective(self, point: Point, values: Mapping[str, Array], numbers: Numbers) -> Array:
        """The loss, or Σ seed · output of a layer: (P or 1,)."""
        if self.declared.loss is not None:
            return values["loss"]
        total = numbers.array(np.zeros(1))
        for name, seed in point.seeds.items():
            product = numbers.array(seed) * values[name]
            total = total + product.reshape(len(product), -1).sum(axis=1)
        return total


def has_kinks(expr: Expr) -> bool:
    """Whether an expression is not analytic in the tensors that it reads: it compares their values.

    A Piecewise over indices, sizes and integers is: which branch is taken does not depend on what is differentiated in.
    """
    conditions = (c for p in expr.atoms(Piecewise) for _, c in p.args)
    compared = (side for c in conditions for r in c.atoms(Relational) for side in whole(r).args)
    return expr.has(Abs, Max, Maximum, Min, sign) or not all(side.is_integer for side in compared)


def unit_directions(shape: tuple[int, ...], rng: np.random.Generator, most: int = 66) -> Array:
    """One direction for each entry; where these are more than `most`, a sample of them and two random through all.

    With `most` below 3 it is the random ones alone, at least one.
    """
    count = int(np.prod(shape))
    if count <= most:
        return np.eye(count).reshape(count, *shape)
    most = max(most, 1)
    single = max(most - 2, 0)
    picked = np.zeros((most, count))
    picked[np.arange(single), rng.permutation(count)[:single]] = 1
    picked[single:] = rng.choice([-1.0, 1.0], (most - single, count)) / np.sqrt(count)
    return picked.reshape(most, *shape)


def _chunks(directions: Directions, most: int) -> list[tuple[dict[str, Array], int]]:
    """All directions, one row each, as shifts of the tensors that move: `most` rows at a time, with their number."""
    total = sum(map(len, directions.values()))
    shifts = {}
    start = 0
    for name, rows in directions.items():
        shifts[name] = np.zeros((total, *rows.shape[1:]))
        shifts[name][start : start + len(rows)] = rows
        start += len(rows)
    starts = range(0, max(total, 1), most)  # without any direction one evaluation all the same
    parts = [
        ({n: s[k : k + most] for n, s in shifts.items()}, min(most, total - k)) for k in starts
    ]
    return [({n: s for n, s in part.items() if s.any()}, count) for part, count in parts]


def _split(rows: Array, directions: Directions) -> dict[str, Array]:
    """What `_chunks` joined, tensor by tensor again."""
    ends = np.cumsum([len(d) for d in directions.values()])
    return dict(zip(directions, np.split(rows, ends[:-1])))


def _agreement(low: Reference, high: Reference) -> Reference:
    """The second where both agree to nine digits, else NaN. Equal infinities are both beyond float64."""

    def agreed(a: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):
            close = (a == b) | (np.abs(a - b) <= 1e-9 * np.maximum(1.0, np.abs(b)))
        return np.where(close, b, np.nan)

    values = {name: agreed(a, high.values[name]) for name, a in low.values.items()}
    derivatives = {name: agreed(a, high.derivatives[name]) for name, a in low.derivatives.items()}
    return replace(high, values=values, derivatives=derivatives)
