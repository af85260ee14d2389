"""Arrays as users have them: of any layout, byte order and kind, empty, with NaN in them, and from two threads."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Eq, Piecewise, Sum

from symbp import Network, derive, indices, sizes
from symbp.evaluate import evaluate
from symbp.model_file import load_model
from symbp.sample import LAWS, Point, Sampler

Array = Any
Arrays = dict[str, Any]

ROOT = Path(__file__).parent.parent
MODELS = "mlp gru lenet tagger ctc linear_regression character_mlp dropout_mlp".split()

every_model = pytest.mark.parametrize("model", MODELS)


@cache
def drawn(model: str) -> Point:
    """Sizes and data of a zoo model at which all its equations are finite."""
    declared = load_model(ROOT / "symbp" / "zoo" / f"{model}.py").declared()
    sampler = Sampler(declared, np.random.default_rng(0))
    admitted = sampler.sizes(least=3)
    assert admitted is not None
    for law in LAWS:
        point = sampler.point(admitted, law, vary=False)
        values = evaluate(declared, point.sizes, point.values).values.values()
        if all(np.isfinite(value).all() for value in values):
            return point
    raise AssertionError(f"{model} is finite nowhere")


def module(model: str) -> ModuleType:
    return importlib.import_module(f"generated.{model}")


def data(model: str, dtype: Any = np.float64) -> Arrays:
    values = drawn(model).values.items()
    return {n: np.array(v, dtype if v.dtype.kind == "f" else v.dtype) for n, v in values}


def called(of: ModuleType, function: str, arrays: Mapping[str, Any]) -> Any:
    """The result of a function, given those of the arrays that it names."""
    call = getattr(of, function)
    taken = [n for n in inspect.signature(call).parameters if n in arrays]
    return call({n: arrays[n] for n in of.PARAMETERS}, **{n: arrays[n] for n in taken})


def results(of: ModuleType, arrays: Mapping[str, Any]) -> Arrays:
    """Loss, gradients and predictions, by name."""
    loss, grads = called(of, "value_and_grad", arrays)
    found = {"loss": loss, **{f"d{name}": grad for name, grad in grads.items()}}
    if hasattr(of, "predict"):
        outputs = called(of, "predict", arrays)
        found |= outputs if isinstance(outputs, dict) else {"output": outputs}
    return found


def given(model: str, arrays: Arrays) -> Arrays:
    """What is no constant: those are numbers, not arrays."""
    of = module(model)
    names = inspect.signature(of.forward).parameters.items()
    noise = [n for n, p in names if p.default is None and n != "rng"]
    return {n: arrays[n] for n in [*of.PARAMETERS, *of.INPUTS, *noise]}


# Layouts


def every_second(array: Array, folder: Path) -> Array:
    """Every second place of a larger array, which holds NaN between them."""
    gap = np.nan if array.dtype.kind == "f" else -1
    larger = np.full([2 * n for n in array.shape], gap, array.dtype)
    view = larger[(slice(None, None, 2),) * array.ndim + (...,)]
    view[...] = array
    return view


def reversed_strides(array: Array, folder: Path) -> Array:
    backward = (slice(None, None, -1),) * array.ndim + (...,)
    return array[backward].copy()[backward]


def unaligned(array: Array, folder: Path) -> Array:
    view = np.frombuffer(bytearray(array.nbytes + 1), array.dtype, array.size, 1)
    view[:] = array.ravel()
    return view.reshape(array.shape)


def mapped(array: Array, folder: Path) -> Array:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def read_only(array: Array, folder: Path) -> Array:
    view = array.copy()
    view.flags.writeable = False
    return view


LAYOUTS: dict[str, Callable[[Array, Path], Any]] = {
    "Fortran order": lambda array, folder: np.array(array, order="F"),
    "every second place": every_second,
    "reversed": reversed_strides,
    "unaligned": unaligned,
    "memory-mapped": mapped,
    "read-only": read_only,
    "foreign byte order": lambda array, folder: array.astype(array.dtype.newbyteorder()),
    "lists": lambda array, folder: array.tolist(),
}


@every_model
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(model: str, layout: str, tmp_path: Path) -> None:
    for dtype, slack in ((np.float64, 1e-12), (np.float32, 1e-4)):
        if layout == "lists" and dtype is np.float32:
            continue  # lists are of float64
        arrays = given(model, data(model, dtype))
        laid = {n: LAYOUTS[layout](a, tmp_path) for n, a in arrays.items()}
        check_equal(module(model), laid, arrays, slack)


def check_equal(of: ModuleType, laid: Arrays, plain: Arrays, slack: float) -> None:
    """Same results but for rounding, of the same types, that share no memory; nothing is written to."""
    expected, found = results(of, plain), results(of, laid)
    for name, value in expected.items():
        assert isinstance(found[name], type(value)), name
        assert found[name].dtype == value.dtype, name
        atol = slack * np.abs(value).max(initial=1)
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol, err_msg=name)
        for array in filter(lambda a: isinstance(a, np.ndarray), laid.values()):
            assert not np.shares_memory(found[name], array), name
    for name, array in plain.items():
        np.testing.assert_array_equal(laid[name], array, err_msg=name)


@every_model
def test_broadcast_arrays(model: str) -> None:
    arrays = given(model, data(model))
    wide = {n: np.broadcast_to(a[:1], a.shape) if a.ndim else a for n, a in arrays.items()}
    check_equal(module(model), wide, {n: a.copy() for n, a in wide.items()}, 1e-12)


def test_integers_of_any_width() -> None:
    """What is computed from an integer tensor is computed in int64: of 8 bits, 0 − 1 would be 255."""
    n, T = sizes("n T")
    s, t = indices("s", n), indices("t", T)
    net = Network("before_the_end")
    x, w = net.input("x", s, t), net.param("w", t)
    length = net.input("length", s, integer=True)
    net.loss(Sum(Piecewise((w[t] * x[s, t], t < length[s] - 1), (0, True)), s, t))
    made = derive(net).load()
    arrays: Arrays = {"w": np.ones(3), "x": np.arange(6.0).reshape(2, 3)}
    for dtype in "int8 uint8 int32 uint32 int64".split():
        assert called(made, "forward", arrays | {"length": np.array([0, 3], dtype)})[0] == 3 + 4
    with pytest.raises(TypeError, match="length: must hold integers up to int64, got uint64"):
        called(made, "forward", arrays | {"length": np.array([0, 3], np.uint64)})


def test_masked_arrays_are_refused() -> None:
    """Their gaps would be read as if they were data."""
    arrays = given("mlp", data("mlp"))
    arrays["x"] = np.ma.masked_greater(arrays["x"], 0.0)
    with pytest.raises(TypeError, match="x: must not be masked"):
        called(module("mlp"), "forward", arrays)


# Axes of size 1 and 0


@every_model
def test_any_size_may_be_one(model: str) -> None:
    """The checks pass, and results have the right shapes; values are verified at such sizes elsewhere."""
    declared = load_model(ROOT / "symbp" / "zoo" / f"{model}.py").declared()
    sampler = Sampler(declared, np.random.default_rng(0))
    for size in drawn(model).sizes:
        point = sampler.point({**drawn(model).sizes, size: 1}, "uniform(0.1, 0.9)", vary=False)
        if (model, size) == ("character_mlp", "n"):
            continue  # the variance of one sample, over n − 1, is 0/0
        arrays = given(model, {n: np.asarray(v) for n, v in point.values.items()})
        found = results(module(model), arrays)
        assert all(np.isfinite(value).all() for value in found.values())
        for name in module(model).PARAMETERS:
            assert found[f"d{name}"].shape == arrays[name].shape


@every_model
def test_an_empty_axis_is_named_and_an_empty_batch_predicted(model: str) -> None:
    of = module(model)
    arrays = given(model, data(model))
    taken = [
        *of.PARAMETERS,
        *(n for n in inspect.signature(of.forward).parameters if n in of.INPUTS),
    ]
    for name, axes in ((n, axes_of(of, n)) for n in taken):
        for axis in range(len(axes)):
            empty = arrays | {name: arrays[name][(slice(None),) * axis + (slice(0, 0),)]}
            message = re.escape(f"{name}: axis {axis}, of size {axes[axis]}, is empty")
            with pytest.raises(ValueError, match=f"^{message}$"):
                called(of, "value_and_grad", empty)
    if hasattr(of, "predict"):
        batch = next(iter(of.INPUTS.values()))[0]
        nobody = {n: a[:0] if axes_of(of, n)[:1] == (batch,) else a for n, a in arrays.items()}
        full, none = called(of, "predict", arrays), called(of, "predict", nobody)
        assert none.shape == (0, *full.shape[1:])
        assert none.dtype == full.dtype


def axes_of(of: ModuleType, name: str) -> tuple[str, ...]:
    axes: tuple[str, ...] = {**of.PARAMETERS, **of.INPUTS}.get(name, ())
    return axes


def test_a_layer_of_an_empty_batch() -> None:
    n, d = sizes("n d")
    s, j = indices("s", n), indices("j", d)
    net = Network("scale")
    x, w = net.input("x", s, j), net.param("w", j)
    net.output(net.define("y", (s, j), w[j] * x[s, j]))
    made = derive(net).load()
    y, cache = made.forward({"w": np.ones(2)}, np.zeros((0, 2)))
    grads = made.backward({"w": np.ones(2)}, cache, y)
    assert y.shape == grads["x"].shape == (0, 2)
    np.testing.assert_array_equal(grads["w"], [0.0, 0.0])


# NaN and infinity


@pytest.mark.parametrize("model", "mlp gru lenet logistic_regression".split())
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_spoils_no_other(model: str, bad: float) -> None:
    """Rows of predict and of the gradients of real inputs are those of the other samples."""
    net = load_model(ROOT / "symbp" / "zoo" / f"{model}.py")
    declared = net.declared().declarations
    real = [n for n in module(model).INPUTS if not declared[n].integer]
    spoilt = [n for n in real if declared[n].sums_to_one is None]
    of = derive(net, wrt=real).load()
    arrays = given(model, data(model))
    expected = results(of, arrays)
    changed = {n: a.copy() for n, a in arrays.items()}
    for name in spoilt:
        changed[name][1] = bad
    with np.errstate(invalid="ignore", over="ignore"):
        found = results(of, changed)
    others = np.arange(len(expected["output"])) != 1
    for name in ["output", *(f"d{n}" for n in real)]:
        np.testing.assert_array_equal(found[name][others], expected[name][others], err_msg=name)
    assert not np.isfinite(found["output"][1]).all()


@pytest.mark.parametrize("rows", [3, 40])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_spoils_no_row_that_it_does_not_read(rows: int, bad: float) -> None:
    n, v = sizes("n v")
    s, k = indices("s", n), indices("k", v)
    net = Network("lookup")
    word, x = net.input("word", s, integer=True), net.input("x", s)
    table = net.param("E", k)
    net.loss(Sum(x[s] * table[word[s]], s))
    made = derive(net).load()
    x_given = np.array([1.0, bad, 2.0, 4.0])
    _, grads = made.value_and_grad({"E": np.ones(rows)}, np.array([0, 1, 2, 2]), x_given)
    expected = np.zeros(rows)
    expected[:3] = [1.0, bad, 6.0]
    np.testing.assert_array_equal(grads["E"], expected)


def test_a_branch_that_is_not_taken_is_not_read() -> None:
    """Padding may hold NaN where a condition leaves it out."""
    n, T = sizes("n T")
    s, t = indices("s", n), indices("t", T)
    net = Network("padded")
    x, w = net.input("x", s, t), net.param("w")
    length = net.input("length", s, integer=True)
    z = net.define("z", (s, t), Piecewise((x[s, t], t < length[s]), (0, True)))
    net.loss(Sum((w * z[s, t] + Piecewise((0, Eq(t, 0)), (z[s, t], True))) ** 2, s, t))
    made = derive(net).load()
    x_given, last = np.arange(8.0).reshape(2, 4), np.array([2, 3])
    padded = np.where(np.arange(4) < last[:, None], x_given, np.nan)
    loss, grads = made.value_and_grad({"w": 2.0}, padded, last)
    again, other = made.value_and_grad({"w": 2.0}, np.nan_to_num(padded), last)
    assert loss == again and grads["w"] == other["w"]


# Threads


@pytest.mark.parametrize("model", ["mlp", "gru", "tagger"])
def test_two_threads_give_what_one_gives(model: str) -> None:
    """Modules keep nothing between calls: each thread has its own data, and gets its own numbers."""
    of, rng = module(model), np.random.default_rng(0)
    base = given(model, data(model))
    several = [
        base | {n: base[n] * rng.uniform(0.5, 1.5, base[n].shape) for n in of.PARAMETERS}
        for _ in range(2)
    ]
    alone = [results(of, arrays) for arrays in several]
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(results, of, several[k % 2]) for k in range(60)]
    for k, run in enumerate(runs):
        for name, value in alone[k % 2].items():
            np.testing.assert_array_equal(run.result()[name], value, err_msg=name)
