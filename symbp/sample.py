"""Random sizes and data for a declared network: the points at which a module is checked.

Every number drawn is exact in float32. So float64 and float32 are given the same point, and what they differ by is
arithmetic alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sympy import Basic, Expr, Idx, Indexed, IndexedBase, Piecewise, Symbol
from sympy.concrete.expr_with_limits import ExprWithLimits

from symbp.direct import whole
from symbp.evaluate import evaluate
from symbp.ir.network import Declaration, Declared, Equation
from symbp.numbers import Array
from symbp.ranges import NONE, decided, fits, taken
from symbp.validate import Ranges, reach

LAWS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal(0, 1)": lambda rng, shape: rng.standard_normal(shape),
    "uniform(0.5, 1.5)": lambda rng, shape: rng.uniform(0.5, 1.5, shape),
    "uniform(0.1, 0.9)": lambda rng, shape: rng.uniform(0.1, 0.9, shape),
    "uniform(-0.5, 0.5)": lambda rng, shape: rng.uniform(-0.5, 0.5, shape),
}
"""What real data are drawn from: each law is for equations that have no finite value under those before it."""

POSITIVE = frozenset({"uniform(0.5, 1.5)", "uniform(0.1, 0.9)"})

_PARTS = 2**16  # a distribution is drawn in such parts of 1, and so sums to 1 exactly in any dtype
EXTREMES = (
    8  # the most tensors that are taken to extremes: a deep network must not cost its depth squared
)


@dataclass(frozen=True)
class Point:
    """Sizes, and everything that is given."""

    sizes: Mapping[str, int]
    values: Mapping[str, Array]  # parameters, inputs and constants, float64 or int64
    seeds: Mapping[str, Array]  # of a layer: the adjoint of each output
    work: int  # entries of the largest array that a direct evaluation makes
    roundings: Mapping[str, Array] = field(default_factory=dict)  # what defined tensors are off by

    def expected(self, declared: Declared) -> Point:
        """The point with every noise at its mean."""
        means = {
            d.name: np.full_like(
                self.values[d.name],
                self.values[d.expected] if isinstance(d.expected, str) else d.expected,
            )
            for d in declared.of_kind("random")
        }
        return self.replaced(means)

    def replaced(self, values: Mapping[str, Array]) -> Point:
        return replace(self, values={**self.values, **values})

    @property
    def magnitude(self) -> float:
        """The largest number given, at least 1: what rounding errors scale with."""
        return max([1.0, *(float(np.abs(v).max(initial=0.0)) for v in self.values.values())])


class Sampler:
    """Draws sizes and points for one network."""

    def __init__(self, declared: Declared, rng: np.random.Generator) -> None:
        self.declared = declared
        self.rng = rng
        owners: list[Declaration | Equation] = [*declared.declarations.values()]
        owners += declared.equations
        roots: list[Basic] = [*declared.written()]
        roots += [i for owner in owners for i in owner.indices]
        nodes = dict.fromkeys(node for root in roots for node in _walk(root))
        # What is looped over together: the indices of a tensor, and those of a reduction with all that are in it.
        self._loops = {frozenset(o.indices) for o in owners}
        self._loops |= {frozenset(n.atoms(Idx)) for n in nodes if isinstance(n, ExprWithLimits)}
        names = {n.name for n in nodes if isinstance(n, Symbol)}
        self._symbols = sorted(names - set(declared.declarations))
        places = dict.fromkeys(p for root in roots for p in _places(root, NONE))
        self._ends = [
            (entry, end, size)
            for entry, p, size, known in places
            if not p.has(Indexed, *self._scalars()) and fits([p], [size], dict(known))
            for end in reach(p)
        ]
        self._gathered = [(_name(p), size) for _, p, size, _ in places if _name(p)]
        self.obstacle = ""  # why the sizes drawn last were not admitted

    def _scalars(self) -> list[Symbol]:
        """The integer tensors without axes, as they stand at an index."""
        declared = self.declared.declarations.values()
        return [Symbol(d.name, integer=True) for d in declared if d.integer and not d.indices]

    def sizes(
        self, distinct: bool = True, ones: bool = False, least: int = 2, kinds: int | None = None
    ) -> dict[str, int] | None:
        """A size for each symbol: `least` and upwards, distinct or all equal, and some of them 1 with `ones`.

        At most `kinds` of them are distinct.

        Sizes that the equations do not admit (those of an axis that x[3] leaves) are drawn again, larger; None where
        none are found.
        """
        for attempt in range(24):
            smallest = least - 1 + int(1.5**attempt)
            near = self._near(smallest, distinct, ones and attempt < 8, kinds)
            # where sizes near each other do not do: one axis may have to be much longer than another
            wide = (self._wide(4 + attempt) for _ in range(8 if attempt > 1 else 0))
            for drawn in (near, *wide):
                sizes = dict(zip(self._symbols, map(int, drawn)))
                if self._admits(sizes):
                    return sizes
        return None

    def _near(self, smallest: int, distinct: bool, ones: bool, kinds: int | None) -> Array:
        count = len(self._symbols)
        drawn = np.full(count, smallest)
        if kinds is not None:
            return self.rng.permutation(np.resize(np.arange(smallest, smallest + kinds), count))
        if distinct:
            drawn = self.rng.permutation(np.arange(smallest, smallest + max(count, 4)))[:count]
        if ones and count:
            drawn[self.rng.permutation(count)[: 1 + self.rng.integers(count)]] = 1
        return drawn

    def _wide(self, largest: int) -> Array:
        logarithms = self.rng.uniform(np.log(2), np.log(largest), len(self._symbols))
        return np.exp(logarithms).astype(int)

    def _admits(self, sizes: Mapping[str, int]) -> bool:
        """Whether no axis is empty and every fixed place is inside its axis; if not, `obstacle` says which."""
        declarations = self.declared.declarations.values()
        empty = (d.name for d in declarations if any(whole(n, sizes) < 1 for n in d.shape))
        outside = (
            str(entry)
            for entry, place, size in self._ends
            if not 0 <= whole(place, sizes) < whole(size, sizes)
        )
        faults = (
            (f"{n} has no empty axis" for n in empty),
            (f"{e} is inside its axis" for e in outside),
        )
        self.obstacle = next(chain(*faults), "")
        return not self.obstacle

    def _work(self, sizes: Mapping[str, int]) -> int:
        loops = ([whole(i.upper - i.lower + 1, sizes) for i in loop] for loop in self._loops)
        return max(math.prod(loop) for loop in loops)

    def point(self, sizes: Mapping[str, int], law: str, vary: bool = True) -> Point:
        """Data of these sizes; with `vary`, constants other than their defaults."""
        values: dict[str, Array] = {}
        seeds: dict[str, Array] = {}
        for name, declaration in self.declared.declarations.items():
            if declaration.kind != "defined":
                values[name] = self._value(declaration, sizes, law, vary, values)
            elif self.declared.loss is None and name in self.declared.outputs:
                shape = tuple(whole(size, sizes) for size in declaration.shape)
                seeds[name] = _single(self.rng.standard_normal(shape))
        return Point(sizes, values, seeds, self._work(sizes))

    def _value(
        self,
        declaration: Declaration,
        sizes: Mapping[str, int],
        law: str,
        vary: bool,
        values: Mapping[str, Array],
    ) -> Array:
        shape = tuple(whole(size, sizes) for size in declaration.shape)
        if declaration.kind == "constant":
            default = np.asarray(declaration.default, np.float64)
            return _single((default or 1.0) * self.rng.uniform(0.5, 1.0)) if vary else default
        if declaration.law is not None:
            return _single(draw(declaration, shape, self.rng, values))
        if declaration.integer:
            axes = [whole(s, sizes) for name, s in self._gathered if name == declaration.name]
            return self.rng.integers(0, min(axes, default=3), shape)
        if declaration.sums_to_one is not None:
            axis = declaration.indices.index(declaration.sums_to_one)
            return self._distribution(shape, axis)
        return _single(LAWS[law](self.rng, shape))

    def _distribution(self, shape: tuple[int, ...], axis: int) -> Array:
        """Positive numbers that sum to 1 over an axis, without rounding."""
        others = (*shape[:axis], *shape[axis + 1 :])
        parts = max(_PARTS, 2 ** shape[axis].bit_length())
        spread = np.full(shape[axis], 1 / shape[axis])
        counts = 1 + self.rng.multinomial(parts - shape[axis], spread, others)
        return np.moveaxis(counts / parts, -1, axis)

    def extremes(self, point: Point, law: str, tensors: int = EXTREMES) -> Iterator[Point]:
        """The point with one tensor after the other near 1000 in magnitude, of mixed signs, and then negated.

        `tensors` is the most that this is done with.

        Where the law keeps to positive numbers: near 1000, and then near 1/1000.
        """
        real = [
            d
            for d in self.declared.declarations.values()
            if d.kind in ("param", "input") and not d.integer and d.sums_to_one is None
        ]
        for which in sorted(self.rng.permutation(len(real))[:tensors]):
            name = real[which].name
            size = self.rng.uniform(0.7, 1.0, point.values[name].shape)
            if law in POSITIVE:
                pair = (1000 * size, size / 1000)
            else:
                large = 1000 * size * self.rng.choice([-1, 1], size.shape)
                pair = (large, -large)
            for value in pair:
                yield point.replaced({name: _single(value)})

    def disturbed(self, point: Point, epsilon: float) -> Point:
        """The point with every real tensor, defined ones too, off by random relative amounts up to `epsilon`.

        Of defined ones those that float64 holds: what overflows where it is evaluated naively is left.
        """

        def rounding(value: Array) -> Array:
            return np.asarray(value * (epsilon * self.rng.uniform(-1, 1, value.shape)))

        given = {n: v + rounding(v) for n, v in point.values.items() if v.dtype.kind == "f"}
        values = evaluate(self.declared, point.sizes, point.values).values
        defined = {d.name: values[d.name][0] for d in self.declared.of_kind("defined")}
        roundings = {n: rounding(v) for n, v in defined.items() if np.isfinite(v).all()}
        return replace(point.replaced(given), roundings=roundings)


def draw(
    noise: Declaration,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    constants: Mapping[str, Array],
) -> Array:
    """Noise as a module must draw it, with the constants' values."""
    found = {
        key: float(constants[value]) if isinstance(value, str) else value
        for key, value in noise.parameters.items()
    }
    if noise.law == "bernoulli":
        return np.asarray(rng.random(shape) < found["p"], np.float64)
    return np.asarray(rng.normal(found["mean"], found["std"], shape))


