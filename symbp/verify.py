"""Checking an emitted module, also one edited by hand, against a direct evaluation of the declared equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from types import ModuleType
from typing import Any

import numpy as np

from symbp.direct import whole
from symbp.invoke import NUMERIC, Invocation, ModuleFailed, Outcome
from symbp.ir.network import Declared
from symbp.numbers import Array
from symbp.reference import Directions, Oracle, Reference, unit_directions
from symbp.report import Report, Row
from symbp.sample import EXTREMES, LAWS, Point, Sampler

__all__ = ["Report", "Row", "verify"]

DType = type[np.floating[Any]]
DTYPES: tuple[DType, ...] = (np.float64, np.float32)

VALUE_TOLERANCE = 1e-10
"""float64: only the order of operations differs from a direct evaluation, some 1e-15."""

FLOAT32_TOLERANCE = 1e-4
"""float32: a thousand roundings of 1e-7. Where this is exceeded, the point's condition is measured and added."""

EXTREME_TOLERANCES: dict[DType, float] = {np.float64: 1e-6, np.float32: 1e-2}
"""Exponents of several thousand are rounded at extreme inputs, which alone costs four digits of their exponential."""

_MARGIN = 16.0
"""What a result may be off by, in units of what rounding the inputs alone does to it."""

_DISTURBANCES = 3  # roundings of the inputs that this is measured with

_PROBED = 4
"""The most tensors whose gradient is judged at one extreme point, by turns: bounds the cost of deep networks."""

_LITTLE_WORK = 2**8  # an evaluation that may cost a little more than it must
_MOST_WORK = 2**12
"""Multiprecision takes some microseconds an entry: beyond this many, where a model fixes large sizes, too long."""

_MOST_PROBES = 66
"""The most directions that a tensor is differentiated in at one point."""

_MOST_DIRECTIONS = 256
"""The most directions in all: the two through all entries see an error in any of them, single entries say where."""

_MOST_ENTRIES = 2**26
"""Fewer directions where the equations' largest arrays would have more entries than this together, in differences of
longdouble: some ten seconds."""

_COMPLEX = 8  # what an entry of a complex step costs in those, one of a difference being two

_ATTEMPTS = 3  # points drawn from one law


def verify(
    declared: Declared, module: ModuleType, wrt: tuple[str, ...], trials: int = 3, seed: int = 0
) -> Report:
    """Compare a module with the declared equations at random points, small and extreme, in float64 and float32.

    `wrt` names the tensors whose gradients the module must return; defined ones may be among them. What is wrong with
    the module, exceptions included, is a failed row of the report and never raised.
    """
    return _Verification(declared, module, wrt, seed).run(trials)


