"""Softmax cross-entropy alone, on integer labels, in its logits: 64 rows of 32,000 classes."""

from symbp import Network, indices, sizes
from symbp.layers.classification import cross_entropy, softmax

n, k = sizes("n k")  # rows, classes
s, i = indices("s", n), indices("i", k)

SIZES = {"n": 64, "k": 32000}

net = Network("w4_softmax_ce")
y = net.input("y", s, integer=True)
z = net.param("z", s, i)
p = softmax(net, "p", z)
net.loss(cross_entropy(p, y))
