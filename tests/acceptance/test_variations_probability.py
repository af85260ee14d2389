"""Softmax, logarithms and exponentials, written as users write them."""

from __future__ import annotations

from typing import Any

from sympy import Sum, exp, log, sqrt

from symbp import Network, indices, sizes

from . import exact as x_
from .variation import Definition, distribution, positive, variation

n, d, h, k = sizes("n d h k")
s, u = indices("s u", n)
j = indices("j", d)
a, b = indices("a b", h)
i, c = indices("i c", k)

LOGITS = [[1000, 1001, -1000], [-90, 90, 0], [0, 0, 0], [88, 89, 90]]
ONE_HOT = [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]
SPREAD = [[0.25, 0.5, 0.25]] * 4
HARD: list[dict[str, Any]] = [{"z": LOGITS, "t": ONE_HOT}, {"z": LOGITS, "t": SPREAD}]
SCORES = [1000, -1000, 90, -90, 0]
BINARY: list[dict[str, Any]] = [{"x": SCORES, "t": [t] * 5} for t in (0, 1, 0.25)]


def softmax(z: Any, axis: Any = -1) -> Any:
    e = x_.exp(z)
    return e / e.sum(axis=axis, keepdims=True)


def sigma(x: Any) -> Any:
    return 1 / (1 + x_.exp(-x))


def cross_entropy(z: Any, t: Any) -> Any:
    return -(t * x_.log(softmax(z))).sum()


def logits(net: Network) -> tuple[Any, Any]:
    return net.param("z", s, i), net.input("t", s, i)


@variation(extremes=HARD)
def test_softmax_in_three_equations(net: Network) -> Definition:
    z, t = logits(net)
    e = net.define("e", (s, i), exp(z[s, i]))
    total = net.define("total", (s,), Sum(e[s, i], i))
    y = net.define("y", (s, i), e[s, i] / total[s])
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i))
    return cross_entropy


@variation(extremes=HARD)
def test_cross_entropy_of_a_mean_over_the_batch(net: Network) -> Definition:
    z, t = logits(net)
    row = net.define("row", (s,), -Sum(t[s, i] * log(exp(z[s, i]) / Sum(exp(z[s, c]), c)), i))
    net.loss(Sum(row[s], s) / n)
    return lambda z, t: cross_entropy(z, t) / len(z)


@variation(extremes=HARD)
def test_temperature(net: Network) -> Definition:
    z, t = logits(net)
    tau = net.constant("tau", 0.5)
    y = net.define("y", (s, i), exp(z[s, i] / tau) / Sum(exp(z[s, c] / tau), c))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i))
    return lambda z, t: cross_entropy(2 * z, t)


@variation(draw={"tau": positive}, extremes=[{**point, "tau": 0.5} for point in HARD])
def test_learned_temperature(net: Network) -> Definition:
    z, t = logits(net)
    tau = net.param("tau")
    y = net.define("y", (s, i), exp(z[s, i] / tau) / Sum(exp(z[s, c] / tau), c))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i))
    return lambda z, t, tau: cross_entropy(z / tau, t)


@variation(extremes=HARD)
def test_log_softmax(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("l", (s, i), z[s, i] - log(Sum(exp(z[s, c]), c)))
    net.loss(-Sum(t[s, i] * y[s, i], s, i))
    return cross_entropy


@variation(extremes=[{"z": LOGITS}])
def test_log_of_softmax_as_a_layer(net: Network) -> Definition:
    z = net.param("z", s, i)
    net.output(net.define("y", (s, i), log(exp(z[s, i]) / Sum(exp(z[s, c]), c))))
    return lambda z: x_.log(softmax(z))


@variation(extremes=[{"z": LOGITS}])
def test_softmax_as_a_layer(net: Network) -> Definition:
    z = net.param("z", s, i)
    net.output(net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c)))
    return softmax


