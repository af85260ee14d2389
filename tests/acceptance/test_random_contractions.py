"""Random sums of products: any axes, repeated, shared, summed or free, against `einsum`.

Each is checked for its gradients, and for the memory that they take.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Sum

from symbp import Network, indices, sizes

from .helpers import assert_close, frozen, load, run

n, m, h = sizes("n m h")
LENGTH = {n: 2, m: 3, h: 4}
INDEX = dict(zip("ijpqa", (*indices("i j", n), *indices("p q", m), indices("a", h)), strict=True))
AXIS = {"i": n, "j": n, "p": m, "q": m, "a": h}
FUNCTIONS = {"": lambda m, u: u, "sin": lambda m, u: m.sin(u), "square": lambda m, u: u**2}


@dataclass(frozen=True)
class Factor:
    """function(tensor[letters]): tensors of the same axes may be one and the same."""

    letters: str
    function: str
    copy: int

    @property
    def tensor(self) -> str:
        return "T" + "".join(str(AXIS[c]) for c in self.letters) + str(self.copy)


@dataclass(frozen=True)
class Term:
    """coefficient · Σ over the letters that are not free of the product of the factors."""

    coefficient: int
    factors: tuple[Factor, ...]

    def letters(self) -> str:
        return "".join(dict.fromkeys(c for f in self.factors for c in f.letters))


def symbolic(term: Term, free: str, tensors: dict[str, Any]) -> Any:
    product: Any = term.coefficient
    for f in term.factors:
        entry = (
            tensors[f.tensor][tuple(INDEX[c] for c in f.letters)]
            if f.letters
            else tensors[f.tensor]
        )
        product *= FUNCTIONS[f.function](sympy, sympy.sympify(entry))
    bound = [INDEX[c] for c in term.letters() if c not in free]
    return Sum(product, *bound) if bound else product


def numeric(term: Term, free: str, arrays: dict[str, Any]) -> Any:
    """Axes that the term lacks are of length one."""
    here = "".join(c for c in free if c in term.letters())
    spec = ",".join(f.letters for f in term.factors) + "->" + here
    values = [FUNCTIONS[f.function](np, arrays[f.tensor]) for f in term.factors]
    total = term.coefficient * np.einsum(spec, *values)
    return total.reshape([LENGTH[AXIS[c]] if c in here else 1 for c in free])


def random_term(rng: np.random.Generator) -> Term:
    factors = []
    for _ in range(rng.integers(1, 5)):
        letters = "".join(rng.choice(list(INDEX), size=rng.integers(4)))
        factors.append(Factor(letters, str(rng.choice(list(FUNCTIONS))), int(rng.integers(2))))
    return Term(int(rng.choice([1, -1, 2])), tuple(factors))


@pytest.mark.parametrize("seed", range(60))
def test_a_sum_of_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [random_term(rng) for _ in range(rng.integers(1, 3))]
    free = str(rng.choice(["", "i", "p", "ip", "pi", "aij"]))
    shapes = {f.tensor: [AXIS[c] for c in f.letters] for part in parts for f in part.factors}
    net = Network("contraction")
    tensors = {
        name: net.param(name, *(indices(f"{axis}{at}", axis) for at, axis in enumerate(axes)))
        for name, axes in shapes.items()
    }
    weight = net.input("weight", *(INDEX[c] for c in free))
    over = tuple(INDEX[c] for c in free)
    y = net.define("y", over, sum(symbolic(part, free, tensors) for part in parts))
    entry, scale = (y[over], weight[over]) if free else (y, weight)
    loss = scale * sympy.tanh(entry)
    net.loss(Sum(loss, *over) if over else loss)

    arrays = {
        name: rng.uniform(-1, 1, [LENGTH[axis] for axis in axes]) for name, axes in shapes.items()
    }
    scales = rng.uniform(0.5, 1.5, [LENGTH[AXIS[c]] for c in free])

    def reference(arrays: dict[str, Any]) -> Any:
        return np.sum(scales * np.tanh(sum(numeric(part, free, arrays) for part in parts)))

    module = load(net)
    value, grads = run(module, frozen({**arrays, "weight": scales}))
    assert_close(value, reference(arrays), 1e-12, floor=1.0)
    for name, array in arrays.items():
        want = np.empty(array.shape)
        for position in np.ndindex(array.shape):
            moved = array.astype(complex)
            moved[position] += 1e-30j
            want[position] = np.imag(reference({**arrays, name: moved})) / 1e-30
        assert_close(grads[name], want, 1e-11, floor=1.0, what=name)

    assert peak_memory(module, length=20) < 10 * 20**4 * 8


def peak_memory(module: ModuleType, length: int) -> int:
    """Bytes allocated at most, where every axis has this length. Tensors have three axes at most."""
    arrays = {
        name: np.full([length] * len(axes), 0.01)
        for name, axes in (module.PARAMETERS | module.INPUTS).items()
    }
    tracemalloc.start()
    try:
        run(module, arrays)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
