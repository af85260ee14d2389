"""The zoo's recurrent networks against what is known of them without any framework.

A hidden Markov model against all its paths and the forward-backward algorithm; CTC against all alignments; a batch
against its samples one by one.
"""

from __future__ import annotations

import math
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
from sympy import Sum, log, tanh

from symbp import Network, derive, indices, sizes
from symbp.functions import sigmoid
from symbp.zoo.hmm import net as hidden_markov_model

from .helpers import assert_close, frozen, load, run
from .recurrent import SIZES, data, module

STEPS = (1, 2, 7, 50)


# A batch is its samples


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", sorted(set(SIZES) - {"linear_recurrence"}))
def test_a_batch_is_its_samples(name: str, steps: int) -> None:
    """L = Σ_s w_s L_s with w_s = 1/n, or the share of the words where these are counted; so its gradients."""
    params, inputs = data(name, steps, n=4)
    loss, grads = run(module(name), {**params, **inputs})
    weights = np.full(4, 1 / 4)
    if name == "tagger":
        weights = inputs["length"] / inputs["length"].sum()
    own = {"y"} if name == "ctc" else set()  # what each sample has its own of
    total, sums = 0.0, {key: np.zeros_like(g) for key, g in grads.items()}
    for s, weight in enumerate(weights):
        alone = {key: a[s : s + 1] if key in own | set(inputs) else a
                 for key, a in {**params, **inputs}.items()}  # fmt: skip
        part, slopes = run(module(name), alone)
        total += weight * part
        for key, slope in slopes.items():
            sums[key][slice(s, s + 1) if key in own else ...] += weight * slope
    assert_close(total, loss, 1e-13)
    for key, g in grads.items():
        assert_close(g, sums[key], 1e-11, floor=1e-4, what=key)


# Hidden Markov models


def tables(params: Any) -> tuple[Any, Any, Any]:
    """π, A and B."""
    pi, A, B = (np.exp(params[key]) for key in ("Wpi", "WA", "WB"))
    return pi / pi.sum(), A / A.sum(axis=1, keepdims=True), B / B.sum(axis=1, keepdims=True)


def every_path(params: Any, o: Any) -> tuple[float, Any, Any, Any]:
    """log p(o), and how often each start, transition and emission is to be expected given o: over all paths."""
    pi, A, B = tables(params)
    counts = [np.zeros_like(table) for table in (pi, A, B)]
    total = 0.0
    for path in product(range(len(pi)), repeat=len(o)):
        p = pi[path[0]] * np.prod([B[i, v] for i, v in zip(path, o)])
        p *= np.prod([A[i, j] for i, j in zip(path, path[1:])])
        total += p
        counts[0][path[0]] += p
        np.add.at(counts[1], (path[:-1], path[1:]), p)
        np.add.at(counts[2], (path, o), p)
    return np.log(total), *(c / total for c in counts)


def forward_backward(params: Any, o: Any) -> tuple[float, Any, Any, Any]:
    """The same by the textbook's recursions (Rabiner, 1989, eq. 19 to 40), each step divided by its sum."""
    pi, A, B = tables(params)
    alpha, beta = np.empty((len(o), len(pi))), np.ones((len(o), len(pi)))
    size = np.empty(len(o))
    for t, v in enumerate(o):
        step = (pi if t == 0 else alpha[t - 1] @ A) * B[:, v]
        size[t] = step.sum()
        alpha[t] = step / size[t]
    for t in range(len(o) - 2, -1, -1):
        beta[t] = A @ (B[:, o[t + 1]] * beta[t + 1]) / size[t + 1]
    gamma = alpha * beta
    after = B[:, o[1:]].T * beta[1:] / size[1:, None]
    emitted = np.zeros_like(B)
    np.add.at(emitted.T, o, gamma)
    return np.log(size).sum(), gamma[0], A * (alpha[:-1].T @ after), emitted


def expected_gradients(params: Any, found: Any) -> dict[str, Any]:
    """∂ log p/∂W = counts − (their sum over the row) · (the softmax of the row), as ∂ log p/∂A_ij = ξ_ij / A_ij."""
    return {
        key: counts - counts.sum(axis=-1, keepdims=True) * table
        for key, counts, table in zip(("Wpi", "WA", "WB"), found[1:], tables(params))
    }


@pytest.mark.parametrize("oracle", [every_path, forward_backward])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_hmm_gives_the_expected_counts(steps: int, oracle: Any) -> None:
    params, inputs = data("hmm", steps)
    loss, grads = run(module("hmm"), {**params, **inputs})
    found = [oracle(params, o) for o in inputs["o"]]
    assert_close(-loss, np.mean([f[0] for f in found]), 1e-13)
    parts = [expected_gradients(params, f) for f in found]
    for key, g in grads.items():
        assert_close(-g, np.mean([p[key] for p in parts], axis=0), 1e-12, floor=1e-3, what=key)


