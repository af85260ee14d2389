"""Affine maps of the last axis, and rows of a table."""

from __future__ import annotations

from sympy import Sum

from symbp import Network, Tensor
from symbp.layers.axes import apart, integer_at, take


def dense(net: Network, name: str, x: Tensor, W: Tensor, b: Tensor | None = None) -> Tensor:
    """z[…, a] = Σ_j W[a, j] x[…, j] + b[a] (Goodfellow, Bengio and Courville, Deep Learning, eq. 6.36).

    x (…, d), W (h, d), b (h,); gives (…, h).
    """
    *lead, _ = take("dense", x, 1)
    a, j = take("dense", W, 2, 2)
    if b is not None:
        take("dense", b, 1, 1)
    a = apart(a, lead)
    j = apart(j, (*lead, a))
    z = Sum(W[a, j] * x[(*lead, j)], j)
    return net.define(name, (*lead, a), z if b is None else z + b[a])


def embedding(net: Network, name: str, words: Tensor, E: Tensor) -> Tensor:
    """y[…, e] = E[words[…], e]: row words[…] of a table (Bengio et al., JMLR 3, 2003, §2).

    words (…), integers in 0…v−1; E (v, d); gives (…, d).
    """
    lead = take("embedding", words, 0)
    _, e = take("embedding", E, 2, 2)
    e = apart(e, lead)
    return net.define(name, (*lead, e), E[integer_at(words, lead), e])
