"""The fast style: the results of the readable one, in arrays that are made once."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Sum

from symbp import ModelError, Network, derive, indices, sizes
from symbp.model_file import load_model
from symbp.pipeline import Derivation
from symbp.zoo.mlp import net as mlp

ROOT = Path(__file__).parent.parent
MODELS = sorted(p for p in (ROOT / "symbp" / "zoo").glob("*.py") if p.stem != "__init__")
WORKLOADS = sorted((ROOT / "tests" / "benchmarks" / "models").glob("w*.py"))
LARGE = {"digits_cnn", "gpt2", "lenet", "transformer"}

every_model = pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=[pytest.mark.slow] * (m.stem in LARGE)) for m in MODELS],
    ids=lambda path: path.stem,
)


@cache
def fast(model: Path) -> Derivation:
    return derive(load_model(model), style="fast")


def data(n: int = 5, d: int = 4, h: int = 3, k: int = 2, seed: int = 0) -> tuple[Any, ...]:
    """Parameters and a batch for the perceptron."""
    rng = np.random.default_rng(seed)
    module = module_of_mlp()
    params = module.init(rng, d=d, h=h, k=k)
    return params, rng.normal(size=(n, d)), np.eye(k)[rng.integers(0, k, n)]


@cache
def module_of_mlp() -> ModuleType:
    return derive(mlp, style="fast").load()


@every_model
def test_it_is_verified_as_the_readable_style(model: Path) -> None:
    """Against the declared equations; in a workspace that was used before, and beside another thread."""
    report = fast(model).verify()
    assert report.ok, [row for row in report.rows if not row.ok]
    assert any(row.tensor == "a workspace changes no result" for row in report.rows)


@every_model
def test_it_states_the_formulas_of_the_readable_style(model: Path) -> None:
    """Each formula of the readable style stands as a comment in the fast one."""

    def comments(source: str) -> list[str]:
        return [line.strip() for line in source.splitlines() if line.strip().startswith("# ")]

    readable = derive(load_model(model)).source
    missing = set(comments(readable)) - set(comments(fast(model).source))
    assert not {line for line in missing if " = " in line and "mask" not in line.split("[")[0]}


def test_a_second_call_makes_next_to_no_arrays() -> None:
    """Arrays of some megabytes in all; a second call adds views, and 64 KB in which NumPy converts booleans."""
    module = module_of_mlp()
    params, x, t = data(n=256, d=512, h=512, k=10)
    workspace = module.workspace(params, x, t)
    module.value_and_grad(params, x, t, workspace=workspace)
    tracemalloc.start()
    module.value_and_grad(params, x, t, workspace=workspace)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_results_lie_in_the_workspace_and_else_are_fresh() -> None:
    module = module_of_mlp()
    params, x, t = data()
    _, fresh = module.value_and_grad(params, x, t)
    _, again = module.value_and_grad(params, x, t)
    assert not any(np.shares_memory(fresh[name], again[name]) for name in fresh)
    workspace = module.workspace(params, x, t)
    _, first = module.value_and_grad(params, x, t, workspace=workspace)
    _, second = module.value_and_grad(params, x, t, workspace=workspace)
    assert all(first[name] is second[name] for name in first)


def test_backward_can_be_called_again() -> None:
    """The cache is not written to, though arrays are used again."""
    module = module_of_mlp()
    params, x, t = data()
    workspace = module.workspace(params, x, t)
    _, cache_ = module.forward(params, x, t, workspace=workspace)
    once = {k: v.copy() for k, v in module.backward(params, cache_, workspace=workspace).items()}
    again = module.backward(params, cache_, workspace=workspace)
    assert all(np.array_equal(once[name], again[name]) for name in once)


def test_another_shape_is_a_clear_error() -> None:
    module = module_of_mlp()
    params, x, t = data()
    workspace = module.workspace(params, x, t)
    with pytest.raises(ValueError, match=r"workspace: is for n = 5, got n = 4"):
        module.value_and_grad(params, x[:4], t[:4], workspace=workspace)
    with pytest.raises(ValueError, match=r"x: axis 1 must have size d = 4 \(from W1\), got 3"):
        module.value_and_grad(params, x[:, :3], t, workspace=workspace)
    halves = {name: value.astype(np.float32) for name, value in params.items()}
    with pytest.raises(ValueError, match="workspace: is for dtype = float64, got dtype = float32"):
        module.value_and_grad(halves, x.astype("f4"), t.astype("f4"), workspace=workspace)


def test_what_is_no_array_is_taken_as_without_a_workspace() -> None:
    module = module_of_mlp()
    params, x, t = data()
    workspace = module.workspace(params, x, t)
    loss, _ = module.value_and_grad(params, x, t)
    turned = {name: params[name] for name in reversed(params)}
    assert module.value_and_grad(turned, x.tolist(), t, workspace=workspace)[0] == loss
    with pytest.raises(KeyError, match="b1 is missing"):
        module.value_and_grad({"W1": params["W1"]}, x, t, workspace=workspace)


def test_threads_with_a_workspace_each() -> None:
    """Eight threads at once, each with data of its own, give what one gives."""
    module = module_of_mlp()
    batches = [data(n=64, d=32, h=32, k=4, seed=seed) for seed in range(8)]
    expected = [module.value_and_grad(*batch)[1]["W1"] for batch in batches]
    wrong: list[int] = []

    def run(number: int) -> None:
        workspace = module.workspace(*batches[number])
        for _ in range(50):
            _, grads = module.value_and_grad(*batches[number], workspace=workspace)
            if not np.allclose(grads["W1"], expected[number], rtol=1e-12):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("model", WORKLOADS, ids=lambda path: path.stem)
def test_workloads(model: Path) -> None:
    """The models that speed is measured on are right in both styles."""
    for style in ("readable", "fast"):
        report = derive(load_model(model), style=style).verify()
        assert report.ok, [row for row in report.rows if not row.ok]


def test_a_state_that_is_an_input_at_first_is_not_written_to() -> None:
    """`c = c0` before a loop that assigns c would else lead the loop to write to the caller's array."""
    n, T = sizes("n T")
    s, t = indices("s", n), indices("t", T)
    net = Network("running")
    x, c0 = net.input("x", t, s), net.input("c0", s)
    c = net.recurrent("c", (t, s), over=t, initial=c0[s])
    net.define(c, (t, s), c[t - 1, s] ** 3 * x[t, s] + c[t - 1, s])
    net.output(net.define("last", s, c[T - 1, s]))
    derivation = derive(net, style="fast")
    report = derivation.verify()
    assert report.ok, [row for row in report.rows if not row.ok]
    start = np.array([0.5, 1.0])
    derivation.load().predict({}, np.ones((3, 2)), start)
    derivation.load().forward({}, np.ones((3, 2)), start)
    assert np.array_equal(start, [0.5, 1.0])