@variation(extremes=[{"z": LOGITS}])
def test_softmin(net: Network) -> Definition:
    z = net.param("z", s, i)
    net.output(net.define("y", (s, i), exp(-z[s, i]) / Sum(exp(-z[s, c]), c)))
    return lambda z: softmax(-z)


@variation(extremes=[{"z": LOGITS}])
def test_softmax_shifted_by_its_first_logit(net: Network) -> Definition:
    z = net.param("z", s, i)
    net.output(net.define("y", (s, i), exp(z[s, i] - z[s, 0]) / Sum(exp(z[s, c] - z[s, 0]), c)))
    return softmax


@variation(extremes=[{"z": LOGITS}])
def test_log_sum_exp(net: Network) -> Definition:
    z = net.param("z", s, i)
    net.loss(Sum(log(Sum(exp(z[s, i]), i)), s))
    return lambda z: x_.log(x_.exp(z).sum(axis=1)).sum()


@variation(draw={"w": positive}, extremes=[{"z": LOGITS, "w": [0.5, 2, 1]}])
def test_weighted_log_sum_exp(net: Network) -> Definition:
    z, w = net.param("z", s, i), net.input("w", i)
    net.loss(Sum(log(Sum(w[i] * exp(z[s, i]), i)), s))
    return lambda z, w: x_.log((w * x_.exp(z)).sum(axis=1)).sum()


@variation(extremes=HARD)
def test_softmax_over_the_first_axis(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[u, i]), u))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i))
    return lambda z, t: -(t * x_.log(softmax(z, axis=0))).sum()


@variation(extremes=HARD)
def test_softmax_over_two_axes(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[u, c]), u, c))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i))
    return lambda z, t: -(t * x_.log(softmax(z, axis=(0, 1)))).sum()


@variation(extremes=HARD)
def test_softmax_both_ways(net: Network) -> Definition:
    """The contrastive loss: the same scores, normalised by rows and by columns."""
    z, t = logits(net)
    rows = net.define("rows", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    columns = net.define("columns", (s, i), exp(z[s, i]) / Sum(exp(z[u, i]), u))
    net.loss(-Sum(t[s, i] * (log(rows[s, i]) + log(columns[s, i])), s, i) / 2)
    return lambda z, t: -(t * (x_.log(softmax(z)) + x_.log(softmax(z, axis=0)))).sum() / 2


@variation()
def test_two_heads(net: Network) -> Definition:
    x = net.input("x", s, j)
    W, V = net.param("W", i, j), net.param("V", a, j)
    t, r = net.input("t", s, i), net.input("r", s, a)
    z = net.define("z", (s, i), Sum(W[i, j] * x[s, j], j))
    q = net.define("q", (s, a), Sum(V[a, j] * x[s, j], j))
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    p = net.define("p", (s, a), exp(q[s, a]) / Sum(exp(q[s, b]), b))
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) - Sum(r[s, a] * log(p[s, a]), s, a))
    return lambda x, W, V, t, r: cross_entropy(x @ W.T, t) + cross_entropy(x @ V.T, r)


@variation(extremes=HARD)
def test_entropy_regulariser(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    entropy = -Sum(y[s, i] * log(y[s, i]), s, i)
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) - entropy / 10)

    def definition(z: Any, t: Any) -> Any:
        return cross_entropy(z, t) + (softmax(z) * x_.log(softmax(z))).sum() / 10

    return definition


@variation(draw={"t": distribution}, extremes=HARD)
def test_label_smoothing(net: Network) -> Definition:
    z, t = logits(net)
    eps = net.constant("eps", 0.125)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(((1 - eps) * t[s, i] + eps / k) * log(y[s, i]), s, i) / n)

    def definition(z: Any, t: Any) -> Any:
        return cross_entropy(z, x_.array(0.875) * t + x_.array(0.125) / z.shape[1]) / len(z)

    return definition


