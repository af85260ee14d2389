"""Optimisers: their equations, and the `step` of a module that was derived with one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Max, Piecewise, Sum, log, sign, sqrt

from symbp import ModelError, Network, Tensor, derive, indices, sizes
from symbp.evaluate import evaluate
from symbp.optimizers import known, rule
from symbp.update import Update
from symbp.zoo.mlp import net as mlp

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


def constant_rate(update: Update, g: Tensor) -> Tensor:
    r'''A step of its own length: \alpha = 1/8, said with """ in it.'''
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - g[k, p] / 8)


@pytest.mark.parametrize("own", [lion, amsgrad, warm, constant_rate])
def test_an_optimizer_of_ones_own(own: Callable[..., Tensor]) -> None:
    steps_equal(own)
    steps_equal(["clip", own], max_norm=1.5)


# Against PyTorch


TORCH: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda torch: lambda ws: torch.optim.SGD(ws, lr=0.03),
    "momentum": lambda torch: lambda ws: torch.optim.SGD(ws, lr=0.03, momentum=0.9),
    "adam": lambda torch: lambda ws: torch.optim.Adam(ws, lr=0.03),
    "adamw": lambda torch: lambda ws: torch.optim.AdamW(ws, lr=0.03),
}


@pytest.mark.oracles
@pytest.mark.parametrize("max_norm", [None, 0.05, 1e6])
@pytest.mark.parametrize("name", TORCH)
def test_twenty_steps_equal_those_of_torch(name: str, max_norm: float | None) -> None:
    """The two-layer perceptron, learning in both; with their defaults, and with the gradient clipped, or hardly."""
    torch = pytest.importorskip("torch")
    clipped = max_norm is not None
    module = derive(mlp, optimizer=["clip", name] if clipped else name).load()
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(20, 5)), np.eye(3)[rng.integers(3, size=20)]
    params = module.init(rng, d=5, h=8, k=3)
    state = module.init_state(params)
    theirs = {n: torch.tensor(w, requires_grad=True) for n, w in params.items()}
    optimizer = TORCH[name](torch)([*theirs.values()])
    for _ in range(20):
        _, grads = module.value_and_grad(params, x, t)
        module.step(params, grads, state, 0.03, **({"max_norm": max_norm} if clipped else {}))
        hidden = torch.relu(torch.tensor(x) @ theirs["W1"].T + theirs["b1"])
        logits = hidden @ theirs["W2"].T + theirs["b2"]
        loss = -(torch.tensor(t) * torch.log_softmax(logits, dim=1)).sum() / len(x)
        optimizer.zero_grad()
        loss.backward()
        if clipped:
            torch.nn.utils.clip_grad_norm_(theirs.values(), max_norm)
        optimizer.step()
    for n, w in params.items():
        np.testing.assert_allclose(w, theirs[n].detach().numpy(), rtol=0, atol=1e-10)


# What is wrong


def unfinished(update: Update, g: Tensor) -> Tensor:
    return g


def two_back(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), 2 * w[k - 1, p] - w[k - 2, p] - g[k, p])


def outer(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    q = indices("q", w.shape[1])
    return update.define(w, (k, p), w[k - 1, p] - Sum(g[k, p] * g[k, q], q))


def placed(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - p * g[k, p])


def another_step(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - g[0, p])


def last_step(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - g[k, p] / update.w.shape[0])


def named_state(update: Update, g: Tensor) -> Tensor:
    k, p, w = update.k, update.p, update.w
    return update.define(w, (k, p), w[k - 1, p] - update.constant("state", 1) * g[k, p])


def no_tensor(update: Update, g: Tensor) -> Any:
    return 3


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adamx", "'adamx' is unknown; known are adam, adamw, clip, momentum, sgd"),
        (["adam", "clip"], "clip stands behind the one that ends the step"),
        ("clip", "clip gives no new parameters"),
        ([], "an empty list gives no new parameters"),
        (3, "3 is unknown"),
        (unfinished, "unfinished gives no new parameters"),
        (no_tensor, "no_tensor gives 3, not a tensor"),
        (two_back, "w is read 2 steps back"),
        (outer, "w sums over pairs of entries"),
        (placed, "w depends on the place of an entry"),
        (another_step, r"w reads g\[0, p\]"),
        (last_step, "w reads K"),
        (named_state, "needs the name state"),
    ],
)
def test_what_is_no_update_is_refused(optimizer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        derive(scalar_and_matrix(), optimizer=optimizer)


def dropped(arrays: Params) -> Params:
    return {name: array for name, array in arrays.items() if name != "w"}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda p, g, s: (dropped(p), g, s), KeyError, "params: w is missing"),
        (lambda p, g, s: (p, dropped(g), s), KeyError, "grads: w is missing"),
        (lambda p, g, s: (p, g, {**s, "m": dropped(s["m"])}), KeyError, "state m: w is missing"),
        (lambda p, g, s: (p, g, {}), KeyError, "state: k is missing"),
        (lambda p, g, s: ({**p, "w": 1.0}, g, s), TypeError, "params: w must be an array"),
        (lambda p, g, s: ({**p, "w": np.array(1)}, g, s), TypeError, "params: w must be float32"),
        (
            lambda p, g, s: (p, {**g, "w": np.ones(1)}, s),
            ValueError,
            r"grads: w must have shape \(\)",
        ),
        (lambda p, g, s: (p, {**g, "w": np.float32(1)}, s), TypeError, "grads: w must be float64"),
        (
            lambda p, g, s: ({**p, "w": np.broadcast_to(1.0, ())}, g, s),
            ValueError,
            "w is read-only",
        ),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_written(
    change: Callable[..., Any], kind: type[Exception], message: str
) -> None:
    module = derive(scalar_and_matrix(), optimizer="adam").load()
    params, grads = start(module)
    state = module.init_state(params)
    before = copy.deepcopy((params, state))
    with pytest.raises(kind, match=message):
        module.step(*change(params, grads, state), 0.1)
    np.testing.assert_equal((params, state), before)
    with pytest.raises(KeyError, match="params: w is missing"):
        module.init_state(dropped(params))


def test_parameters_without_a_gradient_stay() -> None:
    derivation = derive(scalar_and_matrix(), wrt=["w"], optimizer=["clip", "adamw"])
    module = derivation.load()
    params, grads = start(module)
    before, state = copy.deepcopy(params), module.init_state(params)
    module.step(params, {"w": grads["w"]}, state, 0.1)
    assert list(state["m"]) == ["w"] and (params["beta1"] == before["beta1"]).all()
    assert params["w"] != before["w"] and derivation.verify().ok


# Verification and derivation


def edited(source: str, old: str, new: str) -> ModuleType:
    assert old in source
    module = ModuleType("edited")
    exec(source.replace(old, new), module.__dict__)
    return module


@pytest.mark.parametrize(
    ("optimizer", "old", "new", "message"),
    [
        (None, "-= float(learning_rate)", "-= 1.001 * float(learning_rate)", "error"),
        (None, "params[name] -= ", "params[name] = params[name] - ", "another array"),
        (None, "def step(", "def steps(", "AttributeError"),
        ("adam", "m *= beta1", "m *= beta2", "error"),
        ("adam", 'state["k"] = k + 1', "pass", "error"),
        ("adam", "m += (1 - beta1) * g", "g *= 1 - beta1; m += g", "wrote to a gradient"),
        (["clip", "sgd"], "total**0.5", "total", "error"),
    ],
)
def test_a_wrong_step_is_found(optimizer: Any, old: str, new: str, message: str) -> None:
    derivation = derive(scalar_and_matrix(), optimizer=optimizer)
    assert derivation.verify().ok
    plain = derive(scalar_and_matrix())  # a module says itself which optimiser it has
    for by in (derivation, plain):
        assert by.verify(edited(derivation.source, "import", "import")).ok
        failures = by.verify(edited(derivation.source, old, new)).failures
        assert failures and all(row.tensor == "step" for row in failures)
        assert message in str(failures[0])


def test_the_equations_and_their_source_are_printed() -> None:
    derivation = derive(scalar_and_matrix(), optimizer=["clip", "adamw"])
    for text in (derivation.text, derivation.source):
        assert "Pascanu" in text and "Loshchilov" in text
        assert "m[k,p] = beta1 m[k − 1,p] + clipped[k,p] (1 − beta1)" in text
    assert r"\section{Update}" in derivation.latex
    assert r"\beta_{1}\, m_{k - 1,p}" in derivation.latex
    assert "Update" not in derive(scalar_and_matrix()).text


def test_every_optimizer_is_known_by_its_file() -> None:
    assert known() == ("adam", "adamw", "clip", "momentum", "sgd")
    for name in known():
        parts = [name] if name != "clip" else [name, "sgd"]
        first, *rest = rule(parts).texts[0].split("\n\n")
        assert first and rest, f"{name} states no source"
