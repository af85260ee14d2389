"""Matrix products, and sums over several axes as matrix products of views: one call of BLAS each, into an array."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from sympy import Expr

from symbp.fast.arrays import Array
from symbp.fast.values import Operand, Place, Values, transposed
from symbp.shapes import size_code


def matmul(a: Operand, b: Operand, place: Place, values: Values) -> None:
    """a @ b. Of many rows by one matrix, the rows are joined: one product is faster than many."""
    if a.array.rank > 2 and b.array.rank == 2 and a.array.packed and place.array.packed:
        left, out = _rows(a), _rows(place)
        values.lines.append(f"np.dot({left}, {b.text}, out={out})")
        return
    b = Operand(values.laid_out(b), b.array) if b.array.rank == 2 else b
    plain = a.array.rank <= 2 and b.array.rank <= 2 and place.array.packed
    function = "np.dot" if plain else "np.matmul"
    values.lines.append(f"{function}({a.text}, {b.text}, out={place.text})")


def _rows(operand: Operand) -> str:
    """All but the last axis joined."""
    *rows, columns = operand.array.shape
    return f"{operand.text}.reshape({_length(rows)}, {size_code(columns)})"


Axes = tuple[Sequence[int], Sequence[int]]


def tensordot(a: Operand, b: Operand, axes: Axes, place: Place, values: Values) -> None:
    """Σ over pairs of axes as one product of matrices; an operand is copied only where its axes are scattered."""
    left, right = _paired(a.array, b.array, axes)
    first, second = _matrix(a, left, False, values), _matrix(b, right, True, values)
    joined = [[b.array.shape[k] for k in axes] for axes in (right, _others(b.array, right))]
    second = values.laid_out(Operand(second, Array(tuple(map(prod, joined)))))
    out = place if place.array.packed else values.fresh(place.array)
    rows, rank = a.array.rank - len(left), place.array.rank
    text = out.text
    if rows == rank > 1:
        text = f"{text}.reshape(-1)"
        second += ".reshape(-1)" * (b.array.rank > 1)
    elif 0 < rows and (rows, rank) not in ((1, 1), (1, 2)):
        shape = place.array.shape
        text = f"{text}.reshape({_length(shape[:rows])}, {_length(shape[rows:])})"
    values.lines.append(f"np.dot({first}, {second}, out={text})")
    if out is not place:
        values.lines.append(f"np.copyto({place.text}, {out.text})")


def turns(a: Array, b: Array, axes: Axes) -> bool:
    """Whether a product is best computed with the axes of b before those of a.

    So it is where a must be copied and its last free axis is longer than its last summed one: the copy then goes along
    the longer one, and so does what reads the product.
    """
    left, right = _paired(a, b, axes)
    free = _others(a, left)
    return not _joins(a, left) and bool(free) and b.rank > len(right) and _longer(a, free, left)


def turned(a: Operand, b: Operand, axes: Axes, values: Values) -> Operand:
    """The product with the axes of b before those of a, seen in the right order."""
    left, right = _paired(a.array, b.array, axes)
    free = _others(a.array, left)
    others = _others(b.array, right)
    shape = [*(b.array.shape[k] for k in others), *(a.array.shape[k] for k in free)]
    first, second = _matrix(b, right, False, values), _matrix(a, left, True, values)
    place = values.fresh(Array(tuple(shape)))
    lead = _length(shape[: len(others)])
    behind = _length(shape[len(others) :])
    text = f"{place.text}.reshape({lead}, {behind})" * (len(shape) > 2) or place.text
    values.lines.append(f"np.dot({first}, {second}, out={text})")
    order = [*range(len(others), len(shape)), *range(len(others))]
    return Operand(transposed(place.text, order), Array(tuple(shape[k] for k in order)))


def offsets(
    a: Operand, b: Operand, axes: Axes, places: Sequence[str | None], values: Values
) -> str:
    """The product of a with b[places] for every place at once, and of it the view at these places.

    `places` has for each axis of b the variable of a loop, or None; `axes` are those of the whole b.
    """
    left, right = axes
    others = _others(b.array, right)
    free = _others(a.array, left)
    first, second = _matrix(b, right, False, values), _matrix(a, left, True, values)
    shape = [*(b.array.shape[k] for k in others), *(a.array.shape[k] for k in free)]
    place = values.fresh(Array(tuple(shape)))
    lead = _length(shape[: len(others)])
    joined = f"{place.text}.reshape({lead}, {_length(shape[len(others) :])})"
    values.lines.append(f"np.dot({first}, {second}, out={joined})")
    slots = ", ".join(places[k] or ":" for k in others)
    kept = sum(places[k] is None for k in others)
    order = [*range(kept, kept + len(free)), *range(kept)]
    return transposed(f"{place.text}[{slots}]", order)


def _others(array: Array, axes: Sequence[int]) -> list[int]:
    return [k for k in range(array.rank) if k not in axes]


def _paired(a: Array, b: Array, axes: Axes) -> tuple[list[int], list[int]]:
    """The pairs in the order of the operand that can be read as it lies."""
    left, right = axes
    whole = _joins(b, right)
    order = sorted(range(len(left)), key=lambda k: right[k] if whole else left[k])
    return [left[k] for k in order], [right[k] for k in order]


def _length(sizes: Sequence[Expr]) -> str:
    return size_code(prod(sizes))


def _joins(array: Array, axes: Sequence[int]) -> bool:
    """Whether these axes stand side by side at one end, so that they can be joined without a copy."""
    span, rank = sorted(axes), array.rank
    ends = (list(range(len(axes))), list(range(rank - len(axes), rank)))
    return span in ends and (array.packed or rank <= 2)


def _longer(array: Array, one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether the last of some axes is longer than the last of others; a size that is no number counts as long."""
    first, second = array.shape[max(one)], array.shape[max(other)]
    return bool(second.is_Integer and (not first.is_Integer or first > second))


def _matrix(operand: Operand, summed: Sequence[int], first: bool, values: Values) -> str:
    """The operand as a matrix, its summed axes joined and first, or last."""
    axes = list(summed)
    rank = operand.array.rank
    leading, trailing = axes == list(range(len(axes))), axes == list(range(rank - len(axes), rank))
    if not (leading or trailing) or not (operand.array.packed or rank <= 2):
        free = _others(operand.array, axes)
        leading = _longer(operand.array, free, axes) if free else first
        if not free or not (leading or _longer(operand.array, axes, free)):
            leading = first
        order = [*axes, *free] if leading else [*free, *axes]
        shape = tuple(operand.array.shape[k] for k in order)
        view = Operand(transposed(operand.text, order), Array(shape, operand.array.kind))
        operand = values.packed(view)
        axes = [*range(len(axes))] if leading else [*range(rank - len(axes), rank)]
    length, text = _length([operand.array.shape[k] for k in axes]), operand.text
    rest = _length([operand.array.shape[k] for k in _others(operand.array, axes)])
    if rank == 1:
        return text
    if leading:
        text += f".reshape({length}, {rest})" * (rank > 2)
        return text if first else f"{text}.T"
    text += f".reshape({rest}, {length})" * (rank > 2)
    return f"{text}.T" if first else text
