"""Probabilities of classes, and how badly they predict them."""

from __future__ import annotations

from sympy import Expr, Sum, exp, log

from symbp import Network, Tensor
from symbp.ir.nodes import Index
from symbp.layers.axes import count, integer_at, own, take


def softmax(net: Network, name: str, z: Tensor, over: Index | None = None) -> Tensor:
    """y[…, i] = exp z[…, i] / Σ_c exp z[…, c] (Bishop, Pattern Recognition and Machine Learning, eq. 4.62).

    z (…, k), normalised over its last axis, or over the index that is given; gives the shape of z.
    """
    i = own("softmax", z, over)
    e = exp(z[z.indices])
    return net.define(name, z.indices, e / Sum(e, i))


def cross_entropy(y: Tensor, t: Tensor) -> Expr:
    """The mean over samples of −Σ_i t_i log y_i (Bishop, eq. 4.108): an expression, for `net.loss`.

    y (…, k), probabilities; t (…, k), probabilities too, or (…), the integers 0…k−1 of the classes.
    """
    *lead, i = take("cross_entropy", y, 1)
    take("cross_entropy", t, 0)
    if t.declaration.integer:
        take("cross_entropy", t, len(lead), len(lead))
        each = log(y[(*lead, integer_at(t, lead))])
        total = Sum(each, *lead) if lead else each
    else:
        take("cross_entropy", t, len(lead) + 1, len(lead) + 1)
        total = Sum(t[(*lead, i)] * log(y[(*lead, i)]), *lead, i)
    return -total / count(lead)
