"""Windows that slide over the last axes of a tensor: convolution and pooling. A window stays inside its tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Expr, Sum

from symbp import Maximum, Network, Tensor
from symbp.ir.nodes import Index, size_of
from symbp.layers.axes import apart, count, take
from symbp.validate import check_axes, model_error, show

Places = Index | tuple[Index, ...]


def conv1d(
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: Index,
    stride: Any = 1,
    dilation: Any = 1,
) -> Tensor:
    """z[s, m, p] = Σ_cu W[m, c, u] x[s, c, stride p + dilation u] + b[m] (Goodfellow et al., Deep Learning, eq. 9.8).

    x (…, channels, length), W (maps, channels, width), b (maps,) or None; gives (…, maps, size of `at`).
    In groups: W (groups, maps, channels, width) and b (groups, maps); each group reads its own part of the channels
    of x, (…, groups · channels, length); gives (…, groups, maps, size of `at`).
    """
    return _convolution(
        "conv1d",
        net,
        name,
        x,
        W,
        b,
        (at,),
        _pair("stride", stride, 1),
        _pair("dilation", dilation, 1),
    )


def conv2d(
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: tuple[Index, Index],
    stride: Any = 1,
    dilation: Any = 1,
) -> Tensor:
    """z[s, m, p, q] = Σ_cuv W[m, c, u, v] x[s, c, stride p + dilation u, stride q + dilation v] + b[m] (as `conv1d`).

    x (…, channels, height, width), W (maps, channels, rows, columns), b (maps,) or None; gives
    (…, maps, sizes of `at`). Stride and dilation: one for both axes, or a pair. Groups as in `conv1d`.
    """
    return _convolution(
        "conv2d", net, name, x, W, b, at, _pair("stride", stride, 2), _pair("dilation", dilation, 2)
    )


def max_pool(
    net: Network, name: str, x: Tensor, at: Places, window: Places, stride: Any = None
) -> Tensor:
    """y[…, p] = max_u x[…, stride p + u], over as many of the last axes as `at` names (Goodfellow et al., §9.3).

    x (…, height, width), say; `window` has an index for each of these axes, which runs over its width. A stride is a
    number or a size, or one for each axis, by default as wide as the window; windows may overlap.
    Gives (…, sizes of `at`).
    """
    left, entry, within = _pool("max_pool", x, at, window, stride)
    return net.define(name, left, Maximum(entry, *within))


def avg_pool(
    net: Network, name: str, x: Tensor, at: Places, window: Places, stride: Any = None
) -> Tensor:
    """y[…, p] = the mean over u of x[…, stride p + u] (LeCun et al., Proc. IEEE 86, 1998, §II.B). As `max_pool`."""
    left, entry, within = _pool("avg_pool", x, at, window, stride)
    return net.define(name, left, Sum(entry, *within) / count(within))


def _convolution(
    layer: str,
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: Sequence[Index],
    stride: tuple[Any, ...],
    dilation: tuple[Any, ...],
) -> Tensor:
    rank = len(stride)
    at = _indices(layer, "at", at, rank)
    *lead, _ = take(layer, x, rank + 1)[:-rank]
    kernel = take(layer, W, rank + 2, rank + 3)
    maps, within = _split(kernel, len(kernel) - rank - 1)
    maps = _apart(maps, (*lead, *at))
    c, *window = _apart(within, (*lead, *maps, *at))
    channel = c if len(maps) == 1 else size_of(c) * maps[0] + c
    places = [f * p + g * u for f, p, g, u in zip(stride, at, dilation, window, strict=True)]
    z = Sum(W[(*maps, c, *window)] * x[(*lead, channel, *places)], c, *window)
    return net.define(name, (*lead, *maps, *at), z if b is None else z + b[maps])


def _pool(
    layer: str, x: Tensor, at: Places, window: Places, stride: Any
) -> tuple[tuple[Index, ...], Expr, tuple[Index, ...]]:
    """The indices of the result, the entry of x at a place in a window, and the indices of the window."""
    rank = len(at) if isinstance(at, tuple) else 1
    at, within = _indices(layer, "at", at, rank), _indices(layer, "window", window, rank)
    lead, _ = _split(take(layer, x, rank), len(x.indices) - rank)
    within = _apart(within, (*lead, *at))
    strides = tuple(map(size_of, within)) if stride is None else _pair("stride", stride, rank)
    places = [f * p + u for f, p, u in zip(strides, at, within, strict=True)]
    return (*lead, *at), x[(*lead, *places)], within


def _pair(what: str, value: Any, rank: int) -> tuple[Any, ...]:
    """One value for each axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise model_error(f"{what}={show(value)}: {rank} axes take 1 or {rank} values")
    return values


def _indices(layer: str, what: str, given: Any, rank: int) -> tuple[Index, ...]:
    places = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(places) != rank:
        raise model_error(f"{layer}: {what}={show(given)} has {len(places)} indices, not {rank}")
    return check_axes(f"{layer}: {what}", places)


def _split(indices: tuple[Index, ...], at: int) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    return indices[:at], indices[at:]


def _apart(indices: Sequence[Index], taken: Sequence[Index]) -> tuple[Index, ...]:
    found: tuple[Index, ...] = ()
    for index in indices:
        found = (*found, apart(index, (*taken, *found)))
    return found
