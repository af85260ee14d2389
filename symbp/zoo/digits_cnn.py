"""A small convolutional network for small images, such as the 8 × 8 digits of scikit-learn.

Twice convolution 3×3 and ReLU, with zeros around the image so that it keeps its size, then max-pooling 2×2, dropout,
and an affine map to the classes, with softmax and cross-entropy on labels. Images have 2 H by 2 W pixels.
"""

from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation, dropout
from symbp.layers.windows import conv2d, max_pool

n, H, W, A, B, k = sizes("n H W A B k")  # images, places, maps of either convolution, classes
s, c, a, b, i = indices("s", n), indices("c", 1), indices("a", A), indices("b", B), indices("i", k)
y, x, p, q = indices("y", 2 * H), indices("x", 2 * W), indices("p", H), indices("q", W)
(u, v), w = indices("u v", 3), indices("w z", 2)  # of a kernel, of a window that is pooled

net = Network("digits_cnn")
image, label = net.input("image", s, c, y, x), net.input("label", s, integer=True)
W1, b1 = net.param("W1", a, c, u, v, init="he"), net.param("b1", a)
W2, b2 = net.param("W2", b, a, u, v, init="he"), net.param("b2", b)
W3, b3 = net.param("W3", i, b, p, q), net.param("b3", i)
keep = net.constant("keep", 0.5)

conv1 = conv2d(net, "conv1", image, W1, b1, (y, x), padding=1)
h1 = activation(net, "h1", relu, conv1)
conv2 = conv2d(net, "conv2", h1, W2, b2, (y, x), padding=1)
h2 = activation(net, "h2", relu, conv2)
pool = max_pool(net, "pool", h2, (p, q), w)
drop = dropout(net, "drop", pool, keep)
z = net.define("z", (s, i), Sum(W3[i, b, p, q] * drop[s, b, p, q], b, p, q) + b3[i])
prob = softmax(net, "prob", z)
net.output(prob)
net.loss(cross_entropy(prob, label))