@variation(draw={"t": distribution}, extremes=HARD)
def test_focal_loss(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(t[s, i] * (1 - y[s, i]) ** 2 * log(y[s, i]), s, i))
    return lambda z, t: -(t * (1 - softmax(z)) ** 2 * x_.log(softmax(z))).sum()


@variation(draw={"t": distribution}, extremes=HARD)
def test_focal_loss_with_a_constant_exponent(net: Network) -> Definition:
    z, t = logits(net)
    gamma = net.constant("gamma", 2.0)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(t[s, i] * (1 - y[s, i]) ** gamma * log(y[s, i]), s, i))
    return lambda z, t: -(t * (1 - softmax(z)) ** 2 * x_.log(softmax(z))).sum()


@variation(extremes=[{"z": LOGITS, "q": LOGITS[::-1]}])
def test_kullback_leibler(net: Network) -> Definition:
    z, q = net.param("z", s, i), net.param("q", s, i)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    p = net.define("p", (s, i), exp(q[s, i]) / Sum(exp(q[s, c]), c))
    net.loss(Sum(y[s, i] * (log(y[s, i]) - log(p[s, i])), s, i))
    return lambda z, q: (softmax(z) * (x_.log(softmax(z)) - x_.log(softmax(q)))).sum()


@variation(extremes=[{"z": LOGITS, "q": LOGITS[::-1]}])
def test_kullback_leibler_as_a_quotient(net: Network) -> Definition:
    z, q = net.param("z", s, i), net.param("q", s, i)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    p = net.define("p", (s, i), exp(q[s, i]) / Sum(exp(q[s, c]), c))
    net.loss(Sum(y[s, i] * log(y[s, i] / p[s, i]), s, i))
    return lambda z, q: (softmax(z) * (x_.log(softmax(z)) - x_.log(softmax(q)))).sum()


@variation(draw={"t": distribution})
def test_perplexity(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(exp(-Sum(t[s, i] * log(y[s, i]), s, i) / n))
    return lambda z, t: x_.exp(cross_entropy(z, t) / len(z))


@variation()
def test_unlikelihood(net: Network) -> Definition:
    z, t = logits(net)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(t[s, i] * log(1 - y[s, i]), s, i))
    return lambda z, t: -(t * x_.log(1 - softmax(z))).sum()


@variation()
def test_expected_value_under_softmax(net: Network) -> Definition:
    z, t = logits(net)
    net.loss(Sum(Sum(t[s, i] * exp(z[s, i]), i) / Sum(exp(z[s, i]), i), s))
    return lambda z, t: (softmax(z) * t).sum()


def binary_cross_entropy(x: Any, t: Any) -> Any:
    return -(t * x_.log(sigma(x)) + (1 - t) * x_.log(1 - sigma(x))).sum()


@variation(extremes=BINARY, digits=1000)
def test_binary_cross_entropy(net: Network) -> Definition:
    x, t = net.param("x", s), net.input("t", s)
    y = 1 / (1 + exp(-x[s]))
    net.loss(-Sum(t[s] * log(y) + (1 - t[s]) * log(1 - y), s))
    return binary_cross_entropy


@variation(extremes=BINARY, digits=1000)
def test_binary_cross_entropy_in_two_equations(net: Network) -> Definition:
    x, t = net.param("x", s), net.input("t", s)
    y = net.define("y", (s,), 1 / (1 + exp(-x[s])))
    net.loss(-Sum(t[s] * log(y[s]) + (1 - t[s]) * log(1 - y[s]), s))
    return binary_cross_entropy


@variation(extremes=BINARY, digits=1000)
def test_binary_cross_entropy_with_the_other_sigmoid(net: Network) -> Definition:
    x, t = net.param("x", s), net.input("t", s)
    y = net.define("y", (s,), exp(x[s]) / (1 + exp(x[s])))
    net.loss(-Sum(t[s] * log(y[s]) + (1 - t[s]) * log(1 - y[s]), s) / n)
    return lambda x, t: binary_cross_entropy(x, t) / len(x)


