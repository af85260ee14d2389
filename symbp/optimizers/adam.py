"""Adam."""

from __future__ import annotations

from sympy import Expr, sqrt

from symbp.tensor import Tensor
from symbp.update import Update


def adam(update: Update, g: Tensor) -> Tensor:
    """Adam: a step along the running mean of the gradient, over the root of that of its square.

    D. P. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1.
    """
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - update.learning_rate * direction(update, g))


def direction(update: Update, g: Tensor) -> Expr:
    """m_hat / (√v_hat + eps): running means, freed of the zeros that they began with."""
    k, p = update.k, update.p
    beta1, beta2 = update.constant("beta1", 0.9), update.constant("beta2", 0.999)
    eps = update.constant("eps", 1e-8)
    m, v = update.state("m"), update.state("v")
    update.define(m, (k, p), beta1 * m[k - 1, p] + (1 - beta1) * g[k, p])
    update.define(v, (k, p), beta2 * v[k - 1, p] + (1 - beta2) * g[k, p] ** 2)
    m_hat = update.define("m_hat", (k, p), m[k, p] / (1 - beta1 ** (k + 1)))
    v_hat = update.define("v_hat", (k, p), v[k, p] / (1 - beta2 ** (k + 1)))
    return m_hat[k, p] / (sqrt(v_hat[k, p]) + eps)
