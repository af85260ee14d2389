"""A perceptron 784-128-10 with ReLU and softmax cross-entropy on integer labels: 32 samples."""

from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax

n, d, h, k = sizes("n d h k")  # samples, features, hidden units, classes
s, j, a, i = indices("s", n), indices("j", d), indices("a", h), indices("i", k)

SIZES = {"n": 32, "d": 784, "h": 128, "k": 10}

net = Network("w2_mlp")
x, y = net.input("x", s, j), net.input("y", s, integer=True)
W1, b1 = net.param("W1", j, a), net.param("b1", a)
W2, b2 = net.param("W2", a, i), net.param("b2", i)

z1 = net.define("z1", (s, a), Sum(x[s, j] * W1[j, a], j) + b1[a])
h1 = net.define("h1", (s, a), relu(z1[s, a]))
z2 = net.define("z2", (s, i), Sum(h1[s, a] * W2[a, i], a) + b2[i])
p = softmax(net, "p", z2)
net.loss(cross_entropy(p, y))
