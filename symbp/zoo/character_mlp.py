"""A character model: the letter after three letters, by a batch-normalised perceptron, each step by its name.

After Bengio et al., JMLR 3, 2003, and Ioffe and Szegedy, arXiv 1502.03167; the names are those of Karpathy's makemore,
part 4. Each character is a vector, those of the context lie side by side, and the units are normalised over the batch,
with the variance over n − 1. There are 27 characters, 10 numbers for each and 64 units: `init(rng, k=27, d=10, u=64)`.
Prediction takes running statistics as inputs.
∂L/∂logit_maxes and ∂L/∂b1 are 0: a softmax does not see a shift of its row, nor batch normalisation one of its column.
"""

from sympy import KroneckerDelta, Sum, exp, log, sqrt, tanh

from symbp import Maximum, Network, indices, sizes
from symbp.layers.classification import softmax
from symbp.layers.elementwise import activation
from symbp.layers.linear import dense, embedding
from symbp.layers.normalisation import batch_norm_running

n, k, d, u = sizes("n k d u")  # samples, characters, numbers for each, units
s, r, m = indices("s", n), indices("r", 3), indices("m", 3 * d)  # r: places of the context
i, v = indices("i v", k)
e, a = indices("e", d), indices("a", u)

net = Network("character_mlp")
x, t = net.input("x", s, r, integer=True), net.input("t", s, integer=True)
C, W1, b1 = net.param("C", v, e), net.param("W1", a, m), net.param("b1", a)
bngain, bnbias = net.param("bngain", a, init="ones"), net.param("bnbias", a)
W2, b2 = net.param("W2", i, a), net.param("b2", i)

emb = embedding(net, "emb", x, C)
side_by_side = Sum(KroneckerDelta(m, d * r + e) * emb[s, r, e], r, e)
embcat = net.define("embcat", (s, m), side_by_side)
hprebn = dense(net, "hprebn", embcat, W1, b1)
bnmeani = net.define("bnmeani", a, Sum(hprebn[s, a], s) / n)
bndiff = net.define("bndiff", (s, a), hprebn[s, a] - bnmeani[a])
bndiff2 = net.define("bndiff2", (s, a), bndiff[s, a] ** 2)
bnvar = net.define("bnvar", a, Sum(bndiff2[s, a], s) / (n - 1))
bnvar_inv = net.define("bnvar_inv", a, 1 / sqrt(bnvar[a] + 1e-5))
bnraw = net.define("bnraw", (s, a), bndiff[s, a] * bnvar_inv[a])
hpreact = net.define("hpreact", (s, a), bngain[a] * bnraw[s, a] + bnbias[a])
h = activation(net, "h", tanh, hpreact)

logits = dense(net, "logits", h, W2, b2)
logit_maxes = net.define("logit_maxes", s, Maximum(logits[s, i], i))
norm_logits = net.define("norm_logits", (s, i), logits[s, i] - logit_maxes[s])
counts = net.define("counts", (s, i), exp(norm_logits[s, i]))
counts_sum = net.define("counts_sum", s, Sum(counts[s, i], i))
counts_sum_inv = net.define("counts_sum_inv", s, 1 / counts_sum[s])
probs = net.define("probs", (s, i), counts[s, i] * counts_sum_inv[s])
logprobs = net.define("logprobs", (s, i), log(probs[s, i]))
net.loss(-Sum(logprobs[s, t[s]], s) / n)

mean, variance = net.input("bnmean_running", a), net.input("bnvar_running", a)
hpreact_y = batch_norm_running(net, "hpreact_y", hprebn, bngain, bnbias, mean, variance)
h_y = activation(net, "h_y", tanh, hpreact_y)
z_y = dense(net, "z_y", h_y, W2, b2)
y = softmax(net, "y", z_y)
net.output(y)
