"""Contractions, normalisations and shared tensors: where the work is in the indices."""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Max, Rational, Sum, exp, log, sqrt, tanh

from symbp import Network, indices, sizes

from . import exact as x_
from .variation import Definition, positive, variation

n, d, h, k = sizes("n d h k")
s, u = indices("s u", n)
j, l_, m = indices("j l m", d)
a, b = indices("a b", h)
i, c = indices("i c", k)

EPS = 2.0**-20


@variation()
def test_ridge_regression(net: Network) -> Definition:
    x, t, W = net.input("x", s, j), net.input("t", s, i), net.param("W", i, j)
    lam = net.constant("lam", 0.25)
    f = net.define("f", (s, i), Sum(W[i, j] * x[s, j], j))
    net.loss(Sum((f[s, i] - t[s, i]) ** 2, s, i) / n + lam * Sum(W[i, j] ** 2, i, j))
    return lambda x, t, W: ((x @ W.T - t) ** 2).sum() / len(x) + (W**2).sum() / 4


@variation()
def test_weights_used_twice(net: Network) -> Definition:
    W, x = net.param("W", j, l_), net.input("x", j)
    y = net.define("y", (j,), tanh(Sum(W[j, l_] * x[l_], l_)))
    z = net.define("z", (j,), tanh(Sum(W[j, l_] * y[l_], l_)))
    net.loss(Sum(z[j] ** 2, j))
    return lambda W, x: (x_.tanh(W @ x_.tanh(W @ x)) ** 2).sum()


@variation()
def test_weights_and_their_transpose(net: Network) -> Definition:
    W, x = net.param("W", a, j), net.input("x", s, j)
    y = net.define("y", (s, a), tanh(Sum(W[a, j] * x[s, j], j)))
    net.loss(Sum((Sum(W[a, j] * y[s, a], a) - x[s, j]) ** 2, s, j))
    return lambda W, x: ((x_.tanh(x @ W.T) @ W - x) ** 2).sum()


@variation()
def test_a_matrix_less_its_transpose(net: Network) -> Definition:
    W = net.param("W", j, l_)
    net.loss(Sum((W[j, l_] - W[l_, j]) ** 2 * W[j, j], j, l_))
    return lambda W: ((W - W.T) ** 2 * np.diag(W)[:, None]).sum()


@variation()
def test_a_gram_matrix(net: Network) -> Definition:
    x = net.param("x", s, j)
    g = net.define("g", (s, u), Sum(x[s, j] * x[u, j], j))
    net.loss(Sum(exp(-g[s, u]) * g[u, s], s, u))
    return lambda x: (x_.exp(-(x @ x.T)) * (x @ x.T)).sum()


@variation()
def test_pairwise_distances(net: Network) -> Definition:
    x, y = net.param("x", s, j), net.param("y", i, j)
    net.output(net.define("D", (s, i), Sum((x[s, j] - y[i, j]) ** 2, j)))
    return lambda x, y: ((x[:, None] - y) ** 2).sum(axis=2)


@variation()
def test_a_power_of_a_matrix_between_vectors(net: Network) -> Definition:
    X, p, q = net.param("X", j, l_), net.param("p", j), net.param("q", j)
    o, r, v, w = indices("o r v w", d)
    chain = X[j, l_] * X[l_, o] * X[o, r] * X[r, v] * X[v, w]
    net.loss(Sum(p[j] * chain * q[w], j, l_, o, r, v, w))
    return lambda X, p, q: p @ X @ X @ X @ X @ X @ q


@variation()
def test_a_chain_of_matrices(net: Network) -> Definition:
    """The order of contraction matters for the cost, and not for the value."""
    A, B, C = net.param("A", s, j), net.param("B", j, a), net.param("C", a, i)
    x = net.param("x", i)
    y = Sum(A[s, j] * B[j, a] * C[a, i] * x[i], j, a, i)
    net.output(net.define("y", (s,), y))
    return lambda A, B, C, x: A @ B @ C @ x


