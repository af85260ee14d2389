"""Layers that take each entry by itself: activations, gates and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Expr, pi, sqrt, tanh

from symbp import Network, Tensor
from symbp.functions import sigmoid
from symbp.layers.axes import take


def activation(net: Network, name: str, function: Callable[[Any], Expr], x: Tensor) -> Tensor:
    """y = f(x), entry by entry (Goodfellow et al., Deep Learning, §6.3); f from `symbp.functions` or SymPy: gelu, tanh.

    Gives the shape of x.
    """
    take("activation", x, 0)
    return net.define(name, x.indices, function(x[x.indices]))


def gelu_tanh(net: Network, name: str, x: Tensor) -> Tensor:
    """y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks and Gimpel, arXiv 1606.08415, §2).

    Gives the shape of x. Defines `<name>_cubic`, the argument of the hyperbolic tangent, and `<name>_tanh`, that.
    """
    at = take("gelu_tanh", x, 0)
    cubic = net.define(f"{name}_cubic", at, sqrt(2 / pi) * (x[at] + 0.044715 * x[at] ** 3))
    tangent = net.define(f"{name}_tanh", at, tanh(cubic[at]))
    return net.define(name, at, x[at] / 2 * (1 + tangent[at]))


def silu(net: Network, name: str, x: Tensor) -> Tensor:
    """y = x / (1 + exp(−x)) (Hendrycks and Gimpel, arXiv 1606.08415, §2).

    Gives the shape of x. Defines `<name>_sigmoid`, 1 / (1 + exp(−x)).
    """
    at = take("silu", x, 0)
    weight = net.define(f"{name}_sigmoid", at, sigmoid(x[at]))
    return net.define(name, at, x[at] * weight[at])


def swiglu(net: Network, name: str, gate: Tensor, value: Tensor) -> Tensor:
    """y = silu(gate) · value, entry by entry (Shazeer, arXiv 2002.05202, eq. 5, β = 1).

    gate and value of one shape; gives it. Defines `<name>_sigmoid`, 1 / (1 + exp(−gate)).
    """
    at = take("swiglu", gate, 0)
    take("swiglu", value, len(at), len(at))
    weight = net.define(f"{name}_sigmoid", at, sigmoid(gate[at]))
    return net.define(name, at, gate[at] * weight[at] * value[at])


def dropout(net: Network, name: str, x: Tensor, keep: Any) -> Tensor:
    """y = x · mask / keep, where the mask is 1 with probability keep, else 0 (Srivastava et al., JMLR 15, 2014).

    `keep` is a number or a constant of the network. Gives the shape of x, and declares the noise `<name>_mask`; where
    the output is predicted its mean stands in for it, so that y = x.
    """
    take("dropout", x, 0)
    mask = net.random(f"{name}_mask", *x.indices, law="bernoulli", p=keep)
    return net.define(name, x.indices, x[x.indices] * mask[x.indices] / keep)
