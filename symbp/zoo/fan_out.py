"""The total derivative where a value fans out: t reaches f by two paths, through x and through y.

f(x(t), y(t)) = x² + x y  with  x = t²,  y = sin t,  and so  df/dt = ∂f/∂x dx/dt + ∂f/∂y dy/dt
= (2x + y) 2t + x cos t.
"""

from sympy import sin

from symbp import Network

net = Network("fan_out")
t = net.param("t")

x = net.define("x", (), t**2)
y = net.define("y", (), sin(t))
f = net.define("f", (), x**2 + x * y)
net.output(f)
net.loss(f)
