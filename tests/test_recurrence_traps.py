"""Recurrences that were once derived, emitted or checked wrongly: each is verified against a direct evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import Eq, Piecewise, Sum, exp, log, sqrt, tanh

from symbp import Network, derive, indices, sizes
from symbp.evaluate import evaluate

n, T, L, u, k = sizes("n T L u k")
s, l, i = indices("s", n), indices("l", L), indices("i", k)  # noqa: E741
t = indices("t", T)
a, b = indices("a b", u)

Build = Callable[[Network], None]
MODELS: list[Build] = []


def model(build: Build) -> Build:
    MODELS.append(build)
    return build


def network(build: Build) -> Network:
    net = Network("m")
    build(net)
    return net


def state(net: Network, initial: Any = 0) -> tuple[Any, Any, Any]:
    """An input x, weights U, and a recurrent h."""
    x, U = net.input("x", s, t, a), net.param("U", a, b)
    return x, U, net.recurrent("h", (s, t, a), over=t, initial=initial)


@model
def initial_is_a_constant(net: Network) -> None:
    x, U, h = state(net, net.constant("h0", 0.3))
    net.define(h, (s, t, a), tanh(Sum(U[a, b] * h[s, t - 1, b], b) + x[s, t, a]))
    net.loss(Sum(h[s, t, a], s, t, a))


@model
def initial_is_gathered(net: Network) -> None:
    """Whose places only the expression for before the first step tells."""
    w, E = net.input("w", s, integer=True), net.param("E", i, a)
    x, U, h = state(net, Piecewise((E[w[s], a], a >= 1), (0, True)))
    net.define(h, (s, t, a), tanh(Sum(U[a, b] * h[s, t - 1, b], b) + x[s, t, a]))
    net.loss(Sum(h[s, t, a] * h[s, t - 2, a], s, t, a))


@model
def initial_of_an_outer_state(net: Network) -> None:
    """The step of the outer loop is read nowhere else."""
    x, W, U = net.input("x", s, a), net.param("W", l, a, b), net.param("U", a, b)
    X = net.recurrent("X", (l, s, a), over=l, initial=x[s, a])
    H = net.recurrent("H", (l, t, s, a), over=t, initial=X[l - 1, s, a])
    net.define(H, (l, t, s, a), tanh(Sum(U[a, b] * H[l, t - 1, s, b], b)))
    top = Sum(W[l, a, b] * H[l, T - 1, s, b], b)
    net.define(X, (l, s, a), top + Sum(H[l, t, s, a], t))
    net.loss(Sum(X[L - 1, s, a] ** 2, s, a))


@model
def initial_mixes_an_outer_state(net: Network) -> None:
    x, U = net.input("x", s, a), net.param("U", a, b)
    X = net.recurrent("X", (l, s, a), over=l, initial=x[s, a])
    H = net.recurrent("H", (s, a, l, t), over=t, initial=Sum(U[a, b] * X[l - 1, s, b], b))
    net.define(H, (s, a, l, t), tanh(H[s, a, l, t - 1] * t + H[s, a, l, t - 2]))
    net.define(X, (l, s, a), H[s, a, l, T - 1])
    net.loss(Sum(X[l, s, a] ** 2, l, s, a))


@model
def names_of_adjoints_taken(net: Network) -> None:
    p, last = net.param("dh_after", a), net.param("h_last")
    x, U, h = state(net, last)
    net.define(h, (s, t, a), tanh(Sum(U[a, b] * h[s, t - 1, b], b) + x[s, t, a] * p[a]))
    net.loss(Sum(h[s, T - 1, a] ** 2, s, a))


@model
def kept_along_the_inner_loop_alone(net: Network) -> None:
    """The state over time is carried, and an array of all layers."""
    x, W = net.input("x", s, t, a), net.param("W", l, a, b)
    X = net.recurrent("X", (s, t, l, a), over=l, initial=x[s, t, a])
    Y = net.recurrent("Y", (s, t, l, a), over=t)
    net.define(Y, (s, t, l, a), X[s, t, l, a])
    below = Sum(W[l, a, b] * X[s, t, l - 1, b], b)
    net.define(X, (s, t, l, a), tanh(below + Y[s, t - 1, l, a]))
    net.loss(Sum(X[s, t, l, a] ** 2 * Y[s, t - 1, l, a], s, t, l, a))


@model
def only_the_step_before_is_predicted(net: Network) -> None:
    """What is behind the loop reads no state of its own step, and needs the loop all the same."""
    x, U, h = state(net)
    net.define(h, (s, t, a), tanh(Sum(U[a, b] * h[s, t - 1, b], b) + x[s, t, a]))
    net.output(net.define("z", (s, t, a), Sum(U[a, b] * h[s, t - 1, b], b)))
    net.loss(Sum(h[s, t, a] ** 2, s, t, a))


@model
def power_iteration(net: Network) -> None:
    """Of whose adjoint, too, only the step after is read behind the loop."""
    A, h = net.param("A", a, b), net.recurrent("h", (t, a), over=t, initial=1)
    net.define(h, (t, a), Sum(A[a, b] * h[t - 1, b], b))
    net.output(net.define("y", a, h[T - 1, a] / sqrt(Sum(h[T - 1, b] ** 2, b))))


@model
def read_against_its_direction(net: Network) -> None:
    """One step ahead, and at the end where its loop begins."""
    x, U, h = state(net, net.param("h0", a)[a])
    net.define(h, (s, t, a), tanh(Sum(U[a, b] * h[s, t - 1, b], b) + x[s, t, a]))
    m = net.define("m", (s, t, a), h[s, t + 1, a] * x[s, t, a])
    ends = Sum(h[s, 0, a] ** 2 + h[s, T - 1, a] ** 3, s, a)
    net.loss(ends + Sum(m[s, t, a] ** 2, s, t, a))


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_verified(build: Build) -> None:
    report = derive(network(build)).verify()
    assert report.ok, report


def chain(objective: Callable[[Any], Any]) -> Network:
    """A product of positive matrices; the first step is written apart."""
    net = Network("m")
    A, B = net.param("A", a, b), net.param("B", t, b)
    x = net.recurrent("x", (t, b), over=t)
    step = exp(B[t, b]) * Sum(exp(A[a, b]) * x[t - 1, a], a)
    net.define(x, (t, b), Piecewise((exp(B[t, b]), Eq(t, 0)), (step, True)))
    net.loss(objective(x))
    return net


@pytest.mark.parametrize(
    "objective",
    [
        lambda x: log(Sum(x[T - 1, b], b)),
        lambda x: Sum(x[t, 0] / Sum(x[t, b], b), t),
    ],
)
def test_a_state_with_its_first_step_apart_is_scaled(objective: Callable[[Any], Any]) -> None:
    """For a logarithm, and for a quotient: over 900 steps nothing underflows."""
    module, rng = derive(chain(objective)).load(), np.random.default_rng(0)
    params = {"A": rng.normal(size=(3, 3)) - 9, "B": rng.normal(size=(900, 3))}
    loss, grads = module.value_and_grad(params)
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in grads.values())
    higher = {**params, "A": params["A"] + 1e-6}
    lower = {**params, "A": params["A"] - 1e-6}
    slope = (module.forward(higher)[0] - module.forward(lower)[0]) / 2e-6
    assert grads["A"].sum() == pytest.approx(slope, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("backward", [False, True])
def test_a_random_field_is_computed_in_logarithms(backward: bool) -> None:
    """Bare exponentials overflow however they are divided; a row of the batch ends at its own length."""
    net = Network("m")
    x, A, m = net.input("x", s, t, b), net.param("A", a, b), net.input("m", s, integer=True)
    z = net.recurrent("z", (s, t, b), over=t)
    first, near = (T - 1, t + 1) if backward else (0, t - 1)
    step = exp(x[s, t, b]) * Sum(exp(A[a, b]) * z[s, near, a], a)
    kept = (step, t < m[s]), (z[s, near, b], True)
    net.define(z, (s, t, b), Piecewise((exp(x[s, t, b]), Eq(t, first)), *kept))
    net.loss(Sum(log(Sum(z[s, T - 1 - first, b], b)), s))
    report = derive(net, wrt=["x", "A"]).verify()
    assert report.ok, report


def test_a_quotient_across_steps_is_pointed_out() -> None:
    (note,) = derive(chain(lambda x: Sum(x[t - 1, b] / Sum(x[t, a], a), t, b))).notes
    assert note.startswith("x is multiplied at every step of t")


def test_values_known_apart_from_what_is_before_the_first_step() -> None:
    """The oracle takes values that no shift reaches as they are: not those that read an initial value which moved."""
    net = Network("m")
    x, h0 = net.input("x", t), net.param("h0")
    h = net.recurrent("h", t, over=t, initial=h0)
    net.define(h, t, x[t] ** 2)
    net.define("m", t, h[t - 1])
    net.loss(Sum(h[t], t))
    declared, point = net.declared(), {"x": np.ones(3), "h0": np.array(2.0)}
    known = evaluate(declared, {"T": 3}, point).values
    moved = evaluate(declared, {"T": 3}, point, shifts={"h0": np.array(1.0)}, known=known)
    assert moved.values["m"][0].tolist() == [3, 1, 1]


def test_an_initial_value_is_printed_as_it_was_written() -> None:
    net = Network("m")
    x, _, h = state(net)
    g = net.recurrent("g", (s, t, a), over=t, initial=h[s, T - 1, a])
    net.define(h, (s, t, a), tanh(h[s, t - 1, a] + x[s, t, a]))
    net.define(g, (s, t, a), tanh(g[s, t - 1, a]))
    net.loss(Sum(g[s, t, a], s, t, a))
    assert "g[s,−1,a] = h[s,T − 1,a]" in derive(net).equations
