"""A linear recurrence of second order, driven by a signal, and fitted to another: y[t] = p y[t−1] + q y[t−2] + r x[t].

L = (1/T) Σ_t (y[t] − target[t])². Before the first step y is y0. With p = 2 ρ cos ω and q = −ρ² it is a resonator: an
echo of frequency ω that dies away as ρ^t. After Box and Jenkins, Time Series Analysis, 1970.
"""

from sympy import Sum

from symbp import Network, indices, sizes

T = sizes("T")  # steps
t = indices("t", T)

net = Network("linear_recurrence")
x, target = net.input("x", t), net.input("target", t)
p, q, r, y0 = net.param("p"), net.param("q"), net.param("r"), net.param("y0")

y = net.recurrent("y", t, over=t, initial=y0)
net.define(y, t, p * y[t - 1] + q * y[t - 2] + r * x[t])
net.output(y)
net.loss(Sum((y[t] - target[t]) ** 2, t) / T)
