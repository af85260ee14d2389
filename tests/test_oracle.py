"""The evaluation in many digits, against loops over mpmath numbers, and what is measured with it in ulps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Max, Piecewise, Sum, erf, exp, log, tanh

from symbp import Network, derive, indices, sizes
from symbp.cli import main
from symbp.ir.network import Declared
from symbp.oracle import exact
from symbp.sample import Point
from symbp.ulps import measure, worst

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"

n, d, T = sizes("n d T")
s, j, c, t = indices("s", n), indices("j", d), indices("c", d), indices("t", T)


def at(sizes: dict[str, int], **values: Any) -> Point:
    arrays = {name: np.asarray(value) for name, value in values.items()}
    return Point(sizes, arrays, {}, work=64)


def everywhere(point: Point, *names: str) -> dict[str, Any]:
    return {name: np.argwhere(np.ones(point.values[name].shape)) for name in names}


def close(got: Any, expected: Any, digits: int) -> bool:
    """Whether all numbers agree to so many digits of the largest."""
    pairs = list(zip(np.ravel(np.asarray(got, object)), np.ravel(np.asarray(expected, object))))
    largest = max(abs(b) for _, b in pairs)
    return all(abs(a - b) <= mpmath.mpf(10) ** -digits * largest for a, b in pairs)


def softmax() -> Declared:
    net = Network("softmax")
    x, w = net.input("x", s, j), net.param("w", j)
    z = net.define("z", (s, j), w[j] * x[s, j])
    y = net.define("y", (s, j), exp(z[s, j]) / Sum(exp(z[s, c]), c))
    net.output(y)
    net.loss(-Sum(log(y[s, 0]), s) / n)
    return net.declared()


@pytest.mark.parametrize("digits", [50, 80])
def test_softmax(digits: int) -> None:
    """∂L/∂w_j = Σ_s x_sj (y_sj − δ_0j) / n."""
    x = np.random.default_rng(0).normal(size=(2, 3))
    w = np.array([0.1, -0.7, 1.3])
    point = at({"n": 2, "d": 3}, x=x, w=w)
    found = exact(softmax(), point, everywhere(point, "w"), digits)
    assert found is not None
    with mpmath.workdps(digits + 20):
        terms = [[mpmath.exp(mpmath.mpf(a) * b) for a, b in zip(w, row)] for row in x.tolist()]
        y = [[term / sum(row) for term in row] for row in terms]
        slopes = [
            sum(mpmath.mpf(x[r, k]) * (y[r][k] - (k == 0)) for r in range(2)) / 2 for k in range(3)
        ]
        assert close(found.values["y"], y, digits)
        assert close(found.values["loss"], -sum(mpmath.log(row[0]) for row in y) / 2, digits)
        assert close(found.gradients["w"], slopes, 2 * digits // 3 - 1)


def test_a_recurrence_with_gathers_kinks_and_branches() -> None:
    net = Network("steps")
    w, b = net.param("w"), net.param("b", j)
    word, x = net.input("word", t, integer=True), net.input("x", t)
    h = net.recurrent("h", (t,), over=t, initial=b[0])
    net.define(h, t, Piecewise((tanh(w * h[t - 1] + b[word[t]]), t < T - 1), (h[t - 1], True)))
    net.loss(Sum(erf(h[t]) * Max(0, x[t]) + 0.1 * h[t] ** 3, t))
    words, given = [2, 0, 1, 0], [0.3, -0.4, 2.5, 1.25]
    point = at({"T": 4, "d": 3}, w=0.8, b=[0.2, -1.1, 0.6], word=words, x=given)
    found = exact(net.declared(), point, everywhere(point, "w", "b", "x"), 50)
    assert found is not None

    def loss(rate: Any, bias: Any, data: Any) -> Any:
        state, total = bias[0], mpmath.mpf(0)
        for k in range(4):
            state = mpmath.tanh(rate * state + bias[words[k]]) if k < 3 else state
            total += mpmath.erf(state) * max(0, data[k]) + mpmath.mpf(0.1) * state**3
        return total

    with mpmath.workdps(100):
        first = [mpmath.mpf(v) for v in (0.8, 0.2, -1.1, 0.6, *given)]

        def of(*v: Any) -> Any:
            return loss(v[0], v[1:4], v[4:])

        slopes = [mpmath.diff(of, first, tuple(k == m for m in range(8))) for k in range(8)]
        assert close(found.values["loss"], of(*first), 50)
        flat = [*found.gradients["w"], *found.gradients["b"], *found.gradients["x"]]
        assert close(flat, slopes, 30)


def test_as_many_digits_as_a_small_summand_needs() -> None:
    net = Network("softplus")
    z = net.param("z")
    net.loss(log(1 + exp(z)))
    point = at({}, z=-300.0)
    found = exact(net.declared(), point, everywhere(point, "z"), 50)
    assert found is not None and found.digits > 150
    with mpmath.workdps(300):
        assert close(found.values["loss"], mpmath.log1p(mpmath.exp(-300)), 50)
        assert close(found.gradients["z"], 1 / (1 + mpmath.exp(300)), 20)
    for value in (-1e5, -1e9):  # would take 43,000 digits and more
        assert exact(net.declared(), at({}, z=value), everywhere(point, "z"), 50) is None


def test_steps_are_relative_to_small_entries() -> None:
    net = Network("logarithm")
    x = net.param("x")
    net.loss(log(x))
    point = at({}, x=2.0**-100)
    found = exact(net.declared(), point, everywhere(point, "x"), 50)
    assert found is not None
    assert close(found.gradients["x"], mpmath.mpf(2) ** 100, 30)


def test_on_a_kink_there_is_no_gradient() -> None:
    net = Network("relu")
    x = net.param("x")
    net.loss(Max(0, x))
    for value, known in ((0.0, False), (1e-300, True)):
        point = at({}, x=value)
        assert (exact(net.declared(), point, everywhere(point, "x"), 50) is not None) == known


def test_a_layer_is_differentiated_with_its_seeds() -> None:
    net = Network("scale")
    x, w = net.input("x", s), net.param("w")
    net.output(net.define("y", s, w * x[s]))
    point = at({"n": 2}, x=[1.0, 3.0], w=2.0)
    point = Point(point.sizes, point.values, {"y": np.array([0.5, -1.0])}, 64)
    found = exact(net.declared(), point, everywhere(point, "w", "x"), 50)
    assert found is not None
    assert close(found.gradients["w"], -2.5, 30)
    assert close(found.gradients["x"], [1.0, -2.0], 30)


# Ulps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ulps_are_those_of_the_exact_entry(dtype: Any) -> None:
    one = dtype(1)
    with mpmath.workdps(50):
        exact_ = np.array([mpmath.mpf(1), mpmath.mpf(3)], object)
        got = np.array([one + 3 * np.spacing(one), 3], dtype)
        assert worst(got, exact_, dtype) == (3.0, 1.5)
        assert worst(np.array([1, 3], dtype), exact_, dtype) == (0.0, 0.0)
        half = exact_ + np.array([float(np.spacing(one)) / 2, 0], object)
        assert worst(np.array([1, 3], dtype), half, dtype) == (0.5, 0.25)
        # an entry that cancels to nothing has no digits of its own
        tiny = np.array([mpmath.mpf(10) ** -30, mpmath.mpf(1)], object)
        own, whole = worst(np.array([one * np.spacing(one), 1], dtype), tiny, dtype)
        assert own == 0.0 and abs(whole - 1) < 1e-6


def test_what_loses_digits_is_seen(tmp_path: Path) -> None:
    """A module with log(1 + exp(z)) as it is written loses what log1p keeps."""
    net = Network("softplus")
    z = net.param("z", s)
    net.loss(Sum(log(1 + exp(-10 - z[s] ** 2)), s))
    derivation = derive(net)
    naive = derive(net).load()
    naive.forward = spoilt(naive.forward)  # type: ignore[attr-defined]
    right, wrong = (
        {
            e.quantity: max(e.of_entry)
            for e in measure(net.declared(), m, ("z",)).errors
            if e.dtype == "float64"
        }
        for m in (derivation.load(), naive)
    )
    assert right["loss"] < 8 < 100 < wrong["loss"]
    assert right["∂L/∂z"] < 16


def spoilt(forward: Callable[..., Any]) -> Callable[..., Any]:
    def naive(params: Any) -> Any:
        _, cache = forward(params)
        return np.log(1 + np.exp(-10 - params["z"] ** 2)).sum(), cache

    return naive


def test_the_zoo_is_right_to_a_few_ulps() -> None:
    """Ordinary points; the worst entry of a gradient may cancel, the largest does not."""
    for model, most in (("mlp", 32), ("linear_neuron", 4), ("hmm", 16)):
        net = __import__(f"symbp.zoo.{model}", fromlist=["net"]).net
        ulps = derive(net).ulps(points=3)
        assert ulps.points == 3
        assert {e.quantity for e in ulps.errors} >= {
            "loss",
            f"∂L/∂{next(iter(net.declared().of_kind('param'))).name}",
        }
        for errors in ulps.errors:
            assert len(errors.of_entry) == len(errors.of_largest) == 3
            assert max(errors.of_largest) < most, model
            assert errors.quantity != "loss" or max(errors.of_entry) < most, model


def test_verify_prints_ulps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = str(ZOO / "linear_neuron.py")
    assert main(["derive", model]) == 0
    capsys.readouterr()
    assert main(["verify", model, "--digits", "40"]) == 0
    printed = capsys.readouterr().out
    assert "Errors in ulps, against 40 digits" in printed
    assert printed.count("∂L/∂w") == 2
    assert main(["verify", model, "--digits", "20"]) == 2
