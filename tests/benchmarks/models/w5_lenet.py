"""LeNet-5 with ReLU and max-pooling on 32 images of 28 × 28 pixels, and softmax cross-entropy on integer labels."""

from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation
from symbp.layers.windows import conv2d, max_pool

n = sizes("n")  # images
s, c, (r, q) = indices("s", n), indices("c", 1), indices("r q", 28)
m, (e, f) = indices("m", 6), indices("e f", 28)  # first convolution: maps, places
o, (g, h) = indices("o", 16), indices("g h", 10)  # second
(u, v), (w, l) = indices("u v", 5), indices("w l", 2)  # noqa: E741
(A, B), (C, D) = indices("A B", 14), indices("C D", 5)  # after pooling
a, b, i = indices("a", 120), indices("b", 84), indices("i", 10)

SIZES = {"n": 32}

net = Network("w5_lenet")
x, y = net.input("x", s, c, r, q), net.input("y", s, integer=True)
K1, k1 = net.param("K1", m, c, u, v), net.param("k1", m)
K2, k2 = net.param("K2", o, m, u, v), net.param("k2", o)
F1, f1 = net.param("F1", o, C, D, a), net.param("f1", a)
F2, f2 = net.param("F2", a, b), net.param("f2", b)
F3, f3 = net.param("F3", b, i), net.param("f3", i)

z1 = conv2d(net, "z1", x, K1, k1, (e, f), padding=2)
p1 = max_pool(net, "p1", z1, (A, B), (w, l))
h1 = activation(net, "h1", relu, p1)
z2 = conv2d(net, "z2", h1, K2, k2, (g, h))
p2 = max_pool(net, "p2", z2, (C, D), (w, l))
h2 = activation(net, "h2", relu, p2)
z3 = net.define("z3", (s, a), Sum(h2[s, o, C, D] * F1[o, C, D, a], o, C, D) + f1[a])
h3 = activation(net, "h3", relu, z3)
z4 = net.define("z4", (s, b), Sum(h3[s, a] * F2[a, b], a) + f2[b])
h4 = activation(net, "h4", relu, z4)
z5 = net.define("z5", (s, i), Sum(h4[s, b] * F3[b, i], b) + f3[i])
prob = softmax(net, "prob", z5)
net.loss(cross_entropy(prob, y))
