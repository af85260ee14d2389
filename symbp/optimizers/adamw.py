"""Adam with decoupled weight decay."""

from __future__ import annotations

from symbp.optimizers.adam import direction
from symbp.tensor import Tensor
from symbp.update import Update


def adamw(update: Update, g: Tensor) -> Tensor:
    """AdamW: Adam, and apart from it a decay of the parameters.

    I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2; the decay times the
    learning rate, as in PyTorch.
    """
    k, p, w, rate = update.k, update.p, update.w, update.learning_rate
    step = direction(update, g)
    decay = update.constant("weight_decay", 0.01)
    return update.define(w, (k, p), w[k - 1, p] - rate * decay * w[k - 1, p] - rate * step)
