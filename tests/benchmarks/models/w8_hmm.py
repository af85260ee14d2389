"""The likelihood of a hidden Markov model of 32 states and 64 symbols: eight sequences of 256."""

from sympy import KroneckerDelta, Sum, log

from symbp import Network, indices, sizes
from symbp.layers.classification import softmax

n, T, S, K = sizes("n T S K")  # sequences, steps, states, symbols
s, t, (i, j), v = indices("s", n), indices("t", T), indices("i j", S), indices("v", K)

SIZES = {"n": 8, "T": 256, "S": 32, "K": 64}

net = Network("w8_hmm")
y = net.input("y", t, s, integer=True)
Wpi, WA, WE = net.param("pi", i), net.param("A", i, j), net.param("E", i, v)
pi, A, E = softmax(net, "ppi", Wpi), softmax(net, "pA", WA), softmax(net, "pE", WE)
alpha = net.recurrent("alpha", (t, s, j), over=t)
came = KroneckerDelta(t, 0) * pi[j] + Sum(alpha[t - 1, s, i] * A[i, j], i)
prior = net.define("prior", (t, s, j), came)
net.define(alpha, (t, s, j), prior[t, s, j] * E[j, y[t, s]])
net.loss(-Sum(log(Sum(alpha[T - 1, s, j], j)), s) / n)