@variation()
def test_a_tensor_of_three_axes(net: Network) -> Definition:
    T, x, y = net.param("T", i, j, a), net.param("x", s, j), net.param("y", s, a)
    net.output(net.define("z", (s, i), Sum(T[i, j, a] * x[s, j] * y[s, a], j, a)))
    return lambda T, x, y: np.einsum("ija,sj,sa->si", T, x, y)


@variation()
def test_a_bilinear_score(net: Network) -> Definition:
    q, W, key = net.param("q", s, j), net.param("W", j, a), net.param("k_", u, a)
    score = net.define("score", (s, u), Sum(q[s, j] * W[j, a] * key[u, a], j, a))
    net.loss(Sum(tanh(score[s, u]), s, u))
    return lambda q, W, k_: x_.tanh(q @ W @ k_.T).sum()


@variation()
def test_an_outer_product(net: Network) -> Definition:
    x, y = net.param("x", s), net.param("y", j)
    net.output(net.define("z", (s, j), x[s] * y[j] + x[s] - y[j]))
    return lambda x, y: x[:, None] * y + x[:, None] - y


@variation()
def test_a_transposed_output(net: Network) -> Definition:
    x = net.param("x", s, j, a)
    net.output(net.define("y", (a, s, j), 2 * x[s, j, a] * x[s, 0, a]))
    return lambda x: (2 * x * x[:, :1]).transpose(2, 0, 1)


@variation()
def test_a_gated_unit(net: Network) -> Definition:
    x, W, V = net.input("x", s, j), net.param("W", a, j), net.param("V", a, j)
    gate = net.define("gate", (s, a), 1 / (1 + exp(-Sum(W[a, j] * x[s, j], j))))
    net.output(net.define("y", (s, a), gate[s, a] * Sum(V[a, j] * x[s, j], j)))
    return lambda x, W, V: (x @ V.T) / (1 + x_.exp(-(x @ W.T)))


@variation()
def test_a_residual_block(net: Network) -> Definition:
    x, W, b_ = net.param("x", s, j), net.param("W", j, l_), net.param("b", j)
    y = net.define("y", (s, j), x[s, j] + tanh(Sum(W[j, l_] * x[s, l_], l_) + b_[j]))
    z = net.define("z", (s, j), y[s, j] + tanh(Sum(W[j, l_] * y[s, l_], l_) + b_[j]))
    net.loss(Sum(z[s, j] ** 2, s, j) / n)

    def definition(x: Any, W: Any, b: Any) -> Any:
        y = x + x_.tanh(x @ W.T + b)
        return ((y + x_.tanh(y @ W.T + b)) ** 2).sum() / len(x)

    return definition


def normalised(x: Any, axis: int) -> Any:
    centred = x - x.sum(axis=axis, keepdims=True) / x.shape[axis]
    variance = (centred**2).sum(axis=axis, keepdims=True) / x.shape[axis]
    return centred / x_.sqrt(variance + EPS)


FLAT = [{"x": [[3, 3, 3], [1e3, -1e3, 0], [0, 0, 0]], "g": [1, 2, -1], "b": [0, 1, 2]}]


@variation(extremes=FLAT)
def test_layer_norm_in_one_equation(net: Network) -> Definition:
    x, g, b_ = net.param("x", s, j), net.param("g", j), net.param("b", j)
    mean = Sum(x[s, j], j) / d
    deviation = sqrt(Sum((x[s, l_] - mean) ** 2, l_) / d + EPS)
    net.output(net.define("y", (s, j), g[j] * (x[s, j] - mean) / deviation + b_[j]))
    return lambda x, g, b: g * normalised(x, 1) + b


@variation(extremes=FLAT)
def test_layer_norm_in_four_equations(net: Network) -> Definition:
    x, g, b_ = net.param("x", s, j), net.param("g", j), net.param("b", j)
    mean = net.define("mean", (s,), Sum(x[s, j], j) / d)
    var = net.define("var", (s,), Sum((x[s, j] - mean[s]) ** 2, j) / d)
    unit = net.define("unit", (s, j), (x[s, j] - mean[s]) / sqrt(var[s] + EPS))
    net.output(net.define("y", (s, j), g[j] * unit[s, j] + b_[j]))
    return lambda x, g, b: g * normalised(x, 1) + b


