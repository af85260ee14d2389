"""A classifier of sequences of unequal length: gated recurrent units, of which the last valid state is read.

r = sigmoid(Wr x + Ur h[t−1] + br),  z = sigmoid(Wz x + Uz h[t−1] + bz),  m = tanh(Wm x + bm + r (Um h[t−1] + cm)),
h[t] = (1 − z) m + z h[t−1],  y = softmax(V h[last] + e),  L = −(1/n) Σ_s log y_s,label.
Sequence s has last[s] + 1 steps; what comes after them is padding, which nothing depends on. After Cho et al., arXiv
1406.1078, with the reset gate where PyTorch has it, after the product with Um.
"""

from sympy import Expr, Sum, tanh

from symbp import Network, Tensor, indices, sizes
from symbp.functions import sigmoid
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.linear import dense

n, T, d, u, k = sizes("n T d u k")  # sequences, steps, features, units, classes
s, t, j = indices("s", n), indices("t", T), indices("j", d)
a, b = indices("a b", u)
i = indices("i", k)

net = Network("gru")
x, label = net.input("x", s, t, j), net.input("label", s, integer=True)
last = net.input("last", s, integer=True)
Wr, Ur, br = net.param("Wr", a, j), net.param("Ur", a, b), net.param("br", a)
Wz, Uz, bz = net.param("Wz", a, j), net.param("Uz", a, b), net.param("bz", a)
Wm, bm = net.param("Wm", a, j), net.param("bm", a)
Um, cm = net.param("Um", a, b), net.param("cm", a)
V, e = net.param("V", i, a), net.param("e", i)

h = net.recurrent("h", (s, t, a), over=t)


def of_x(W: Tensor) -> Expr:
    return Sum(W[a, j] * x[s, t, j], j)


def of_h(U: Tensor) -> Expr:
    return Sum(U[a, b] * h[s, t - 1, b], b)


zr = net.define("zr", (s, t, a), of_x(Wr) + of_h(Ur) + br[a])
r = net.define("r", (s, t, a), sigmoid(zr[s, t, a]))
zz = net.define("zz", (s, t, a), of_x(Wz) + of_h(Uz) + bz[a])
z = net.define("z", (s, t, a), sigmoid(zz[s, t, a]))
p = net.define("p", (s, t, a), of_h(Um) + cm[a])
zm = net.define("zm", (s, t, a), of_x(Wm) + bm[a] + r[s, t, a] * p[s, t, a])
m = net.define("m", (s, t, a), tanh(zm[s, t, a]))
net.define(h, (s, t, a), (1 - z[s, t, a]) * m[s, t, a] + z[s, t, a] * h[s, t - 1, a])
read = net.define("read", (s, a), h[s, last[s], a])
logits = dense(net, "logits", read, V, e)
y = softmax(net, "y", logits)
net.output(y)
net.loss(cross_entropy(y, label))
