"""Every step of a derivation, checked by number before anything is made of it.

Both sides are evaluated at random places, from random data of small random sizes, in many digits. A derivative that is
not yet taken is a central difference, and an adjoint to which the chain rule is not yet applied is the sum of those
over all that reads the tensor: so nothing is checked by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from itertools import product
from math import prod

import numpy as np
from sympy import Abs, Expr, Idx

from symbp.direct import whole
from symbp.errors import CompilerError
from symbp.exact.formulas import ONE, ZERO
from symbp.exact.places import Place
from symbp.exact.values import Definition, Exact, Kink, aligned, context, read_by
from symbp.ir.functions import Largest, SafeInverse, Smallest
from symbp.ir.network import Declared, Equation
from symbp.ir.nodes import (
    Cases,
    Entry,
    Index,
    Iverson,
    Slope,
    free_indices,
    size_of,
    walk,
)
from symbp.ir.program import AdjointProgram, Program, Shift, reached
from symbp.ir.trace import Rate, Step, Total
from symbp.naming import bound_indices
from symbp.numbers import Array
from symbp.sample import LAWS, Point, Sampler

DIGITS = 40
PLACES = 2  # at which each step is compared
TOLERANCE = Decimal(10) ** -(DIGITS // 3)
MOST_WORK = 2**15  # terms and factors of all of a tensor: what has more is cut
ATTEMPTS = 12  # places that are tried, for some that tell: both sides finite, and not 0
DEPTH = 50_000  # of recursion: of definitions in definitions, and of steps of recurrences


@dataclass(frozen=True)
class Derived:
    """What is derived: as declared, in normal form, scaled, and with adjoints in their final form."""

    declared: Declared
    plain: Program
    scaled: Program
    adjoint: AdjointProgram

    def definitions(self, point: Point, trace: Sequence[Step]) -> dict[str, dict[str, Definition]]:
        """What each tensor is: as declared, as derived, and as `predict` has it, with noise at its mean."""
        plain: dict[str, Definition] = {**point.values}
        plain |= {eq.name: eq for eq in self.plain.equations} | {
            s.name: s for s in self.plain.shifts
        }
        found = dict(plain)
        for program in (self.scaled, self.adjoint.program):
            found |= {eq.name: eq for eq in program.equations} | {s.name: s for s in program.shifts}
        found |= {self.adjoint.seeds[output]: value for output, value in point.seeds.items()}
        found |= {a.name: a for a in self.adjoint.adjoints} | {
            s.name: s for s in self.adjoint.shifts
        }
        lines: dict[str, dict[str, Definition]] = {"lower": {}, "predict": {}}
        for step in trace:
            if step.stage in lines and step.subject not in found:
                lines[step.stage].setdefault(step.subject, _Line(step.indices, step.before))
        expected: dict[str, Definition] = {**point.expected(self.declared).values}
        return {
            "plain": plain,
            "": found | lines["lower"],
            "predict": found | lines["lower"] | lines["predict"] | expected,
        }

    def outside(self) -> dict[str, dict[str, list[Shift]]]:
        """What stands for a recurrent tensor outside its steps: as declared, and as derived."""
        declared = [
            replace(s, outside=self.declared.declarations[s.source].initial)
            for s in self.plain.shifts
        ]
        derived = (*self.scaled.shifts, *self.adjoint.shifts)
        own = _by_source(
            derived if self.scaled is not self.plain else (*declared, *self.adjoint.shifts)
        )
        return {"plain": _by_source(declared), "": own, "predict": own}


@dataclass(frozen=True)
class _Line:
    """A statement of the code: its axes, and what it stands for."""

    indices: tuple[Index, ...]
    expr: Expr
    name: str = ""


def _by_source(shifts: Iterable[Shift]) -> dict[str, list[Shift]]:
    found: dict[str, list[Shift]] = {}
    for shift in shifts:
        found.setdefault(shift.source, []).append(shift)
    return found


class Reverse:
    """∂L/∂z = Σ ∂L/∂y ∂y/∂z over all that reads z, with central differences for ∂y/∂z."""

    def __init__(self, adjoint: AdjointProgram) -> None:
        self.seeds, self.loss = adjoint.seeds, adjoint.program.loss
        self.names = adjoint.adjoint_names()
        program = adjoint.program
        goal = program.outputs if program.loss is None else (program.loss,)
        active = reached(goal, program.equations, program.shifts) - program.fixed
        self.readers: dict[str, list[tuple[Equation | Shift, dict[int, int]]]] = {}
        statements: tuple[Equation | Shift, ...] = (*program.equations, *program.shifts)
        for s in statements:
            for name in read_by(s) if s.name in active else ():
                self.readers.setdefault(name, []).append((s, aligned(s, name)))

    def __call__(self, exact: Exact, name: str, place: Place) -> Decimal:
        total = exact.reading(self.seeds[name])(place) if name in self.seeds else ZERO
        for reader, fixed in self.readers.get(name, ()):
            is_loss = reader.name == self.loss
            above = (lambda own: ONE) if is_loss else exact.reading(self.names[reader.name])
            places = (
                (place[fixed[axis]],) if axis in fixed else range(exact.count(index))
                for axis, index in enumerate(reader.indices)
            )
            for own in product(*places):
                slope = exact.rate(reader.name, own, name, place)
                total += slope * above(own) if slope else ZERO
        return total


@dataclass(frozen=True)
class Checks:
    """How many comparisons were made, and the steps that no data gave finite sides."""

    comparisons: int
    untold: tuple[Step, ...] = ()


NO_CHECKS = Checks(0)


def check(derived: Derived, trace: Sequence[Step], seed: int = 0) -> Checks:
    """Check every step. Raises CompilerError on one whose sides differ, with its rule, its subject and both values."""
    rng = np.random.default_rng(seed)
    sampler = Sampler(derived.declared, rng)
    waiting, comparisons = list(trace), 0
    with _recursion(), localcontext(context(DIGITS)):
        for law in LAWS:
            sizes = sampler.sizes(kinds=3) if waiting else None
            if sizes is None:
                break
            point = _moderate(derived.declared, sampler.point(sizes, law))
            checker = _Checker(derived, trace, point, rng, law)
            counts = [checker.check(step) for step in waiting]
            comparisons += sum(counts)
            waiting = [step for step, count in zip(waiting, counts) if not count]
        kinked = [step for step in trace if _has_kink(step)]
        if kinked and (sizes := sampler.sizes(kinds=3)) is not None:
            checker = _Checker(derived, trace, _tied(sampler, sizes), rng, law, generic=False)
            comparisons += sum(checker.check(step, 3 * PLACES) for step in kinked)
    return Checks(comparisons, tuple(waiting))


@contextmanager
def _recursion() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _has_kink(step: Step) -> bool:
    """Whether what a step is about depends on a comparison of values. A difference has no meaning at a tie."""
    nodes = [*walk(step.before), *walk(step.after)]
    return not any(isinstance(n, (Rate, Total)) for n in nodes) and any(
        isinstance(n, (Largest, Smallest, Slope, Abs, SafeInverse))
        or (isinstance(n, (Iverson, Cases)) and any(isinstance(x, Entry) for x in walk(n)))
        for n in nodes
    )


def _moderate(declared: Declared, point: Point) -> Point:
    """The point with parameters over the root of what is summed with them, so that no value grows with the sizes."""
    found = {}
    for d in declared.of_kind("param"):
        value = point.values[d.name]
        found[d.name] = value / np.sqrt(np.prod(value.shape[1:]))
    return point.replaced(found)


def _tied(sampler: Sampler, sizes: Mapping[str, int]) -> Point:
    """Data of which many entries are the same, and many 0."""
    point = sampler.point(sizes, next(iter(LAWS)))
    real = [
        d
        for d in sampler.declared.declarations.values()
        if d.kind in ("param", "input") and not d.integer and d.sums_to_one is None
    ]
    return point.replaced(
        {
            d.name: np.asarray(sampler.rng.integers(-1, 2, point.values[d.name].shape), np.float64)
            for d in real
        }
    )


class _Checker:
    """Compares the sides of steps at one point; where that is not `generic`, what stood before may have no value."""

    def __init__(
        self,
        derived: Derived,
        trace: Sequence[Step],
        point: Point,
        rng: np.random.Generator,
        law: str,
        generic: bool = True,
    ) -> None:
        self.point, self.rng, self.generic = point, rng, generic
        self.definitions = derived.definitions(point, trace)
        self.outside = derived.outside()
        self.reverse = Reverse(derived.adjoint)
        self.exact: dict[tuple[str, int, bool], Exact] = {}
        self.tried: dict[tuple[str, tuple[Index, ...]], list[dict[Index, int]]] = {}
        self.free = dict(self.costly(LAWS[law]))

    def costly(
        self, draw: Callable[[np.random.Generator, Place], Array]
    ) -> Iterator[tuple[str, Array]]:
        """Any numbers for tensors whose values cost much."""
        for name, definition in self.definitions[""].items():
            if isinstance(definition, np.ndarray | np.generic | Shift | _Line):
                continue  # a line stands for what the same step has beside it
            shape = tuple(whole(size_of(i), self.point.sizes) for i in definition.indices)
            bound = bound_indices(definition.expr)
            inner = [whole(size_of(i), self.point.sizes) for i in bound]
            if prod(shape) * prod(inner) > MOST_WORK:
                yield name, draw(self.rng, shape)

    def exact_for(self, stage: str, digits: int, cut: bool) -> Exact:
        """The values of a stage; where `cut`, what costs much is any number, and no value of its definition."""
        key = stage, digits, cut
        if key not in self.exact:
            self.exact[key] = Exact(
                self.definitions[stage],
                self.point.sizes,
                digits,
                self.outside[stage],
                self.reverse,
                self.free if cut else {},
            )
        return self.exact[key]

    def sides(self, step: Step, at: Mapping[Index, int], digits: int, cut: bool) -> list[Decimal]:
        first = second = "predict" if step.stage == "predict" else ""
        if step.stage in ("normalise", "scale"):
            first = "plain"
        if step.stage == "normalise":
            second = "plain"
        sides = (first, step.before), (second, step.after)
        try:
            return [self.exact_for(stage, digits, cut).at(side, at) for stage, side in sides]
        except CompilerError as error:
            raise CompilerError(f"wrong step: {step}: {error}") from None

    def check(self, step: Step, least: int = PLACES) -> int:
        """The number of places at which the sides are finite and equal; at some of them not 0, if that can be."""
        told = zeros = 0
        for k, at in enumerate(self.places(step)):
            try:
                found = self.compared(step, at)
            except Kink:
                continue
            if found is not None:
                told, zeros = told + 1, zeros + (found == 0)
            if (told >= least and zeros < told) or k >= ATTEMPTS:
                break
        return told

    def compared(self, step: Step, at: Mapping[Index, int]) -> Decimal | None:
        """The value of both sides; None where neither has one."""
        least = ZERO  # what a difference is off by
        if any(isinstance(n, (Rate, Total)) for n in walk(step.before)):
            least = Decimal(10) ** -(DIGITS // 2)
        # an identity that holds whatever the values of what costs much holds for its values too
        for cut in (True, False) if self.free else (False,):
            before, after = self.sides(step, at, DIGITS, cut)
            widened = not self.generic or step.stage == "stabilise"  # to where there was no value
            if before.is_nan() and (after.is_nan() or widened):
                return None
            apart, size = abs(before - after), min(abs(before), abs(after))
            if before == after or apart <= TOLERANCE * size or (apart < least and size < least):
                return before
            # a true difference is there in twice the digits too, one of rounding is gone
            first, second = self.sides(step, at, 2 * DIGITS, cut)
            if apart.is_finite() and abs(first - second) <= TOLERANCE * apart:
                return before
        place = ", ".join(f"{index} = {k}" for index, k in at.items())
        values = f"{before:.12g} before it and {after:.12g} after it"
        raise CompilerError(f"wrong step: {step}: {values}{' at ' * bool(place)}{place}")

    def places(self, step: Step) -> list[dict[Index, int]]:
        """Places to try, the first with all indices alike, the second apart; random ones follow.

        They are the same for all steps of a subject, and with them much of what is read.
        """
        free = {*step.indices, *free_indices(step.before), *free_indices(step.after)}
        own = tuple(sorted((i for i in free if isinstance(i, Idx)), key=str))
        key = step.subject, own
        if key not in self.tried:
            counts = [whole(size_of(i), self.point.sizes) for i in own]
            alike = self.place(counts, 1.0)
            apart = tuple(counts[:k].count(n) % n for k, n in enumerate(counts))
            others = (self.place(counts, 0.3) for _ in range(2 * ATTEMPTS))
            found = dict.fromkeys((alike, apart, *others))
            self.tried[key] = [dict(zip(own, place)) for place in found]
        return self.tried[key]

    def place(self, counts: Sequence[int], alike: float) -> Place:
        """A random place, at which indices of one range are alike with a probability: no δ is 0 where all are."""
        shared = {n: int(self.rng.integers(n)) for n in sorted({*counts})}
        return tuple(
            shared[n] if self.rng.random() < alike else int(self.rng.integers(n)) for n in counts
        )
