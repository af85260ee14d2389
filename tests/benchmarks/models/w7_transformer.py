"""A transformer block, layer norm first, causal attention and GELU, with the mean squared error: four texts of 128."""

from sympy import Piecewise, Sum, oo, sqrt

from symbp import Network, indices, sizes
from symbp.layers.classification import softmax
from symbp.layers.elementwise import gelu_tanh
from symbp.layers.normalisation import layer_norm

B, T, C, H, d, F = sizes(
    "B T C H d F"
)  # texts, places, width, heads, numbers of each, hidden units
b, (t, u), c = indices("b", B), indices("t u", T), indices("c", C)
r, h, e, f = indices("r", 3), indices("h", H), indices("e", d), indices("f", F)

SIZES = {"B": 4, "T": 128, "C": 256, "H": 4, "d": 64, "F": 1024}

net = Network("w7_transformer")
x, y = net.input("x", b, t, c), net.input("y", b, t, c)
g1, b1 = net.param("g1", c), net.param("b1", c)
Wqkv, bqkv = net.param("Wqkv", c, r, h, e), net.param("bqkv", r, h, e)
Wo, bo = net.param("Wo", h, e, c), net.param("bo", c)
g2, b2 = net.param("g2", c), net.param("b2", c)
W1, c1 = net.param("W1", c, f), net.param("c1", f)
W2, c2 = net.param("W2", f, c), net.param("c2", c)

n1 = layer_norm(net, "n1", x, g1, b1)
qkv = net.define("qkv", (b, t, r, h, e), Sum(n1[b, t, c] * Wqkv[c, r, h, e], c) + bqkv[r, h, e])
score = Sum(qkv[b, t, 0, h, e] * qkv[b, u, 1, h, e], e) / sqrt(d)
masked = net.define("masked", (b, h, t, u), Piecewise((score, u <= t), (-oo, True)))
att = softmax(net, "att", masked)
O = net.define("att_v", (b, t, h, e), Sum(att[b, h, t, u] * qkv[b, u, 2, h, e], u))  # noqa: E741
x2 = net.define("x2", (b, t, c), x[b, t, c] + Sum(O[b, t, h, e] * Wo[h, e, c], h, e) + bo[c])
n2 = layer_norm(net, "n2", x2, g2, b2)
z = net.define("z", (b, t, f), Sum(n2[b, t, c] * W1[c, f], c) + c1[f])
gelu = gelu_tanh(net, "gelu", z)
out = net.define("out", (b, t, c), x2[b, t, c] + Sum(gelu[b, t, f] * W2[f, c], f) + c2[c])
net.loss(Sum((out[b, t, c] - y[b, t, c]) ** 2, b, t, c) / (B * T * C))
