"""Softmax regression: k classes, one affine map, softmax and cross-entropy.

z_si = Σ_j W_ij x_sj + b_i,  y_si = exp z_si / Σ_c exp z_sc,  L = −(1/n) Σ_si t_si log y_si.
Softmax's Jacobian y_i (δ_ij − y_j) and the logarithm's 1/y cancel: ∂L/∂z_si = (y_si − t_si) / n.
"""

from sympy import Sum, exp, log

from symbp import Network, indices, sizes

n, d, k = sizes("n d k")  # samples, features, classes
s, j = indices("s", n), indices("j", d)
i, c = indices("i c", k)

net = Network("softmax_regression")
x, t = net.input("x", s, j), net.input("t", s, i, sums_to_one=i)
W, b = net.param("W", i, j), net.param("b", i)

z = net.define("z", (s, i), Sum(W[i, j] * x[s, j], j) + b[i])
y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
net.output(y)
net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
