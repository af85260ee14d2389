"""Logistic regression: two classes, one sigmoid, binary cross-entropy.

z_s = Σ_j w_j x_sj + b,  y_s = σ(z_s),  L = −(1/n) Σ_s (t_s log y_s + (1 − t_s) log(1 − y_s)).
However long the chain, ∂L/∂z_s = (y_s − t_s) / n.
"""

from sympy import Sum, exp, log

from symbp import Network, indices, sizes

n, d = sizes("n d")  # samples, features
s, j = indices("s", n), indices("j", d)

net = Network("logistic_regression")
x, t = net.input("x", s, j), net.input("t", s)  # t is 1 for the one class, 0 for the other
w, b = net.param("w", j), net.param("b")

z = net.define("z", (s,), Sum(w[j] * x[s, j], j) + b)
y = net.define("y", (s,), 1 / (1 + exp(-z[s])))
net.output(y)
net.loss(-Sum(t[s] * log(y[s]) + (1 - t[s]) * log(1 - y[s]), s) / n)
