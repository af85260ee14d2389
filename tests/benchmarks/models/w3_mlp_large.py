"""A perceptron 784-1024-1024-10 with ReLU and softmax cross-entropy on integer labels: 128 samples."""

from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax

n, d, g, h, k = sizes("n d g h k")  # samples, features, units of both hidden layers, classes
s, j, a, b, i = (indices(*pair) for pair in zip("sjabi", (n, d, g, h, k), strict=True))

SIZES = {"n": 128, "d": 784, "g": 1024, "h": 1024, "k": 10}

net = Network("w3_mlp_large")
x, y = net.input("x", s, j), net.input("y", s, integer=True)
W1, b1 = net.param("W1", j, a), net.param("b1", a)
W2, b2 = net.param("W2", a, b), net.param("b2", b)
W3, b3 = net.param("W3", b, i), net.param("b3", i)

z1 = net.define("z1", (s, a), Sum(x[s, j] * W1[j, a], j) + b1[a])
h1 = net.define("h1", (s, a), relu(z1[s, a]))
z2 = net.define("z2", (s, b), Sum(h1[s, a] * W2[a, b], a) + b2[b])
h2 = net.define("h2", (s, b), relu(z2[s, b]))
z3 = net.define("z3", (s, i), Sum(h2[s, b] * W3[b, i], b) + b3[i])
p = softmax(net, "p", z3)
net.loss(cross_entropy(p, y))
