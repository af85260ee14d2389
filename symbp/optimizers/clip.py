"""Clipping of the gradient by its norm."""

from __future__ import annotations

from sympy import Min, Sum, sqrt

from symbp.tensor import Tensor
from symbp.update import Update


def clip(update: Update, g: Tensor) -> Tensor:
    """Clipping: the gradient of all parameters together is scaled down to a norm of max_norm, where it is longer.

    R. Pascanu, T. Mikolov and Y. Bengio, On the Difficulty of Training Recurrent Neural Networks, ICML 2013,
    algorithm 1; the small number, which keeps a gradient of 0, is that of PyTorch.
    """
    k, p = update.k, update.p
    max_norm = update.constant("max_norm", 1)
    norm = update.define("norm", k, sqrt(Sum(g[k, p] ** 2, p)))
    scale = update.define("scale", k, Min(1, max_norm / (norm[k] + 1e-6)))
    return update.define("clipped", (k, p), scale[k] * g[k, p])
