"""The gradients of normalisation in their published short forms, however the model is written: by passes over the data.

llm.c (train_gpt2.c, layernorm_backward) and CS231n (batchnorm_backward_alt) give the forms. A pass is an operation on
an array as large as the data: elementwise, or a reduction of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sympy import Expr, Sum, sqrt

from symbp import Network, derive, indices, sizes
from symbp.layers.normalisation import batch_norm, layer_norm

n, d = sizes("n d")
s, j = indices("s", n), indices("j", d)
N, D = 7, 5
Build = Callable[[Network, Any, Any, Any], Expr]


def in_one(net: Network, x: Any, over: Any, kept: Any) -> Expr:
    """Everything in one equation."""
    centred = x[s, j] - mean(x[s, j], over)
    return centred / sqrt(mean(centred**2, over) + 1e-5)


def by_variance(net: Network, x: Any, over: Any, kept: Any) -> Expr:
    """Mean and variance by name."""
    m = net.define("m", kept, mean(x[s, j], over))
    v = net.define("v", kept, mean((x[s, j] - m[kept]) ** 2, over))
    return net.define("hat", (s, j), (x[s, j] - m[kept]) / sqrt(v[kept] + 1e-5))[s, j]


def by_inverse(net: Network, x: Any, over: Any, kept: Any) -> Expr:
    """Mean and inverse deviation by name, as llm.c caches them."""
    m = net.define("m", kept, mean(x[s, j], over))
    r = net.define("r", kept, 1 / sqrt(mean((x[s, j] - m[kept]) ** 2, over) + 1e-5))
    return net.define("hat", (s, j), (x[s, j] - m[kept]) * r[kept])[s, j]


def step_by_step(net: Network, x: Any, over: Any, kept: Any) -> Expr:
    """Every intermediate by name, as CS231n's graph has them."""
    m = net.define("m", kept, mean(x[s, j], over))
    centred = net.define("centred", (s, j), x[s, j] - m[kept])
    square = net.define("square", (s, j), centred[s, j] ** 2)
    v = net.define("v", kept, mean(square[s, j], over))
    deviation = net.define("deviation", kept, sqrt(v[kept] + 1e-5))
    r = net.define("r", kept, 1 / deviation[kept])
    return net.define("hat", (s, j), centred[s, j] * r[kept])[s, j]


def mean(value: Expr, over: Any) -> Expr:
    return Sum(value, over) / (n if over == s else d)


WRITINGS = (in_one, by_variance, by_inverse, step_by_step)


def written(build: Build, over: Any) -> ModuleType:
    net = Network("norm")
    x, gain, bias = net.input("x", s, j), net.param("gain", j), net.param("bias", j)
    hat = build(net, x, over, j if over == s else s)
    net.output(net.define("y", (s, j), gain[j] * hat + bias[j]))
    return derive(net).load()


def layer(make: Any) -> ModuleType:
    net = Network("norm")
    x = net.input("x", s, j)
    net.output(make(net, "y", x, net.param("gain", j), net.param("bias", j)))
    return derive(net).load()


def published(dy: Any, x: Any, gain: Any, over: int) -> dict[str, Any]:
    """As llm.c has it over the features, CS231n over the samples."""
    r = 1 / np.sqrt(x.var(axis=over, keepdims=True) + 1e-5)
    hat = (x - x.mean(axis=over, keepdims=True)) * r
    dy, hat = dy.view(Passes), hat.view(Passes)
    if over == 1:
        dnorm = gain * dy
        mean_dnorm = dnorm.sum(axis=1, keepdims=True) / D
        dx = r * (dnorm - mean_dnorm - hat * ((dnorm * hat).sum(axis=1, keepdims=True) / D))
        return {"x": dx, "gain": (dy * hat).sum(axis=0), "bias": dy.sum(axis=0)}
    dgain, dbias = (dy * hat).sum(axis=0), dy.sum(axis=0)
    return {
        "x": gain * r / N * (N * dy - dbias - hat * dgain),
        "gain": dgain,
        "bias": dbias,
    }


class Passes(np.ndarray):
    """An array that counts what is done to arrays of its size."""

    found: Counter[str] = Counter()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:
        plain = [np.asarray(i) if isinstance(i, Passes) else i for i in inputs]
        result = np.asarray(getattr(ufunc, method)(*plain, **more))
        largest = max(np.size(i) for i in (*plain, result))
        if largest >= N * D:
            kind = "elementwise" if result.size == largest else "reductions"
            Passes.found[kind] += 1
        return result.view(Passes)


def counted(run: Callable[[], dict[str, Any]]) -> tuple[Counter[str], dict[str, Any]]:
    """(passes, results)."""
    Passes.found.clear()
    results = run()
    return Counter(Passes.found), {name: np.asarray(value) for name, value in results.items()}


def backward(module: ModuleType, arrays: dict[str, Any], dy: Any) -> tuple[Counter[str], Any]:
    """The same of a module's backward."""
    params = {name: arrays[name] for name in module.PARAMETERS}
    _, cache = module.forward(params, arrays["x"])
    cache = [c.view(Passes) if isinstance(c, np.ndarray) else c for c in cache]
    checked = module._adjoint
    module._adjoint = lambda *given: checked(*given).view(Passes)
    return counted(lambda: module.backward(params, cache, dy))


@pytest.mark.parametrize("over", (0, 1), ids=("batch", "layer"))
@pytest.mark.parametrize("build", (*WRITINGS, None), ids=lambda b: b.__name__ if b else "symbp")
def test_no_more_passes_than_the_published_short_form(build: Build | None, over: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(3, 2, (N, D)), "gain": rng.normal(size=D), "bias": np.zeros(D)}
    dy = rng.normal(size=(N, D))
    made = written(build, (s, j)[over]) if build else layer((batch_norm, layer_norm)[over])
    found, grads = backward(made, arrays, dy)
    allowed, expected = counted(lambda: published(dy, arrays["x"], arrays["gain"], over))
    for name, value in expected.items():
        np.testing.assert_allclose(grads[name], value, rtol=1e-11, atol=1e-12)
    assert 0 < found["elementwise"] <= allowed["elementwise"]
    assert 0 < found["reductions"] <= allowed["reductions"]
