"""Noise: drawn by `forward`, or given by its own name; in `predict` its mean stands in for it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Max, Sum

from symbp import Maximum, Network, derive, indices, sizes

n, d, h = sizes("n d h")
s, j, a = indices("s", n), indices("j", d), indices("a", h)

RNG = np.random.default_rng(0)
DATA = {"W": RNG.normal(size=(4, 3))}
X = RNG.normal(size=(6, 3))


def dropout(keep: float | None = None, loss: bool = True) -> Network:
    """A rectified layer of which a part is dropped; `keep` is a number, or a constant of the network."""
    net = Network("dropout")
    x, W = net.input("x", s, j), net.param("W", a, j)
    p = keep or net.constant("keep", 0.8)
    mask = net.random("mask", s, a, law="bernoulli", p=p)
    y = net.define("y", (s, a), Max(0, Sum(W[a, j] * x[s, j], j)) * mask[s, a] / p)
    net.output(y)
    if loss:
        net.loss(Sum(y[s, a] ** 2, s, a) / n)
    return net


def noisy(**numbers: Any) -> Network:
    net = Network("noisy")
    x, sigma = net.param("x", s), net.constant("sigma", 0.5)
    net.constant("unused", 1)
    eps = net.random("eps", s, law="normal", **{"std": sigma, **numbers})
    net.output(net.define("y", s, x[s] ** 2 + eps[s]))
    return net


def several() -> Network:
    """Noise of both laws, a scalar, one under a sum and one under a maximum."""
    net = Network("several")
    x, scale = net.param("x", s), net.random("scale", law="normal", mean=1, std=0.1)
    mask, eps = net.random("mask", s, a, p=0.5), net.random("eps", s, law="normal", mean=0.25)
    total = net.define("total", s, Sum(mask[s, a], a) * x[s] * scale)
    net.output(net.define("y", s, total[s] + Maximum(mask[s, a] * 2, a) + eps[s] * x[s]))
    net.loss(Sum(total[s] ** 2 * eps[s], s))
    return net


NETWORKS = {
    "dropout": dropout(),
    "a number for p": dropout(0.7),
    "a layer": dropout(loss=False),
    "a normal law": noisy(),
    "several": several(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_values_gradients_and_draws(name: str) -> None:
    derivation = derive(NETWORKS[name])
    report = derivation.verify()
    assert report.ok, str(report)
    drawn = [row for row in report.rows if "drawn" in row.tensor]
    assert drawn and all(row.error == 0 for row in drawn)


def module() -> ModuleType:
    return derive(NETWORKS["dropout"]).load()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_is_drawn_from_the_generator_alone(dtype: Any) -> None:
    params, x = {"W": DATA["W"].astype(dtype)}, X.astype(dtype)
    losses = [module().forward(params, x, rng=np.random.default_rng(k))[0] for k in (7, 7, 8)]
    assert losses[0] == losses[1] != losses[2] and losses[0].dtype == dtype
    mask = (np.random.default_rng(7).random((6, 4)) < 0.8).astype(dtype)
    loss, grads = module().value_and_grad(params, x, mask=mask)
    assert loss == losses[0] and grads["W"].dtype == dtype
    y = np.maximum(x @ params["W"].T, 0) * mask / dtype(0.8)
    np.testing.assert_allclose(loss, (y**2).sum() / 6, rtol=1e-5)
    same, _ = module().value_and_grad(params, x, keep=1, rng=np.random.default_rng(0))
    np.testing.assert_allclose(same, (np.maximum(x @ params["W"].T, 0) ** 2).sum() / 6, rtol=1e-5)


def test_the_laws_have_their_moments() -> None:
    x = np.zeros(40_000)
    y, _ = derive(noisy(mean=3)).load().forward({"x": x}, sigma=2, rng=np.random.default_rng(0))
    assert abs(y.mean() - 3) < 0.05 and abs(y.std() - 2) < 0.05
    net = Network("coin")
    z, coin = net.param("z", s), net.random("coin", s, p=0.3)
    net.output(net.define("y", s, z[s] + coin[s]))
    y, _ = derive(net).load().forward({"z": x}, rng=np.random.default_rng(0))
    assert set(y) == {0, 1} and abs(y.mean() - 0.3) < 0.01


def test_predict_uses_the_mean() -> None:
    np.testing.assert_allclose(module().predict(DATA, X), np.maximum(X @ DATA["W"].T, 0))
    source = derive(NETWORKS["a number for p"]).source
    assert "    y = np.maximum(x @ W.T, 0)\n" in source.split("def predict")[1]
    values = derive(several()).load().predict({"x": np.array([1.0, 2.0])}, h=3)
    np.testing.assert_allclose(values, [1.5 + 1 + 0.25, 3 + 1 + 0.5])


def test_only_what_backward_reads_is_kept() -> None:
    sources = {name: derive(net).source for name, net in NETWORKS.items()}
    assert "eps" not in sources["a normal law"].split("def backward")[1].split("def predict")[0]
    cache = sources["dropout"].split("cache = (")[1].split(")")[0]
    assert "mask" in cache


def test_dropout_is_an_equation() -> None:
    derivation = derive(NETWORKS["dropout"])
    assert derivation.equations[0] == "y[s,a] = mask[s,a] max(0, Σ_j W[a,j] x[s,j]) / keep"
    assert "mask[s,a]" in derivation.gradients["W"]
    assert "noise, bernoulli with p = keep" in derivation.text
    assert "noise, bernoulli with p = 0.7" in derive(NETWORKS["a number for p"]).text
    assert derivation.partial("y", "mask") != 0 and derive(dropout(), wrt=["mask"]).verify().ok


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({}, ValueError, "mask: is drawn, so forward needs rng"),
        ({"rng": 0}, TypeError, "rng: must be a Generator of numpy, got int"),
        ({"mask": np.ones((6, 3))}, ValueError, r"mask: must have shape \(6, 4\), got \(6, 3\)"),
        ({"mask": np.ones((6, 4), np.float32)}, TypeError, "mask: must be float64"),
        ({"mask": np.ones((6, 4), bool)}, TypeError, "mask: must be float64"),
    ],
)
def test_bad_noise(given: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        module().forward(DATA, X, **given)


@pytest.mark.parametrize(
    ("network", "given", "error", "words"),
    [
        (dropout(), {"keep": 1.5}, ValueError, "mask: needs a probability p from 0 to 1, got 1.5"),
        (dropout(), {"keep": np.nan}, ValueError, "mask: needs a probability"),
        (dropout(), {"keep": "half"}, TypeError, "keep: must be a number, got 'half'"),
        (noisy(), {"sigma": -0.1}, ValueError, "eps: needs a finite mean and std >= 0, got 0.0, -0.1"),
    ],
)  # fmt: skip
def test_bad_numbers_of_a_law(
    network: Network, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    arguments = [DATA, X] if network.name == "dropout" else [{"x": np.ones(3)}]
    with pytest.raises(error, match=words):
        derive(network).load().forward(*arguments, **given, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("dropout", "random(shape) < p", "random(shape) > p"),
        ("dropout", "_generator(name, rng).random", "np.random.default_rng().random"),
        ("a normal law", "normal(mean, std, shape)", "normal(mean, 1.0, shape)"),
        ("dropout", "if rng is None:", "if False:"),
    ],
)
def test_verification_sees_other_noise(name: str, before: str, after: str) -> None:
    derivation = derive(NETWORKS[name])
    assert before in derivation.source
    other = ModuleType("other")
    exec(derivation.source.replace(before, after), other.__dict__)
    assert not derivation.verify(other).ok
