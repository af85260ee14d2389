"""Gradient descent with momentum."""

from __future__ import annotations

from symbp.tensor import Tensor
from symbp.update import Update


def momentum(update: Update, g: Tensor) -> Tensor:
    """Gradient descent with momentum: a step along a sum of gradients in which older ones fade.

    B. T. Polyak, Some methods of speeding up the convergence of iteration methods, USSR Computational Mathematics and
    Mathematical Physics 4, 1964; with the learning rate outside the sum: I. Sutskever, J. Martens, G. Dahl and
    G. Hinton, ICML 2013, and PyTorch's SGD.
    """
    k, p, w = update.k, update.p, update.w
    mu = update.constant("momentum", 0.9)
    velocity = update.state("velocity")
    update.define(velocity, (k, p), mu * velocity[k - 1, p] + g[k, p])
    return update.define(w, (k, p), w[k - 1, p] - update.learning_rate * velocity[k, p])
