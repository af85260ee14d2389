"""Where entries stand in arrays: slices, diagonals and gathers to read at, and what a δ scatters to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Basic, Expr, Idx, Mul, S, expand

from symbp.ir.nodes import (
    Delta,
    Entry,
    Head,
    Index,
    factors,
    free_indices,
    is_placed,
    size_of,
    substitute,
    summands,
)
from symbp.ir.schedule import arranged, is_gathered
from symbp.shapes import tuple_code
from symbp.targets.code import ATOM, Code, add, align, multiply, union
from symbp.targets.views import Number, Shape, straightened, subscript


def read(
    entry: Entry,
    frame: Sequence[Index],
    number: Number,
    shape: Shape | None = None,
    written: bool = False,
) -> Code:
    """A tensor at its indices: slices for fixed ones, a diagonal for repeated ones, integer arrays for gathers.

    `shape` is the tensor's, where it is known; `written` says that it is assigned to.
    """
    places = entry.indices
    if all(isinstance(p, Idx) for p in places) and len(set(places)) == len(places):
        return Code(entry.tensor, ATOM, places)
    if any(is_placed(p) and not is_gathered(p) for p in places):
        return read(straightened(entry, shape, number, written), frame, number)
    if any(map(is_gathered, places)):
        return _gather(entry, frame, number)
    slots = [":" if isinstance(p, Idx) else number(p).text for p in places]
    axes = tuple(p for p in places if isinstance(p, Idx))
    text = subscript(entry.tensor, slots)
    if len(set(axes)) == len(axes):
        return Code(text, ATOM, axes)
    distinct = tuple(dict.fromkeys(axes))
    letter = dict(zip(distinct, "ijklmnopq"))
    spell = "".join(letter[i] for i in axes)
    result = "".join(letter[i] for i in distinct)
    return Code(f'np.einsum("{spell}->{result}", {text})', ATOM, distinct)


def is_view(entry: Entry, text: str) -> bool:
    """Whether a tensor is read without a call or a copy, by its name or by slices: z, z[t]."""
    return "(" not in text and not any(map(is_gathered, entry.indices))


def positions(place: Expr, frame: Sequence[Index], number: Number) -> Code:
    """A place as an array of integers: 0, 1, … for an index, the values of an integer tensor, and sums of these."""
    if isinstance(place, Idx):
        return Code(f"np.arange({number(size_of(place)).text})", ATOM, (place,))
    if isinstance(place, Entry):
        return read(place, frame, number)
    terms, start = [], S.Zero
    for term in summands(expand(place.replace(Head, lambda index: index))):
        source = next((f for f in factors(term) if isinstance(f, (Idx, Entry))), None)
        if source is None:
            start += term
            continue
        minus = term.could_extract_minus_sign()
        step, code = number(abs(term / source)), positions(source, frame, number)
        several = step.text != "1"
        terms.append((-1 if minus else 1, multiply([step, code], (), frame) if several else code))
    if not terms:
        return number(place)
    if start != 0:
        minus = start.could_extract_minus_sign()
        terms.append((-1, number(-start)) if minus else (1, number(start)))
    return add(terms, frame)


def _gather(entry: Entry, frame: Sequence[Index], number: Number) -> Code:
    """x[:, w]: the axes of the integer arrays stand where these are if they are side by side, else first."""
    slices = [isinstance(p, Idx) and p not in arranged(entry) for p in entry.indices]
    arrays = [
        None if is_slice else positions(p, frame, number)
        for p, is_slice in zip(entry.indices, slices)
    ]
    axes = union([c for c in arrays if c is not None], frame)
    slots = [":" if c is None else align(c, axes).text for c in arrays]
    first, last = slices.index(False), len(slices) - slices[::-1].index(False)
    before = first if not any(slices[first:last]) else 0
    sliced = [p for p, is_slice in zip(entry.indices, slices) if is_slice]
    return Code(subscript(entry.tensor, slots), ATOM, (*sliced[:before], *axes, *sliced[before:]))


def scattered(body: Expr, bound: frozenset[Index] = frozenset()) -> tuple[dict[Index, Expr], Expr]:
    """(place of each axis, what is added there) of Σ_bound δ(j, w[s]) … f: every such δ used up."""
    places: dict[Index, Expr] = {}
    while True:
        found = next((p for f in factors(body) if (p := _placed(f, bound | set(places)))), None)
        if found is None:
            return places, body
        delta, axis, place = found
        at: dict[Basic, Expr] = {axis: place}
        rest = list(factors(body))
        rest.remove(delta)
        body = substitute(Mul(*rest), at)
        places = {i: substitute(p, at) for i, p in places.items()} | {axis: place}


def _placed(factor: Expr, bound: frozenset[Index]) -> tuple[Delta, Index, Expr] | None:
    """(δ, axis, place) where a δ says at which place of an integer tensor an axis is."""
    if isinstance(factor, Delta):
        for axis, place in (factor.args, factor.args[::-1]):
            if isinstance(axis, Idx) and is_placed(place):
                if axis not in bound and axis not in free_indices(place):
                    return factor, axis, place
    return None


def rows_of(places: Mapping[Index, Expr], frame: Sequence[Index]) -> tuple[Index, ...]:
    """The indices that go through the terms which are added at places."""
    sources = frozenset[Index]().union(*(free_indices(p) for p in places.values()))
    return tuple(i for i in frame if i in sources)


def scatter_add(
    places: Mapping[Index, Expr],
    rows: Sequence[Index],
    values: Code,
    frame: Sequence[Index],
    number: Number,
    dtype: str,
) -> Code:
    """The values of all rows, added at the places of the axes that have one."""
    placed = [i for i in frame if i in places]
    rest = [i for i in frame if i in values.axes and i not in rows]
    shape = tuple_code(number(size_of(i)).text for i in (*placed, *rest))
    where = tuple_code(align(positions(places[i], frame, number), rows).text for i in placed)
    text = align(values, (*rows, *rest)).text
    if values.kind == "python":
        text = f"np.full({tuple_code('1' for _ in rows)}, {text}, dtype={dtype})"
    return Code(f"_scatter_add({shape}, {where}, {text})", ATOM, (*placed, *rest))
