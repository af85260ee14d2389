"""An LSTM of 128 units on 64 steps of 128 numbers, 16 sequences, with softmax cross-entropy at each step."""

from sympy import Sum, tanh

from symbp import Network, indices, sizes
from symbp.functions import sigmoid
from symbp.layers.classification import cross_entropy, softmax

n, T, d, u, k = sizes("n T d u k")  # sequences, steps, inputs, units, classes
s, t, j, v = indices("s", n), indices("t", T), indices("j", d), indices("v", k)
q, (a, b) = indices("q", 4), indices("a b", u)  # gates, units

SIZES = {"n": 16, "T": 64, "d": 128, "u": 128, "k": 64}

net = Network("w6_lstm")
x, y = net.input("x", t, s, j), net.input("y", t, s, integer=True)
Wx, Wh, bias = net.param("Wx", j, q, a), net.param("Wh", b, q, a), net.param("b", q, a)
Wo, bo = net.param("Wo", a, v), net.param("bo", v)

h = net.recurrent("h", (t, s, a), over=t)
c = net.recurrent("c", (t, s, a), over=t)
given, before = Sum(x[t, s, j] * Wx[j, q, a], j), Sum(h[t - 1, s, b] * Wh[b, q, a], b)
z = net.define("z", (t, s, q, a), given + before + bias[q, a])
i = net.define("i", (t, s, a), sigmoid(z[t, s, 0, a]))
f = net.define("f", (t, s, a), sigmoid(z[t, s, 1, a]))
g = net.define("g", (t, s, a), tanh(z[t, s, 2, a]))
o = net.define("o", (t, s, a), sigmoid(z[t, s, 3, a]))
net.define(c, (t, s, a), f[t, s, a] * c[t - 1, s, a] + i[t, s, a] * g[t, s, a])
r = net.define("r", (t, s, a), tanh(c[t, s, a]))
net.define(h, (t, s, a), o[t, s, a] * r[t, s, a])
logits = net.define("logits", (t, s, v), Sum(h[t, s, a] * Wo[a, v], a) + bo[v])
p = softmax(net, "p", logits)
net.loss(cross_entropy(p, y))
