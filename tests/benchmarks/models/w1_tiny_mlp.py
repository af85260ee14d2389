"""A perceptron 2-8-1 with tanh and the mean squared error: four samples, so that calls cost more than arithmetic."""

from sympy import Sum, tanh

from symbp import Network, indices, sizes

n, d, h, k = sizes("n d h k")  # samples, features, hidden units, outputs
s, j, a, i = indices("s", n), indices("j", d), indices("a", h), indices("i", k)

SIZES = {"n": 4, "d": 2, "h": 8, "k": 1}

net = Network("w1_tiny_mlp")
x, y = net.input("x", s, j), net.input("y", s, i)
W1, b1 = net.param("W1", j, a), net.param("b1", a)
W2, b2 = net.param("W2", a, i), net.param("b2", i)

r = net.define("r", (s, a), tanh(Sum(x[s, j] * W1[j, a], j) + b1[a]))
z = net.define("z", (s, i), Sum(r[s, a] * W2[a, i], a) + b2[i])
net.loss(Sum((z[s, i] - y[s, i]) ** 2, s, i) / (n * k))
