"""Linear regression by least squares.

f_s = Σ_j w_j x_sj + b,  L = (1/n) Σ_s (y_s − f_s)²,  and so  ∂L/∂w_j = (2/n) Σ_s (f_s − y_s) x_sj.
"""

from sympy import Sum

from symbp import Network, indices, sizes

n, d = sizes("n d")  # samples, features
s, j = indices("s", n), indices("j", d)

net = Network("linear_regression")
x, y = net.input("x", s, j), net.input("y", s)
w, b = net.param("w", j), net.param("b")

f = net.define("f", (s,), Sum(w[j] * x[s, j], j) + b)
net.output(f)
net.loss(Sum((y[s] - f[s]) ** 2, s) / n)
