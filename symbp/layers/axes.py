"""What the layers share: indices apart from each other, and axes that fit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sympy import Expr, Idx, prod

from symbp import Tensor
from symbp.ir.nodes import Index, size_of
from symbp.validate import model_error, same_size


def apart(index: Index, taken: Collection[Index]) -> Index:
    """An index over the same size that is none of `taken`: itself, or one named after it."""
    names = {str(other.name) for other in taken}
    found, number = index, 1
    while str(found.name) in names:
        number += 1
        found = Idx(f"{index.name}{number}", size_of(index))
    return found


def count(indices: Collection[Index]) -> Expr:
    """How many entries these indices run over."""
    return prod(size_of(i) for i in indices)


def take(layer: str, tensor: Any, least: int, most: int | None = None) -> tuple[Index, ...]:
    """The indices of a tensor that must have `least` axes or more, at most `most`."""
    if not isinstance(tensor, Tensor):
        raise model_error(
            f"{layer}: {tensor!r} is no tensor; give what input, param or define gave"
        )
    axes = len(tensor.indices)
    if axes < least or (most is not None and axes > most):
        wants = (
            f"{least}"
            if least == most
            else f"{least} or more"
            if most is None
            else f"{least} to {most}"
        )
        raise model_error(f"{layer}: {tensor!r} has {axes} axes, not {wants}")
    return tensor.indices


def integer_at(tensor: Tensor, indices: Collection[Index]) -> Any:
    """An entry of an integer tensor, to stand as an index; of one without axes, the tensor."""
    return tensor[tuple(indices)] if indices else tensor


def own(layer: str, x: Tensor, index: Index | None) -> Index:
    """An index of x, which is its last where none is named."""
    axes = take(layer, x, 1)
    if index is None:
        return axes[-1]
    if index not in axes:
        raise model_error(f"{layer}: index {index} is none of {x!r}")
    return index


def axis_of(layer: str, x: Tensor, parameter: Tensor) -> Index:
    """The index of x that the one axis of a parameter stands for: the same one, else x's only one of that size."""
    axes, (index,) = take(layer, x, 1), take(layer, parameter, 1, 1)
    if index in axes:
        return index
    fitting = [i for i in axes if same_size(size_of(i), size_of(index))]
    if len(fitting) != 1:
        raise model_error(f"{layer}: {x!r} has {len(fitting)} axes that {parameter!r} fits, not 1")
    return fitting[0]
