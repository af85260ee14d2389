"""The main job: emitted networks learn real handwritten digits."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from symbp import derive
from symbp.model_file import load_model

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
BATCH, EPOCHS, HIDDEN = 32, 30, 256


@pytest.fixture(scope="module")
def mlp() -> ModuleType:
    return derive(load_model(ZOO / "mlp.py")).load()


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """1,797 images of 8 × 8 pixels, scaled to [0, 1], and their labels."""
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def train(mlp: ModuleType, x: Any, t: Any, seed: int) -> dict[str, Any]:
    """Mini-batches by `value_and_grad` and `step`; the learning rate shrinks by a tenth an epoch."""
    rng = np.random.default_rng(seed)
    params: dict[str, Any] = mlp.init(rng, d=x.shape[1], h=HIDDEN, k=t.shape[1], dtype=x.dtype)
    for epoch in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            _, grads = mlp.value_and_grad(params, x[batch], t[batch])
            mlp.step(params, grads, learning_rate=0.9**epoch)
    return params


@pytest.mark.parametrize(
    ("seed", "dtype"),
    [
        (0, np.float32),
        *(pytest.param(seed, np.float64, marks=pytest.mark.slow) for seed in range(3)),
    ],
)
def test_reaches_97_percent_on_a_held_out_fifth(
    mlp: ModuleType, digits: tuple[Any, Any], seed: int, dtype: Any
) -> None:
    images, labels = digits
    x, t = images.astype(dtype), np.eye(10, dtype=dtype)[labels]
    held_out = np.arange(len(x)) % 5 == 0
    params = train(mlp, x[~held_out], t[~held_out], seed)
    y = mlp.predict(params, x[held_out])
    assert y.dtype == dtype
    accuracy = np.mean(y.argmax(axis=1) == labels[held_out])
    assert accuracy >= 0.97


def train_convolutions(module: ModuleType, x: Any, labels: Any, seed: int) -> dict[str, Any]:
    """As `train`, with 16 and 32 maps, half of what is pooled dropped."""
    rng = np.random.default_rng(seed)
    params: dict[str, Any] = module.init(rng, H=4, W=4, A=16, B=32, k=10, dtype=x.dtype)
    for epoch in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            _, grads = module.value_and_grad(params, x[batch], labels[batch], rng=rng)
            module.step(params, grads, learning_rate=0.3 * 0.9**epoch)
    return params


@pytest.mark.slow
def test_convolutions_beat_the_perceptron_on_the_same_fifth(
    mlp: ModuleType, digits: tuple[Any, Any]
) -> None:
    """Seeds 0, 1 and 2: each better, by at least a third of the mistakes together."""
    images, labels = digits
    x, t = images.astype(np.float32), np.eye(10, dtype=np.float32)[labels]
    held_out = np.arange(len(x)) % 5 == 0
    cnn = derive(load_model(ZOO / "digits_cnn.py")).load()
    pixels = x.reshape(-1, 1, 8, 8)
    wrong = []
    for seed in range(3):
        dense = mlp.predict(train(mlp, x[~held_out], t[~held_out], seed), x[held_out])
        params = train_convolutions(cnn, pixels[~held_out], labels[~held_out], seed)
        convolved = cnn.predict(params, pixels[held_out])
        wrong.append([(y.argmax(axis=1) != labels[held_out]).sum() for y in (dense, convolved)])
    assert all(ours < theirs for theirs, ours in wrong), wrong
    theirs, ours = np.sum(wrong, axis=0)
    assert 3 * ours <= 2 * theirs, wrong
