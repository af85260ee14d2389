"""Entries less their mean, over their standard deviation; what the mean is taken over tells the layers apart."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Sum, sqrt

from symbp import Network, Tensor
from symbp.ir.nodes import Index
from symbp.layers.axes import axis_of, count, take


def layer_norm(
    net: Network, name: str, x: Tensor, gain: Tensor, bias: Tensor | None = None, eps: Any = 1e-5
) -> Tensor:
    """y = gain · (x − mean x) / √(var x + eps) + bias over one axis (Ba, Kiros and Hinton, arXiv 1607.06450, eq. 4).

    x (…, d); gain and bias (d,), over the axis that is normalised; gives the shape of x. Defines
    `<name>_centred`, x − mean x, and `<name>_hat`, which is that over the standard deviation.
    """
    j = axis_of("layer_norm", x, gain)
    if bias is not None:
        take("layer_norm", bias, 1, 1)
    return _scaled(net, name, _normalised(net, name, x, (j,), eps), j, gain, bias)


def rms_norm(net: Network, name: str, x: Tensor, gain: Tensor, eps: Any = 1e-5) -> Tensor:
    """y = gain · x / √(mean x² + eps) over one axis (Zhang and Sennrich, arXiv 1910.07467).

    x (…, d); gain (d,), over the axis that is normalised; gives the shape of x.
    """
    j = axis_of("rms_norm", x, gain)
    scale = sqrt(_mean(x[x.indices] ** 2, (j,)) + eps)
    return net.define(name, x.indices, gain[j] * x[x.indices] / scale)


def batch_norm(
    net: Network, name: str, x: Tensor, gain: Tensor, bias: Tensor, eps: Any = 1e-5
) -> Tensor:
    """y = gain · (x − mean x) / √(var x + eps) + bias for each feature (Ioffe and Szegedy, arXiv 1502.03167, alg. 1).

    x with an axis of d features, such as (n, d) or (n, d, height, width); gain and bias (d,). Mean and biased variance
    are taken over all other axes. Gives the shape of x. Defines `<name>_centred` and `<name>_hat`, as
    `layer_norm` does.
    """
    j = axis_of("batch_norm", x, gain)
    take("batch_norm", bias, 1, 1)
    others = tuple(i for i in x.indices if i != j)
    return _scaled(net, name, _normalised(net, name, x, others, eps), j, gain, bias)


def batch_norm_running(
    net: Network,
    name: str,
    x: Tensor,
    gain: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: Any = 1e-5,
) -> Tensor:
    """`batch_norm` where an output is predicted, with statistics that are given (Ioffe and Szegedy, alg. 2).

    As there; mean and variance (d,) are inputs, so that they feed this equation alone.
    """
    j = axis_of("batch_norm_running", x, gain)
    for parameter in (bias, mean, variance):
        take("batch_norm_running", parameter, 1, 1)
    scale = sqrt(variance[j] + eps)
    return net.define(name, x.indices, gain[j] * (x[x.indices] - mean[j]) / scale + bias[j])


def _mean(value: Expr, over: tuple[Index, ...]) -> Expr:
    return Sum(value, *over) / count(over)


def _normalised(net: Network, name: str, x: Tensor, over: tuple[Index, ...], eps: Any) -> Tensor:
    """`<name>_hat`, from `<name>_centred`: cut there, both gradients come out in their short form."""
    entry = x[x.indices]
    centred = net.define(f"{name}_centred", x.indices, entry - _mean(entry, over))
    less = centred[x.indices]
    return net.define(f"{name}_hat", x.indices, less / sqrt(_mean(less**2, over) + eps))


def _scaled(
    net: Network, name: str, hat: Tensor, j: Index, gain: Tensor, bias: Tensor | None
) -> Tensor:
    y = gain[j] * hat[hat.indices]
    return net.define(name, hat.indices, y if bias is None else y + bias[j])
