"""Tensors that refer to themselves at another step: derived through, and emitted as plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sympy import Eq, Expr, Piecewise, Sum, exp, log, tanh

from symbp import ModelError, Network, derive, indices, sizes

n, T, L, u, d = sizes("n T L u d")
s, t, r, l = indices("s", n), indices("t", T), indices("r", T), indices("l", L)  # noqa: E741
a, b, j = *indices("a b", u), indices("j", d)


def layer(**how: Any) -> tuple[Network, Any, Any]:
    """A network with an input x, weights U, and a recurrent h."""
    net = Network("m")
    x, _ = net.input("x", s, t, a), net.param("U", a, b)
    return net, x, net.recurrent("h", (s, t, a), over=t, **how)


def mixed(U: Any, h: Any, step: Expr) -> Expr:
    return Sum(U[a, b] * h[s, step, b], b)


def elman() -> Network:
    net, x, h = layer(initial=0)
    U = net.param("V", a, b)
    net.define(h, (s, t, a), tanh(mixed(U, h, t - 1) + x[s, t, a]))
    net.loss(Sum(h[s, T - 1, a] ** 2, s, a))
    return net


def backward_in_time() -> Network:
    net, x, _ = Network("m"), None, None
    x, U, h0 = net.input("x", s, t, a), net.param("U", a, b), net.param("h0", a)
    h = net.recurrent("h", (s, t, a), over=t, initial=h0[a])
    net.define(h, (s, t, a), tanh(mixed(U, h, t + 1) + x[s, t, a]))
    net.loss(Sum(h[s, 0, a] ** 2 + h[s, T - 1, a] ** 3, s, a))
    return net


def three_steps_back() -> Network:
    net = Network("m")
    x, p, q, y0 = net.input("x", t), net.param("p"), net.param("q"), net.param("y0")
    y = net.recurrent("y", t, over=t, initial=y0)
    net.define(y, t, p * y[t - 1] + q * tanh(y[t - 3]) + x[t])
    net.loss(Sum(y[t] ** 2, t))
    return net


def only_outside() -> Network:
    """Read one step before by an equation that the state does not need: no loop."""
    net = Network("m")
    x, W, h0 = net.input("x", s, t, a), net.param("W", a, b), net.param("h0", s, a)
    h = net.recurrent("h", (s, t, a), over=t, initial=h0[s, a])
    net.define(h, (s, t, a), tanh(Sum(W[a, b] * x[s, t, b], b)))
    net.loss(Sum((h[s, t, a] - h[s, t - 1, a]) ** 2 + h[s, t + 1, a], s, t, a))
    return net


def two_states() -> Network:
    net, x, h = layer()
    U, c0 = net.param("V", a, b), net.param("c0", s, a)
    c = net.recurrent("c", (s, t, a), over=t, initial=c0[s, a])
    g = net.define("g", (s, t, a), tanh(mixed(U, h, t - 1) + x[s, t, a]))
    net.define(c, (s, t, a), g[s, t, a] * c[s, t - 1, a] + g[s, t, a] ** 2)
    net.define(h, (s, t, a), tanh(c[s, t, a]) * g[s, t, a])
    net.loss(Sum(h[s, t, a] * x[s, t, a], s, t, a))
    return net


def in_each_layer() -> Network:
    net = Network("m")
    x, h0 = net.input("x", s, t, a), net.param("h0", l, a)
    W, U = net.param("W", l, a, b), net.param("U", l, a, b)
    X = net.recurrent("X", (l, s, t, a), over=l, initial=x[s, t, a])
    H = net.recurrent("H", (l, s, t, a), over=t, initial=h0[l, a])
    below, before = Sum(W[l, a, b] * X[l - 1, s, t, b], b), Sum(U[l, a, b] * H[l, s, t - 1, b], b)
    net.define(H, (l, s, t, a), tanh(below + before))
    net.define(X, (l, s, t, a), H[l, s, t, a])
    net.loss(Sum(X[L - 1, s, T - 1, a] ** 2, s, a))
    return net


def unequal_lengths() -> Network:
    net, x, h = layer()
    V, length = net.param("V", a, b), net.input("length", s, integer=True)
    new = tanh(mixed(V, h, t - 1) + x[s, t, a])
    net.define(h, (s, t, a), Piecewise((new, t < length[s]), (h[s, t - 1, a], True)))
    net.loss(Sum(h[s, T - 1, a] ** 2, s, a))
    return net


def first_step_apart() -> Network:
    net, x, h = layer()
    V = net.param("V", a, b)
    later = tanh(mixed(V, h, t - 1))
    net.define(h, (s, t, a), Piecewise((x[s, t, a], Eq(t, 0)), (later + t, True)))
    net.loss(Sum(h[s, t, a] ** 2, s, t, a))
    return net


MODELS = [elman, backward_in_time, three_steps_back, only_outside, two_states, in_each_layer,
          unequal_lengths, first_step_apart]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_verified(model: Any) -> None:
    report = derive(model()).verify()
    assert report.ok, report


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_documents(model: Any) -> None:
    derivation = derive(model())
    assert "Equations" in derivation.text and r"\begin{document}" in derivation.latex


def by_hand(params: dict[str, Any], x: Any) -> tuple[float, dict[str, Any]]:
    """Backpropagation through time of `elman`, as textbooks have it."""
    V, h, states = params["V"], np.zeros((len(x), x.shape[2])), []
    for k in range(x.shape[1]):
        states.append(h)
        h = np.tanh(h @ V.T + x[:, k])
    dh, dV, last = 2 * h, np.zeros_like(V), h
    for k in reversed(range(x.shape[1])):
        dz = dh * (1 - last**2)
        dV += dz.T @ states[k]
        dh, last = dz @ V, states[k]
    return float((h**2).sum()), {"V": dV}


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_against_backpropagation_through_time(steps: int) -> None:
    module, rng = derive(elman(), wrt=["V"]).load(), np.random.default_rng(steps)
    x, params = (
        rng.normal(size=(3, steps, 4)),
        {"U": np.zeros((4, 4)), "V": rng.normal(size=(4, 4))},
    )
    loss, grads = module.value_and_grad(params, x)
    expected, gradients = by_hand(params, x)
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(grads["V"], gradients["V"], rtol=1e-11, atol=1e-12)


def test_nothing_is_unrolled() -> None:
    """The module has a loop over the steps, its reverse, and no product of weights with the inputs inside."""
    net = Network("m")
    x, W, U = net.input("x", s, t, j), net.param("W", a, j), net.param("U", a, b)
    h = net.recurrent("h", (s, t, a), over=t)
    net.define(h, (s, t, a), tanh(Sum(W[a, j] * x[s, t, j], j) + mixed(U, h, t - 1)))
    net.loss(Sum(h[s, t, a] ** 2, s, t, a))
    source = derive(net).source
    assert source.count("for t in range(T):") == source.count("for t in reversed(range(T)):") == 1
    indented = [line for line in source.splitlines() if line.startswith(" " * 8)]
    assert not any("W.T" in line or "x[:, t]" in line for line in indented)


# A state that under- or overflows


def chain(objective: Any) -> Network:
    """A product of positive matrices, one for each symbol."""
    net = Network("m")
    w, A, B = net.input("w", s, t, integer=True), net.param("A", a, b), net.param("B", j, b)
    x = net.recurrent("x", (s, t, b), over=t, initial=1)
    step = Sum(x[s, t - 1, a] * exp(A[a, b]), a) * exp(B[w[s, t], b])
    net.define(x, (s, t, b), step)
    net.loss(objective(x))
    return net


def test_a_state_that_logarithms_alone_read_is_scaled() -> None:
    derivation = derive(chain(lambda x: -Sum(log(Sum(x[s, T - 1, b], b)), s)))
    assert derivation.verify().ok
    module, rng = derivation.load(), np.random.default_rng(0)
    params = {"A": rng.normal(size=(3, 3)) - 9, "B": rng.normal(size=(5, 3))}
    w = rng.integers(0, 5, (2, 2000))
    loss, grads = module.value_and_grad(params, w)
    log_x = np.zeros((2, 3))
    for k in range(2000):
        terms = log_x[:, :, None] + params["A"]
        log_x = np.logaddexp.reduce(terms, axis=1) + params["B"][w[:, k]]
    assert loss == pytest.approx(-np.logaddexp.reduce(log_x, axis=1).sum(), rel=1e-12)
    # one step more of a factor everywhere, in each of 2000 steps of 2 rows
    assert grads["A"].sum() == pytest.approx(-4000, rel=1e-9)


def test_every_step_may_be_read() -> None:
    report = derive(chain(lambda x: -Sum(log(Sum(x[s, t, b], b)), s, t))).verify()
    assert report.ok, report


def test_a_state_read_otherwise_is_not_scaled() -> None:
    assert "x_size" not in derive(chain(lambda x: Sum(x[s, T - 1, b], s, b))).source


def test_a_state_that_cannot_be_scaled_is_pointed_out() -> None:
    """The logarithm of a sum over rows, each of which would have a scale of its own."""
    (note,) = derive(chain(lambda x: -log(Sum(x[s, T - 1, b], s, b)))).notes
    assert "x is multiplied at every step of t" in note
    assert derive(chain(lambda x: -Sum(log(Sum(x[s, T - 1, b], b)), s))).notes == ()


# Mistakes


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (lambda x, h: tanh(h[s, t, a] + x[s, t, a]), ["h → h", "without a step"]),
        (lambda x, h: tanh(h[s, t - 1, a] + h[s, t + 1, a]), ["h[s, t - 1, a]", "forward", "h[s, t + 1, a]"]),
        (lambda x, h: Sum(h[s, r, a], r), ["h[s, r, a]", "at no one step"]),
        (lambda x, h: h[s, t - 1, a] + Sum(h[s, r, a], r), ["h[s, r, a]", "not read at one step"]),
        (lambda x, h: h[s, T - 1, a], ["h[s, T - 1, a]", "at no one step"]),
    ],
)  # fmt: skip
def test_cycles(right: Any, words: list[str]) -> None:
    net, x, h = layer()
    net.define(h, (s, t, a), right(x, h))
    net.loss(Sum(h[s, t, a], s, t, a))
    with pytest.raises(ModelError) as caught:
        derive(net)
    for word in words:
        assert word in str(caught.value)


def test_a_cycle_through_others_is_drawn() -> None:
    net, x, h = layer()
    z = net.define("z", (s, t, a), 2 * h[s, t, a])
    net.define(h, (s, t, a), tanh(z[s, t, a]))
    net.loss(Sum(h[s, t, a], s, t, a))
    with pytest.raises(ModelError, match="h → z → h: a cycle without a step"):
        derive(net)


def test_steps_that_run_against_each_other() -> None:
    net, x, h = layer()
    g = net.recurrent("g", (s, t, a), over=t)
    net.define(h, (s, t, a), h[s, t - 1, a] + g[s, t + 1, a])
    net.define(g, (s, t, a), h[s, t, a])
    net.loss(Sum(h[s, t, a], s, t, a))
    with pytest.raises(ModelError, match="runs forward and g.* backward"):
        derive(net)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (lambda net, x, h: net.recurrent("g", (s, a), over=t), ["g[s, a]", "over=t"]),
        (lambda net, x, h: net.recurrent("g", (s, t), over=t, initial=x[s, t, 0]), ["g[s, t]", "initial", "index t"]),
        (lambda net, x, h: net.define(h, (s, t, b), h[s, t - 1, b]), ["h[s, t, a]", "(s, t, b)"]),
        (lambda net, x, h: net.define(x, (s, t, a), x[s, t, a]), ["x[s, t, a]", "no recurrent tensor"]),
        (lambda net, x, h: [net.define(h, (s, t, a), x[s, t, a]) for _ in "ab"], ["h", "defined twice"]),
        (lambda net, x, h: net.define(h, (s, t, a), h[s, 2 * t - 1, a]), ["h[s, 2*t - 1, a]", "begins at -1"]),
        (lambda net, x, h: net.define("z", (s, t, a), x[s, t - 1, a]), ["x[s, t - 1, a]", "begins at -1"]),
        (lambda net, x, h: net.loss(Sum(h[s, T, a], s, a)), ["h[s, T, a]", "outside"]),
        (lambda net, x, h: (net.loss(Sum(x[s, t, a], s, t, a)), derive(net)), ["h[s, t, a]", "no equation"]),
    ],
)  # fmt: skip
def test_mistakes(statement: Any, words: list[str]) -> None:
    net, x, h = layer()
    with pytest.raises(ModelError) as caught:
        statement(net, x, h)
    for word in words:
        assert word in str(caught.value)


def test_the_array_of_all_steps_has_a_name_of_its_own() -> None:
    net = Network("m")
    h_all, U = net.input("h_all", s, t, a), net.param("U", a, b)
    h = net.recurrent("h", (s, t, a), over=t)
    net.define(h, (s, t, a), tanh(mixed(U, h, t - 1) + h_all[s, t, a]))
    net.loss(Sum(h[s, t, a] ** 2, s, t, a))
    assert derive(net).verify().ok


def test_arrays_of_inner_loops_are_made_once() -> None:
    source = derive(in_each_layer()).source
    assert not any(line.startswith(" " * 8) and "np.empty(" in line for line in source.splitlines())


def test_the_derivation_states_what_a_state_is_divided_by() -> None:
    net = Network("m")
    A, x0 = net.param("A", a, b), net.param("x0", b)
    x = net.recurrent("x", (t, b), over=t, initial=x0[b])
    net.define(x, (t, b), Sum(x[t - 1, a] * A[a, b] ** 2, a))
    net.loss(log(Sum(x[T - 1, b] ** 2, b)))
    text = derive(net).text
    assert "x[t,b] = " in text and "= x_step[t,b] / x_size[t]" in text
    assert "  x_size[t] = Σ_b |x_step[t,b]|\n" in text
    assert "  x_step[t,b] = Σ_a A[a,b]² x[t − 1,a]\n" in text
