"""Index traps 6 and 8: δ between unequal ranges; offset, strided and gathered indices, whose adjoint is a scatter.

Each is a model of one line, against loops over entries that read as the equation does, and against its own oracle.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sympy import And, Eq, KroneckerDelta, Piecewise, Sum, exp

from symbp import Maximum, Network, derive, indices, sizes

from .helpers import assert_close, central_difference, frozen, load, run

n, m, v = sizes("n m v")
i, j = indices("i j", n)
p, q = indices("p q", m)
two, far, pair = indices("two", 2), indices("far", n + 2), indices("pair", 2 * n)
LENGTH = {"n": 4, "m": 3, "v": 5}
INTEGERS = {"w": [1, 3, 1, 1], "g": [2, 0, 2], "r": [3, 0, 3, 2, 3]}
"""Places that repeat: w over n into n, g over m into m, r over v into n."""

Array = Any
DELTA = KroneckerDelta


@dataclass(frozen=True)
class Trap:
    """A loss of the tensors in `axes`, in symbp and as a loop over terms."""

    id: str
    axes: dict[str, tuple[Any, ...]]
    loss: Callable[..., Any]
    terms: Callable[..., Iterator[Any]]


def pairs(*ranges: int) -> Iterator[tuple[int, ...]]:
    return np.ndindex(*ranges)


X, XY = {"x": (i,)}, {"x": (i,), "y": (p,)}
E = {"w": (i,), "g": (p,), "E": (i, p)}

# fmt: off
TRAPS = [
    Trap("6 indices of one size and a shift", X,
         lambda x: Sum(DELTA(i, j + 1) * x[i] * x[j] ** 2, i, j),
         lambda x: (x[a] * x[b] ** 2 for a, b in pairs(4, 4) if a == b + 1)),
    Trap("6 a shift to the left", X,
         lambda x: Sum(DELTA(i, j - 2) * x[i] * x[j] ** 2, i, j),
         lambda x: (x[a] * x[b] ** 2 for a, b in pairs(4, 4) if a == b - 2)),
    Trap("6 a shift by a size", X,
         lambda x: Sum(DELTA(i, p + m - 1) * x[i] ** 2 * (p + 1), i, p),
         lambda x: (x[a] ** 2 * (b + 1) for a, b in pairs(4, 3) if a == b + 2)),
    Trap("6 another range inside", XY,
         lambda x, y: Sum(DELTA(i, 2 * p) * x[i] ** 2 * y[p], i, p),
         lambda x, y: (x[a] ** 2 * y[b] for a, b in pairs(4, 3) if a == 2 * b)),
    Trap("6 a longer range", {"x": (i,), "y": (far,)},
         lambda x, y: Sum(DELTA(far, i + 1) * x[i] ** 2 * y[far], i, far),
         lambda x, y: (x[a] ** 2 * y[b] for a, b in pairs(4, 6) if b == a + 1)),
    Trap("6 mirrored", X,
         lambda x: Sum(DELTA(i, n - 1 - j) * x[i] * x[j] ** 2, i, j),
         lambda x: (x[a] * x[b] ** 2 for a, b in pairs(4, 4) if a == 3 - b)),
    Trap("6 a fixed place that may lie outside", XY,
         lambda x, y: Sum(DELTA(p, 2) * y[p] ** 2, p) * Sum(x[i], i),
         lambda x, y: (y[2] ** 2 * x[a] for a in range(4))),
    Trap("6 the sum of two indices", XY,
         lambda x, y: Sum(DELTA(i, p + q) * x[i] * y[p] * y[q] ** 2, i, p, q),
         lambda x, y: (x[a] * y[b] * y[c] ** 2 for a, b, c in pairs(4, 3, 3) if a == b + c)),
    Trap("6 two δ on one index", X,
         lambda x: Sum(DELTA(i, j) * DELTA(i, p + 1) * x[i] * x[j] ** 2, i, j, p),
         lambda x: (x[a] ** 3 for a, b in pairs(4, 3) if a == b + 1)),
    Trap("6 δ without a sum", X,
         lambda x: Sum(Sum(DELTA(i, j + 1) * x[j], j) ** 2 * x[i], i),
         lambda x: (x[a - 1] ** 2 * x[a] for a in range(1, 4))),
    Trap("6 δ at a gathered place", {"w": (i,), **X},
         lambda w, x: Sum(Sum(DELTA(j, w[i]) * x[i] ** 2, i) ** 2, j),
         lambda w, x: (sum(x[a] ** 2 for a in range(4) if w[a] == b) ** 2 for b in range(4))),
    Trap("8 an offset", {"x": (far,)},
         lambda x: Sum(x[i + 2] * x[i + 1] ** 2, i),
         lambda x: (x[a + 2] * x[a + 1] ** 2 for a in range(4))),
    Trap("8 windows that overlap", {"x": (far,)},
         lambda x: Sum(Sum(x[i + two], two) ** 3, i),
         lambda x: ((x[a] + x[a + 1]) ** 3 for a in range(4))),
    Trap("8 one place many times", X,
         lambda x: Sum(x[1] * x[i] ** 2, i, p),
         lambda x: (x[1] * x[a] ** 2 for a, _ in pairs(4, 3))),
    Trap("8 mirrored and strided", {"x": (indices("l", 2 * n),)},
         lambda x: Sum(x[2 * n - 1 - 2 * i] * x[2 * i] ** 2, i),
         lambda x: (x[7 - 2 * a] * x[2 * a] ** 2 for a in range(4))),
    Trap("8 a diagonal with a shift", {"A": (far, indices("l", 2 * n))},
         lambda A: Sum(A[i + 1, 2 * i + 1] ** 3 * A[i + 2, 2 * i], i),
         lambda A: (A[a + 1, 2 * a + 1] ** 3 * A[a + 2, 2 * a] for a in range(4))),
    Trap("8 repeated rows", E,
         lambda w, g, E: Sum(E[w[i], p] ** 2 * (i + 1), i, p),
         lambda w, g, E: (E[w[a], b] ** 2 * (a + 1) for a, b in pairs(4, 3))),
    Trap("8 both axes gathered", E,
         lambda w, g, E: Sum(E[w[i], g[p]] ** 2 * (i + p), i, p),
         lambda w, g, E: (E[w[a], g[b]] ** 2 * (a + b) for a, b in pairs(4, 3))),
    Trap("8 one index gathers both axes", {"w": (i,), "A": (i, j)},
         lambda w, A: Sum(A[w[i], w[i]] ** 2 + A[i, w[i]] ** 3, i),
         lambda w, A: (A[w[a], w[a]] ** 2 + A[a, w[a]] ** 3 for a in range(4))),
    Trap("8 a gather of a gather", {"w": (i,), **X},
         lambda w, x: Sum(x[w[w[i]]] ** 2 * x[w[i]], i),
         lambda w, x: (x[w[w[a]]] ** 2 * x[w[a]] for a in range(4))),
    Trap("8 gathered at a shifted place", {"w": (i,), **X},
         lambda w, x: Sum(Piecewise((x[w[i - 1]] ** 2 * x[i], i >= 1), (0, True)), i),
         lambda w, x: (x[w[a - 1]] ** 2 * x[a] for a in range(1, 4))),
    Trap("8 a window over gathered rows", {"w": (i,), "E": (i, far)},
         lambda w, E: Sum(Sum(E[w[i], j + two], two) ** 2, i, j),
         lambda w, E: ((E[w[a], b] + E[w[a], b + 1]) ** 2 for a, b in pairs(4, 4))),
    Trap("8 the square of a gathered sum", {"w": (i,), "E": (i, p)},
         lambda w, E: Sum(Sum(E[w[i], p], i) ** 2, p),
         lambda w, E: (sum(E[w[a], b] for a in range(4)) ** 2 for b in range(3))),
    Trap("8 a maximum over gathered rows", {"w": (i,), "E": (i, p)},
         lambda w, E: Sum(Maximum(E[w[i], p] * (i + 1), i) ** 2, p),
         lambda w, E: (max(E[w[a], b] * (a + 1) for a in range(4)) ** 2 for b in range(3))),
    Trap("8 a softmax read at gathered places", {"w": (i,), "A": (i, j)},
         lambda w, A: Sum(exp(A[i, w[i]]) / Sum(exp(A[i, j]), j), i),
         lambda w, A: (np.exp(A[a, w[a]]) / np.exp(A[a]).sum() for a in range(4))),
    Trap("8 concatenated", {"x": (i,), "y": (two,)},
         lambda x, y: Sum(Piecewise((x[far] ** 2, far < n), (y[far - n], True)) * (far + 1), far),
         lambda x, y: ((x[a] ** 2 if a < 4 else y[a - 4]) * (a + 1) for a in range(6))),
    Trap("8 a strided write", {"x": (i,), "y": (indices("l", 2 * n),)},
         lambda x, y: Sum(
             Piecewise((x[i] ** 2 * y[pair], Eq(pair, 2 * i + 1)), (0, True)), i, pair),
         lambda x, y: (x[a] ** 2 * y[2 * a + 1] for a in range(4))),
    Trap("8 zero padding under a window", X,
         lambda x: Sum(Piecewise((x[i - 1] * x[i], And(i >= 1, i <= n - 1)), (0, True)) ** 2, i),
         lambda x: ((x[a - 1] * x[a]) ** 2 for a in range(1, 4))),
    Trap("8 a gather into the longer axis", {"r": (indices("z", v),), **X},
         lambda r, x: Sum(x[r[indices("z", v)]] ** 2 * (indices("z", v) + 1), indices("z", v)),
         lambda r, x: (x[r[a]] ** 2 * (a + 1) for a in range(5))),
]
# fmt: on


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.id)
def test_trap(trap: Trap) -> None:
    net = Network("trap")
    tensors = [
        net.input(name, *axes, integer=True) if name in INTEGERS else net.param(name, *axes)
        for name, axes in trap.axes.items()
    ]
    net.loss(trap.loss(*tensors))
    report = derive(net).verify()
    assert report.ok, report

    module, rng = load(net), np.random.default_rng(0)
    given: dict[str, Array] = {}
    for name, axes in (module.PARAMETERS | module.INPUTS).items():
        shape = tuple(eval(size, {}, LENGTH) for size in axes)
        given[name] = np.array(INTEGERS[name]) if name in INTEGERS else rng.uniform(0.5, 2, shape)

    def definition(**arrays: Array) -> Any:
        return sum(trap.terms(**{name: arrays[name] for name in trap.axes}))

    real = {name: given[name] for name in module.PARAMETERS}
    whole = {name: given[name] for name in module.INPUTS}
    asked = inspect.signature(module.forward).parameters
    sizes_asked = {name: size for name, size in LENGTH.items() if name in asked}
    loss, grads = run(module, frozen(real) | whole, **sizes_asked)
    assert_close(loss, definition(**given), 1e-13, what="loss")
    for name in real:
        assert_close(grads[name], central_difference(definition, given, name), 1e-7, what=name)
    _, single = run(module, frozen(real, np.float32) | whole, **sizes_asked)
    for name in real:
        assert single[name].dtype == np.float32
        assert_close(single[name], grads[name], 1e-5, what=name)
