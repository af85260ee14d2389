"""Ten residual layers x + gelu(W norm(x) + c) of width 512, with the mean squared error: 64 samples."""

from sympy import Sum

from symbp import Network, indices, sizes
from symbp.layers.elementwise import gelu_tanh
from symbp.layers.normalisation import layer_norm

n, d = sizes("n d")  # samples, width
s, (a, b) = indices("s", n), indices("a b", d)

SIZES = {"n": 64, "d": 512}

net = Network("w9_resmlp")
x, y = net.input("x", s, a), net.input("y", s, a)
top = x
for k in range(10):
    g, beta = net.param(f"g{k}", a), net.param(f"b{k}", a)
    W, c = net.param(f"W{k}", a, b), net.param(f"c{k}", b)
    norm = layer_norm(net, f"n{k}", top, g, beta)
    z = net.define(f"z{k}", (s, b), Sum(norm[s, a] * W[a, b], a) + c[b])
    act = gelu_tanh(net, f"act{k}", z)
    top = net.define(f"x{k}", (s, a), top[s, a] + act[s, a])
net.loss(Sum((top[s, a] - y[s, a]) ** 2, s, a) / (n * d))
