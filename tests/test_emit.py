"""Emission: hand-written bodies arranged as a module, which is then imported, run, misused, linted and read."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import symtable
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Idx, Integer, Symbol, floor

from symbp.emit import emit
from symbp.errors import CompilerError, ModelError
from symbp.ir.module import Body, Gather, Line, Module, Place
from symbp.ir.network import Declaration
from symbp.ir.update import Stepping
from symbp.layout import comment, statement
from symbp.normalise import normalise
from symbp.optimizers import rule
from symbp.stepping import stepping
from symbp.targets.update import with_update
from symbp.validate import RESERVED

n, d, h, k, m, T = (Symbol(s, integer=True, positive=True) for s in "n d h k m T".split())


def index(name: str, size: Expr) -> Any:
    return Idx(Symbol(name, integer=True), size)


s, j, a, i = index("s", n), index("j", d), index("a", h), index("i", k)


def param(name: str, *indices: Any, **more: Any) -> Declaration:
    return Declaration(name, "param", indices, **more)


def given(name: str, *indices: Any, **more: Any) -> Declaration:
    return Declaration(name, "input", indices, **more)


def body(reads: str, *steps: str | tuple[str, ...], batch: tuple[str, ...] = ()) -> Body:
    """A body from statements, or (formula, shape, statements…)."""
    lines = [
        Line("", "", (step,)) if isinstance(step, str) else Line(step[0], step[1], step[2:])
        for step in steps
    ]
    return Body(tuple(lines), tuple(reads.split()), batch=batch)


def module(**fields: Any) -> Module:
    """A module with these fields and nothing else."""
    empty = body("")
    names = (
        "parameters",
        "inputs",
        "constants",
        "noise",
        "sizes",
        "outputs",
        "cache",
        "gradients",
        "seeds",
        "seed_shapes",
    )
    plain: dict[str, Any] = {name: () for name in (*names, "helpers", "equations")}
    plain |= {"name": "net", "forward": empty, "backward": empty, "loss": None, "predict": None}
    return Module(**(plain | fields))


PREDICT = (
    ("z1[s,a] = Σ_j W1[a,j] x[s,j] + b1[a]", "(n, h)", "z1 = x @ W1.T + b1"),
    ("h1[s,a] = max(0, z1[s,a])", "(n, h)", "h1 = np.maximum(z1, 0)"),
    ("z2[s,i] = Σ_a W2[i,a] h1[s,a] + b2[i]", "(n, k)", "z2 = h1 @ W2.T + b2"),
    (
        "y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c])",
        "(n, k)",
        "e = np.exp(z2 - z2.max(axis=1, keepdims=True))",
        "y = e / e.sum(axis=1, keepdims=True)",
    ),
)
BACKWARD = (
    ("∂L/∂z2[s,i] = (y[s,i] − t[s,i]) / n", "(n, k)", "dz2 = (y - t) / n"),
    ("∂L/∂W2[i,a] = Σ_s ∂L/∂z2[s,i] h1[s,a]", "(k, h)", "dW2 = dz2.T @ h1"),
    ("∂L/∂b2[i] = Σ_s ∂L/∂z2[s,i]", "(k,)", "db2 = dz2.sum(axis=0)"),
    (
        "∂L/∂z1[s,a] = [z1[s,a] > 0] Σ_i ∂L/∂z2[s,i] W2[i,a]",
        "(n, h)",
        "dz1 = (dz2 @ W2) * (h1 > 0)",
    ),
    ("∂L/∂W1[a,j] = Σ_s ∂L/∂z1[s,a] x[s,j]", "(h, d)", "dW1 = dz1.T @ x"),
    ("∂L/∂b1[a] = Σ_s ∂L/∂z1[s,a]", "(h,)", "db1 = dz1.sum(axis=0)"),
)
LOSS = ("loss = −Σ_si t[s,i] log(y[s,i]) / n", "()", "loss = -np.sum(t * np.log(y)) / n")
MLP = module(
    name="mlp",
    equations=tuple(step[0] for step in (*PREDICT, LOSS)),
    parameters=(param("W1", a, j), param("b1", a), param("W2", i, a), param("b2", i)),
    inputs=(given("x", s, j), given("t", s, i, sums_to_one=i)),
    sizes=("n", "d", "h", "k"),
    forward=body("W1 b1 W2 b2 x t n", *PREDICT, LOSS),
    loss="loss",
    outputs=(("y", "y"),),
    cache=("x", "t", "h1", "y", "n"),
    backward=body("W2 x t h1 y n", *BACKWARD),
    gradients=(("W1", "dW1"), ("b1", "db1"), ("W2", "dW2"), ("b2", "db2")),
    predict=body("W1 b1 W2 b2 x", *PREDICT, batch=("n",)),
)
# y[s] = (w x[s] + b[s]) lam, with a scalar parameter, a constant, and an output that aliases nothing
LAYER = module(
    name="scale",
    equations=("y[s] = lam w x[s]",),
    parameters=(param("w"),),
    inputs=(given("x", s),),
    constants=(Declaration("lam", "constant", (), default=0.5),),
    sizes=("n",),
    forward=body("w x lam", ("y[s] = lam w x[s]", "(n,)", "y = lam * w * x")),
    outputs=(("y", "y"),),
    cache=("x", "lam"),
    backward=body("w x lam dy", "dw = lam * np.sum(dy * x)", "dx = lam * w * dy"),
    gradients=(("w", "dw"), ("x", "dx")),
    seeds=(("y", "dy"),),
    seed_shapes=((n,),),
    predict=body("w x lam", "y = lam * w * x"),
)


def load(source: Module) -> ModuleType:
    made = ModuleType(source.name)
    exec(compile(emit(source, "0"), source.name, "exec"), made.__dict__)
    return made


mlp, layer = load(MLP), load(LAYER)


def problem(dtype: Any = np.float64, batch: int = 5) -> tuple[dict[str, Any], Any, Any]:
    rng = np.random.default_rng(0)
    t = rng.random((batch, 4))
    params = mlp.init(rng, d=3, h=6, k=4, dtype=dtype)
    return (
        params,
        rng.normal(size=(batch, 3)).astype(dtype),
        (t / t.sum(axis=1, keepdims=True)).astype(dtype),
    )


def difference(f: Callable[[], float], entry: np.ndarray) -> np.ndarray:
    """Central differences of f in each entry of an array."""
    found = np.zeros_like(entry)
    for place in np.ndindex(entry.shape):
        old = entry[place]
        high, low = (entry.__setitem__(place, old + e) or f() for e in (1e-6, -1e-6))
        entry[place] = old
        found[place] = (high - low) / 2e-6
    return found


# What it computes


def test_gradients_agree_with_differences() -> None:
    params, x, t = problem()
    loss, grads = mlp.value_and_grad(params, x, t)
    assert loss == mlp.forward(params, x, t)[0]
    assert list(grads) == list(mlp.PARAMETERS)
    for name, grad in grads.items():
        numeric = difference(lambda: mlp.forward(params, x, t)[0], params[name])
        np.testing.assert_allclose(grad, numeric, atol=1e-9)


def test_predict_needs_no_target() -> None:
    params, x, t = problem()
    np.testing.assert_allclose(mlp.predict(params, x).sum(axis=1), 1)
    assert mlp.predict(params, x=x).shape == (5, 4)


def test_step_is_in_place_and_learns() -> None:
    params, x, t = problem()
    arrays = dict(params)
    losses = []
    for _ in range(20):
        loss, grads = mlp.value_and_grad(params, x, t)
        mlp.step(params, grads, np.float64(0.5))
        losses.append(loss)
    assert losses[-1] < losses[0]
    assert all(params[name] is arrays[name] for name in params)


def test_tables() -> None:
    assert mlp.PARAMETERS == {"W1": ("h", "d"), "b1": ("h",), "W2": ("k", "h"), "b2": ("k",)}
    assert mlp.INPUTS == {"x": ("n", "d"), "t": ("n", "k")}
    assert layer.PARAMETERS == {"w": ()}


def test_an_empty_batch_is_predicted_and_no_other_axis_is_empty() -> None:
    params, x, t = problem(batch=0)
    assert mlp.predict(params, x).shape == (0, 4)
    with pytest.raises(ValueError, match="x: axis 0, of size n, is empty"):
        mlp.forward(params, x, t)
    with pytest.raises(ValueError, match="b1: axis 0, of size h, is empty"):
        mlp.predict(params | {"b1": np.zeros(0)}, x)


def test_nan_passes_on() -> None:
    params, x, t = problem()
    t[0, 0] = x[1, 1] = math.nan
    assert math.isnan(mlp.forward(params, x, t)[0])


def test_layer_and_its_vjp() -> None:
    params, x, dy = {"w": np.array(2.0)}, np.arange(3.0), np.array([1.0, 5.0, 2.0])
    y, cache = layer.forward(params, x)
    np.testing.assert_array_equal(y, x)
    grads = layer.backward(params, cache, dy)
    assert type(grads["w"]) is np.ndarray and grads["w"].shape == ()
    assert grads["w"] == 0.5 * (dy @ x)
    np.testing.assert_array_equal(grads["x"], dy)
    np.testing.assert_array_equal(layer.predict(params, x, lam=1), 2 * x)
    assert not hasattr(layer, "value_and_grad")
    held = params["w"]
    layer.step(params, grads, 1)
    assert params["w"] is held and held == 2 - 4.5


def test_the_adjoint_is_checked() -> None:
    params, x = {"w": np.array(2.0)}, np.arange(3.0)
    _, cache = layer.forward(params, x)
    for bad, error, message in [
        (np.zeros(4), ValueError, "dy: axis 0 must have size 3, got 4"),
        (np.zeros((3, 1)), ValueError, r"dy: must have shape \(3,\), got \(3, 1\)"),
        (np.zeros(3, np.float32), TypeError, "dy: must be float64"),
        (np.zeros(3, complex), TypeError, "dy: must be float64"),
        ([1, 2, 3], TypeError, "dy: must be float64"),
    ]:
        with pytest.raises(error, match=message):
            layer.backward(params, cache, bad)
    layer.backward(params, cache, [1.0, 2.0, 3.0])


def test_several_outputs() -> None:
    two = replace(
        LAYER,
        forward=body("w x lam", "y = lam * w * x", "z = x"),
        outputs=(("y", "y"), ("z", "z")),
        backward=body("w x lam dy dz", "dw = lam * np.sum(dy * x)", "dx = lam * w * dy + dz"),
        seeds=(("y", "dy"), ("z", "dz")),
        seed_shapes=((n,), (n,)),
        predict=body("w x lam", "y = lam * w * x", "z = x"),
    )
    made = load(two)
    params, x = {"w": np.array(2.0)}, np.arange(3.0)
    outputs, cache = made.forward(params, x)
    assert list(outputs) == ["y", "z"] == list(made.predict(params, x))
    assert not np.shares_memory(outputs["z"], x)
    grads = made.backward(params, cache, {"y": np.ones(3), "z": np.full(3, 2.0)})
    np.testing.assert_array_equal(grads["x"], [3.0, 3.0, 3.0])
    with pytest.raises(ValueError, match=r"adjoints\['z'\]: axis 0"):
        made.backward(params, cache, {"y": np.ones(3), "z": np.ones(2)})


def test_results_share_no_memory() -> None:
    """Views, aliases, parameters and a variable given twice are copied; 0-d results are arrays."""
    made = load(
        replace(
            LAYER,
            parameters=(param("u", s), param("v", s), param("w"), param("q", s)),
            backward=body(
                "u x lam dy",
                "dx = np.broadcast_to(np.sum(dy), 3)",
                "dv = dx",
                "dw = lam * np.sum(dy)",
            ),
            gradients=(("u", "u"), ("v", "dv"), ("w", "dw"), ("q", "dv"), ("x", "dx")),
            sizes=("n",),
        )
    )
    params = {name: np.ones(3) for name in "uvq"} | {"w": np.array(1.0)}
    _, cache = made.forward(params, np.ones(3))
    grads = made.backward(params, cache, np.ones(3))
    for name, grad in grads.items():
        assert type(grad) is np.ndarray and grad.flags.writeable
        others = [*params.values(), *(g for other, g in grads.items() if other != name)]
        assert not any(np.shares_memory(grad, other) for other in others)


# Types


def test_float32_throughout() -> None:
    params, x, t = problem(np.float32)
    loss, grads = mlp.value_and_grad(params, x, t)
    assert type(loss) is np.float32
    assert (
        {g.dtype for g in grads.values()}
        == {np.dtype(np.float32)}
        == {mlp.predict(params, x).dtype}
    )
    mlp.step(params, grads, np.float64(0.1))
    assert params["W1"].dtype == np.float32
    single = {"w": np.array(2, np.float32)}
    y, cache = layer.forward(single, np.ones(3, np.float32), lam=np.float64(3))
    grads = layer.backward(single, cache, y)
    layer.step(single, grads, 0.1)
    assert y.dtype == single["w"].dtype == grads["w"].dtype == grads["x"].dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, complex, int, bool, object, "U3"])
def test_other_types_are_refused_by_name(dtype: Any) -> None:
    params, x, t = problem()
    with pytest.raises(TypeError, match="x: must be float32 or float64"):
        mlp.forward(params, x.astype(dtype), t)
    with pytest.raises(TypeError, match="b1: must be float32 or float64"):
        mlp.predict(params | {"b1": params["b1"].astype(dtype)}, x)


def test_a_mix_is_refused() -> None:
    params, x, t = problem()
    with pytest.raises(TypeError, match="t: is float32, but W1 is float64"):
        mlp.forward(params, x, t.astype(np.float32))


def test_lists_and_foreign_byte_order() -> None:
    params, x, t = problem()
    expected = mlp.value_and_grad(params, x, t)
    lists = {name: value.tolist() for name, value in params.items()}
    for other in (
        (lists, x.tolist(), t.tolist()),
        ({n: p.astype(">f8") for n, p in params.items()}, x.astype(">f8"), t),
    ):
        loss, grads = mlp.value_and_grad(*other)
        assert loss == expected[0]
        for name, grad in grads.items():
            np.testing.assert_array_equal(grad, expected[1][name])
            assert grad.dtype == np.float64


def test_integer_inputs() -> None:
    made = load(replace(LAYER, inputs=(given("x", s, integer=True),)))
    params = {"w": np.array(2.0)}
    assert made.predict(params, np.arange(3, dtype=">i2")).dtype == np.float64
    for bad in (np.ones(3), np.ones(3, bool)):
        with pytest.raises(TypeError, match="x: must hold integers"):
            made.predict(params, bad)


# Errors at entry


def test_parameters_are_all_there_and_no_others() -> None:
    params, x, t = problem()
    with pytest.raises(KeyError, match="W3 is unknown"):
        mlp.forward(params | {"W3": 1}, x, t)
    del params["b2"]
    with pytest.raises(KeyError, match="b2 is missing"):
        mlp.predict(params, x)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("x", (5, 4), r"x: axis 1 must have size d = 3 \(from W1\), got 4"),
        ("x", (3,), r"x: needs axes \(n, d\), got shape \(3,\)"),
        ("t", (4, 4), r"t: axis 0 must have size n = 5 \(from x\), got 4"),
        ("b1", (7,), r"b1: axis 0 must have size h = 6 \(from W1\), got 7"),
        ("b2", (), r"b2: needs axes \(k\), got shape \(\)"),
        ("W2", (4, 5), r"W2: axis 1 must have size h = 6 \(from W1\), got 5"),
    ],
)
def test_shapes_are_checked(name: str, shape: tuple[int, ...], message: str) -> None:
    params, x, t = problem()
    arrays = params | {"x": x, "t": t} | {name: np.ones(shape)}
    x, t = arrays.pop("x"), arrays.pop("t")
    with pytest.raises(ValueError, match=message):
        mlp.forward(arrays, x, t)


def test_a_ragged_list_is_named() -> None:
    params, x, t = problem()
    with pytest.raises(ValueError, match="x: "):
        mlp.predict(params, [[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_to_one(dtype: Any) -> None:
    params, x, t = problem(dtype)
    mlp.forward(params, x, t)
    t[2, 1] += 0.01
    t[3, 1] = math.nan
    with pytest.raises(ValueError, match="t: must sum to 1 over axis 1, is off by 0.0"):
        mlp.forward(params, x, t)


def sized(*shapes: tuple[Expr | int, ...], reads: str = "") -> Module:
    """A module with an input of each shape, whose loss is the sum of the sizes it reads."""
    inputs = [
        given(
            f"x{number}",
            *(index(f"i{number}{axis}", Integer(1) * size) for axis, size in enumerate(shape)),
        )
        for number, shape in enumerate(shapes)
    ]
    names = [i.name for i in inputs]
    terms = reads.split() + [f"0 * np.sum({name})" for name in names]
    loss = body(" ".join([*names, reads]), f"loss = {' + '.join(terms)}")
    return module(inputs=tuple(inputs), sizes=("n", "m", "k", "T"), forward=loss, loss="loss")


def test_sizes_are_solved() -> None:
    made = load(sized((2 * m + 1,), (m, n - m), (floor(n / 2),), reads="m n"))
    assert made.forward({}, np.ones(7), np.ones((3, 5)), np.ones(4))[0] == 3 + 8
    for shapes, message in [
        (
            (6, (3, 5), 4),
            r"x0: axis 0 must have size 2\*m \+ 1, got 6: no whole m fits|x1: axis 0|x0: axis 0",
        ),
        ((7, (3, 5), 5), r"x2: axis 0 must have size floor\(n/2\) = 4, got 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            made.forward({}, *map(np.ones, shapes))


def test_a_fraction_is_refused() -> None:
    made = load(sized((2 * m + 1,), reads="m"))
    with pytest.raises(
        ValueError, match=r"x0: axis 0 must have size 2\*m \+ 1, got 6: no whole m fits"
    ):
        made.forward({}, np.ones(6))


def test_equations_solved_together() -> None:
    made = load(sized((n + m,), (n - m,), reads="n m"))
    assert made.forward({}, np.ones(7), np.ones(3))[0] == 7
    with pytest.raises(
        ValueError, match=r"x0: .* n, got 7; x1: axis 0 must have size -m \+ n, got 4: no whole m"
    ):
        made.forward({}, np.ones(7), np.ones(4))


def test_an_open_size_is_a_keyword() -> None:
    made = load(sized((n,), reads="n T"))
    assert made.forward({}, np.ones(2), T=np.int64(5))[0] == 7
    with pytest.raises(TypeError, match="'T'"):
        made.forward({}, np.ones(2))
    for bad in (2.0, True, "2"):
        with pytest.raises(TypeError, match="T: must be an integer"):
            made.forward({}, np.ones(2), T=bad)
    both = load(sized((n + m,), reads="n"))
    assert both.forward({}, np.ones(5), n=2, m=3)[0] == 2
    with pytest.raises(ValueError, match="x0: axis 0 must have size m \\+ n = 6, got 5"):
        both.forward({}, np.ones(5), n=2, m=4)


def test_places_are_checked() -> None:
    """Behind the shapes, with the sizes that they need and the body does not."""
    places = (Place("x0", 0, 2 * m - 6, n), Place("u", 1, Integer(7), floor(k / 2)))
    source = sized((n, m), (m, k))
    source = replace(source, forward=replace(source.forward, places=places))
    made = load(source)
    head = emit(source, "0").partition("    n, m = x0.shape\n")[2].partition("\n\n")[0]
    assert head == (
        "    k = x1.shape[1]\n"
        "    _check_shapes(arrays, x1=(m, k))\n"
        '    _check_place("x0[2 * m - 6]", 0, 2 * m - 6, n)\n'
        '    _check_place("u[:, 7]", 1, 7, k // 2)'
    )
    made.forward({}, np.ones((5, 3)), np.ones((3, 16)))
    for shapes, message in [
        (((5, 2), (2, 16)), "x0[2 * m - 6]: place -2 is outside axis 0, which has size 5"),
        (((5, 6), (6, 16)), "x0[2 * m - 6]: place 6 is outside axis 0, which has size 5"),
        (((5, 3), (3, 15)), "u[:, 7]: place 7 is outside axis 1, which has size 7"),
        (((5, 2), (3, 16)), "x1: axis 0 must have size m = 2 (from x0), got 3"),
    ]:
        with pytest.raises(ValueError) as caught:
            made.forward({}, *map(np.ones, shapes))
        assert str(caught.value) == message


def test_forward_takes_an_input_that_alone_tells_a_size() -> None:
    """predict does not: what tells a size there may be the target."""
    text = emit(
        module(
            parameters=(param("w"),),
            inputs=(given("t", s), given("u", j)),
            sizes=("n", "d"),
            forward=body("w n", "loss = w * n"),
            loss="loss",
            predict=body("w n", "y = w * n"),
            outputs=(("y", "y"),),
        ),
        "0",
    )
    assert "def forward(params, t):" in text
    assert "def predict(params, *, n):" in text


# Initial values


@pytest.mark.parametrize(
    ("init", "std"),
    [
        (None, 1 / 200),
        ("normal", 1 / 200),
        ("he", 2 / 200),
        ("glorot", 2 / 500),
        (0.25, 0),
        ("ones", 0),
    ],
)
def test_init(init: Any, std: float) -> None:
    made = load(replace(MLP, parameters=(param("W1", a, j, init=init), *MLP.parameters[1:])))
    params = made.init(np.random.default_rng(1), d=200, h=300, k=2)
    assert params["W1"].shape == (300, 200)
    assert params["W1"].var() == pytest.approx(std, rel=0.02)
    assert params["W1"].mean() == pytest.approx({0.25: 0.25, "ones": 1}.get(init, 0), abs=1e-3)
    assert not params["b1"].any() and params["b1"].flags.writeable
    assert (
        made.init(np.random.default_rng(1), d=200, h=300, k=2, dtype="float32")["W1"].dtype
        == np.float32
    )
    with pytest.raises(TypeError, match="float16"):
        made.init(np.random.default_rng(1), d=1, h=1, k=1, dtype=np.float16)


def test_init_of_scalars_and_vectors() -> None:
    made = load(
        replace(
            LAYER,
            parameters=(param("w", init=2), param("b", s, init="normal"), param("c", init="he")),
        )
    )
    params = made.init(np.random.default_rng(0), n=10_000)
    assert type(params["w"]) is np.ndarray and params["w"] == 2
    assert params["b"].var() == pytest.approx(1, rel=0.05)
    assert params["c"].shape == ()


def orthogonal(rng: Any, shape: Any, dtype: Any) -> Any:
    """Orthogonal rows."""
    return np.linalg.qr(rng.normal(size=shape))[0].astype(dtype)


SCALE = 2.0


def reads_a_global(rng, shape, dtype):  # type: ignore[no-untyped-def]
    return np.full(shape, SCALE, dtype)


def imports(rng, shape, dtype):  # type: ignore[no-untyped-def]
    import math

    return np.full(shape, math.pi, dtype)


def test_init_by_a_function() -> None:
    def plain(rng, shape, dtype, scale=3.0):  # type: ignore[no-untyped-def]
        return scale * np.ones(shape)

    source = replace(MLP, parameters=(param("W1", a, j, init=plain), *MLP.parameters[1:]))
    params = load(source).init(np.random.default_rng(0), d=2, h=3, k=2, dtype=np.float32)
    assert params["W1"].dtype == np.float32 and (params["W1"] == 3).all()
    assert "def _init_plain(rng, shape, dtype, scale=3.0):" in emit(source, "0")


def test_an_init_that_two_parameters_share_is_emitted_once() -> None:
    def made(value: float) -> Any:
        if value == 1:

            def plain(rng, shape, dtype):  # type: ignore[no-untyped-def]
                return np.ones(shape)

        else:

            def plain(rng, shape, dtype):  # type: ignore[no-untyped-def]
                return np.full(shape, 2.0)

        return plain

    one, two = made(1), made(2)
    first, second = param("W1", a, j, init=one), param("b1", a, init=one)
    source = replace(
        MLP, parameters=(first, second, param("W2", i, a, init=two), *MLP.parameters[3:])
    )
    params = load(source).init(np.random.default_rng(0), d=2, h=3, k=2)
    assert [float(params[name].mean()) for name in ("W1", "b1", "W2")] == [1, 1, 2]
    assert emit(source, "0").count("def _init_") == 2


def test_an_init_of_the_wrong_shape_is_named() -> None:
    def plain(rng, shape, dtype):  # type: ignore[no-untyped-def]
        return np.ones(3)

    made = load(replace(MLP, parameters=(param("W1", a, j, init=plain), *MLP.parameters[1:])))
    with pytest.raises(ValueError, match=r"W1: init must give shape \(3, 2\), got \(3,\)"):
        made.init(np.random.default_rng(0), d=2, h=3, k=2)


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        (lambda rng, shape, dtype: np.zeros(shape), "write a def"),
        (np.zeros, "write a def"),
        (reads_a_global, "reads SCALE"),
        (imports, "imports"),
        (orthogonal, "reads Any"),
    ],
)
def test_an_init_that_cannot_stand_alone_is_refused(init: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=f"param W1: .*{reason}"):
        emit(replace(MLP, parameters=(param("W1", a, j, init=init), *MLP.parameters[1:])), "0")


# Helpers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf(dtype: Any) -> None:
    made = load(
        module(
            inputs=(given("x", s),),
            sizes=("n",),
            forward=body("x", "y = _erf(x)"),
            outputs=(("y", "y"),),
            predict=body("x", "y = _erf(x)"),
            helpers=("erf",),
        )
    )
    x = np.concatenate([np.linspace(-7, 7, 3001), [0.46875, 0.84375, 1.25, 1e-300, 1e-20]]).astype(
        dtype
    )
    with np.errstate(all="raise", under="ignore"):
        y = made.predict({}, x)
        ends = made.predict({}, np.array([np.inf, -np.inf, np.nan, -0.0], dtype))
    exact = np.array([math.erf(v) for v in x.tolist()])
    assert y.dtype == dtype
    assert (np.abs(y - exact) <= 2 * np.spacing(np.abs(exact).astype(dtype))).all()
    np.testing.assert_array_equal(ends, [1, -1, np.nan, 0])
    assert np.signbit(ends[3])


# The text


CHECKS = Path(__file__).parent.parent / "templates" / "numpy" / "checks.jinja"


def constant(rng, shape, dtype):  # type: ignore[no-untyped-def]
    return np.ones(shape, dtype)


LONG = "a_rather_long_size_name"
LONG_SIZES = [Symbol(f"{LONG}_{number}", integer=True, positive=True) for number in range(4)]
LONG_PARAMETERS = tuple(
    param(
        f"weights_of_layer_{number}",
        index("u", size),
        index("v", LONG_SIZES[number - 1]),
        init=init,
    )
    for number, (size, init) in enumerate(zip(LONG_SIZES, [None, "glorot", "he", 1.5], strict=True))
)
WIDE = module(
    name="wide",
    equations=(
        "y[s] = " + " + ".join(f"weights_of_layer_{number}[s] x[s]" for number in range(8)),
    ),
    parameters=LONG_PARAMETERS,
    inputs=(
        given("l", index("s", LONG_SIZES[0])),
        given("targets", index("s", 2 * n), sums_to_one=index("s", 2 * n)),
    ),
    constants=tuple(
        Declaration(f"constant_number_{number}", "constant", (), default=1e-9)
        for number in range(3)
    ),
    sizes=(*(size.name for size in LONG_SIZES), "n", "T"),
    forward=body(
        "l targets n T constant_number_0 constant_number_1 constant_number_2",
        (
            "loss = " + " + ".join(f"weights_of_layer_{number}[s] x[s]" for number in range(8)),
            "()",
            "loss = l.sum()",
        ),
    ),
    loss="loss",
    outputs=tuple((f"output_number_{number}", "l") for number in range(5)),
    cache=("l", "targets", "n", "T", *(f"constant_number_{number}" for number in range(3))),
    backward=body(
        " ".join(p.name for p in LONG_PARAMETERS)
        + " l targets n T constant_number_0 constant_number_1 constant_number_2",
        "dl = l.sum() + targets.sum() + n + T + constant_number_0 + constant_number_1 + constant_number_2",
    ),
    gradients=(*((p.name, p.name) for p in LONG_PARAMETERS), ("l", "dl")),
    predict=body("l"),
)
NOISY = module(
    name="noisy",
    inputs=(given("x", s),),
    constants=(Declaration("p", "constant", (), default=0.5),),
    noise=(
        Declaration("m", "random", (s,), law="bernoulli", parameters={"p": "p"}),
        Declaration("e", "random", (), law="normal", parameters={"mean": 0.0, "std": 1.0}),
    ),
    sizes=("n",),
    forward=body("x m e", ("loss = e Σ_s m[s] x[s]", "", "loss = m @ x * e")),
    loss="loss",
)


def steps_of(optimizer: Any) -> Stepping:
    return stepping(normalise(rule(optimizer).declared))


TEXTS = {
    "mlp": MLP,
    "layer": LAYER,
    "wide": WIDE,
    "noisy": NOISY,
    "sizes": sized((2 * m + 1,), (n + k, n - k), (T,), reads="m n k T"),
    "open": sized((n + m, 3), reads="T"),
    "places": module(
        inputs=(given("x", s, j),),
        sizes=("n", "d"),
        forward=replace(
            body("x", "loss = x[7, d - 2]"),
            places=(Place("x", 0, Integer(7), n), Place("x", 1, d - 2, d)),
        ),
        loss="loss",
    ),
    "gathers": module(
        inputs=(given("x", s, j), given("w", s, integer=True)),
        sizes=("n", "d"),
        forward=replace(
            body("x w", "loss = sliding_window_view(x, 1, axis=0)[np.arange(len(w)), w].sum()"),
            gathers=(Gather("w", "x", 1, d), Gather("w", "a_tensor_of_a_long_name", 10, 2 * d)),
        ),
        loss="loss",
        helpers=("_windows", "scatter_add", "sliding_window_view"),
    ),
    "init": replace(MLP, parameters=(param("W1", a, j, init=constant), *MLP.parameters[1:])),
    "update": with_update(MLP, ("clip", "adamw"), ("What it is.",), steps_of(["clip", "adamw"])),
    "some": with_update(replace(MLP, gradients=MLP.gradients[:1]), (), (), steps_of("adam")),
    "nothing": module(forward=body("", "loss = np.float64(0)"), loss="loss"),
    "erf": replace(LAYER, helpers=("erf",), inputs=(given("x", s), given("z", s, integer=True))),
}


@pytest.mark.parametrize("name", TEXTS)
def test_ruff_finds_nothing_to_change(name: str, tmp_path: Any) -> None:
    pytest.importorskip("ruff")
    path = tmp_path / "emitted.py"
    path.write_text(emit(TEXTS[name], "0.1.0"), encoding="utf-8")
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(path)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", TEXTS)
def test_it_imports_numpy_alone(name: str) -> None:
    tree = ast.parse(emit(TEXTS[name], "0.1.0"))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {ast.unparse(node) for node in imports} <= {
        "import numpy as np",
        "from numpy.lib.stride_tricks import sliding_window_view",
    }


def names_read(table: symtable.SymbolTable) -> Iterator[str]:
    """The names of the module and of Python that its functions read."""
    for inner in table.get_children():
        yield from (s.get_name() for s in inner.get_symbols() if s.is_global())
        yield from names_read(inner)


def test_names_that_the_module_reads_are_reserved() -> None:
    """A tensor of such a name would hide it. Names that begin with _ are nobody's but the module's."""
    tables = [symtable.symtable(emit(text, "0"), name, "exec") for name, text in TEXTS.items()]
    own = {name for table in tables for name in table.get_identifiers()}
    checks = set(re.findall(r"^def (\w+)", CHECKS.read_text("utf-8"), re.MULTILINE))
    assert checks <= own, f"no text has {sorted(checks - own)}"
    read = {name for table in tables for name in names_read(table)} | own
    assert {name for name in read if not name.startswith("_")} <= RESERVED


def test_the_head_of_forward_is_short() -> None:
    text = emit(MLP, "0.1.0")
    assert '"""mlp:' in text and "symbp\n0.1.0" in text
    head = text[text.index("    arrays = ") : text.index("    # z1")]
    assert head == (
        "    arrays = _arrays(params, x=x, t=t)\n"
        "    W1, b1, W2, b2, x, t = arrays.values()\n"
        "    h, d = W1.shape\n"
        "    k = W2.shape[0]\n"
        "    n = x.shape[0]\n"
        "    _check_shapes(arrays, b1=(h,), W2=(k, h), b2=(k,), x=(n, d), t=(n, k))\n"
        '    _check_sums_to_one("t", t, axis=1)\n'
        "\n"
    )


