"""A perceptron of L residual layers, each written once, and a softmax: depth is an index as any other.

X[l] = X[l−1] + V[l] max(0, W[l] X[l−1] + b[l]) + c[l],  X[−1] = E x,  y = softmax(F X[L−1] + e), and cross-entropy.
After He et al., Deep residual learning for image recognition, CVPR 2016.
"""

import numpy as np
from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.linear import dense

n, d, u, h, k, L = sizes("n d u h k L")  # samples, features, width, hidden units, classes, layers
s, j, l = indices("s", n), indices("j", d), indices("l", L)  # noqa: E741
a, g, i = indices("a", u), indices("g", h), indices("i", k)


def he(rng, shape, dtype):
    """He's normal law, layer by layer."""
    return rng.normal(0, np.sqrt(2 / shape[-1]), shape)


def small(rng, shape, dtype):
    """Of what L layers add to one sum."""
    return rng.normal(0, 1 / np.sqrt(shape[0] * shape[-1]), shape)


net = Network("residual_mlp")
x, t = net.input("x", s, j), net.input("t", s, integer=True)
E = net.param("E", a, j)
W, b = net.param("W", l, g, a, init=he), net.param("b", l, g, init="zeros")
V, c = net.param("V", l, a, g, init=small), net.param("c", l, a, init="zeros")
F, e = net.param("F", i, a), net.param("e", i)

X = net.recurrent("X", (l, s, a), over=l, initial=Sum(E[a, j] * x[s, j], j))
z = net.define("z", (l, s, g), Sum(W[l, g, a] * X[l - 1, s, a], a) + b[l, g])
r = net.define("r", (l, s, g), relu(z[l, s, g]))
net.define(X, (l, s, a), X[l - 1, s, a] + Sum(V[l, a, g] * r[l, s, g], g) + c[l, a])
top = net.define("top", (s, a), X[L - 1, s, a])
logits = dense(net, "logits", top, F, e)
y = softmax(net, "y", logits)
net.output(y)
net.loss(cross_entropy(y, t))
