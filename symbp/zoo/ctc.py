"""Connectionist temporal classification: the probability of a labelling, summed over all its alignments with the frames.

y = softmax(W x + b) gives each frame a label or a blank. `path` holds the labels of a sequence with blanks around them:
(−, l1, −, l2, …, −). A path stays, goes one place on, or goes two where that skips a blank between unequal labels:
α[t,i] = y[t,path_i] (α[t−1,i] + α[t−1,i−1] + [path_i ≠ path_(i−2)] α[t−1,i−2]),  α[−1,i] = δ_i0;
L = −(1/n) Σ_s log (α[last,end] + α[last,end−1]): a sequence has last[s] + 1 frames, and its path ends with the
blank at end[s], twice the number of its labels. After Graves et al., ICML 2006, eq. 6 to 8.
"""

from sympy import And, KroneckerDelta, Ne, Piecewise, Sum, log

from symbp import Network, indices, sizes
from symbp.layers.classification import softmax
from symbp.layers.linear import dense

n, T, d, k, U = sizes(
    "n T d k U"
)  # sequences, frames, features, labels with the blank, most in a sequence
s, t, j, c, i = (
    indices("s", n),
    indices("t", T),
    indices("j", d),
    indices("c", k),
    indices("i", 2 * U + 1),
)

net = Network("ctc")
x, path = net.input("x", s, t, j), net.input("path", s, i, integer=True)
last, end = net.input("last", s, integer=True), net.input("end", s, integer=True)
W, b = net.param("W", c, j), net.param("b", c)

logits = dense(net, "logits", x, W, b)
y = softmax(net, "y", logits)
alpha = net.recurrent("alpha", (s, t, i), over=t, initial=KroneckerDelta(i, 0))
on = Piecewise((alpha[s, t - 1, i - 1], i >= 1), (0, True))
unequal = Piecewise((1, Ne(path[s, i], path[s, i - 2])), (0, True))
over = Piecewise((unequal * alpha[s, t - 1, i - 2], i >= 2), (0, True))
net.define(alpha, (s, t, i), y[s, t, path[s, i]] * (alpha[s, t - 1, i] + on + over))
at_end = Piecewise((alpha[s, last[s], i], And(i >= end[s] - 1, i <= end[s])), (0, True))
ends = net.define("ends", s, Sum(at_end, i))
net.output(y)
net.loss(-Sum(log(ends[s]), s) / n)
