"""What formulas cost: by hand, against einsum's own count, and of whole models."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Idx, Mul, exp, floor, log, sqrt, symbols

from symbp import derive
from symbp.costs import (
    Cost,
    big_o,
    cost,
    cost_as_written,
    entries_of,
    jacobian,
    same_for_all,
    total,
)
from symbp.ir.functions import Largest
from symbp.ir.nodes import Delta, Entry, Head, Reduce, Slope
from symbp.notation.style import Latex, Text

n, d, k, H, K = symbols("n d k H K", integer=True, positive=True)
s, j, o, i, c = (Idx(name, size) for name, size in zip("sjoic", (n, d, d, k, k)))
u, v = Idx("u", K), Idx("v", H - K + 1)
x, z, W, b, w = (
    Entry("x", s, j), Entry("z", s, i), Entry("W", i, j), Entry("b", i), Entry("w", s),
)  # fmt: skip


def total_over(body: Expr, *indices: Idx) -> Reduce:
    return Reduce("sum", body, *indices)


BY_HAND = [
    ((s, i), total_over(W * x, j) + b, 2 * n * k * d),
    ((s, i), z + b, n * k),
    ((s, i), -z, 0),
    ((s, i), 2 * z / n, n * k),  # the scalar 2/n is one number
    ((s, i), exp(z) / total_over(exp(Entry("z", s, c)), c), n * (k + (k - 1) + k)),  # exp z once
    ((s,), Reduce("maximum", z, i), n * (k - 1)),
    ((s, j), Largest(0, x), n * d),
    ((s, j), (1 - x**2) * Entry("g", s, j), 3 * n * d),
    ((s, j), x**5, 3 * n * d),  # x² x² x
    ((s, j), 1 / sqrt(x), 2 * n * d),
    ((), -total_over(log(Entry("z", s, w)), s) / n, n + (n - 1) + 1),  # z[s, w[s]] is a read
    ((j, o), Delta(j, Entry("w", o)) * Entry("v", o), 0),
    ((c, j), total_over(Delta(c, w) * x, s), n * d),  # what a scatter adds
    ((s, v), total_over(Entry("f", s, v + u) * Entry("h", u), u), n * (H - K + 1) * (2 * K - 1)),
]


@pytest.mark.parametrize(("indices", "expr", "expected"), BY_HAND)
def test_by_hand(indices: tuple[Idx, ...], expr: Expr, expected: Any) -> None:
    assert (cost(indices, expr).total - expected).expand() == 0


@pytest.mark.parametrize(
    "spec",
    ["ij,jk->ik", "ij,jk,kl->il", "ij,jk,k->i", "ij,ij->", "ij,i,j->", "i,j->ij", "ij,kj,kl->il"],
)
def test_contractions_cost_what_einsum_counts(spec: str) -> None:
    """NumPy counts 2 operations for each product that is added, we one less for each sum."""
    size, letters = 16, sorted({*spec} - {*",->"})
    index = {letter: Idx(letter, size) for letter in letters}
    operands, free = spec.split("->")
    factors = [
        Entry(f"T{m}", *(index[a] for a in own)) for m, own in enumerate(operands.split(","))
    ]
    bound = [index[a] for a in letters if a not in free]
    body = Mul(*factors)
    expr = total_over(body, *bound) if bound else body
    arrays = [np.ones([size] * len(own)) for own in operands.split(",")]
    report = str(np.einsum_path(spec, *arrays, optimize="optimal")[1])
    counted = float(re.search(r"Optimized FLOP count:\s*(\S+)", report)[1])  # type: ignore[index]
    own = int(cost([index[a] for a in free], expr).total)
    assert 0.96 * counted <= own <= counted


def test_an_order_of_sums_is_chosen() -> None:
    """Σ_jo A_sj B_jo v_o is two products with a vector; as written, each of n d² terms counts."""
    expr = total_over(Entry("A", s, j) * Entry("B", j, o) * Entry("v", o), j, o)
    assert cost((s,), expr).leading == 2 * d * d + 2 * n * d
    assert cost_as_written((s,), expr).order == n * d**2


def test_leading_terms_and_orders() -> None:
    found = cost((s, i), total_over(W * x, j) + b) + cost((s,), Reduce("maximum", z, i))
    assert found.total == 2 * n * k * d + n * k - n
    assert (found.leading, found.order) == (2 * n * k * d, n * k * d)
    both = entries_of((s, i)) + entries_of((s, j))
    assert both.order == n * k + n * d
    assert cost((), Entry("p") * 2).order == 1
    assert cost((), Entry("p")).total == 0


def test_sizes_with_negative_terms_stay_whole() -> None:
    """n (H − K + 1) is not n H and n K; 2 H − 1 is twice H."""
    assert entries_of((s, v)).order == n * (H - K + 1)
    assert entries_of((s, Idx("e", 2 * H - 1))).order == n * H
    assert entries_of((s, Idx("p", floor((H + 1) / 2)))).order == n * floor((H + 1) / 2)


def write(kind: type[Text | Latex]) -> Text | Latex:
    return kind(derive(importlib.import_module("symbp.zoo.linear_neuron").net)._adjoint)


def test_big_o() -> None:
    text, latex = write(Text), write(Latex)
    both = entries_of((s, i)) + entries_of((s, j))
    assert big_o(both, text) == "O(d n + k n)"
    assert big_o(both, text, (s, i)) == "O(n k + n d)"
    assert big_o(both, latex, (s, i)) == r"O(n\, k + n\, d)"
    assert big_o(Cost(entries_of((i, c)).terms), latex) == "O(k^{2})"
    assert big_o(entries_of((s, v)), text, (s, v)) == "O(n (1 + H − K))"
    assert big_o(entries_of(()), text) == "O(1)"


def test_rows_are_what_every_tensor_carries() -> None:
    """Of W x + b each row costs k d: W and b are the same for all samples."""
    linear = total_over(W * x, j) + b
    assert cost((s, i), linear).a_row is None  # nothing says that W is no sample's
    found = cost((s, i), linear, shared={"W", "b"})
    assert found.a_row is not None
    assert found.a_row.total == 2 * k * d
    assert cost((s, i), z * 2).a_row is None  # one entry is no row
    gradient = total_over(z, s)
    assert cost((i,), gradient, {"W", "b"}, of="b").a_row is None


def test_softmax() -> None:
    """The Jacobian is O(k²) a row; the chain rule as it stands too; its contraction O(k)."""
    adjoint = derive(importlib.import_module("symbp.zoo.softmax_regression").net)._adjoint
    text = Text(adjoint)
    shared = same_for_all(adjoint.program)
    assert shared == {"W", "b"}
    partial = next(p for p in adjoint.partials if (p.output, p.input) == ("y", "z"))
    every, nonzero = jacobian(partial, shared)
    assert big_o(every, text, partial.output_indices) == "O(n² k²)"
    assert nonzero.a_row is not None
    assert big_o(nonzero.a_row, text) == "O(k²)"
    weights = next(p for p in adjoint.partials if (p.output, p.input) == ("z", "W"))
    assert jacobian(weights, shared)[1].a_row is None
    back = next(a for a in adjoint.adjoints if a.tensor == "z")
    written = cost_as_written(back.indices, back.chain, shared).a_row
    contracted = cost(back.indices, back.steps[0].after, shared).a_row
    assert written is not None and contracted is not None
    assert (big_o(written, text), big_o(contracted, text)) == ("O(k²)", "O(k)")


def test_slopes() -> None:
    """Of a product, what stands before and behind each place; of a maximum, its ties."""
    t = Idx("t", n)
    product = Reduce("product", Entry("q", t), t)
    assert cost((s,), Slope(product, product, s)).total == 3 * n
    largest = Reduce("maximum", Entry("q", t), t)
    assert cost((s,), Slope(largest, Entry("m"), s)).total == 3 * n - 1


def test_reads_at_places_cost_nothing() -> None:
    assert cost((s,), Entry("h", 2 * s + 1)).total == 0
    assert cost((s,), Entry("h", Head(s))).total == 0


def test_totals_of_models() -> None:
    """Backward is twice forward but for the first layer's input; a recurrence counts every step."""
    mlp = derive(importlib.import_module("symbp.zoo.mlp").net)._schedule
    n, d, h, k = symbols("n d h k", integer=True, positive=True)
    assert total(mlp.forward).leading == 2 * n * d * h + 2 * n * h * k
    assert total(mlp.backward).leading == 2 * n * d * h + 4 * n * h * k
    rnn = derive(importlib.import_module("symbp.zoo.rnn").net)._schedule
    T, u = symbols("T u", integer=True, positive=True)
    assert total(rnn.forward).leading == 2 * T * n * u**2 + 2 * T * n * k * u
    assert total(rnn.backward).leading == 2 * total(rnn.forward).leading


def test_the_total_is_that_of_all_lines() -> None:
    """Of the lines of a perceptron's forward pass, as they stand in its module."""
    mlp = derive(importlib.import_module("symbp.zoo.mlp").net)._schedule
    n, d, h, k = symbols("n d h k", integer=True, positive=True)
    lines = {
        "z1": n * h * (2 * d - 1) + n * h,
        "h1": n * h,
        "z2": n * k * (2 * h - 1) + n * k,
        "max_z2": n * (k - 1),
        "exp_z2": 2 * n * k,
        "sum_exp_z2": n * (k - 1),
        "y": n * k,
        "loss": n
        + n
        + n * k
        + n * k
        + (n * k - 1)
        + 1,  # log; max + log; z − that; times t; Σ; 1/n
    }
    assert (total(mlp.forward).total - sum(lines.values())).expand() == 0
