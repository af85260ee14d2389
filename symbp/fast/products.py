"""Matrix products, and sums over several axes as matrix products of views: one call of BLAS each, into an array."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from sympy import Expr

from symbp.fast.arrays import Array
from symbp.fast.values import Operand, Place, Values
from symbp.shapes import size_code


def matmul(a: Operand, b: Operand, place: Place, values: Values) -> None:
    """a @ b. Of many rows by one matrix, the rows are joined: one product is faster than many."""
    if a.array.rank > 2 and b.array.rank == 2 and a.array.packed and place.array.packed:
        left, out = _rows(a), _rows(place)
        values.lines.append(f"np.dot({left}, {b.text}, out={out})")
        return
    plain = a.array.rank <= 2 and b.array.rank <= 2 and place.array.packed
    function = "np.dot" if plain else "np.matmul"
    values.lines.append(f"{function}({a.text}, {b.text}, out={place.text})")


def _rows(operand: Operand) -> str:
    """All but the last axis joined."""
    return f"{operand.text}.reshape(-1, {size_code(operand.array.shape[-1])})"


def tensordot(
    a: Operand, b: Operand, axes: tuple[Sequence[int], Sequence[int]], place: Place, values: Values
) -> None:
    """Σ over pairs of axes as one product of matrices; an operand is copied only where its axes are scattered."""
    left, right = axes
    order = sorted(range(len(left)), key=lambda k: right[k] if _joins(b, right) else left[k])
    left, right = [left[k] for k in order], [right[k] for k in order]
    first, second = _matrix(a, left, False, values), _matrix(b, right, True, values)
    out = place
    if not place.array.packed:
        out = values.fresh(place.array)
    rank = place.array.rank
    rows = a.array.rank - len(left)
    text = out.text
    if (rows, rank) not in ((1, 2), (1, 1), (0, 1)):
        sizes = place.array.shape
        text = f"{out.text}.reshape({_length(sizes[:rows])}, -1)" if 0 < rows else text
        if rows == rank:
            text = f"{out.text}.reshape(-1)"
            second += ".reshape(-1)" * (b.array.rank > 1)
    values.lines.append(f"np.dot({first}, {second}, out={text})")
    if out is not place:
        values.lines.append(f"np.copyto({place.text}, {out.text})")


def _length(sizes: Sequence[Expr]) -> str:
    return size_code(prod(sizes)) if len(sizes) == 1 else size_code(prod(sizes))


def _joins(operand: Operand, axes: Sequence[int]) -> bool:
    """Whether these axes stand side by side at one end, so that they can be joined without a copy."""
    rank, span = operand.array.rank, sorted(axes)
    ends = (list(range(len(axes))), list(range(rank - len(axes), rank)))
    return span in ends and (operand.array.packed or rank <= 2)


def _matrix(operand: Operand, summed: Sequence[int], first: bool, values: Values) -> str:
    """The operand as a matrix, its summed axes joined and first, or last."""
    array, axes = operand.array, list(summed)
    free = [k for k in range(array.rank) if k not in axes]
    leading = axes == list(range(len(axes)))
    trailing = axes == list(range(array.rank - len(axes), array.rank))
    if not (leading or trailing) or not (array.packed or array.rank <= 2):
        order = [*axes, *free] if first else [*free, *axes]
        packed = values.fresh(Array(tuple(array.shape[k] for k in order), array.kind))
        turned = f"{operand.text}.transpose({', '.join(map(str, order))})"
        values.lines.append(f"np.copyto({packed.text}, {turned})")
        operand, leading, trailing = packed, first, not first
        array = packed.array
        axes = list(range(len(axes))) if first else list(range(len(free), array.rank))
    sizes = [array.shape[k] for k in axes]
    text = operand.text
    if array.rank == 1:
        return text
    if leading:
        text += f".reshape({_length(sizes)}, -1)" * (array.rank > 2)
        return text if first else f"{text}.T"
    text += f".reshape(-1, {_length(sizes)})" * (array.rank > 2)
    return f"{text}.T" if first else text
