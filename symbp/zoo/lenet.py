"""LeNet on images of 28 × 28 pixels, as Caffe's examples/mnist/lenet_train_test.prototxt states it.

Scale 1/256, convolution 20@5×5, max-pooling 2×2, convolution 50@5×5, max-pooling 2×2, 500 units with ReLU, 10 classes,
softmax loss on integer labels. Layers are named as there, and the batch, 64 there, is a symbol. The weights start
"xavier" as Caffe has it, uniform within ±√(3/fan-in), and the biases at 0. After LeCun et al., Proc. IEEE 86, 1998.
"""

import numpy as np
from sympy import Sum

from symbp import Network, indices, sizes
from symbp.functions import relu
from symbp.layers.classification import cross_entropy, softmax
from symbp.layers.elementwise import activation
from symbp.layers.linear import dense
from symbp.layers.windows import conv2d, max_pool

n = sizes("n")  # images
s, c, (y, x) = indices("s", n), indices("c", 1), indices("y x", 28)
m, (p, q) = indices("m", 20), indices("p q", 24)  # conv1: maps, places
o, (k, r) = indices("o", 50), indices("k r", 8)  # conv2
(f, g), (d, e) = indices("f g", 12), indices("d e", 4)  # pool1, pool2
(u, v), w = indices("u v", 5), indices("w z", 2)  # of a kernel, of a window that is pooled
h, i = indices("h", 500), indices("i", 10)


def xavier(rng, shape, dtype):
    limit = np.sqrt(3 / np.prod(shape[1:]))
    return rng.uniform(-limit, limit, shape)


net = Network("lenet")
data, label = net.input("data", s, c, y, x), net.input("label", s, integer=True)
W1, b1 = net.param("W1", m, c, u, v, init=xavier), net.param("b1", m)
W2, b2 = net.param("W2", o, m, u, v, init=xavier), net.param("b2", o)
W3, b3 = net.param("W3", h, o, d, e, init=xavier), net.param("b3", h)
W4, b4 = net.param("W4", i, h, init=xavier), net.param("b4", i)

scaled = net.define("scaled", (s, c, y, x), data[s, c, y, x] / 256)
conv1 = conv2d(net, "conv1", scaled, W1, b1, (p, q))
pool1 = max_pool(net, "pool1", conv1, (f, g), w)
conv2 = conv2d(net, "conv2", pool1, W2, b2, (k, r))
pool2 = max_pool(net, "pool2", conv2, (d, e), w)
ip1 = net.define("ip1", (s, h), Sum(W3[h, o, d, e] * pool2[s, o, d, e], o, d, e) + b3[h])
relu1 = activation(net, "relu1", relu, ip1)
ip2 = dense(net, "ip2", relu1, W4, b4)
prob = softmax(net, "prob", ip2)
net.output(prob)
net.loss(cross_entropy(prob, label))