def predicted(output: str) -> str:
    """What a layer's output is called as `predict` gives it, where noise makes that another than forward's."""
    return f"{output} of predict"


def _single(value: ArrayLike) -> Array:
    """Rounded to what float32 holds exactly."""
    return np.asarray(value, np.float32).astype(np.float64)


def _walk(expr: Basic) -> Iterator[Basic]:
    """Every subexpression; of an index its range, of a tensor nothing."""
    yield expr
    if isinstance(expr, Idx):
        for bound in (expr.lower, expr.upper):
            yield from _walk(bound)
    elif not isinstance(expr, IndexedBase):
        for arg in expr.args:
            yield from _walk(arg)


def _places(expr: Basic, known: Ranges) -> Iterator[tuple[Indexed, Expr, Expr, frozenset[Any]]]:
    """(entry, place, size of its axis, ranges of the indices where it is read) of every place in an expression."""
    if isinstance(expr, Indexed):
        held = frozenset(known.items())
        yield from ((expr, p, size, held) for p, size in zip(expr.indices, expr.shape))
    if isinstance(expr, Piecewise):
        for value, where in taken(expr.args):
            yield from _places(where, known)
            yield from _places(value, decided(where, known))
        return
    if isinstance(expr, ExprWithLimits):
        known = {i: r for i, r in known.items() if i not in expr.variables}
    for arg in expr.args:
        yield from _places(arg, known)


def _name(place: Expr) -> str:
    """The integer tensor that an index is read from; empty for any other."""
    if isinstance(place, Indexed):
        return str(place.base.label.name)
    return "" if not isinstance(place, Symbol) or place.is_positive else str(place.name)