@variation()
def test_batch_norm_in_training(net: Network) -> Definition:
    x, g, b_ = net.param("x", s, j), net.param("g", j), net.param("b", j)
    mean = net.define("mean", (j,), Sum(x[s, j], s) / n)
    var = net.define("var", (j,), Sum((x[s, j] - mean[j]) ** 2, s) / n)
    y = g[j] * (x[s, j] - mean[j]) * (var[j] + EPS) ** Rational(-1, 2) + b_[j]
    net.output(net.define("y", (s, j), y))
    return lambda x, g, b: g * normalised(x, 0) + b


@variation(extremes=[{"x": [[3, 3, 3], [1e3, -1e3, 0], [0, 0, 0]], "g": [1, 2, -1]}])
def test_rms_norm(net: Network) -> Definition:
    x, g = net.param("x", s, j), net.param("g", j)
    net.output(net.define("y", (s, j), g[j] * x[s, j] / sqrt(Sum(x[s, l_] ** 2, l_) / d + EPS)))
    return lambda x, g: g * x / x_.sqrt((x**2).sum(axis=1, keepdims=True) / x.shape[1] + EPS)


@variation()
def test_variance_by_moments(net: Network) -> Definition:
    x = net.param("x", s, j)
    net.loss(Sum(Sum(x[s, j] ** 2, j) / d - (Sum(x[s, j], j) / d) ** 2, s))

    def definition(x: Any) -> Any:
        m = x.shape[1]
        return ((x**2).sum(axis=1) / m - (x.sum(axis=1) / m) ** 2).sum()

    return definition


@variation()
def test_cosine_similarity(net: Network) -> Definition:
    x, y = net.param("x", s, j), net.param("y", i, j)
    left = net.define("left", (s,), sqrt(Sum(x[s, j] ** 2, j)))
    right = net.define("right", (i,), sqrt(Sum(y[i, j] ** 2, j)))
    dot = Sum(x[s, j] * y[i, j], j)
    net.output(net.define("similarity", (s, i), dot / (left[s] * right[i])))

    def definition(x: Any, y: Any) -> Any:
        left, right = x_.sqrt((x**2).sum(axis=1)), x_.sqrt((y**2).sum(axis=1))
        return x @ y.T / (left[:, None] * right)

    return definition


@variation()
def test_hinge_loss(net: Network) -> Definition:
    x, t, w = net.input("x", s, j), net.input("t", s), net.param("w", j)
    net.loss(Sum(Max(0, 1 - t[s] * Sum(w[j] * x[s, j], j)), s) / n)

    def definition(x: Any, t: Any, w: Any) -> Any:
        return np.maximum(x_.array(0), 1 - t * (x @ w)).sum() / len(x)

    return definition


@variation()
def test_scalar_parameters(net: Network) -> Definition:
    p, q, x = net.param("p"), net.param("q"), net.input("x", s)
    z = net.define("z", (), p * Sum(x[s], s) + q)
    net.loss(tanh(z) * p + exp(-(q**2)))
    return lambda p, q, x: x_.tanh(p * x.sum() + q) * p + x_.exp(-(q**2))


@variation(draw={"y": positive})
def test_quotients_that_broadcast(net: Network) -> Definition:
    x, y, z = net.param("x", s, j), net.param("y", j), net.param("z", s)
    net.output(net.define("w", (s, j), (x[s, j] - z[s]) / y[j]))
    return lambda x, y, z: (x - z[:, None]) / y


@variation()
def test_entries_by_number_and_by_size(net: Network) -> Definition:
    x, W = net.param("x", s), net.param("W", s, j)
    net.loss(x[0] * x[n - 1] + Sum(W[n - 1, j] * W[0, 1] * x[s], s, j) + W[1, d - 1] ** 2)
    return lambda x, W: x[0] * x[-1] + W[-1].sum() * W[0, 1] * x.sum() + W[1, -1] ** 2