def test_only_what_is_called_is_there() -> None:
    assert (
        "_solve" not in emit(MLP, "0")
        and "_size(" not in emit(MLP, "0")
        and "_adjoint" not in emit(MLP, "0")
    )


def test_names_of_its_own_are_refused() -> None:
    with pytest.raises(ModelError, match="arrays"):
        emit(replace(LAYER, inputs=(given("arrays", s),)), "0")
    with pytest.raises(CompilerError, match="identifier"):
        emit(replace(LAYER, inputs=(given("x; import os", s),)), "0")
    with pytest.raises(CompilerError, match="not Python"):
        emit(replace(LAYER, forward=body("x", "y = = x")), "0")


@pytest.mark.parametrize(
    "code",
    [
        f"x = {'a' * 30} * np.sum({'b' * 40}, axis=1)",
        f"x = {'a' * 30} * np.sum({'b' * 30}, axis=1) + {'c' * 20}",
        f"x = {'a' * 50} @ {'b' * 50}[:, None]",
        f"x = -({'a' * 30} * {'b' * 30}).sum() / {'n' * 30}",
        f"x = np.einsum('ij,jk->ik', {'a' * 30}, {'b' * 30})".replace("'", '"'),
        f"x = np.einsum('ij,jk->ik', {'a' * 50}, {'b' * 50}, optimize=True)".replace("'", '"'),
        f"_check({', '.join(letter * 20 for letter in 'abcde')})",
        f"x = {' * '.join(letter * 20 for letter in 'abcde')}",
        f"x[:, 0] += {'a' * 30} * {'b' * 30} * np.sum({'c' * 20})",
        f"x = np.broadcast_to({'a' * 40} * {'b' * 20}, ({'n' * 20}, k)).copy()",
        f"x = ({'a' * 30} * {'b' * 30} * (c > 0).astype(a.dtype)).sum(axis=(0, 1))",
        f"x = {'a' * 40} + {'b' * 20} * np.exp({'c' * 20}).sum(axis=2)",
        f"x = {'a' * 30} * ({'b' * 30} + {'c' * 30}) / {'n' * 20}",
        f"x = {'a' * 30} / ({'b' * 30} + {'c' * 30} * {'d' * 30})",
        f"x = np.exp({'a' * 30} * {'b' * 30} - {'c' * 30} / {'d' * 30})",
        f"x = np.where({'a' * 30} > 0, {'b' * 30}, np.where({'c' * 60}, {'d' * 30}, 0))",
        f"x = {'a' * 30} - np.sum({'b' * 40}, axis=0) * {'c' * 30}[:, None]",
    ],
)
def test_long_statements_break_as_ruff_breaks_them(code: str, tmp_path: Any) -> None:
    pytest.importorskip("ruff")
    assert len(code) > 84
    path = tmp_path / "long.py"
    text = "".join(f"    {line}\n" for line in statement(code))
    path.write_text("def f():\n" + text)
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--diff", "--isolated", "--no-cache", str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_long_formulas_break_before_an_operator() -> None:
    lines = comment(
        "y[s] = " + " + ".join(f"weights{number}[s] x[s]" for number in range(8)), "(n, k)"
    )
    assert max(map(len, lines)) <= 84 and lines[0].startswith("# y[s] = weights0[s]")
    assert lines[-1].endswith("  (n, k)")
    assert not any(line.endswith((" +", " =")) for line in lines)


@pytest.mark.parametrize(
    "code",
    [
        f"x = ({'a' * 40} + {'b' * 40})[:, None]",
        f"x = ({'a' * 30} + {'b' * 30}).sum(axis=0).reshape({'c' * 20}, 1)",
        f"x = {'a' * 50}, {'b' * 50}",
    ],
)
def test_what_is_not_surely_laid_out_stays_on_one_line(code: str) -> None:
    lines = statement(code)
    assert lines == [code] or max(map(len, lines)) <= 84


def test_only_what_is_needed_is_computed_kept_and_unpacked() -> None:
    """Formulas may read names that their code does not: the code decides."""
    net = replace(
        MLP,
        forward=replace(MLP.forward, lines=(*body("", "spare = x + 1").lines, *MLP.forward.lines)),
        cache=("x", "t", "h1", "y", "n", "d", "spare"),
        backward=replace(MLP.backward, reads=(*MLP.backward.reads, "d", "spare")),
    )
    assert emit(net, "0") == emit(MLP, "0")
    one_size = module(
        inputs=(given("x", s, j),),
        sizes=("n", "d"),
        forward=body("x n d", "loss = x.sum() / n"),
        loss="loss",
    )
    assert "n = x.shape[0]" in emit(one_size, "0")
