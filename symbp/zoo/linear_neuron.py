"""A linear neuron with a sigmoid, trained by the delta rule.

net = Σ_i w_i x_i,  o = σ(net),  E = ½ (o − t)²,  and so  ∂E/∂w_i = (o − t) o (1 − o) x_i.
"""

from sympy import Sum, exp

from symbp import Network, indices, sizes

d = sizes("d")  # inputs of the neuron
i = indices("i", d)

net = Network("linear_neuron")
x = net.input("x", i)
t = net.input("t")  # the output that is wanted
w = net.param("w", i)

activation = net.define("net", (), Sum(w[i] * x[i], i))
o = net.define("o", (), 1 / (1 + exp(-activation)))
net.output(o)
net.loss((o - t) ** 2 / 2)
