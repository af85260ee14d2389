"""A two-layer perceptron with dropout: affine, ReLU, inverted dropout, affine, softmax, and cross-entropy on labels.

h1 = max(0, W1 x + b1) · mask / keep, where each unit is kept with probability `keep`;  y = softmax(W2 h1 + b2),
L = −(1/n) Σ_s log y_s,t_s. Where y is predicted, every unit is kept.
"""

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation, dropout
from symbp.layers.linear import dense

n, d, h, k = sizes("n d h k")  # samples, features, hidden units, classes
s, j, a, i = indices("s", n), indices("j", d), indices("a", h), indices("i", k)

net = Network("dropout_mlp")
x, t = net.input("x", s, j), net.input("t", s, integer=True)
W1, b1 = net.param("W1", a, j, init="he"), net.param("b1", a)
W2, b2 = net.param("W2", i, a), net.param("b2", i)
keep = net.constant("keep", 0.5)

z1 = dense(net, "z1", x, W1, b1)
h1 = activation(net, "h1", relu, z1)
r1 = dropout(net, "r1", h1, keep)
z2 = dense(net, "z2", r1, W2, b2)
y = softmax(net, "y", z2)
net.output(y)
net.loss(cross_entropy(y, t))
