"""Values of tensors at single places, from their definitions: equations, shifts, or data.

Nothing is an array. A value is computed when it is first needed, and kept; a recurrence is recursion. What a stage
makes of an equation is so compared with what stood before, whatever the order of evaluation and the code are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from itertools import product

import numpy as np
from sympy import Expr

from symbp.errors import CompilerError
from symbp.exact.formulas import ONE, ZERO, Formulas
from symbp.exact.places import Place
from symbp.ir.nodes import Index, entries, free_indices, tensors_of
from symbp.ir.program import Shift, Statement
from symbp.numbers import Array

Definition = Array | Statement | Shift


def context(digits: int) -> Context:
    """Arithmetic of so many digits, where what has no value is NaN."""
    return Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


class Kink(Exception):
    """A derivative is asked for where there is none."""


class Exact(Formulas):
    """`definitions` says what each tensor is; `outside`, what stands for one outside the steps of a recurrence.

    `total` gives ∂L/∂z at a place. What is in `free` has these values wherever it is read, whatever its definition.
    """

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        sizes: Mapping[str, int],
        digits: int,
        outside: Mapping[str, Sequence[Shift]],
        total: Callable[[Exact, str, Place], Decimal],
        free: Mapping[str, Array],
    ) -> None:
        super().__init__(sizes, digits)
        self.definitions, self.outside, self._total = definitions, outside, total
        self.free = free
        self.context = context(digits)
        self.step = Decimal(10) ** -(digits // 3)  # of central differences
        self.bend = Decimal(10) ** -(digits // 12)  # what those to both sides differ by at a kink
        self.values: dict[str, dict[Place, Decimal]] = {}
        self.rates: dict[tuple[str, Place, str, Place], Decimal] = {}
        self.defined: dict[str, Callable[[Place], Decimal]] = {}
        self._reaches: dict[tuple[str, str], list[list[Callable[[Place], Collection[int]]]]] = {}

    def is_tensor(self, name: str) -> bool:
        return name in self.definitions

    def total(self, name: str, place: Place) -> Decimal:
        return self._total(self, name, place)

    def at(self, expr: Expr, places: Mapping[Index, int]) -> Decimal:
        """The value of an expression where its free indices have these values."""
        with localcontext(self.context):
            return self.formula(expr)({self.number(i): k for i, k in places.items()})

    def reading(self, name: str) -> Callable[[Place], Decimal]:
        """The values of a tensor at its places; of a recurrent one also outside its steps."""
        known = self.values.setdefault(name, {})
        given = self.free.get(name)

        def value(place: Place) -> Decimal:
            return self.definition(name)(place) if given is None else Decimal(float(given[place]))

        def read(place: Place) -> Decimal:
            if (found := known.get(place)) is None:
                moved, self.moved = self.moved, None
                try:
                    found = known[place] = value(place)
                finally:
                    self.moved = moved
            if self.moved is not None and self.moved[:2] == (name, place):
                return found + self.moved[2]
            return found

        return read

    def definition(self, name: str) -> Callable[[Place], Decimal]:
        """The values of a tensor as they are defined, from the entries that its definition reads."""
        if (found := self.defined.get(name)) is None:
            found = self._defined(name, self.definitions.get(name))
            for shift in self.outside.get(name, ()):
                found = self._within(shift, found)
            self.defined[name] = found
        return found

    def _defined(self, name: str, definition: Definition | None) -> Callable[[Place], Decimal]:
        if definition is None:
            raise CompilerError(f"{name} is defined by nothing")
        if isinstance(definition, Shift):
            axis, by, read = definition.axis, definition.by, self.reading(definition.source)

            def shifted(place: Place) -> Decimal:
                return read((*place[:axis], place[axis] + by, *place[axis + 1 :]))

            return self._within(definition, shifted, by)
        if isinstance(definition, np.ndarray | np.generic):
            data = definition

            def given(place: Place) -> Decimal:
                if any(k < 0 for k in place):  # which NumPy takes from the end
                    raise CompilerError(f"{name} is read at {place}, outside its axes")
                return Decimal(float(data[place]))

            return given
        indices, formula = definition.indices, self.formula(definition.expr)
        counts = [self.count(i) for i in indices]
        numbers = [self.number(i) for i in indices]

        def computed(place: Place) -> Decimal:
            if not all(0 <= k < n for k, n in zip(place, counts)):
                raise CompilerError(f"{name} is read at {place}, outside its axes")
            return formula(dict(zip(numbers, place)))

        return computed

    def _within(
        self, shift: Shift, inside: Callable[[Place], Decimal], by: int = 0
    ) -> Callable[[Place], Decimal]:
        """`inside` where a place, moved along by some steps, is one of the steps, and else what stands for it there."""
        axis, steps = shift.axis, self.count(shift.over)
        numbers = [self.number(i) for i in shift.rest]
        outside = self.formula(shift.outside)

        def value(place: Place) -> Decimal:
            if 0 <= place[axis] + by < steps:
                return inside(place)
            return outside(dict(zip(numbers, place[:axis] + place[axis + 1 :])))

        return value

    def rate(self, above: str, own: Place, below: str, place: Place) -> Decimal:
        """A central difference: of a step relative to 1, or else to the entry itself, where that is near to 0.

        Raises Kink where those to both sides disagree.
        """
        if not self.may_read(above, own, below, place):
            return ZERO
        key = above, own, below, place
        if (found := self.rates.get(key)) is None:
            found = self.rates[key] = self._difference(above, own, below, place)
        return found

    def _difference(self, above: str, own: Place, below: str, place: Place) -> Decimal:
        moved = abs(self.reading(below)(place))
        here = (self.definition(above) if above in self.free else self.reading(above))(own)
        scales = (max(ONE, moved), moved) if moved.is_finite() and moved else (ONE,)
        for scale in scales:
            step = scale * self.step
            after, before = (self._moved(above, own, (below, place, h)) for h in (step, -step))
            if after == here == before:  # −∞ too
                return ZERO
            right, left = (after - here) / step, (here - before) / step
            if abs(right - left) <= self.bend * (1 + abs(right) + abs(left)):
                return (after - before) / (2 * step)
        raise Kink

    def may_read(self, above: str, own: Place, below: str, place: Place) -> bool:
        """Whether a definition reads, at a place, what may be that entry: by the values of its bound indices alone."""
        key = above, below
        if key not in self._reaches:
            self._reaches[key] = [*self._reach(self.definitions[above], below)]
        return any(
            all(k in reach(own) for k, reach in zip(place, reaches))
            for reaches in self._reaches[key]
        )

    def _reach(
        self, definition: Definition, name: str
    ) -> Iterator[list[Callable[[Place], Collection[int]]]]:
        """Of each entry of a tensor in a definition, the places on its axes that it may be at."""
        if isinstance(definition, np.ndarray | np.generic):
            return
        if isinstance(definition, Shift) and definition.source == name:
            yield [
                _moved(k, definition.by * (k == definition.axis))
                for k in range(len(definition.indices))
            ]
        expr = definition.outside if isinstance(definition, Shift) else definition.expr
        for entry in entries(expr):
            if entry.tensor == name:
                yield [self._places(p, definition.indices) for p in entry.indices]

    def _places(self, expr: Expr, indices: tuple[Index, ...]) -> Callable[[Place], Collection[int]]:
        """The values that a place may have, by those of the indices of the left side."""
        place, numbers = self.whole(expr), [self.number(i) for i in indices]
        bound = sorted(free_indices(expr) - frozenset(indices), key=str)
        inner = [self.number(i) for i in bound]
        ranges = [*product(*(range(self.count(i)) for i in bound))]
        known: dict[Place, Collection[int]] = {}
        own = [k for k, i in enumerate(indices) if i in free_indices(expr)]

        def places(at: Place) -> Collection[int]:
            key = tuple([at[k] for k in own])
            if key not in known:
                fixed = {numbers[k]: at[k] for k in own}
                known[key] = {place({**fixed, **dict(zip(inner, r))}) for r in ranges}
            return known[key]

        return places

    def _moved(self, name: str, place: Place, moved: tuple[str, Place, Decimal]) -> Decimal:
        """The value of a tensor where one entry that it reads is off."""
        self.moved = moved
        try:
            return self.definition(name)(place)
        finally:
            self.moved = None


def _moved(axis: int, by: int) -> Callable[[Place], Collection[int]]:
    return lambda own: (own[axis] + by,)


def read_by(statement: Statement | Shift) -> tuple[str, ...]:
    """The tensors that an equation or a shift reads."""
    if isinstance(statement, Shift):
        return tuple(dict.fromkeys((statement.source, *tensors_of(statement.outside))))
    return tensors_of(statement.expr)


def aligned(statement: Statement | Shift, name: str) -> dict[int, int]:
    """axis of a tensor -> axis of what it reads, where the same index stands at both wherever it reads that."""
    if isinstance(statement, Shift) and statement.source == name:
        return {axis: axis for axis in range(len(statement.indices)) if axis != statement.axis}
    expr = statement.outside if isinstance(statement, Shift) else statement.expr
    pairs = [
        {
            (axis, k)
            for axis, i in enumerate(statement.indices)
            for k, p in enumerate(e.indices)
            if p == i
        }
        for e in entries(expr)
        if e.tensor == name
    ]
    return dict(set.intersection(*pairs)) if pairs else {}
