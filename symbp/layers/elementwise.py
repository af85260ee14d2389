"""Layers that take each entry by itself: activations, gates and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Expr

from symbp import Network, Tensor
from symbp.functions import silu
from symbp.layers.axes import take


def activation(net: Network, name: str, function: Callable[[Any], Expr], x: Tensor) -> Tensor:
    """y = f(x), entry by entry (Goodfellow et al., Deep Learning, §6.3); f from `symbp.functions` or SymPy: gelu, tanh.

    Gives the shape of x.
    """
    return net.define(name, x.indices, function(x[x.indices]))


def swiglu(net: Network, name: str, gate: Tensor, value: Tensor) -> Tensor:
    """y = gate / (1 + exp(−gate)) · value, entry by entry (Shazeer, arXiv 2002.05202, eq. 6).

    gate and value of one shape; gives it.
    """
    take("swiglu", value, len(gate.indices), len(gate.indices))
    return net.define(name, gate.indices, silu(gate[gate.indices]) * value[gate.indices])


def dropout(net: Network, name: str, x: Tensor, keep: Any) -> Tensor:
    """y = x · mask / keep, where the mask is 1 with probability keep, else 0 (Srivastava et al., JMLR 15, 2014, §10).

    `keep` is a number or a constant of the network. Gives the shape of x, and declares the noise `<name>_mask`; where
    the output is predicted its mean stands in for it, so that y = x.
    """
    mask = net.random(f"{name}_mask", *x.indices, law="bernoulli", p=keep)
    return net.define(name, x.indices, x[x.indices] * mask[x.indices] / keep)
