"""A two-layer perceptron: affine, ReLU, affine, softmax, and cross-entropy over a mini-batch.

h1 = max(0, W1 x + b1),  y = softmax(W2 h1 + b2),  L = −(1/n) Σ_si t_si log y_si.
"""

from sympy import Max, Sum, exp, log

from symbp import Network, indices, sizes

n, d, h, k = sizes("n d h k")  # samples, features, hidden units, classes
s, j, a = indices("s", n), indices("j", d), indices("a", h)
i, c = indices("i c", k)

net = Network("mlp")
x, t = net.input("x", s, j), net.input("t", s, i, sums_to_one=i)
W1, b1 = net.param("W1", a, j), net.param("b1", a)
W2, b2 = net.param("W2", i, a), net.param("b2", i)

z1 = net.define("z1", (s, a), Sum(W1[a, j] * x[s, j], j) + b1[a])
h1 = net.define("h1", (s, a), Max(0, z1[s, a]))
z2 = net.define("z2", (s, i), Sum(W2[i, a] * h1[s, a], a) + b2[i])
y = net.define("y", (s, i), exp(z2[s, i]) / Sum(exp(z2[s, c]), c))
net.output(y)
net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
