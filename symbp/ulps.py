"""The errors of an emitted module in ulps, against a direct evaluation in many digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symbp.direct import whole
from symbp.invoke import Invocation
from symbp.ir.network import Declared
from symbp.numbers import Array
from symbp.oracle import Exact, exact
from symbp.sample import LAWS, Point, Sampler

DType = type[np.floating[Any]]

_PLACES = 24  # the most entries of a tensor whose gradient is measured at one point
_WORK = (
    2**16
)  # fewer where the arrays of all evaluations would have more entries than this together
_MUCH_WORK = 2**12
_MOST_WORK = 2**15  # an evaluation then takes more than some seconds
_ATTEMPTS = 8


@dataclass(frozen=True)
class Errors:
    """The error of the worst entry of one quantity at each point, in ulps.

    They are those of the entry itself, where it does not cancel to nothing; and those of the largest entry.
    """

    quantity: str  # "loss", an output, or "∂L/∂W1"
    dtype: str
    of_entry: tuple[float, ...]
    of_largest: tuple[float, ...]


@dataclass(frozen=True)
class Ulps:
    """All errors; `str` gives a table of their medians over the points."""

    digits: int
    points: int
    errors: tuple[Errors, ...]

    def table(self) -> list[tuple[str, ...]]:
        """A line of cells for each quantity, the header first."""
        cells: dict[str, list[str]] = {}
        for e in self.errors:
            medians = (f"{np.median(ulps):.1f}" for ulps in (e.of_entry, e.of_largest))
            cells.setdefault(e.quantity, []).extend(medians)
        header = ("quantity", "float64: its own", "largest", "float32: its own", "largest")
        return [header, *((quantity, *found) for quantity, found in cells.items())]

    def __str__(self) -> str:
        if not self.points:
            return "No point was measured: none is finite, or the sizes that the model fixes are too large."
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in table]
        said = f"The worst entry, in ulps of its own and of the largest; medians over {self.points} points."
        return "\n".join([*lines, said])


def measure(
    declared: Declared,
    module: ModuleType,
    wrt: tuple[str, ...],
    digits: int = 50,
    points: int = 5,
    seed: int = 0,
) -> Ulps:
    """The errors of values and gradients at random points, ordinary ones and off the kinks.

    Raises ModuleFailed where the module does not run. Fewer points are measured where no more are found, and none where
    the sizes that the model fixes are too large for it.
    """
    rng = np.random.default_rng(seed)
    sampler = Sampler(declared, rng)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    measured = 0
    for _ in range(points):
        drawn = _drawn(sampler, wrt, digits, rng)
        if drawn is None:
            break
        measured += 1
        point, places, reference = drawn
        for dtype in (np.float64, np.float32):
            for quantity, error in _errors(declared, module, point, places, reference, dtype):
                found.setdefault((quantity, dtype.__name__), []).append(error)
    errors = (Errors(*key, *map(tuple, zip(*pairs))) for key, pairs in found.items())
    return Ulps(digits, measured, tuple(errors))


def _drawn(
    sampler: Sampler, wrt: tuple[str, ...], digits: int, rng: np.random.Generator
) -> tuple[Point, dict[str, Array], Exact] | None:
    """A point where everything is finite, the places to differentiate at, and what is exact there."""
    for law in LAWS:
        for _ in range(_ATTEMPTS):
            point = _point(sampler, law)
            if point is None or point.work > _MOST_WORK:
                return None
            places = {name: _places(sampler.declared, name, point, len(wrt), rng) for name in wrt}
            reference = exact(sampler.declared, point, places, digits)
            if reference is not None and _is_finite(reference):
                return point, places, reference
    return None


def _point(sampler: Sampler, law: str) -> Point | None:
    """A point of sizes from 3 on, of which a normalisation leaves something; of smaller ones if that is much work."""
    point = None
    for distinct, least in ((True, 3), (False, 3), (False, 2)):
        sizes = sampler.sizes(distinct, least=least)
        point = None if sizes is None else sampler.point(sizes, law)
        if point is not None and point.work <= _MUCH_WORK:
            break
    return point


def _places(
    declared: Declared, name: str, point: Point, tensors: int, rng: np.random.Generator
) -> Array:
    """All entries of a tensor, (number, axes), or a sample of them."""
    shape = tuple(whole(n, point.sizes) for n in declared.declarations[name].shape)
    most = max(1, min(_PLACES, _WORK // (point.work * tensors)))
    every = np.argwhere(np.ones(shape))
    return every[np.sort(rng.permutation(len(every))[:most])]


def _is_finite(reference: Exact) -> bool:
    arrays = (*reference.values.values(), *reference.gradients.values())
    return all(np.isfinite(np.asarray(a, np.float64)).all() for a in arrays)


def _errors(
    declared: Declared,
    module: ModuleType,
    point: Point,
    places: dict[str, Array],
    reference: Exact,
    dtype: DType,
) -> Iterator[tuple[str, tuple[float, float]]]:
    """The error of each quantity at a point. `predict` leaves out noise, and so is not compared where there is some."""
    outcome = Invocation(module, declared, point, dtype).run()
    for name, value in reference.values.items():
        if name == "loss" or declared.loss is None or not declared.of_kind("random"):
            yield name, worst(outcome.values[name], value, dtype)
    largest = max(
        [point.magnitude, *(abs(g).max() for g in reference.gradients.values() if g.size)]
    )
    for name, slopes in reference.gradients.items():
        got = np.asarray(outcome.gradients[name])[tuple(places[name].T)]
        if np.abs(slopes).max(initial=0) > 1e-12 * largest:  # else zero: no digits to be right in
            yield f"∂L/∂{name}", worst(got, slopes, dtype)


def worst(got: Any, reference: Array, dtype: DType) -> tuple[float, float]:
    """The largest error in ulps of its own entry, and in ulps of the largest entry.

    An ulp is the distance of neighbouring numbers of this dtype at the exact one. An entry below the rounding of the
    largest has no digits of its own, and counts in the second alone.
    """
    sizes = np.abs(np.asarray(reference, np.float64))
    largest = sizes.max(initial=0.0)
    error = np.asarray(np.abs(np.asarray(got, np.float64) - reference), np.float64)
    whole = error.max(initial=0.0) / float(np.spacing(dtype(largest)))
    kept = sizes > np.finfo(dtype).eps * largest
    own = error[kept] / np.spacing(sizes[kept].astype(dtype)).astype(np.float64)
    return float(own.max(initial=0.0)), float(whole)
