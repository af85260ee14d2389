"""Training a reader of text, measuring it on what it has not seen, and letting it write."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symbp.zoo.text.corpus import Corpus
from symbp.zoo.text.readers import Arrays, Reader

STRETCHES = 64  # of held-out text, which are read side by side


@dataclass(frozen=True)
class Point:
    """Where training stands: how much of it is done, and losses in nats a character."""

    step: int
    done: float  # from 0 to 1
    loss: float  # of the batch of this step
    held_out: float | None  # where it is measured


def train(
    reader: Reader,
    params: Arrays,
    text: Corpus,
    done: Callable[[int], float],
    rng: np.random.Generator,
    measured: int = 10,
) -> Iterator[Point]:
    """Steps by AdamW, with the gradient clipped, on `params`, until `done(steps)` has come to 1; each as it is made.

    The loss on held-out text is measured so many times, at about equal distances, the last after the last step.
    """
    module, state = reader.module, reader.module.init_state(params)
    share, step, times = done(0), 0, 0
    while not step or share < 1:
        batch = reader.inputs(*windows(text.training, reader.rows, reader.steps, rng))
        loss, grads = module.value_and_grad(params, *batch)
        module.step(params, grads, state, reader.learning_rate * warmth(share))
        step += 1
        share = min(done(step), 1)
        held_out = None
        if int(share * measured) > times:
            times = int(share * measured)
            held_out = held_out_loss(reader, params, text.held_out)
        yield Point(step, share, float(loss), held_out)


def warmth(done: float) -> float:
    """The learning rate as a share of its largest: it rises over the first twentieth, then falls along a cosine."""
    return min(1, 20 * done + 0.01) * (0.51 + 0.49 * math.cos(math.pi * done))


def windows(text: Any, rows: int, steps: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Rows of characters from random places, and the character behind each of them."""
    starts = rng.integers(0, len(text) - steps, (rows, 1))
    window = text[starts + np.arange(steps + 1)]
    return window[:, :-1], window[:, 1:]


def held_out_loss(reader: Reader, params: Arrays, text: Any) -> float:
    """Nats a character, each given those before it in its stretch of the text; the first of each is given."""
    rows = text[: len(text) // STRETCHES * STRETCHES].reshape(STRETCHES, -1)
    total, state, piece = 0.0, None, reader.steps // 2
    for start in range(0, rows.shape[1] - 1, piece):
        target = rows[:, start + 1 : start + piece + 1]
        x = rows[:, start : start + target.shape[1]]
        y, state = reader.read(params, x, state)
        total -= np.log(np.take_along_axis(y, target[:, :, None], axis=2)).sum(dtype=np.float64)
    return float(total / rows[:, 1:].size)


def written(
    reader: Reader, params: Arrays, start: Any, length: int, rng: np.random.Generator
) -> Iterator[int]:
    """Characters drawn one by one, each read in its turn; the first follow `start`, an array of at least one."""
    x, state = start[None], None
    for _ in range(length):
        y, state = reader.read(params, x, state)
        chances = y[0, -1].astype(np.float64)
        drawn = int(rng.choice(len(chances), p=chances / chances.sum()))
        yield drawn
        x = np.array([[drawn]])


def smoothed(losses: Sequence[float], memory: float = 0.98) -> list[float]:
    """Their running mean, in which older ones fade."""
    mean, out = losses[0], []
    for loss in losses:
        mean = memory * mean + (1 - memory) * loss
        out.append(mean)
    return out
