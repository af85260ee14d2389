"""The language: what sizes, indices, tensors and equations are, and how a network records them."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sympy import (
    And,
    Eq,
    Expr,
    Idx,
    Indexed,
    IndexedBase,
    KroneckerDelta,
    Max,
    Ne,
    Not,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    exp,
    floor,
    log,
)

import symbp
from symbp import ModelError, Network, functions, indices, sizes
from symbp.exhaustive import covers_everything
from symbp.ir.network import Declared
from symbp.tensor import Tensor

n, d, h, k = sizes("n d h k")
s, j, a = indices("s", n), indices("j", d), indices("a", h)
i, c = indices("i c", k)


def mlp() -> Network:
    net = Network("mlp")
    x, t = net.input("x", s, j), net.input("t", s, i, sums_to_one=i)
    W1, b1 = net.param("W1", a, j), net.param("b1", a, init=0.5)
    W2 = net.param("W2", i, a, init="he")
    z1 = net.define("z1", (s, a), Sum(W1[a, j] * x[s, j], j) + b1[a])
    h1 = net.define("h1", (s, a), Max(0, z1[s, a]))
    z2 = net.define("z2", (s, i), Sum(W2[i, a] * h1[s, a], a))
    y = net.define("y", (s, i), exp(z2[s, i]) / Sum(exp(z2[s, c]), c))
    net.output(y)
    net.loss(-Sum(t[s, i] * log(y[s, i]), s, i) / n)
    return net


# Sizes and indices


def test_one_name_gives_one_object_and_several_a_tuple() -> None:
    assert sizes("n") == n and sizes("n, d") == (n, d)
    assert indices("i", k) == i and indices("i c", k) == (i, c)


def test_sizes_are_positive_integers() -> None:
    assert n == Symbol("n", integer=True, positive=True)


@pytest.mark.parametrize(
    "size", [3, np.int64(3), n, 2 * n + 1, n * d, n - 1, floor(n / 2)], ids=str
)
def test_an_index_runs_from_zero_to_its_size_less_one(size: Any) -> None:
    index = indices("p", size)
    assert isinstance(index, Idx)
    assert (index.lower, index.upper) == (0, size - 1)


def test_an_index_made_by_sympy_is_the_same_index() -> None:
    assert Idx("i", k) == i
    x = Network("m").input("x", Idx("i", k))
    assert x[Idx("i", k)] == x[i]


# Tensors


def test_an_entry_is_an_indexed_with_shape_and_real() -> None:
    W = Network("m").param("W", a, j)
    base = IndexedBase(Symbol("W", real=True), shape=(h, d))
    assert W[a, j] == Indexed(base, a, j)
    assert W[a, j].is_real and W.name == "W" and W.shape == (h, d)


def test_an_integer_input_is_an_integer() -> None:
    w = Network("m").input("w", s, integer=True)
    assert w[s].is_integer


@pytest.mark.parametrize(
    ("size", "place"),
    [(k, 0), (k, 7), (4, 3), (k, np.int64(1)), (k, k - 1), (2 * k, k), (k + 3, 2), (2 * k, k - 1)],
    ids=str,
)
def test_a_place_inside_an_axis_is_an_index(size: Any, place: Any) -> None:
    x = Network("m").input("x", indices("p", size))
    assert x[place].indices == (place,)


@pytest.mark.parametrize(
    ("size", "place"),
    [(k, k - 2), (k, n - 1), (4, k), (k, floor(k / 2)), (k - 1, 0), (2 * k, n - k)],
    ids=str,
)
def test_a_place_that_the_sizes_decide_is_an_index(size: Any, place: Any) -> None:
    """The emitted module checks it; see test_places."""
    net = Network("m")
    x = net.input("x", indices("p", size))
    net.loss(x[place])
    loss = net.declared().loss
    assert loss is not None and loss.expr.indices == (place,)


def test_indices_may_repeat() -> None:
    net = Network("m")
    A = net.param("A", i, c)
    u = net.define("u", (), Sum(A[i, i], i))
    net.loss(u)
    assert net.declared().equations[0].expr == Sum(A[i, i], i)


def test_an_index_over_an_equal_size_written_otherwise_fits() -> None:
    x = Network("m").input("x", indices("p", n * (d + 1)))
    q = indices("q", n * d + n)
    assert x[q].indices == (q,)


# Scalars: a tensor without axes stands for itself


@pytest.fixture
def scalars() -> tuple[Tensor, Symbol]:
    return Network("m").param("b"), Symbol("b", real=True)


@pytest.mark.parametrize(
    "formula",
    [
        lambda b: b + 1,
        lambda b: 1 - b,
        lambda b: 2.5 * b,
        lambda b: b * np.float64(2),
        lambda b: np.float64(2) * b,
        lambda b: np.float64(2) / b,
        lambda b: np.float32(2) ** b,
        lambda b: np.int64(2) < b,
        lambda b: Rational(1, 3) * b,
        lambda b: b * b,
        lambda b: 1 / b,
        lambda b: b**2,
        lambda b: 2**b,
        lambda b: -b,
        lambda b: +b,
        lambda b: abs(b),
        lambda b: exp(b),
        lambda b: Max(0, b),
        lambda b: Sum(b, i),
        lambda b: Piecewise((b, b > 0), (2 * b, b <= 0)),
        lambda b: Piecewise((1, b < 0), (0, 0 <= b)),
        lambda b: functions.gelu(b),
    ],
)
def test_a_scalar_is_its_symbol(
    formula: Callable[[Any], Expr], scalars: tuple[Tensor, Symbol]
) -> None:
    tensor, symbol = scalars
    assert formula(tensor) == formula(symbol)


def test_a_scalar_has_one_entry() -> None:
    b = Network("m").param("b")
    assert b[()] == Symbol("b", real=True) and b.shape == ()


def test_scalars_of_every_kind() -> None:
    net = Network("m")
    b, g, lam = net.param("b"), net.input("g"), net.constant("lam", Rational(1, 10))
    u = net.define("u", (), b * g + lam)
    net.loss(u)
    declared = net.declared()
    assert declared.loss is not None and declared.loss.expr == Symbol("u", real=True)
    assert declared.declarations["lam"].default == 0.1


# What is bound and what is free


def defined(expr: Callable[[Tensor, Tensor], Expr], left: Any = ()) -> Declared:
    """A network that defines y[left] by an expression in vectors x and w over k."""
    net = Network("m")
    x, w = net.input("x", i), net.param("w", i)
    net.output(net.define("y", left, expr(x, w)))
    return net.declared()


@pytest.mark.parametrize(
    ("expr", "left"),
    [
        (lambda x, w: Sum(w[i] * x[i], i), ()),
        (lambda x, w: Sum(w[i] * x[i], i), i),  # bound within, free on the left
        (lambda x, w: Sum(x[i], i) * Sum(w[i], i), ()),
        (lambda x, w: Sum(Sum(x[i], i), i), ()),  # limits (i, i): k times the sum
        (lambda x, w: Sum(x[i] * Sum(w[c], c), i), ()),
        (lambda x, w: exp(x[i]) / Sum(exp(x[i]), i), i),
        (lambda x, w: Sum(1, i), ()),
        (lambda x, w: Sum(x[i], (i, 0, k - 1)), ()),
        (lambda x, w: x[c] * w[0], c),
        (lambda x, w: x[i], (i, a)),  # broadcast along a
        (lambda x, w: 3, i),
        (lambda x, w: i * x[i] / k, i),  # an index and a size as numbers
        (lambda x, w: Sum(KroneckerDelta(i, c) * x[c], c), i),
        (lambda x, w: KroneckerDelta(i, 0) + KroneckerDelta(i, k - 1), i),
        (lambda x, w: Piecewise((x[i], x[i] > w[i]), (0, True)), i),
    ],
)
def test_free_indices_follow_mathematics(expr: Callable[[Tensor, Tensor], Expr], left: Any) -> None:
    assert defined(expr, left).outputs == ("y",)


@pytest.mark.parametrize(
    ("expr", "left", "index"),
    [
        (lambda x, w: w[i] * Sum(x[i], i), (), "i"),  # a second, free i beside the bound one
        (lambda x, w: Sum(x[i] * w[c], i), i, "c"),
        (lambda x, w: Sum(i, i) + i, (), "i"),
        (lambda x, w: Piecewise((1, x[c] > 0), (0, True)), i, "c"),
        (lambda x, w: KroneckerDelta(i, c), i, "c"),
    ],
)
def test_a_free_index_must_stand_on_the_left(
    expr: Callable[[Tensor, Tensor], Expr], left: Any, index: str
) -> None:
    with pytest.raises(ModelError, match=rf"^y.*index {index} \(over k\) is free on the right"):
        defined(expr, left)


def test_two_indices_of_one_name_and_different_size_differ() -> None:
    net = Network("m")
    x = net.input("x", i)
    with pytest.raises(ModelError, match=r"index i \(over k\) is free on the right"):
        net.define("y", Idx("i", n), x[i])


# Piecewise: one of the conditions must hold whatever the values are

u, v = Symbol("u", real=True), Symbol("v", real=True)


@pytest.mark.parametrize(
    ("conditions", "covered"),
    [
        ([u > 0, True], True),
        ([u > 0, u <= 0], True),
        ([u > 0, u < 0, Eq(u, 0)], True),
        ([u > 0, u < 0], False),
        ([u > 0], False),
        ([u >= 0], False),
        ([u <= 0], False),
        ([Ne(u, 0), Eq(u, 0)], True),
        ([u > 1, u < 2], True),
        ([u > 2, u < 1], False),
        ([u >= 1, u < 0, And(u >= 0, u <= 1)], True),
        ([u > 1, u < 0, And(u > 0, u <= 1)], False),
        ([2 * u > 1, u <= Rational(1, 2)], True),
        ([3 * u > 0.1, -3 * u >= -0.1], True),
        ([1 - u > v, u + v >= 1], True),
        ([u - v > 0, v - u > 0, Eq(u, v)], True),
        ([And(u > 0, v > 0), u <= 0, v <= 0], True),
        ([And(u > 0, v > 0), And(u <= 0, v <= 0)], False),
        ([And(u > 0, v > 0), Not(And(u > 0, v > 0))], True),
    ],
)
def test_holes_in_conditions(conditions: list[Any], covered: bool) -> None:
    assert covers_everything(conditions) is covered


# The record


def test_the_record_of_a_network() -> None:
    declared = mlp().declared()
    assert declared.name == "mlp"
    assert list(declared.declarations) == ["x", "t", "W1", "b1", "W2", "z1", "h1", "z2", "y"]
    assert [p.name for p in declared.of_kind("param")] == ["W1", "b1", "W2"]
    assert declared.declarations["t"].sums_to_one == i
    assert (declared.declarations["b1"].init, declared.declarations["W2"].init) == (0.5, "he")
    assert [e.name for e in declared.equations] == ["z1", "h1", "z2", "y"]
    assert declared.equations[1].indices == (s, a)
    assert declared.outputs == ("y",)
    assert declared.loss is not None and declared.loss.indices == ()
    assert declared.indices == (s, j, i, a, c)  # in order of appearance


def test_expressions_are_recorded_as_written() -> None:
    declared = defined(lambda x, w: Sum(Sum(x[i], i), i))
    x = IndexedBase(Symbol("x", real=True), shape=(k,))
    assert declared.equations[0].expr == Sum(x[i], i, i)


def test_one_index_needs_no_tuple() -> None:
    assert defined(lambda x, w: x[i], i) == defined(lambda x, w: x[i], (i,))


def test_every_declaration_knows_its_line() -> None:
    declared = mlp().declared()
    first = mlp.__code__.co_firstlineno
    assert declared.declarations["x"].where == f"{__file__}:{first + 2}"
    assert declared.declarations["h1"].where == f"{__file__}:{first + 6}"
    assert declared.equations[1].where == f"{__file__}:{first + 6}"
    assert declared.loss is not None and declared.loss.where == f"{__file__}:{first + 10}"


def test_a_layer_has_outputs_and_no_loss() -> None:
    assert defined(lambda x, w: x[i], i).loss is None


def test_a_mistake_leaves_the_network_as_it_was() -> None:
    net = mlp()
    before = net.declared()
    y = Tensor(before.declarations["y"])
    m = indices("m", sizes("p"))
    for mistake in (
        lambda: net.define("q", s, Sum(Sum(y[s, c], m), c) * y[s, i]),
        lambda: net.define("p", m, 1),  # a tensor named as the size that it meets
        lambda: net.param("q", m, init="zero"),
        lambda: net.output(y, y),
        lambda: net.loss(1),
    ):
        with pytest.raises(ModelError):
            mistake()
        assert net.declared() == before
    net.param("p", s)  # the size p is none of this network's: it was met in mistakes alone


# Functions, each against its definition in floats


def _gelu_tanh(x: float) -> float:
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (functions.sigmoid, lambda x: 1 / (1 + math.exp(-x))),
        (functions.relu, lambda x: max(0.0, x)),
        (functions.leaky_relu, lambda x: x if x > 0 else 0.01 * x),
        (lambda x: functions.leaky_relu(x, 0.3), lambda x: x if x > 0 else 0.3 * x),
        (functions.elu, lambda x: x if x > 0 else math.expm1(x)),
        (lambda x: functions.elu(x, 2), lambda x: x if x > 0 else 2 * math.expm1(x)),
        (functions.softplus, lambda x: math.log1p(math.exp(x))),
        (functions.silu, lambda x: x / (1 + math.exp(-x))),
        (functions.gelu, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        (lambda x: functions.gelu(x, approximate="tanh"), _gelu_tanh),
        (functions.log_cosh, lambda x: math.log(math.cosh(x))),
        (functions.hinge, lambda x: max(0.0, 1 - x)),
        (functions.square, lambda x: x * x),
    ],
)
def test_functions(function: Callable[[Any], Expr], reference: Callable[[float], float]) -> None:
    for x in (-2.25, -0.5, 0.0, 0.75, 3.0):
        value = function(u).subs(u, x)
        assert float(value) == pytest.approx(reference(x), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "name",
    "sigmoid relu leaky_relu elu softplus silu gelu log_cosh hinge square".split(),
)
def test_functions_stay_inside_the_language(name: str) -> None:
    defined(lambda x, w: getattr(functions, name)(x[i] * w[i]), i)


def test_an_unknown_gelu_is_named() -> None:
    with pytest.raises(ModelError, match="approximate='quick'"):
        functions.gelu(u, approximate="quick")  # type: ignore[arg-type]


# The package


def test_importing_is_light() -> None:
    code = """
import sys, symbp
assert "sympy" not in sys.modules
from symbp import Network, sizes
assert not {"jinja2", "typer", "rich"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = symbp.nonesuch
