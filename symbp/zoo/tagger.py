"""A tagger of words in sentences of unequal length, with one recurrent network for each direction.

f[t] = tanh(Wf E[word[t]] + Uf f[t−1] + bf),  g[t] = tanh(Wg E[word[t]] + Ug g[t+1] + bg),
y = softmax(Vf f + Vg g + e),  L = −Σ_st log y_st,tag / Σ_s length[s], over the words that there are. Sentence s has
length[s] words; g is 0 after them, as it is after the longest. After Schuster and Paliwal, IEEE Transactions on Signal
Processing 45, 1997.
"""

from sympy import Piecewise, Sum, log, tanh

from symbp import Network, indices, sizes
from symbp.layers.classification import softmax
from symbp.layers.linear import embedding

n, T, v, d, u, k = sizes("n T v d u k")  # sentences, places, words, numbers for each, units, tags
s, t = indices("s", n), indices("t", T)
w, j, i = indices("w", v), indices("j", d), indices("i", k)
a, b = indices("a b", u)

net = Network("tagger")
word, tag = net.input("word", s, t, integer=True), net.input("tag", s, t, integer=True)
length = net.input("length", s, integer=True)
E = net.param("E", w, j)
Wf, Uf, bf = net.param("Wf", a, j), net.param("Uf", a, b), net.param("bf", a)
Wg, Ug, bg = net.param("Wg", a, j), net.param("Ug", a, b), net.param("bg", a)
Vf, Vg, e = net.param("Vf", i, a), net.param("Vg", i, a), net.param("e", i)

valid = net.define("valid", (s, t), Piecewise((1, t < length[s]), (0, True)))
x = embedding(net, "x", word, E)
f = net.recurrent("f", (s, t, a), over=t)
of_f = Sum(Uf[a, b] * f[s, t - 1, b], b)
zf = net.define("zf", (s, t, a), Sum(Wf[a, j] * x[s, t, j], j) + of_f + bf[a])
net.define(f, (s, t, a), tanh(zf[s, t, a]))
g = net.recurrent("g", (s, t, a), over=t)
of_g = Sum(Ug[a, b] * g[s, t + 1, b], b)
zg = net.define("zg", (s, t, a), Sum(Wg[a, j] * x[s, t, j], j) + of_g + bg[a])
net.define(g, (s, t, a), valid[s, t] * tanh(zg[s, t, a]))
both = Sum(Vf[i, a] * f[s, t, a], a) + Sum(Vg[i, a] * g[s, t, a], a)
logits = net.define("logits", (s, t, i), both + e[i])
y = softmax(net, "y", logits)
net.output(y)
net.loss(-Sum(valid[s, t] * log(y[s, t, tag[s, t]]), s, t) / Sum(length[s], s))
