"""A hidden Markov model: the logarithm of the probability of what is observed, summed over all hidden paths.

π = softmax(Wπ), A = softmax(WA) from state to state, B = softmax(WB) from state to symbol;
α[0,j] = π_j B_j,o[0],  α[t,j] = B_j,o[t] Σ_i α[t−1,i] A_ij,  L = −(1/n) Σ_s log Σ_j α[s,T−1,j].
∂L/∂A_ij holds the expected counts of Baum and Welch: −(1/n) Σ_st ξ_t(i,j) / A_ij, so ∂L/∂WA_ij = −(1/n) Σ_s
(Σ_t ξ_t(i,j) − A_ij Σ_t γ_t(i)). After Rabiner, Proceedings of the IEEE 77, 1989.
"""

from sympy import KroneckerDelta, Sum, log

from symbp import Network, indices, sizes
from symbp.layers.classification import softmax

n, T, S, V = sizes("n T S V")  # sequences, steps, states, symbols
s, t = indices("s", n), indices("t", T)
i, j = indices("i j", S)
v = indices("v", V)

net = Network("hmm")
o = net.input("o", s, t, integer=True)
Wpi, WA, WB = net.param("Wpi", i), net.param("WA", i, j), net.param("WB", i, v)

pi, A, B = softmax(net, "pi", Wpi), softmax(net, "A", WA), softmax(net, "B", WB)
alpha = net.recurrent("alpha", (s, t, j), over=t)
came = KroneckerDelta(t, 0) * pi[j] + Sum(alpha[s, t - 1, i] * A[i, j], i)
prior = net.define("prior", (s, t, j), came)
net.define(alpha, (s, t, j), prior[s, t, j] * B[j, o[s, t]])
net.loss(-Sum(log(Sum(alpha[s, T - 1, j], j)), s) / n)
