"""Windows that slide over the last axes of a tensor: convolution and pooling (Goodfellow et al., Deep Learning, ch. 9).

A window stays inside its tensor, or inside what padding makes of it. Strides, dilations and paddings are numbers or
sizes, one for each axis or one for all. Of an axis of size l, padded by a on both sides, windows of width w reach
floor((l + 2 a − dilation (w − 1) − 1) / stride) + 1 places (Dumoulin and Visin, arXiv 1603.07285, relationship 15):
`at` may run over fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import And, Expr, Idx, Piecewise, S, Sum, oo

from symbp import Maximum, Network, Tensor
from symbp.ir.nodes import Index, size_of
from symbp.layers.axes import apart, count, take
from symbp.validate import check_axes, check_size, model_error, never_negative, show

Indices = tuple[Index, ...]
Places = Index | Indices
Amounts = tuple[Expr, ...]


def conv1d(
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: Index,
    stride: Any = 1,
    dilation: Any = 1,
    padding: Any = 0,
) -> Tensor:
    """z[s, m, p] = Σ_cu W[m, c, u] x[s, c, stride p + dilation u − padding] + b[m] (Goodfellow et al., §9.5).

    x (…, channels, length), W (maps, channels, width), b (maps,) or None; gives (…, maps, size of `at`).
    In groups: W (groups, maps, channels, width) and b (groups, maps); each group reads its own part of the channels
    of x, (…, groups · channels, length); gives (…, groups, maps, size of `at`).
    Where there is padding, defines `<name>_padded`: x with so many zeros before and behind its last axis.
    """
    return _convolution("conv1d", 1, net, name, x, W, b, at, stride, dilation, padding)


def conv2d(
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: tuple[Index, Index],
    stride: Any = 1,
    dilation: Any = 1,
    padding: Any = 0,
) -> Tensor:
    """z[s, m, p, q] = Σ_cuv W[m, c, u, v] x[s, c, stride p + dilation u, stride q + dilation v] + b[m] (as `conv1d`).

    x (…, channels, height, width), W (maps, channels, rows, columns), b (maps,) or None; gives
    (…, maps, sizes of `at`). Stride, dilation and padding: one for both axes, or a pair. Groups as in `conv1d`.
    """
    return _convolution("conv2d", 2, net, name, x, W, b, at, stride, dilation, padding)


def max_pool(
    net: Network,
    name: str,
    x: Tensor,
    at: Places,
    window: Places,
    stride: Any = None,
    padding: Any = 0,
) -> Tensor:
    """y[…, p] = max_u x[…, stride p + u − padding], over as many last axes as `at` names (Goodfellow et al., §9.3).

    x (…, height, width), say; `window` has an index for each of these axes, which runs over its width. A stride is by
    default as wide as the window; windows may overlap. Gives (…, sizes of `at`).
    Where there is padding, defines `<name>_padded`: x with −∞ around it, so that only entries of x are compared; it
    must be narrower than the window, which would else hold none of them.
    """
    left, entry, within = _pool("max_pool", net, name, x, at, window, stride, padding, -oo)
    return net.define(name, left, Maximum(entry, *within))


def avg_pool(
    net: Network,
    name: str,
    x: Tensor,
    at: Places,
    window: Places,
    stride: Any = None,
    padding: Any = 0,
) -> Tensor:
    """y[…, p] = the mean over u of x[…, stride p + u − padding] (LeCun et al., Proc. IEEE 86, 1998, §II.A).

    As `max_pool`, but the padding is of zeros, which count: at the borders, too, the mean is over the whole window.
    """
    left, entry, within = _pool("avg_pool", net, name, x, at, window, stride, padding, S.Zero)
    return net.define(name, left, Sum(entry, *within) / count(within))


def _convolution(
    layer: str,
    rank: int,
    net: Network,
    name: str,
    x: Tensor,
    W: Tensor,
    b: Tensor | None,
    at: Places,
    stride: Any,
    dilation: Any,
    padding: Any,
) -> Tensor:
    at = _indices(layer, "at", at, rank)
    strides = _amounts(layer, "stride", stride, rank)
    dilations = _amounts(layer, "dilation", dilation, rank)
    around = _amounts(layer, "padding", padding, rank, least=0)
    take(layer, x, rank + 1)
    kernel = take(layer, W, rank + 2, rank + 3)
    maps, within = _split(kernel, len(kernel) - rank - 1)
    if b is not None:
        take(layer, b, len(maps), len(maps))
    x = _padded(net, name, x, around, S.Zero)
    *lead, _ = x.indices[:-rank]
    maps = _apart(maps, (*lead, *at))
    c, *window = _apart(within, (*lead, *maps, *at))
    channel = c if len(maps) == 1 else size_of(c) * maps[0] + c
    places = [f * p + g * u for f, p, g, u in zip(strides, at, dilations, window, strict=True)]
    z = Sum(W[(*maps, c, *window)] * x[(*lead, channel, *places)], c, *window)
    return net.define(name, (*lead, *maps, *at), z if b is None else z + b[maps])


def _pool(
    layer: str,
    net: Network,
    name: str,
    x: Tensor,
    at: Places,
    window: Places,
    stride: Any,
    padding: Any,
    outside: Expr,
) -> tuple[Indices, Expr, Indices]:
    """The indices of the result, the entry of x at a place in a window, and the indices of the window."""
    rank = len(at) if isinstance(at, tuple) else 1
    take(layer, x, rank)
    at, window = _indices(layer, "at", at, rank), _indices(layer, "window", window, rank)
    widths = tuple(map(size_of, window))
    strides = widths if stride is None else _amounts(layer, "stride", stride, rank)
    around = _amounts(layer, "padding", padding, rank, least=0)
    for a, width in zip(around, widths, strict=True):
        if never_negative(a - width):
            raise model_error(f"{layer}: padding={a} holds a whole window of width {width}")
    x = _padded(net, name, x, around, outside)
    lead, _ = _split(x.indices, len(x.indices) - rank)
    within = _apart(window, (*lead, *at))
    places = [f * p + u for f, p, u in zip(strides, at, within, strict=True)]
    return (*lead, *at), x[(*lead, *places)], within


def _padded(net: Network, name: str, x: Tensor, around: Amounts, outside: Expr) -> Tensor:
    """`<name>_padded`: x with so many cells of `outside` before and behind each last axis; x itself if with none."""
    if not any(around):
        return x
    lead, axes = _split(x.indices, len(x.indices) - len(around))
    longer = [Idx(i.name, size_of(i) + 2 * a) for i, a in zip(axes, around, strict=True)]
    wide = _apart(longer, x.indices)
    inside = [
        And(i >= a, i < a + size_of(axis)) for i, a, axis in zip(wide, around, axes, strict=True)
    ]
    entry = x[(*lead, *(i - a for i, a in zip(wide, around, strict=True)))]
    branches = Piecewise((entry, And(*inside)), (outside, True))
    return net.define(f"{name}_padded", (*lead, *wide), branches)


def _amounts(layer: str, what: str, value: Any, rank: int, least: int = 1) -> Amounts:
    """A number or a size, no less than `least` (0 or 1), for each axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise model_error(f"{layer}: {what}={show(value)}: {rank} axes take 1 or {rank} values")
    subject = f"{layer}: {what}={show(value)}"
    sizes = tuple(S.Zero if v == 0 == least else check_size(subject, v) for v in values)
    for size in sizes:
        if not never_negative(size - least):
            raise model_error(f"{subject}: {size} may be less than {least}")
    return sizes


def _indices(layer: str, what: str, given: Any, rank: int) -> Indices:
    places = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(places) != rank:
        raise model_error(f"{layer}: {what}={show(given)} has {len(places)} indices, not {rank}")
    return check_axes(f"{layer}: {what}", places)


def _split(indices: Indices, at: int) -> tuple[Indices, Indices]:
    return indices[:at], indices[at:]


def _apart(indices: Sequence[Index], taken: Sequence[Index]) -> Indices:
    found: Indices = ()
    for index in indices:
        found = (*found, apart(index, (*taken, *found)))
    return found
