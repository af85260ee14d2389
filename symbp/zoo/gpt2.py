"""GPT-2: a language model of L transformer blocks, each written once, with depth as an index.

X[−1] = wte[token] + wpe;  Y = X[l−1] + attention(norm X[l−1]),  X[l] = Y + mlp(norm Y);  the logits of norm X[L−1] on
the rows of wte again. Attention has H heads of d numbers, and a place sees those up to it; the perceptron has 4 C units
with the hyperbolic-tangent GELU. L = −(1/BT) Σ_bt log y_bt,target. After Radford et al., Language Models are
Unsupervised Multitask Learners, 2019, with the names of Karpathy's llm.c; queries, keys and values, one matrix there,
are three here. A text shorter than those of training takes the first rows of wpe.
"""

from collections.abc import Callable

import numpy as np
from sympy import Expr, Idx, Sum, sqrt

from symbp import Network, Tensor, indices, sizes
from symbp.layers.attention import attention
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import gelu_tanh
from symbp.layers.linear import dense, embedding

B, T, L, H, d, V = sizes("B T L H d V")  # texts, places, layers, heads, numbers for each, tokens
C = H * d
b, t, l = indices("b", B), indices("t", T), indices("l", L)  # noqa: E741
(c, j), f, v = indices("c j", C), indices("f", 4 * C), indices("v", V)
h, e = indices("h", H), indices("e", d)


def small(rng, shape, dtype):
    return rng.normal(0, 0.02, shape)


def smaller(rng, shape, dtype):
    """Of what 2 L projections add to one sum."""
    return rng.normal(0, 0.02 / np.sqrt(2 * shape[0]), shape)


net = Network("gpt2")
token, target = net.input("token", b, t, integer=True), net.input("target", b, t, integer=True)
wte, wpe = net.param("wte", v, c, init=small), net.param("wpe", t, c, init=small)
ln1w, ln1b = net.param("ln1w", l, c, init="ones"), net.param("ln1b", l, c, init="zeros")
Wq, bq = net.param("Wq", l, h, e, c, init=small), net.param("bq", l, h, e, init="zeros")
Wk, bk = net.param("Wk", l, h, e, c, init=small), net.param("bk", l, h, e, init="zeros")
Wv, bv = net.param("Wv", l, h, e, c, init=small), net.param("bv", l, h, e, init="zeros")
Wo, bo = net.param("Wo", l, c, h, e, init=smaller), net.param("bo", l, c, init="zeros")
ln2w, ln2b = net.param("ln2w", l, c, init="ones"), net.param("ln2b", l, c, init="zeros")
W1, b1 = net.param("W1", l, f, c, init=small), net.param("b1", l, f, init="zeros")
W2, b2 = net.param("W2", l, c, f, init=smaller), net.param("b2", l, c, init="zeros")
lnfw, lnfb = net.param("lnfw", c, init="ones"), net.param("lnfb", c)


def norm(
    name: str, at: tuple[Idx, ...], x: Callable[[Idx], Expr], gain: Expr, bias: Expr
) -> Tensor:
    """Layer norm, at these indices, of what x gives at c."""
    centred = net.define(f"{name}_centred", (*at, c), x(c) - Sum(x(j), j) / C)
    variance = Sum(centred[(*at, j)] ** 2, j) / C
    hat = net.define(f"{name}_hat", (*at, c), centred[(*at, c)] / sqrt(variance + 1e-5))
    return net.define(name, (*at, c), gain * hat[(*at, c)] + bias)


words = embedding(net, "words", token, wte)
X = net.recurrent("X", (l, b, t, c), over=l, initial=words[b, t, c] + wpe[t, c])

ln1 = norm("ln1", (l, b, t), lambda c: X[l - 1, b, t, c], ln1w[l, c], ln1b[l, c])
q = net.define("q", (l, b, h, t, e), Sum(Wq[l, h, e, c] * ln1[l, b, t, c], c) + bq[l, h, e])
k = net.define("k", (l, b, h, t, e), Sum(Wk[l, h, e, c] * ln1[l, b, t, c], c) + bk[l, h, e])
v = net.define("v", (l, b, h, t, e), Sum(Wv[l, h, e, c] * ln1[l, b, t, c], c) + bv[l, h, e])
att = attention(net, "att", q, k, v, causal=True)
seen = Sum(Wo[l, c, h, e] * att[l, b, h, t, e], h, e) + bo[l, c]
Y = net.define("Y", (l, b, t, c), X[l - 1, b, t, c] + seen)

ln2 = norm("ln2", (l, b, t), lambda c: Y[l, b, t, c], ln2w[l, c], ln2b[l, c])
fch = net.define("fch", (l, b, t, f), Sum(W1[l, f, c] * ln2[l, b, t, c], c) + b1[l, f])
gelu = gelu_tanh(net, "gelu", fch)
thought = Sum(W2[l, c, f] * gelu[l, b, t, f], f) + b2[l, c]
net.define(X, (l, b, t, c), Y[l, b, t, c] + thought)

lnf = norm("lnf", (b, t), lambda c: X[L - 1, b, t, c], lnfw[c], lnfb[c])
logits = dense(net, "logits", lnf, wte)
y = softmax(net, "y", logits)
net.output(y)
net.loss(cross_entropy(y, target))
