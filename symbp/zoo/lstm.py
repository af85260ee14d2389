"""A language model of characters: long short-term memory, whose gates open and close a cell.

i, f, o = sigmoid(W x + U h[t−1] + b),  g = tanh(W x + U h[t−1] + b), each with weights of its own;
c[t] = f c[t−1] + i g,  h[t] = o tanh(c[t]),  y = softmax(V h + e),  L = −(1/nT) Σ_st log y_st,target.
The four stand along one axis, of size 4, in PyTorch's order: i, f, g, o. Cell and state before the first step are
inputs and those after the last outputs, so that a text can be continued. After Hochreiter and Schmidhuber, Neural
Computation 9, 1997, with the forget gate of Gers, Schmidhuber and Cummins, Neural Computation 12, 2000.
"""

import numpy as np
from sympy import Sum, tanh

from symbp import Network, indices, sizes
from symbp.functions import sigmoid
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.linear import dense

n, T, u, k = sizes("n T u k")  # texts, steps, units, characters
s, t = indices("s", n), indices("t", T)
q = indices("q", 4)  # gates
a, b = indices("a b", u)
v = indices("v", k)


def uniform(rng, shape, dtype):
    """As PyTorch has it: within ±1/√u."""
    limit = 1 / np.sqrt(shape[1])
    return rng.uniform(-limit, limit, shape)


net = Network("lstm")
x, target = net.input("x", s, t, integer=True), net.input("target", s, t, integer=True)
h0, c0 = net.input("h0", s, a), net.input("c0", s, a)
W, U = net.param("W", q, a, v, init=uniform), net.param("U", q, a, b, init=uniform)
bias = net.param("b", q, a, init="zeros")
V, e = net.param("V", v, a), net.param("e", v)

h = net.recurrent("h", (s, t, a), over=t, initial=h0[s, a])
c = net.recurrent("c", (s, t, a), over=t, initial=c0[s, a])
before = Sum(U[q, a, b] * h[s, t - 1, b], b)
z = net.define("z", (s, t, q, a), W[q, a, x[s, t]] + before + bias[q, a])
i = net.define("i", (s, t, a), sigmoid(z[s, t, 0, a]))
f = net.define("f", (s, t, a), sigmoid(z[s, t, 1, a]))
g = net.define("g", (s, t, a), tanh(z[s, t, 2, a]))
o = net.define("o", (s, t, a), sigmoid(z[s, t, 3, a]))
net.define(c, (s, t, a), f[s, t, a] * c[s, t - 1, a] + i[s, t, a] * g[s, t, a])
r = net.define("r", (s, t, a), tanh(c[s, t, a]))
net.define(h, (s, t, a), o[s, t, a] * r[s, t, a])
logits = dense(net, "logits", h, V, e)
y = softmax(net, "y", logits)
state = net.define("state", (s, a), h[s, T - 1, a])
cell = net.define("cell", (s, a), c[s, T - 1, a])
net.output(y, state, cell)
net.loss(cross_entropy(y, target))
