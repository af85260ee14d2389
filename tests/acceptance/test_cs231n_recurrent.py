"""The recurrent layers of CS231n (assignment 3) with the numbers that its notebooks print."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sympy import Sum, tanh

from symbp import Network, indices, sizes
from symbp.functions import sigmoid

from .helpers import frozen, load, run
from .test_cs231n import numeric_vjp, ramp, relative_error

N, T, D, H = sizes("N T D H")
s, t, j = indices("s", N), indices("t", T), indices("j", D)
a, b = indices("a b", H)
q = indices("q", 4)

LSTM_H = [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904]  # of the first row
LSTM_C = [0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407]
RNN_H = [
    [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
    [0.66854692, 0.79562378, 0.87755553, 0.92795967],
    [0.97934501, 0.99144213, 0.99646691, 0.99854353],
]


def rnn(last: bool) -> Any:
    """h[t] = tanh(x Wx + h[t−1] Wh + b); every state, or the last one."""
    net = Network("rnn")
    x, h0 = net.input("x", s, t, j), net.input("h0", s, a)
    Wx, Wh, bias = net.param("Wx", j, a), net.param("Wh", b, a), net.param("b", a)
    h = net.recurrent("h", (s, t, a), over=t, initial=h0[s, a])
    z = Sum(x[s, t, j] * Wx[j, a], j) + Sum(h[s, t - 1, b] * Wh[b, a], b) + bias[a]
    net.define(h, (s, t, a), tanh(z))
    net.output(net.define("next_h", (s, a), h[s, T - 1, a]) if last else h)
    return load(net)


def lstm(last: bool) -> Any:
    """Its gates lie side by side as i, f, o, g: Wx, Wh and b have them as an axis of their own."""
    net = Network("lstm")
    x, h0, c0 = net.input("x", s, t, j), net.input("h0", s, a), net.input("c0", s, a)
    Wx, Wh, bias = net.param("Wx", j, q, a), net.param("Wh", b, q, a), net.param("b", q, a)
    h = net.recurrent("h", (s, t, a), over=t, initial=h0[s, a])
    c = net.recurrent("c", (s, t, a), over=t, initial=c0[s, a])
    before = Sum(h[s, t - 1, b] * Wh[b, q, a], b)
    z = net.define("z", (s, t, q, a), Sum(x[s, t, j] * Wx[j, q, a], j) + before + bias[q, a])
    i, f, o = (sigmoid(z[s, t, gate, a]) for gate in range(3))
    net.define(c, (s, t, a), f * c[s, t - 1, a] + i * tanh(z[s, t, 3, a]))
    net.define(h, (s, t, a), o * tanh(c[s, t, a]))
    if last:
        next_h = net.define("next_h", (s, a), h[s, T - 1, a])
        net.output(next_h, net.define("next_c", (s, a), c[s, T - 1, a]))
    else:
        net.output(h)
    return load(net)


def rnn_states(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h, found = h0, []
    for step in np.moveaxis(x, 1, 0):
        h = np.tanh(step @ Wx + h @ Wh + b)
        found.append(h)
    return np.stack(found, axis=1)


def lstm_states(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    h, c, found = h0, c0, []
    for step in np.moveaxis(x, 1, 0):
        z = np.tensordot(step, Wx, 1) + np.tensordot(h, Wh, 1) + b
        i, f, o = np.moveaxis(1 / (1 + np.exp(-z[:, :3])), 1, 0)
        c = f * c + i * np.tanh(z[:, 3])
        h = o * np.tanh(c)
        found.append(h)
    return np.stack(found, axis=1)


def random(*axes: int, rng: Any, gates: tuple[int, ...] = ()) -> dict[str, Any]:
    n, steps, d, h = axes
    shapes = {"x": (n, steps, d), "h0": (n, h), "Wx": (d, *gates, h), "Wh": (h, *gates, h)}
    shapes |= {"b": (*gates, h)} | ({"c0": (n, h)} if gates else {})
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def test_rnn_step_forward() -> None:
    arrays = {"x": ramp(-0.4, 0.7, 3, 1, 10), "h0": ramp(-0.2, 0.5, 3, 4)}
    arrays |= {"Wx": ramp(-0.1, 0.9, 10, 4), "Wh": ramp(-0.3, 0.7, 4, 4), "b": ramp(-0.2, 0.4, 4)}
    out, _ = run(rnn(last=True), frozen(arrays), np.ones((3, 4)))
    assert relative_error(out, np.array(RNN_H)) < 1e-8


def test_lstm_step_forward() -> None:
    arrays = {
        "x": ramp(-0.4, 1.2, 3, 1, 4),
        "h0": ramp(-0.3, 0.7, 3, 5),
        "c0": ramp(-0.4, 0.9, 3, 5),
    }
    arrays |= {"Wx": ramp(-2.1, 1.3, 4, 4, 5), "Wh": ramp(-0.7, 2.2, 5, 4, 5)}
    arrays |= {"b": ramp(0.3, 0.7, 4, 5)}
    module = lstm(last=True)
    out = module.predict(
        {k: arrays[k] for k in ("Wx", "Wh", "b")}, *(arrays[k] for k in ("x", "h0", "c0"))
    )
    assert relative_error(out["next_h"][0], np.array(LSTM_H)) < 1e-8
    assert relative_error(out["next_c"][0], np.array(LSTM_C)) < 1e-8


@pytest.mark.parametrize("steps", [1, 10])
def test_rnn_backward(steps: int) -> None:
    """One step, and ten; its bounds are 1e-8 and 1e-7."""
    rng = np.random.default_rng(231)
    arrays = random(2, steps, 3, 5, rng=rng)
    dout = rng.normal(size=(2, steps, 5))
    out, grads = run(rnn(last=False), frozen(arrays), dout)
    assert relative_error(out, rnn_states(**arrays)) < 1e-12
    assert set(grads) == set(arrays)
    for name in arrays:
        assert relative_error(grads[name], numeric_vjp(rnn_states, arrays, name, dout)) < 1e-7


@pytest.mark.parametrize("steps", [1, 10])
def test_lstm_backward(steps: int) -> None:
    rng = np.random.default_rng(231)
    arrays = random(2, steps, 3, 5, rng=rng, gates=(4,))
    dout = rng.normal(size=(2, steps, 5))
    out, grads = run(lstm(last=False), frozen(arrays), dout)
    assert relative_error(out, lstm_states(**arrays)) < 1e-12
    assert set(grads) == set(arrays)
    for name in arrays:
        assert relative_error(grads[name], numeric_vjp(lstm_states, arrays, name, dout)) < 1e-7
