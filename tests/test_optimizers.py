"""Optimisers: their equations, and the `step` of a module that was derived with one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Max, Piecewise, Sum, log, sign, sqrt

from symbp import Network, Tensor, derive, indices, sizes
from symbp.evaluate import evaluate
from symbp.optimizers import rule
from symbp.update import Update

Params = dict[str, Any]
NAMES = ("sgd", "momentum", "adam", "adamw", ["clip", "adam"], ["clip", "sgd"])


def scalar_and_matrix(name: str = "line") -> Network:
    """A parameter without axes beside one with two, and hyper-parameters' names for tensors and sizes."""
    n, eps, h = sizes("n eps h")
    s, j, a = indices("s", n), indices("j", eps), indices("a", h)
    net = Network(name)
    x = net.input("x", s, j)
    beta1, w = net.param("beta1", a, j, init="normal"), net.param("w", init=0.5)
    m = net.define("m", (s, a), Sum(beta1[a, j] * x[s, j], j) + w)
    net.loss(Sum(m[s, a] ** 4, s, a) / n)
    return net


def start(module: ModuleType, dtype: Any = np.float64) -> tuple[Params, Params]:
    rng = np.random.default_rng(3)
    params = module.init(rng, eps=3, h=2, dtype=dtype)
    grads = {n: np.asarray(rng.normal(size=p.shape), dtype) for n, p in params.items()}
    return params, grads


@pytest.mark.parametrize("optimizer", NAMES, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_step_is_in_place_and_keeps_the_type(optimizer: Any, dtype: Any) -> None:
    module = derive(scalar_and_matrix(), optimizer=optimizer).load()
    params, grads = start(module, dtype)
    state = module.init_state(params)
    before, given = copy.deepcopy(params), copy.deepcopy(grads)
    arrays = [*params.values(), *(a for s in state.values() if s for a in s.values())]
    with np.errstate(all="raise"):
        for _ in range(2):
            module.step(params, grads, state, np.float64(0.1))
    after = [
        *params.values(),
        *(a for s in state.values() if isinstance(s, dict) for a in s.values()),
    ]
    assert all(a is b for a, b in zip(arrays, after, strict=True))
    assert all(a.dtype == dtype and isinstance(a, np.ndarray) for a in after)
    assert all((params[n] != before[n]).any() for n in params)
    assert all((grads[n] == given[n]).all() for n in grads)
    assert [p.shape for p in params.values()] == [(2, 3), ()]


@pytest.mark.parametrize("optimizer", NAMES, ids=str)
def test_steps_equal_the_equations(optimizer: Any) -> None:
    """Against a direct evaluation of the recurrence that was declared, over all entries as one vector."""
    steps_equal(
        optimizer, momentum=0.5, beta1=0.7, beta2=0.6, eps=0.25, weight_decay=0.125, max_norm=2
    )


def steps_equal(optimizer: Any, steps: int = 4, **numbers: float) -> None:
    written = rule(optimizer).declared
    numbers = {d.name: numbers.get(d.name, d.default) for d in written.of_kind("constant")}
    numbers["learning_rate"] = 0.1
    module = derive(scalar_and_matrix(), optimizer=optimizer).load()
    params, _ = start(module)
    rng = np.random.default_rng(4)
    every = rng.normal(size=(steps, 7))
    flat = np.concatenate([np.ravel(p) for p in params.values()])
    found = evaluate(written, {"K": steps, "N": 7}, {"g": every, "w0": flat, **numbers})
    state = module.init_state(params)
    for g in every:
        grads = {"beta1": g[:6].reshape(2, 3), "w": g[6]}
        module.step(params, grads, state, **numbers)
    got = np.concatenate([np.ravel(p) for p in params.values()])
    np.testing.assert_allclose(got, found.values["w"][0, -1], rtol=1e-13, atol=1e-13)


# Of a user's own


def lion(update: Update, g: Tensor) -> Tensor:
    """Lion: a step along the sign of an interpolated mean.

    X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, algorithm 2.
    """
    k, p, w = update.k, update.p, update.w
    beta1, beta2 = update.constant("beta1", 0.9), update.constant("beta2", 0.99)
    m = update.state("m")
    update.define(m, (k, p), beta2 * m[k - 1, p] + (1 - beta2) * g[k, p])
    step = sign(beta1 * m[k - 1, p] + (1 - beta1) * g[k, p])  # of the mean before this step
    return update.define(w, (k, p), w[k - 1, p] - update.learning_rate * step)


def amsgrad(update: Update, g: Tensor) -> Tensor:
    """A largest value is kept, which is no linear update."""
    k, p, w = update.k, update.p, update.w
    v, top = update.state("v"), update.state("top", initial=0.5)
    update.define(v, (k, p), (v[k - 1, p] + g[k, p] ** 2) / 2)
    update.define(top, (k, p), Max(top[k - 1, p], v[k, p]))
    return update.define(w, (k, p), w[k - 1, p] - update.learning_rate * g[k, p] / sqrt(top[k, p]))


def warm(update: Update, g: Tensor) -> Tensor:
    """Numbers in the state, the count of steps and of entries, and a norm of what is not there yet."""
    k, p, w = update.k, update.p, update.w
    speed, old, kept = (
        update.state("speed", k, initial=1),
        update.state("old", k),
        update.state("kept"),
    )
    update.define(speed, k, speed[k - 1] * Piecewise((2, k < 2), (0.5, True)))
    update.define(kept, (k, p), kept[k - 1, p] + g[k, p] - w[k - 1, p])
    size = update.define("size", k, Sum(kept[k, p] ** 2, p) / update.w.shape[1])
    update.define(old, k, log(1 + size[k]) + old[k - 1] / 2)
    rate = update.learning_rate * speed[k] / (1 + old[k] + old[k - 1])
    centred = g[k, p] - Sum(kept[k, p], p)
    return update.define(w, (k, p), w[k - 1, p] * (1 - rate) - rate * (centred - kept[k - 1, p]))


@pytest.mark.parametrize("own", [lion, amsgrad, warm])
def test_an_optimizer_of_ones_own(own: Callable[..., Tensor]) -> None:
    steps_equal(own)
    steps_equal(["clip", own], max_norm=1.5)
