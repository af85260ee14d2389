"""How a row is written: f in index notation, f in NumPy, and the printed derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sympy import Sum

from symbp import Network, indices, sizes

n, m, h = sizes("n m h")
i, j, k, r = indices("i j k r", n)
p, q = indices("p q", m)
e, g = indices("e g", h)
AXES = {"n": (i, j, k), "m": (p, q), "h": (e, g)}
LENGTH = {"n": 3, "m": 4, "h": 2}

Draw = Callable[[np.random.Generator, tuple[int, ...]], Any]


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(0.5, 2.0, shape)


def symmetric(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    a = rng.normal(size=shape)
    return a + a.T


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


@dataclass(frozen=True)
class Row:
    """One printed derivative.

    `axes` gives each tensor, the variable first, one letter for each axis; `over` holds the free
    indices of f, none for a scalar. `expr` is f in index notation, `forward` f in NumPy, and
    `derivative` what is printed: the axes of f, then those of the variable.
    """

    id: str
    axes: Mapping[str, str]
    expr: Callable[..., Any]
    forward: Callable[..., Any]
    derivative: Callable[..., Any]
    over: tuple[Any, ...] = ()
    draw: Mapping[str, Draw] = field(default_factory=dict)
    form: str = ""

    @property
    def variable(self) -> str:
        return next(iter(self.axes))

    def build(self) -> Network:
        net = Network("row")
        tensors = []
        for name, letters in self.axes.items():
            axes = [AXES[c][letters[:at].count(c)] for at, c in enumerate(letters)]
            declare = net.param if name == self.variable else net.input
            tensors.append(declare(name, *axes))
        expr = self.expr(*tensors)
        if self.over:
            net.output(net.define("f", self.over, expr))
        else:
            net.loss(expr)
        return net

    def arrays(self, rng: np.random.Generator) -> dict[str, Any]:
        shapes = {name: tuple(LENGTH[c] for c in letters) for name, letters in self.axes.items()}
        return {name: self.draw.get(name, normal)(rng, shape) for name, shape in shapes.items()}


def delta(size: int) -> Any:
    return np.eye(size)


def affine(A: Any, x: Any, row: Any, over: Any) -> Any:
    """(A x) at `row`."""
    return Sum(A[row, over] * x[over], over)
