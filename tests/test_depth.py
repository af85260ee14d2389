"""A deep network costs what its distinct equations cost: equal layers are derived once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sympy import Sum, exp, log, tanh

from symbp import Network, derive, indices, sizes
from symbp.derivative import partials_of

n, h, k = sizes("n h k")
s = indices("s", n)
a, b = indices("a b", h)
i, c = indices("i c", k)


def perceptron(depth: int) -> Network:
    """`depth` equal hidden layers, then softmax and cross-entropy."""
    net = Network(f"perceptron{depth}")
    below = net.input("x", s, a)
    t = net.input("t", s, i, sums_to_one=i)
    for layer in range(1, depth + 1):
        W, bias = net.param(f"W{layer}", a, b), net.param(f"b{layer}", a)
        z = net.define(f"z{layer}", (s, a), Sum(W[a, b] * below[s, b], b) + bias[a])
        below = net.define(f"h{layer}", (s, a), tanh(z[s, a]))
    V = net.param("V", i, a)
    z = net.define("z", (s, i), Sum(V[i, a] * below[s, a], a))
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
    return net


def derivations(depth: int) -> int:
    """How many equations were differentiated, from nothing, to derive a network."""
    partials_of.cache_clear()
    derive(perceptron(depth))
    return int(partials_of.cache_info().misses)


def test_equal_equations_are_differentiated_once() -> None:
    counts = [derivations(depth) for depth in (2, 4, 8, 16)]
    assert 0 < counts[0] <= counts[1]
    assert counts[1] == counts[2] == counts[3]


def test_each_layer_adds_the_same_formulas_to_the_module() -> None:
    formulas = [derive(perceptron(depth)).source.count("    # ") for depth in (2, 4, 8, 16)]
    assert (np.diff(formulas) / [2, 4, 8]).tolist() == [5, 5, 5]  # z, h; dz, dW, db


def test_sixteen_layers_are_right() -> None:
    module = derive(perceptron(16)).load()
    rng = np.random.default_rng(0)
    params = module.init(rng, h=4, k=3)
    params = {name: rng.normal(size=array.shape) / 2 for name, array in params.items()}
    x, t = rng.normal(size=(2, 4)), np.eye(3)[[0, 2]]
    loss, grads = module.value_and_grad(params, x, t)
    assert loss == pytest.approx(reference(params, x, t), rel=1e-13)
    for name, array in params.items():
        direction = rng.normal(size=array.shape)
        moved = {**params, name: array + 1e-30j * direction}
        slope = np.imag(reference(moved, x, t)) / 1e-30
        assert np.sum(grads[name] * direction) == pytest.approx(slope, rel=1e-11)


def reference(params: dict[str, Any], x: Any, t: Any) -> Any:
    for layer in range(1, 17):
        x = np.tanh(x @ params[f"W{layer}"].T + params[f"b{layer}"])
    e = np.exp(x @ params["V"].T)
    return -np.sum(t * np.log(e / e.sum(axis=1, keepdims=True))) / len(x)
