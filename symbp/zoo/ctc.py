"""Connectionist temporal classification: the probability of a labelling, over all its alignments with the frames.

y[s,t,c], the probability that a network gives label c in frame t, 0 being the blank, is a parameter here: ∂L/∂y is what
the network is trained with. `path` holds the labels of a sequence with blanks around them: (0, l1, 0, l2, …, 0). An
alignment stays at its place on the path, goes one on, or goes two where that skips a blank between unequal labels:
α[t,i] = y[t,path_i] (α[t−1,i] + α[t−1,i−1] + [path_i ≠ path_(i−2)] α[t−1,i−2]),  α[−1,i] = δ_i0;
L = −(1/n) Σ_s log (α[last,end−1] + α[last,end]): a sequence has last[s] + 1 frames, and its path ends with the blank at
end[s], twice the number of its labels. After Graves et al., ICML 2006, eq. 6 to 8.
"""

import numpy as np
from sympy import And, KroneckerDelta, Ne, Piecewise, Sum, log

from symbp import Network, indices, sizes

n, T, k, U = sizes("n T k U")  # sequences, frames, labels and the blank, the most labels
s, t = indices("s", n), indices("t", T)
c, i = indices("c", k), indices("i", 2 * U + 1)


def even(rng, shape, dtype):
    return np.full(shape, 1 / shape[-1])


net = Network("ctc")
path = net.input("path", s, i, integer=True)
last, end = net.input("last", s, integer=True), net.input("end", s, integer=True)
y = net.param("y", s, t, c, init=even)

alpha = net.recurrent("alpha", (s, t, i), over=t, initial=KroneckerDelta(i, 0))
one = Piecewise((alpha[s, t - 1, i - 1], i >= 1), (0, True))
unequal = Piecewise((1, Ne(path[s, i], path[s, i - 2])), (0, True))
two = Piecewise((unequal * alpha[s, t - 1, i - 2], i >= 2), (0, True))
reached = net.define("reached", (s, t, i), alpha[s, t - 1, i] + one + two)
net.define(alpha, (s, t, i), y[s, t, path[s, i]] * reached[s, t, i])
final = net.define("final", (s, i), alpha[s, last[s], i])
at_end = And(i >= end[s] - 1, i <= end[s])
ends = net.define("ends", s, Sum(Piecewise((final[s, i], at_end), (0, True)), i))
net.loss(-Sum(log(ends[s]), s) / n)