class _Verification:
    """One run: what it draws, and the worst row so far of each quantity."""

    def __init__(
        self, declared: Declared, module: ModuleType, wrt: tuple[str, ...], seed: int
    ) -> None:
        self.declared, self.module, self.wrt = declared, module, wrt
        self.rng = np.random.default_rng(seed)
        self.oracle = Oracle(declared)
        self.sampler = Sampler(declared, self.rng)
        self.laws = list(LAWS)  # those that have not failed
        self.rows: dict[tuple[str, str, str, bool], Row] = {}
        self.vanishing = set(wrt)  # gradients that were zero at every point
        self.untried = False  # whether extreme inputs would have taken too long

    def run(self, trials: int) -> Report:
        for trial in range(trials):
            found = self._draw(ones=0 < trial == trials - 1, vary=trial > 0)
            if found is None:
                obstacle = self.sampler.obstacle or "all values and derivatives are finite"
                note = f"no sizes and data found where {obstacle}"
                self._record(_clause("random points", np.float64, note))
                return Report(tuple(self.rows.values()))
            self._ordinary(found)
        self._extremes()
        return Report(tuple(self.rows.values()), tuple(self._notes()))

    def _draw(self, ones: bool, vary: bool) -> Reference | None:
        """The reference at a point where all is finite, off the kinks; from the first law that has one."""
        while self.laws:
            for attempt in range(_ATTEMPTS):
                sizes = self.sampler.sizes(ones=ones and attempt == 0)
                if sizes is None:
                    return None
                point = self.sampler.point(sizes, self.laws[0], vary)
                tensors = max(len(self.wrt), 1)
                work = point.work * tensors * (_COMPLEX if self.oracle.analytic else 1)
                most = min(_MOST_PROBES, _MOST_ENTRIES // work)
                most = min(most, _MOST_DIRECTIONS // tensors)
                directions = {
                    n: unit_directions(self._shape(n, point), self.rng, most) for n in self.wrt
                }
                reference = self.oracle.at(point, directions)
                if reference is not None and reference.finite:
                    return reference
            del self.laws[0]
        return None

    def _shape(self, name: str, point: Point) -> tuple[int, ...]:
        shape = self.declared.declarations[name].shape
        return tuple(whole(size, point.sizes) for size in shape)

    def _ordinary(self, reference: Reference) -> None:
        """Every value and every gradient, and all of the contract."""
        for name, slopes in reference.derivatives.items():
            if np.abs(slopes).max(initial=0.0) > 1e-12 * reference.point.magnitude:
                self.vanishing.discard(name)
        for dtype in DTYPES:
            outcome = self._run(reference.point, dtype)
            if outcome is not None:
                self._record(*_contract(outcome, self.wrt, dtype))
                tolerances = (VALUE_TOLERANCE, reference.tolerance)
                if dtype is np.float32:
                    tolerances = (FLOAT32_TOLERANCE, FLOAT32_TOLERANCE)
                nearby = self._nearby(reference, self.oracle.smooth, dtype)
                comparison = _Comparison(reference, outcome, dtype, *tolerances, nearby)
                self._record(*comparison.rows())

    def _extremes(self) -> None:
        """Where exact results are representable, the module's are finite, near them, and given without a warning."""
        law = self.laws[0]
        # of two samples a normalisation leaves only the signs, and of its gradient nothing: rather three
        for least in (3, 2):
            sizes = self.sampler.sizes(distinct=False, least=least) or self.sampler.sizes()
            if sizes is None:
                return  # no sizes were found for an ordinary point either
            base = self.sampler.point(sizes, law)
            if base.work <= _LITTLE_WORK:
                break
        self.untried = base.work > _MOST_WORK
        tensors = EXTREMES if base.work <= _LITTLE_WORK else EXTREMES // 2 + 1
        turns = cycle(self.rng.permutation(len(self.wrt)))
        for point in () if self.untried else self.sampler.extremes(base, law, tensors):
            probed = sorted(islice(turns, min(_PROBED, len(self.wrt))))
            directions = {self.wrt[k]: self._anywhere(self.wrt[k], point) for k in probed}
            reference = self.oracle.exact(point, directions)
            for dtype in DTYPES:
                outcome = self._run(point, dtype, extreme=True)
                if outcome is not None:
                    tolerance = EXTREME_TOLERANCES[dtype]
                    nearby = self._nearby(reference, self.oracle.exact, dtype)
                    comparison = _Comparison(
                        reference, outcome, dtype, tolerance, tolerance, nearby, extreme=True
                    )
                    self._record(*comparison.rows())

    def _anywhere(self, name: str, point: Point) -> Array:
        """One direction that moves every entry."""
        shape = (1, *self._shape(name, point))
        return np.asarray(self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1, 1], shape))

    def _nearby(
        self,
        reference: Reference,
        oracle: Callable[[Point, Directions], Reference],
        dtype: DType,
    ) -> Callable[[], list[Reference]]:
        """References at points that differ by a rounding, evaluated when they are asked for."""
        epsilon = float(np.finfo(dtype).eps)
        return lambda: [
            oracle(self.sampler.disturbed(reference.point, epsilon), reference.directions)
            for _ in range(_DISTURBANCES)
        ]

    def _run(self, point: Point, dtype: DType, extreme: bool = False) -> Outcome | None:
        try:
            return Invocation(self.module, self.declared, point, dtype).run()
        except ModuleFailed as failure:
            self._record(_clause("runs without an error", dtype, str(failure), extreme))
            return None

    def _record(self, *rows: Row) -> None:
        """Keep the worst row of each quantity."""
        for row in rows:
            key = (row.quantity, row.check, row.dtype, row.extreme)
            if key not in self.rows or row.strain > self.rows[key].strain:
                self.rows[key] = row

    def _notes(self) -> Iterator[str]:
        if self.laws[0] != next(iter(LAWS)):
            yield f"Data from {self.laws[0]}: from a normal law the equations have no finite value."
        if self.untried:
            yield "Extreme inputs not tried: the sizes that the model fixes are too large for it."
        if self.vanishing:
            names = ", ".join(f"∂L/∂{name}" for name in self.wrt if name in self.vanishing)
            yield f"Zero at every point, so that an error could not show: {names}."