@variation()
def test_axes_of_a_given_length(net: Network) -> Definition:
    p, q = indices("p q", 3)
    R, x = net.param("R", p, q), net.input("x", s, p)
    net.output(net.define("y", (s, p), Sum(R[p, q] * x[s, q], q) + x[s, 2] / 3))
    return lambda R, x: x @ R.T + x[:, 2:] / 3


@variation()
def test_an_axis_of_length_one(net: Network) -> Definition:
    o = indices("o", 1)
    W, x = net.param("W", o, j), net.input("x", s, j)
    y = net.define("y", (s, o), tanh(Sum(W[o, j] * x[s, j], j)))
    net.loss(Sum(y[s, o], s, o) + y[0, 0])
    return lambda W, x: x_.tanh(x @ W.T).sum() + x_.tanh(x @ W.T)[0, 0]


@variation()
def test_sizes_as_numbers(net: Network) -> Definition:
    x, w = net.param("x", s, j), net.param("w", i)
    scale = log(d) / (n * sqrt(d))
    net.loss(Sum(x[s, j] ** 2, s, j) * scale + Sum(x[s, 0] * Sum(1, i), s) / n + Sum(w[i] / k, i))

    def definition(x: Any, w: Any) -> Any:
        rows, columns = x.shape
        scale = x_.log(x_.array(columns)) / (rows * x_.sqrt(x_.array(columns)))
        return (x**2).sum() * scale + len(w) * x[:, 0].sum() / rows + w.sum() / len(w)

    return definition


@variation()
def test_several_outputs(net: Network) -> Definition:
    x, W = net.param("x", s, j), net.param("W", a, j)
    y = net.define("y", (s, a), tanh(Sum(W[a, j] * x[s, j], j)))
    z = net.define("z", (s,), Sum(y[s, a] ** 2, a) * x[s, 0])
    net.output(y, z)

    def definition(x: Any, W: Any) -> Any:
        y = x_.tanh(x @ W.T)
        return {"y": y, "z": (y**2).sum(axis=1) * x[:, 0]}

    return definition


@variation()
def test_a_scalar_output(net: Network) -> Definition:
    x = net.param("x", s)
    mean = net.define("mean", (), Sum(x[s], s) / n)
    net.output(mean, net.define("var", (), Sum((x[s] - mean) ** 2, s) / n))

    def definition(x: Any) -> Any:
        mean = x.sum() / len(x)
        return {"mean": mean, "var": ((x - mean) ** 2).sum() / len(x)}

    return definition


@variation()
def test_parameters_that_do_not_reach_the_loss(net: Network) -> Definition:
    x, W, v = net.param("x", s, j), net.param("W", a, j), net.param("v")
    net.define("unread", (s, a), Sum(W[a, j] * x[s, j], j) * v)
    net.loss(Sum(x[s, j] ** 2, s, j))
    return lambda x, W, v: (x**2).sum()


@variation()
def test_gradients_that_are_constant(net: Network) -> Definition:
    x, b_, v = net.param("x", s, i), net.param("b", i), net.param("v")
    net.loss(Sum(x[s, i] + 2 * b_[i] - v, s, i))
    return lambda x, b, v: (x + 2 * b - v).sum()


@variation()
def test_an_input_and_a_bias_that_fan_out(net: Network) -> Definition:
    x, b_ = net.param("x", s, j), net.param("b", j)
    y = net.define("y", (s, j), x[s, j] * b_[j])
    z = net.define("z", (s, j), y[s, j] ** 2 + b_[j])
    w = net.define("w", (s,), Sum(z[s, j] * y[s, j], j) + Sum(b_[j] ** 3, j))
    net.loss(Sum(w[s] * y[s, 0], s))

    def definition(x: Any, b: Any) -> Any:
        y = x * b
        return (((y**2 + b) * y).sum(axis=1) + (b**3).sum()) @ y[:, 0]

    return definition
