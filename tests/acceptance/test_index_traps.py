"""Models of one line, on which a careless use of names or δ gives another gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from sympy import Rational, Sum, exp, log, sqrt

from symbp import Network, indices, sizes

from .helpers import assert_close, central_difference, frozen, load, run

n, m = sizes("n m")
i, j, k = indices("i j k", n)
p, q = indices("p q", m)
LENGTH = {"n": 3, "m": 4}


@dataclass(frozen=True)
class Trap:
    """A loss of the tensors in `axes`, in symbp and in NumPy, and gradients known by heart."""

    id: str
    axes: dict[str, tuple[Any, ...]]
    loss: Callable[..., Any]
    forward: Callable[..., Any]
    gradient: dict[str, Callable[..., Any]] = field(default_factory=dict)


def ones(shape: tuple[int, ...] = (3,)) -> Any:
    return np.ones(shape)


def unit(at: int) -> Any:
    return np.eye(3)[at]


# fmt: off
TRAPS = [
    Trap("1 bound and free share a name", {"x": (i,), "c": (i,)}, lambda x, c: Sum(c[i] * x[i], i),
         lambda x, c: c @ x, {"x": lambda x, c: c, "c": lambda x, c: x}),
    Trap("1 an inner sum binds the name again", {"x": (i,)}, lambda x: Sum(x[i] * Sum(x[i], i), i),
         lambda x: x.sum() ** 2, {"x": lambda x: 2 * x.sum() * ones()}),
    Trap("1 a sum of a sum over the same name", {"x": (i,)}, lambda x: Sum(Sum(x[i], i), i),
         lambda x: 3 * x.sum(), {"x": lambda x: 3 * ones()}),
    Trap("1 the denominator binds the numerator's name", {"z": (i,), "t": (i,)},
         lambda z, t: -Sum(t[i] * log(exp(z[i]) / Sum(exp(z[i]), i)), i),
         lambda z, t: -t @ np.log(np.exp(z) / np.exp(z).sum()),
         {"z": lambda z, t: np.exp(z) / np.exp(z).sum() * t.sum() - t}),
    Trap("1 three scopes of one name", {"x": (i,), "y": (i,)},
         lambda x, y: Sum(x[i] * Sum(y[i] * Sum(x[i], i), i), i),
         lambda x, y: x.sum() ** 2 * y.sum(), {"x": lambda x, y: 2 * x.sum() * y.sum() * ones()}),
    Trap("2 one entry of a sum", {"x": (i,)}, lambda x: Sum(x[i], i) * x[1],
         lambda x: x.sum() * x[1], {"x": lambda x: x[1] * ones() + x.sum() * unit(1)}),
    Trap("2 the entry alone", {"x": (i,)}, lambda x: x[1] ** 2, lambda x: x[1] ** 2,
         {"x": lambda x: 2 * x[1] * unit(1)}),
    Trap("2 the last entry", {"x": (i,)}, lambda x: x[n - 1] * x[0], lambda x: x[-1] * x[0],
         {"x": lambda x: x[0] * unit(2) + x[2] * unit(0)}),
    Trap("2 one row of a matrix", {"W": (p, i), "x": (i,)},
         lambda W, x: Sum(W[1, i] * x[i], i) ** 2,
         lambda W, x: (W[1] @ x) ** 2),
    Trap("3 a term outside the sum", {"x": (i,), "c": ()}, lambda x, c: Sum(x[i], i) + c,
         lambda x, c: x.sum() + c, {"x": lambda x, c: ones(), "c": lambda x, c: 1.0}),
    Trap("3 a term inside the sum", {"x": (i,), "c": ()}, lambda x, c: Sum(x[i] + c, i),
         lambda x, c: (x + c).sum(), {"x": lambda x, c: ones(), "c": lambda x, c: 3.0}),
    Trap("3 a sum without its index", {"x": (i,), "c": ()}, lambda x, c: Sum(c**2, i, j) * x[0],
         lambda x, c: 9 * c**2 * x[0], {"c": lambda x, c: 18 * c * x[0]}),
    Trap("3 a sum over an index that one factor lacks", {"x": (i,), "b": (p,)},
         lambda x, b: Sum(x[i] ** 2 + b[p], i, p), lambda x, b: 4 * (x**2).sum() + 3 * b.sum()),
    Trap("4 a trace", {"A": (i, j)}, lambda A: Sum(A[i, i] ** 2, i),
         lambda A: (np.diag(A) ** 2).sum(),
         {"A": lambda A: np.diag(2 * np.diag(A))}),
    Trap("4 a diagonal beside the whole", {"A": (i, j), "x": (i,)},
         lambda A, x: Sum(A[i, i] * A[i, j] * x[j], i, j),
         lambda A, x: np.diag(A) @ A @ x),
    Trap("4 A[i, j, i]", {"A": (i, j, k), "x": (i,), "y": (j,)},
         lambda A, x, y: Sum(A[i, j, i] * x[i] * y[j], i, j),
         lambda A, x, y: np.einsum("iji,i,j", A, x, y)),
    Trap("4 A[i, p, i] squared", {"A": (i, p, j)}, lambda A: Sum(Sum(A[i, p, i], i) ** 2, p),
         lambda A: (np.einsum("ipi->p", A) ** 2).sum()),
    Trap("4 A[i, i, i]", {"A": (i, j, k)}, lambda A: Sum(exp(A[i, i, i]), i),
         lambda A: np.exp(np.einsum("iii->i", A)).sum()),
    Trap("4 A[i, 0, i]", {"A": (i, p, j)}, lambda A: Sum(A[i, 0, i] ** 3, i),
         lambda A: (np.einsum("ii->i", A[:, 0, :]) ** 3).sum()),
    Trap("5 two sums over one name", {"x": (i,), "y": (i,)},
         lambda x, y: Sum(x[i], i) * Sum(y[i], i),
         lambda x, y: x.sum() * y.sum(),
         {"x": lambda x, y: y.sum() * ones(), "y": lambda x, y: x.sum() * ones()}),
    Trap("5 a sum by itself", {"x": (i,)}, lambda x: Sum(x[i] ** 2, i) ** 2,
         lambda x: (x**2).sum() ** 2,
         {"x": lambda x: 4 * (x**2).sum() * x}),
    Trap("5 a sum by itself and by its entry", {"x": (i,)},
         lambda x: Sum(x[i] * Sum(x[i] ** 2, i) ** 2, i),
         lambda x: x.sum() * (x**2).sum() ** 2),
    Trap("5 a ratio of sums", {"x": (i,), "y": (i,)},
         lambda x, y: Sum(x[i] * y[i], i) / sqrt(Sum(x[i] ** 2, i)),
         lambda x, y: x @ y / np.sqrt(x @ x)),
    Trap("7 an index as a number", {"x": (i,)}, lambda x: Sum((i + 1) * x[i] ** 2, i),
         lambda x: (np.arange(1, 4) * x**2).sum(), {"x": lambda x: 2 * np.arange(1, 4) * x}),
    Trap("7 two indices as numbers", {"A": (i, p)}, lambda A: Sum((i - 2 * p) * A[i, p] ** 2, i, p),
         lambda A: ((np.arange(3)[:, None] - 2 * np.arange(4)) * A**2).sum()),
    Trap("7 an index in a function", {"x": (i,)}, lambda x: Sum(exp(-x[i] * i / n), i),
         lambda x: np.exp(-x * np.arange(3) / 3).sum()),
    Trap("7 an index divided", {"x": (i,)}, lambda x: Sum(x[i] ** 3 * Rational(1, 2) / (i + 1), i),
         lambda x: (x**3 / 2 / np.arange(1, 4)).sum()),
    Trap("7 an index of the gradient alone", {"x": (i,), "c": ()},
         lambda x, c: Sum(i * x[i] * c, i) + Sum(i, i) * c,
         lambda x, c: (np.arange(3) * x).sum() * c + 3 * c, {"x": lambda x, c: np.arange(3) * c}),
    Trap("7 a size as a number", {"x": (i,)}, lambda x: Sum(x[i] ** 2, i) * log(n) / n,
         lambda x: (x**2).sum() * np.log(3) / 3, {"x": lambda x: 2 * x * np.log(3) / 3}),
]
# fmt: on


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.id)
def test_trap(trap: Trap) -> None:
    net = Network("trap")
    tensors = [net.param(name, *axes) for name, axes in trap.axes.items()]
    net.loss(trap.loss(*tensors))
    module = load(net)
    rng = np.random.default_rng(0)
    shapes = {name: tuple(LENGTH[s] for s in axes) for name, axes in module.PARAMETERS.items()}
    arrays = {name: rng.uniform(0.5, 1.5, shape) for name, shape in shapes.items()}

    loss, grads = run(module, frozen(arrays))
    assert_close(loss, trap.forward(**arrays), 1e-13, what="loss")
    for name in arrays:
        numeric = central_difference(trap.forward, arrays, name)
        assert_close(grads[name], numeric, 1e-7, what=name)
        if name in trap.gradient:
            assert_close(grads[name], trap.gradient[name](**arrays), 1e-13, what=name)

    _, grads = run(module, frozen(arrays, np.float32))
    assert {a.dtype.name for a in grads.values()} == {"float32"}