def test_hmm_of_ten_thousand_steps() -> None:
    """p(o) is about 1e-6000. Every quantity is within 1e-10 of the forward-backward algorithm."""
    params, inputs = data("hmm", 10_000, n=2, S=5, V=7)
    loss, grads = run(module("hmm"), {**params, **inputs})
    found = [forward_backward(params, o) for o in inputs["o"]]
    assert loss > 10_000
    assert_close(-loss, np.mean([f[0] for f in found]), 1e-10)
    parts = [expected_gradients(params, f) for f in found]
    for key, g in grads.items():
        assert_close(-g, np.mean([p[key] for p in parts], axis=0), 1e-10, what=key)


def test_gradients_in_the_tables_are_counts_over_probabilities() -> None:
    """∂L/∂A_ij = −Σ_t ξ_t(i, j) / (n A_ij), and so for π and B."""
    params, inputs = data("hmm", 7, n=1)
    graph = load(hidden_markov_model, wrt=["pi", "A", "B"])
    _, grads = run(graph, {**params, **inputs})
    found = every_path(params, inputs["o"][0])
    for key, counts, table in zip(("pi", "A", "B"), found[1:], tables(params)):
        assert_close(-grads[key], counts / table, 1e-12, what=key)


def test_the_derivation_says_that_states_are_scaled() -> None:
    text = derive(hidden_markov_model).text
    assert "leaves the range of floating point" in text


# CTC


def every_alignment(y: Any, labels: tuple[int, ...]) -> float:
    """log p(labels) over all ways to write a label or a blank at each frame."""
    total = 0.0
    for path in product(range(y.shape[1]), repeat=len(y)):
        if tuple(label for label, _ in groupby(path) if label) == labels:
            total += float(np.prod(y[np.arange(len(y)), path]))
    return float(np.log(total))


@pytest.mark.parametrize(
    "labels", [(), (1,), (2, 2), (1, 2), (1, 2, 1), (3, 3, 3), (1, 1, 2)], ids=str
)
def test_ctc_sums_over_all_alignments(labels: tuple[int, ...]) -> None:
    """Of five frames of six, on a path with room for four labels."""
    y = np.random.default_rng(len(labels)).dirichlet(np.ones(4), size=(1, 6))
    path = np.zeros((1, 9), int)
    path[0, 1 : 2 * len(labels) : 2] = labels
    ints = {"path": path, "last": np.array([4]), "end": np.array([2 * len(labels)])}
    arrays = frozen({"y": y}) | ints
    assert_close(run(module("ctc"), arrays)[0], -every_alignment(y[0, :5], labels), 1e-13)


def test_ctc_of_five_thousand_frames() -> None:
    """At equal probabilities p(labels) is the number of alignments, a binomial coefficient, over k^T."""
    T, U, k = 5000, 40, 11
    labels = np.arange(U) % 10 + 1  # none repeated
    path = np.zeros((1, 2 * U + 1), int)
    path[0, 1::2] = labels
    arrays = frozen({"y": np.full((1, T, k), 1 / k)})
    arrays |= {"path": path, "last": np.array([T - 1]), "end": np.array([2 * U])}
    loss, grads = run(module("ctc"), arrays)
    assert_close(-loss, math.log(math.comb(T + U, 2 * U)) - T * math.log(k), 1e-12)
    assert_close((grads["y"] / k).sum(axis=2), np.full((1, T), -1.0), 1e-10)  # one label a frame


# DyNet's xor


def xor(sentences: bool) -> Network:
    """examples/xor of clab/dynet: y = V tanh(W x + b) + a; squared distance, or of `xsent` a logistic loss."""
    n, d, u = sizes("n d u")
    s, j, c = indices("s", n), indices("j", d), indices("c", u)
    net = Network("xor")
    x, t = net.input("x", s, j), net.input("t", s)
    W, b, V, a = net.param("W", c, j), net.param("b", c), net.param("V", c), net.param("a")
    h = net.define("h", (s, c), tanh(Sum(W[c, j] * x[s, j], j) + b[c]))
    y = net.define("y", s, Sum(V[c] * h[s, c], c) + a)
    net.output(y)
    if sentences:
        p = net.define("p", s, sigmoid(y[s]))
        net.loss(-Sum(t[s] * log(p[s]) + (1 - t[s]) * log(1 - p[s]), s))
    else:
        net.loss(Sum((y[s] - t[s]) ** 2, s))
    return net


@pytest.mark.parametrize("sentences", [False, True], ids=["xor", "xsent"])
def test_dynet_learns_xor(sentences: bool) -> None:
    """2000 iterations of SGD, one sample each, at its rate of 0.1."""
    learned = load(xor(sentences))
    rng = np.random.default_rng(0)
    params = learned.init(rng, d=2, u=8)
    inputs = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    targets = np.array([-1.0, 1.0, 1.0, -1.0])
    if sentences:
        targets = (targets + 1) / 2
    for iteration in range(2000):
        k = slice(iteration % 4, iteration % 4 + 1)
        _, grads = learned.value_and_grad(params, inputs[k], targets[k])
        learned.step(params, grads, 0.1)
    y = learned.predict(params, inputs)
    assert np.array_equal(y > 0, targets > 0)
    assert learned.forward(params, inputs, targets)[0] < 0.05