@every_model
def test_it_is_laid_out_as_the_readable_style(model: Path, tmp_path: Path) -> None:
    """ruff, with its defaults, leaves the module as it is."""
    (tmp_path / "module.py").write_text(fast(model).source, "utf-8")
    for check in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, "--isolated", "--no-cache", "module.py"]
        run = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


def test_an_empty_batch() -> None:
    """A product of joined axes has its sizes written out: -1 is open where there are no entries."""
    n, T, d, h = sizes("n T d h")
    s, t, j, a = (indices(*pair) for pair in zip("stja", (n, T, d, h), strict=True))
    net = Network("rows")
    x, W, b = net.input("x", s, t, j), net.param("W", j, a), net.param("b", a)
    net.output(net.define("y", (s, t, a), Sum(x[s, t, j] * W[j, a], j) + b[a]))
    module = derive(net, style="fast").load()
    params = module.init(np.random.default_rng(0), d=2, h=3)
    y, kept = module.forward(params, np.ones((0, 4, 2)))
    grads = module.backward(params, kept, y)
    assert y.shape == (0, 4, 3) and grads["x"].shape == (0, 4, 2)
    assert not grads["W"].any() and not grads["b"].any()


def test_mistakes() -> None:
    with pytest.raises(ModelError, match="style: 'quick' is none of readable, fast"):
        derive(mlp, style="quick")  # type: ignore[arg-type]
    n = sizes("n")
    s = indices("s", n)
    net = Network("taken")
    x, w = net.input("x", s), net.param("workspace", s)
    net.output(net.define("y", s, x[s] * w[s]))
    derive(net)
    with pytest.raises(ModelError, match="workspace: the emitted module needs this name"):
        derive(net, style="fast")