@variation(extremes=[{"x": SCORES, "t": [1, -1, 1, -1, 1]}])
def test_logistic_loss_with_signs(net: Network) -> Definition:
    x, t = net.param("x", s), net.input("t", s)
    net.loss(Sum(log(1 + exp(-t[s] * x[s])), s))
    return lambda x, t: x_.log(1 + x_.exp(-t * x)).sum()


@variation()
def test_poisson_regression(net: Network) -> Definition:
    x, t = net.input("x", s, j), net.input("t", s)
    w, bias = net.param("w", j), net.param("b")
    eta = net.define("eta", (s,), Sum(w[j] * x[s, j], j) + bias)
    net.loss(Sum(exp(eta[s]) - t[s] * eta[s], s) / n)
    return lambda x, t, w, b: (x_.exp(x @ w + b) - t * (x @ w + b)).sum() / len(x)


@variation(
    extremes=[
        {"x": [1000, -1000, 90, 0], "mu": [0, 1, -90], "w": [0, 1, 2]},
        {"x": [1000, -1000, 90, 0], "mu": [0, 1, -90], "w": [-1000, 0, 1000]},
    ]
)
def test_mixture_of_gaussians(net: Network) -> Definition:
    x, mu, w = net.input("x", s), net.param("mu", i), net.param("w", i)
    p = net.define("p", (i,), exp(w[i]) / Sum(exp(w[c]), c))
    net.loss(-Sum(log(Sum(p[i] * exp(-((x[s] - mu[i]) ** 2) / 2), i)), s))

    def definition(x: Any, mu: Any, w: Any) -> Any:
        likelihood = softmax(w) * x_.exp(-((x[:, None] - mu) ** 2) / 2)
        return -x_.log(likelihood.sum(axis=1)).sum()

    return definition


@variation(extremes=[{"x": [[100, 0], [0, -90]], "mu": [[0, 1], [1, 0], [-5, 5]]}])
def test_soft_assignment_to_centres(net: Network) -> Definition:
    x, mu = net.input("x", s, j), net.param("mu", i, j)
    r = net.define("r", (s, i), exp(-Sum((x[s, j] - mu[i, j]) ** 2, j)))
    net.output(net.define("y", (s, i), r[s, i] / Sum(r[s, c], c)))
    return lambda x, mu: softmax(-((x[:, None] - mu) ** 2).sum(axis=2))


@variation(extremes=[{"q": [[300, -300], [9, 0]], "k_": [[3, 1], [-3, 0]], "v": [[1, 2], [3, 4]]}])
def test_attention(net: Network) -> Definition:
    q, key, v = net.param("q", s, a), net.param("k_", s, a), net.param("v", s, j)
    score = net.define("score", (s, u), Sum(q[s, a] * key[u, a], a) / sqrt(h))
    weight = net.define("weight", (s, u), exp(score[s, u]) / Sum(exp(score[s, u]), u))
    net.output(net.define("o", (s, j), Sum(weight[s, u] * v[u, j], u)))
    return lambda q, k_, v: softmax(q @ k_.T / x_.sqrt(x_.array(q.shape[1]))) @ v


@variation()
def test_attention_with_heads_and_a_batch(net: Network) -> Definition:
    q, key = net.param("q", j, s, a), net.param("k_", j, s, a)
    v = net.param("v", j, s, a)
    e = net.define("e", (j, s, u), exp(Sum(q[j, s, a] * key[j, u, a], a)))
    y = net.define("o", (j, s, a), Sum(e[j, s, u] * v[j, u, a], u) / Sum(e[j, s, u], u))
    net.loss(Sum(y[j, s, a] ** 2, j, s, a))
    return lambda q, k_, v: ((softmax(q @ k_.transpose(0, 2, 1)) @ v) ** 2).sum()
