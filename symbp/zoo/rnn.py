"""A recurrent network that predicts the next character, with the names of Karpathy's min-char-rnn.

h[s,t] = tanh(Wxh onehot(x[s,t]) + Whh h[s,t−1] + bh),  y = softmax(Why h + by),  L = −(1/nT) Σ_st log y_st,target.
The state before the first step is an input and that after the last an output, so that a long text can be read piece by
piece, or a new one drawn character by character. After Elman, Finding structure in time, Cognitive Science 14, 1990.
"""

from sympy import Sum, tanh

from symbp import Network, indices, sizes
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.linear import dense

n, T, u, k = sizes("n T u k")  # texts, steps, units, characters
s, t = indices("s", n), indices("t", T)
a, b = indices("a b", u)
i = indices("i", k)

net = Network("rnn")
x, target = net.input("x", s, t, integer=True), net.input("target", s, t, integer=True)
h0 = net.input("h0", s, a)
Wxh, Whh, bh = net.param("Wxh", a, i), net.param("Whh", a, b), net.param("bh", a)
Why, by = net.param("Why", i, a), net.param("by", i)

h = net.recurrent("h", (s, t, a), over=t, initial=h0[s, a])
before = Sum(Whh[a, b] * h[s, t - 1, b], b)
z = net.define("z", (s, t, a), Wxh[a, x[s, t]] + before + bh[a])
net.define(h, (s, t, a), tanh(z[s, t, a]))
logits = dense(net, "logits", h, Why, by)
y = softmax(net, "y", logits)
state = net.define("state", (s, a), h[s, T - 1, a])
net.output(y, state)
net.loss(cross_entropy(y, target))
