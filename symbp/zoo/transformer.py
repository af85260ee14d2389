"""A language model of one pre-norm transformer block with causal attention: GPT-2's, at depth 1.

x = wte[token] + wpe;  x + attention(norm x);  x + mlp(norm x);  norm;  logits on the rows of wte again. Attention has
`H` heads of `d` numbers, the perceptron 4 C units with the hyperbolic-tangent GELU, and a place sees those up to it.
L = −(1/BT) Σ_bt log y_bt,target. After Radford et al., Language Models are Unsupervised Multitask Learners, 2019, with
the names of Karpathy's llm.c; queries, keys and values, one matrix there, are three here.
"""

from sympy import Piecewise, Sum, oo, sqrt

from symbp import Network, indices, sizes
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import gelu_tanh
from symbp.layers.linear import dense, embedding
from symbp.layers.normalisation import layer_norm

B, T, C, H, d, V = sizes("B T C H d V")  # sequences, places, width, heads, numbers for each, tokens
b, (t, u), (c, j) = indices("b", B), indices("t u", T), indices("c j", C)
h, e, f, w = indices("h", H), indices("e", d), indices("f", 4 * C), indices("w", V)

net = Network("transformer")
token, target = net.input("token", b, t, integer=True), net.input("target", b, t, integer=True)
wte, wpe = net.param("wte", w, c), net.param("wpe", t, c)
ln1w, ln1b = net.param("ln1w", c, init="ones"), net.param("ln1b", c)
Wq, bq = net.param("Wq", h, e, c), net.param("bq", h, e)
Wk, bk = net.param("Wk", h, e, c), net.param("bk", h, e)
Wv, bv = net.param("Wv", h, e, c), net.param("bv", h, e)
Wo, bo = net.param("Wo", c, h, e), net.param("bo", c)
ln2w, ln2b = net.param("ln2w", c, init="ones"), net.param("ln2b", c)
W1, b1 = net.param("W1", f, c), net.param("b1", f)
W2, b2 = net.param("W2", c, f), net.param("b2", c)
lnfw, lnfb = net.param("lnfw", c, init="ones"), net.param("lnfb", c)

words = embedding(net, "words", token, wte)
x = net.define("x", (b, t, c), words[b, t, c] + wpe[t, c])

ln1 = layer_norm(net, "ln1", x, ln1w, ln1b)
q = net.define("q", (b, h, t, e), Sum(Wq[h, e, c] * ln1[b, t, c], c) + bq[h, e])
k = net.define("k", (b, h, t, e), Sum(Wk[h, e, c] * ln1[b, t, c], c) + bk[h, e])
v = net.define("v", (b, h, t, e), Sum(Wv[h, e, c] * ln1[b, t, c], c) + bv[h, e])
preatt = net.define("preatt", (b, h, t, u), Sum(q[b, h, t, e] * k[b, h, u, e], e) / sqrt(d))
masked = net.define("masked", (b, h, t, u), Piecewise((preatt[b, h, t, u], u <= t), (-oo, True)))
att = softmax(net, "att", masked)
atty = net.define("atty", (b, h, t, e), Sum(att[b, h, t, u] * v[b, h, u, e], u))
x2 = net.define("x2", (b, t, c), x[b, t, c] + Sum(Wo[c, h, e] * atty[b, h, t, e], h, e) + bo[c])

ln2 = layer_norm(net, "ln2", x2, ln2w, ln2b)
fch = dense(net, "fch", ln2, W1, b1)
gelu = gelu_tanh(net, "gelu", fch)
x3 = net.define("x3", (b, t, c), x2[b, t, c] + Sum(W2[c, f] * gelu[b, t, f], f) + b2[c])

lnf = layer_norm(net, "lnf", x3, lnfw, lnfb)
logits = dense(net, "logits", lnf, wte)
y = softmax(net, "y", logits)
net.output(y)
net.loss(cross_entropy(y, target))
