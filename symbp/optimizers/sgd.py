"""Gradient descent."""

from __future__ import annotations

from symbp.tensor import Tensor
from symbp.update import Update


def sgd(update: Update, g: Tensor) -> Tensor:
    """Gradient descent: a step against the gradient.

    H. Robbins and S. Monro, A Stochastic Approximation Method, Annals of Mathematical Statistics 22, 1951.
    """
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - update.learning_rate * g[k, p])
