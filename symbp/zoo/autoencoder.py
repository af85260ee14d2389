"""An autoencoder with tied weights: W encodes, and its transpose decodes.

h_sa = tanh(Σ_j W_aj x_sj + b_a),  r_sj = Σ_a W_aj h_sa + c_j,  L = (1/n) Σ_sj (r_sj − x_sj)².
W is read twice, so ∂L/∂W_aj adds what comes through the decoder to what comes through the encoder.
"""

from sympy import Sum, tanh

from symbp import Network, indices, sizes

n, d, m = sizes("n d m")  # samples, features, code
s, j, a = indices("s", n), indices("j", d), indices("a", m)

net = Network("autoencoder")
x = net.input("x", s, j)
W, b, c = net.param("W", a, j), net.param("b", a), net.param("c", j)

z = net.define("z", (s, a), Sum(W[a, j] * x[s, j], j) + b[a])
h = net.define("h", (s, a), tanh(z[s, a]))
r = net.define("r", (s, j), Sum(W[a, j] * h[s, a], a) + c[j])
net.output(r)
net.loss(Sum((r[s, j] - x[s, j]) ** 2, s, j) / n)