@dataclass
class _Comparison:
    """What a module returned at a point, against the reference there."""

    reference: Reference
    outcome: Outcome
    dtype: DType
    value_tolerance: float
    gradient_tolerance: float
    nearby: Callable[[], list[Reference]]
    extreme: bool = False

    def rows(self) -> Iterator[Row]:
        """A row for each value and gradient where something is representable, and so can be compared."""
        complete = True
        for name, exact in self.reference.values.items():
            judged = self._representable(exact)
            complete &= bool(judged.all())
            if judged.any():
                yield self._value(name, judged)
        for name, exact in self.reference.derivatives.items():
            judged = self._representable(exact)
            complete &= bool(judged.all())
            if judged.all() and name in self.outcome.gradients:
                yield self._gradient(name)
        if self.extreme and complete:
            yield _clause("no warning", self.dtype, self.outcome.warning, extreme=True)

    def _representable(self, exact: Array) -> Array:
        """Where the exact number is known, and in the dtype's range with room for partial sums."""
        return np.asarray(np.abs(exact) <= float(np.finfo(self.dtype).max) / 1024)

    def _value(self, name: str, judged: Array) -> Row:
        method = self.reference.method if self.extreme else "direct evaluation"
        row = Row(
            name, "value", _name(self.dtype), method, np.inf, self.value_tolerance, self.extreme
        )
        result = self.outcome.values[name]
        defect = _defect(result, judged.shape, self.dtype)
        if defect:
            return replace(row, note=defect)
        got = np.asarray(result, np.float64)[judged]
        return self._measured(row, got, lambda r: r.values[name][judged], self._rounding)

    def _gradient(self, name: str) -> Row:
        method = self.reference.method
        row = Row(
            name,
            "gradient",
            _name(self.dtype),
            method,
            np.inf,
            self.gradient_tolerance,
            self.extreme,
        )
        result, directions = self.outcome.gradients[name], self.reference.directions[name]
        defect = _defect(result, directions.shape[1:], self.dtype)
        if defect:
            return replace(row, note=defect)
        with np.errstate(invalid="ignore"):
            products = (directions * np.asarray(result, np.float64)).reshape(len(directions), -1)
            got = products.sum(axis=1)
        absolute = self._rounding + self.reference.noise.get(name, 0.0)
        return self._measured(row, got, lambda r: r.derivatives[name], absolute)

    @property
    def _rounding(self) -> float:
        """An absolute error that is no more than rounding of the numbers given."""
        return 64 * float(np.finfo(self.dtype).eps) * self.reference.point.magnitude

    def _measured(
        self, row: Row, got: Array, pick: Callable[[Reference], Array], absolute: float
    ) -> Row:
        """The row with its error, relative to the largest entry, and with the tolerance that the point allows."""
        if not np.isfinite(got).all():
            return replace(row, note="not finite")
        exact = pick(self.reference)
        largest = float(np.abs(exact).max())
        # A reference that is zero but for rounding has no scale of its own; at extremes, saturation makes many of them.
        scale = largest if largest > (1.0 if self.extreme else absolute) else 1.0
        error = float(np.abs(got - exact).max()) / scale
        tolerance = row.tolerance + absolute / scale
        if error > tolerance and (self.extreme or self.dtype is np.float32):
            moved = [np.abs(pick(other) - exact) for other in self._neighbours]
            tolerance += _MARGIN * float(np.nan_to_num(moved, posinf=0.0).max()) / scale
        return replace(row, error=error, tolerance=tolerance)

    @cached_property
    def _neighbours(self) -> list[Reference]:
        return self.nearby()


def _name(dtype: DType) -> str:
    return str(np.dtype(dtype))


def _defect(result: Any, shape: tuple[int, ...], dtype: DType) -> str:
    """What is wrong with a result before its numbers are looked at."""
    if not isinstance(result, NUMERIC):
        return f"is a {type(result).__name__}, no array"
    array = np.asarray(result)
    if array.dtype != dtype:
        return f"is {array.dtype} where the arguments are {_name(dtype)}"
    return "" if array.shape == shape else f"has shape {array.shape}, not {shape}"


def _clause(clause: str, dtype: DType, breach: str, extreme: bool = False) -> Row:
    """A row of the contract: nothing to measure, broken or not."""
    error = np.inf if breach else 0.0
    return Row(clause, "contract", _name(dtype), "", error, 0.0, extreme, breach)


def _contract(outcome: Outcome, wrt: tuple[str, ...], dtype: DType) -> Iterator[Row]:
    """What the module does beside returning numbers."""
    for clause, breach in {**outcome.breaches, "no warning": outcome.warning}.items():
        yield _clause(clause, dtype, breach)
    missing = [n for n in wrt if n not in outcome.gradients]
    extra = [str(n) for n in outcome.gradients if n not in wrt]
    breach = f"backward lacks {', '.join(missing)}" if missing else ""
    breach = breach or (f"backward returns {', '.join(extra)}, too" if extra else "")
    yield _clause("gradients as asked for", dtype, breach)
