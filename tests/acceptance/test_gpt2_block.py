"""The backward facts of GPT-2 that llm.c writes by hand (train_gpt2.c), each against the emitted transformer's numbers.

Forward and backward are written here as there, place by place in loops, and read nothing of the module. Its adjoints of
intermediate values are asked for by `wrt`, so that each fact is checked alone, from the adjoint that enters it.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from symbp import derive
from symbp.model_file import load_model
from symbp.pipeline import Derivation

from .helpers import assert_close, central_difference, frozen, run

MODEL = Path(__file__).parents[2] / "symbp" / "zoo" / "transformer.py"
B, T, C, H, D, V = 2, 5, 6, 2, 3, 7  # sequences, places, width, heads, numbers for each, tokens
EPS = 1e-5
SCALE = 1 / np.sqrt(D)
ROOT = np.sqrt(2 / np.pi)
EXACT = 1e-12  # relative: only the order of operations differs

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def derivation() -> Derivation:
    return derive(load_model(MODEL))


@pytest.fixture(scope="module")
def module(derivation: Derivation) -> ModuleType:
    return derivation.load()


@pytest.fixture(scope="module")
def source(derivation: Derivation) -> str:
    return derivation.source


@pytest.fixture(scope="module")
def asked(module: ModuleType) -> ModuleType:
    """The module that returns the adjoints of intermediate values, too."""
    values = "x ln1 q k v preatt masked att atty x2 ln2 fch gelu x3 lnf logits"
    return derive(load_model(MODEL), wrt=[*values.split(), *module.PARAMETERS]).load()


@pytest.fixture(scope="module")
def data(module: ModuleType) -> Arrays:
    """Parameters and inputs, each token more than once in a batch."""
    rng = np.random.default_rng(0)
    arrays = module.init(rng, T=T, C=C, H=H, d=D, V=V)
    arrays = {name: a + 0.3 * rng.normal(size=a.shape) for name, a in arrays.items()}
    arrays["token"] = rng.integers(0, 4, (B, T))
    arrays["target"] = rng.integers(0, V, (B, T))
    return frozen_all(arrays)


def frozen_all(arrays: Arrays, dtype: Any = np.float64) -> Arrays:
    integers = {n: a for n, a in arrays.items() if a.dtype.kind == "i"}
    reals = {n: a for n, a in arrays.items() if a.dtype.kind == "f"}
    return frozen(reals, dtype) | frozen(integers, int)


def norm(x: Any) -> tuple[Any, Any]:
    """(normalised x, 1 / standard deviation) of one place."""
    rstd = 1 / np.sqrt(((x - x.mean()) ** 2).mean() + EPS)
    return (x - x.mean()) * rstd, rstd


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(ROOT * (x + 0.044715 * x**3)))


def hand_forward(a: Arrays) -> Arrays:
    """Every intermediate value, a place at a time."""
    f: Arrays = {
        name: np.zeros((B, T, C))
        for name in ("x", "ln1", "x2", "ln2", "x3", "lnf", "hat1", "hat2", "hatf")
    }
    f |= {name: np.zeros((B, H, T, D)) for name in ("q", "k", "v", "atty")}
    f |= {"att": np.zeros((B, H, T, T)), "fch": np.zeros((B, T, 4 * C)), "p": np.zeros((B, T, V))}
    losses = []
    for b in range(B):
        for t in range(T):
            f["x"][b, t] = a["wte"][a["token"][b, t]] + a["wpe"][t]
            f["hat1"][b, t], _ = norm(f["x"][b, t])
            f["ln1"][b, t] = a["ln1w"] * f["hat1"][b, t] + a["ln1b"]
            for h in range(H):
                for name in "qkv":
                    f[name][b, h, t] = a[f"W{name}"][h] @ f["ln1"][b, t] + a[f"b{name}"][h]
        for h in range(H):
            for t in range(T):
                weights = np.exp([f["q"][b, h, t] @ f["k"][b, h, u] * SCALE for u in range(t + 1)])
                f["att"][b, h, t, : t + 1] = weights / weights.sum()
                for u in range(t + 1):
                    f["atty"][b, h, t] += f["att"][b, h, t, u] * f["v"][b, h, u]
        for t in range(T):
            out = sum(a["Wo"][:, h] @ f["atty"][b, h, t] for h in range(H))
            f["x2"][b, t] = f["x"][b, t] + out + a["bo"]
            f["hat2"][b, t], _ = norm(f["x2"][b, t])
            f["ln2"][b, t] = a["ln2w"] * f["hat2"][b, t] + a["ln2b"]
            f["fch"][b, t] = a["W1"] @ f["ln2"][b, t] + a["b1"]
            f["x3"][b, t] = f["x2"][b, t] + a["W2"] @ gelu(f["fch"][b, t]) + a["b2"]
            f["hatf"][b, t], _ = norm(f["x3"][b, t])
            f["lnf"][b, t] = a["lnfw"] * f["hatf"][b, t] + a["lnfb"]
            logits = a["wte"] @ f["lnf"][b, t]
            f["p"][b, t] = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            losses.append(-np.log(f["p"][b, t, a["target"][b, t]]))
    f["loss"] = np.mean(losses)
    return f


@pytest.fixture(scope="module")
def forward(data: Arrays) -> Arrays:
    return hand_forward(data)


@pytest.fixture(scope="module")
def adjoints(asked: ModuleType, data: Arrays) -> Arrays:
    _, grads = run(asked, data)
    return grads


def test_forward(module: ModuleType, data: Arrays, forward: Arrays) -> None:
    loss, _ = run(module, data)
    assert_close(loss, forward["loss"], EXACT)
    params = {name: data[name] for name in module.PARAMETERS}
    assert_close(module.predict(params, data["token"]), forward["p"], EXACT)


def test_crossentropy_and_softmax(data: Arrays, forward: Arrays, adjoints: Arrays) -> None:
    """dlogits = (p − onehot) dloss, dloss = 1 / (B T)."""
    want = np.zeros((B, T, V))
    for b in range(B):
        for t in range(T):
            for w in range(V):
                onehot = 1.0 if w == data["target"][b, t] else 0.0
                want[b, t, w] = (forward["p"][b, t, w] - onehot) / (B * T)
    assert_close(adjoints["logits"], want, EXACT)


@pytest.mark.parametrize(
    ("out", "x", "later"), [("lnf", "x3", None), ("ln2", "x2", "x3"), ("ln1", "x", "x2")]
)
def test_layernorm(
    data: Arrays, forward: Arrays, adjoints: Arrays, out: str, x: str, later: str | None
) -> None:
    """dx = rstd (dnorm − mean(dnorm) − norm mean(dnorm norm)), and what comes by the residual; dweight, dbias."""
    dx, dweight, dbias = np.zeros((B, T, C)), np.zeros(C), np.zeros(C)
    for b in range(B):
        for t in range(T):
            hat, rstd = norm(forward[x][b, t])
            dout = adjoints[out][b, t]
            dnorm = data[f"{out}w"] * dout
            dx[b, t] = rstd * (dnorm - dnorm.mean() - hat * (dnorm * hat).mean())
            dweight += hat * dout
            dbias += dout
    residual = adjoints[later] if later else 0.0
    assert_close(adjoints[x], dx + residual, EXACT)
    assert_close(adjoints[f"{out}w"], dweight, EXACT)
    assert_close(adjoints[f"{out}b"], dbias, EXACT)


def test_attention(forward: Arrays, adjoints: Arrays) -> None:
    """datt = v dout, dv = att dout, dpreatt by the whole Jacobian, dq = k dpreatt scale, dk = q dpreatt scale."""
    datt, dpreatt = np.zeros((B, H, T, T)), np.zeros((B, H, T, T))
    dq, dk, dv = np.zeros((B, H, T, D)), np.zeros((B, H, T, D)), np.zeros((B, H, T, D))
    for b, h, t in np.ndindex(B, H, T):
        att, dout = forward["att"][b, h, t], adjoints["atty"][b, h, t]
        for u in range(t + 1):
            for e in range(D):
                datt[b, h, t, u] += forward["v"][b, h, u, e] * dout[e]
                dv[b, h, u, e] += att[u] * dout[e]
        for u in range(t + 1):
            for w in range(t + 1):
                slope = att[u] * ((1.0 if u == w else 0.0) - att[w])
                dpreatt[b, h, t, w] += slope * datt[b, h, t, u]
        for u in range(t + 1):
            for e in range(D):
                dq[b, h, t, e] += forward["k"][b, h, u, e] * dpreatt[b, h, t, u] * SCALE
                dk[b, h, u, e] += forward["q"][b, h, t, e] * dpreatt[b, h, t, u] * SCALE
    seen = np.tri(T, dtype=bool)
    assert_close(adjoints["att"][:, :, seen], datt[:, :, seen], EXACT)
    assert_close(adjoints["masked"], dpreatt, EXACT)
    assert_close(adjoints["preatt"], dpreatt, EXACT)
    assert (adjoints["preatt"][:, :, ~seen] == 0).all()
    for name, want in (("q", dq), ("k", dk), ("v", dv)):
        assert_close(adjoints[name], want, EXACT, what=name)


def test_no_jacobian_of_attention_is_built(module: ModuleType) -> None:
    """att (datt − Σ att datt) is O(T) for each row, where llm.c's loops take O(T²): no array over three places."""
    assert peak(module, 64) < 4.4 * peak(module, 32)


def peak(module: ModuleType, places: int) -> int:
    """What `value_and_grad` allocates at most, with that many places and all else small."""
    rng = np.random.default_rng(0)
    params = module.init(rng, T=places, C=2, H=1, d=2, V=2)
    words = np.zeros((1, places), int)
    module.value_and_grad(params, words, words)
    tracemalloc.start()
    try:
        module.value_and_grad(params, words, words)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def gelu_slope(x: Any) -> Any:
    """½ (1 + tanh u) + ½ x sech²(u) c (1 + 3 · 0.044715 x²), with 1 − tanh² where llm.c has 1/cosh²."""
    tangent = np.tanh(ROOT * (x + 0.044715 * x**3))
    inner = ROOT * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + tangent) + 0.5 * x * (1 - tangent**2) * inner


def test_gelu(forward: Arrays, adjoints: Arrays) -> None:
    assert_close(adjoints["fch"], gelu_slope(forward["fch"]) * adjoints["gelu"], EXACT)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("large", "slope"), [(1000.0, 1), (-1000.0, 0)])
def test_gelu_where_cosh_overflows(
    asked: ModuleType, source: str, data: Arrays, large: float, slope: int, dtype: Any
) -> None:
    """At ±1000 the slope is 1 and 0, without a warning: `run` makes errors of them."""
    far = {**data, "b1": np.full(4 * C, large)}
    _, grads = run(asked, frozen_all(far, dtype))
    assert np.abs(grads["gelu"]).max() > 0
    assert np.array_equal(grads["fch"], slope * grads["gelu"])
    assert "cosh" not in source


def test_the_perceptron(forward: Arrays, adjoints: Arrays, data: Arrays) -> None:
    """matmul_backward: dinp = weightᵀ dout, dweight += dout inp, dbias += dout; and the residual stream adds up."""
    for out, x, W, bias, values in (
        ("fch", "ln2", "W1", "b1", forward["ln2"]),
        ("x3", "gelu", "W2", "b2", gelu(forward["fch"])),
    ):
        dinp, dweight = np.zeros_like(values), np.zeros_like(data[W])
        dbias = np.zeros_like(data[bias])
        for b, t in np.ndindex(B, T):
            dinp[b, t] = data[W].T @ adjoints[out][b, t]
            dweight += np.outer(adjoints[out][b, t], values[b, t])
            dbias += adjoints[out][b, t]
        assert_close(adjoints[x], dinp, EXACT)
        assert_close(adjoints[W], dweight, EXACT)
        assert_close(adjoints[bias], dbias, EXACT)


def test_embeddings(forward: Arrays, adjoints: Arrays, data: Arrays) -> None:
    """dwte[token] += dout, repeated tokens add up; dwpe sums over the batch; the tied head adds its own."""
    dwte, dwpe = np.zeros((V, C)), np.zeros((T, C))
    for b, t in np.ndindex(B, T):
        dwte[data["token"][b, t]] += adjoints["x"][b, t]
        dwpe[t] += adjoints["x"][b, t]
        for w in range(V):
            dwte[w] += adjoints["logits"][b, t, w] * forward["lnf"][b, t]
    assert len(np.unique(data["token"])) < B * T
    assert_close(adjoints["wte"], dwte, EXACT)
    assert_close(adjoints["wpe"], dwpe, EXACT)


def test_every_gradient_against_central_differences(module: ModuleType, data: Arrays) -> None:
    """Of the loss that is written here by hand, in float64."""
    _, grads = run(module, data)
    assert set(grads) == set(module.PARAMETERS)
    for name in grads:
        want = central_difference(lambda **a: hand_forward(a)["loss"], data, name, h=1e-5)
        assert_close(grads[name], want, 1e-7, floor=1e-2, what=name)


def test_a_batch_is_the_mean_of_its_sequences(module: ModuleType, data: Arrays) -> None:
    loss, grads = run(module, data)
    alone = [
        run(module, {**data, **{n: data[n][b : b + 1] for n in ("token", "target")}})
        for b in range(B)
    ]
    assert_close(loss, np.mean([value for value, _ in alone]), EXACT)
    for name, grad in grads.items():
        want = np.mean([gradients[name] for _, gradients in alone], axis=0)
        assert_close(grad, want, EXACT, floor=1e-3, what=name)


def test_a_place_does_not_see_those_after_it(module: ModuleType, data: Arrays) -> None:
    params = {name: data[name] for name in module.PARAMETERS}
    other = data["token"].copy()
    other[:, 3:] = (other[:, 3:] + 1) % V
    same, moved = module.predict(params, data["token"]), module.predict(params, other)
    assert np.array_equal(same[:, :3], moved[:, :3]) and not np.allclose(same[:, 3:], moved[:, 3:])


def test_a_bias_of_the_keys_has_no_gradient(adjoints: Arrays) -> None:
    """It adds the same to every score of a row, which a softmax does not see: 0 but for rounding."""
    assert np.abs(adjoints["bk"]).max() < 1e-15


def test_float32_is_as_near_as_llm_c_asks(module: ModuleType, data: Arrays) -> None:
    """test_gpt2.c: loss and logits to 1e-2, gradients to 2e-2; here a thousandth of that."""
    loss, grads = run(module, data)
    single, gradients = run(module, frozen_all(data, np.float32))
    assert abs(single - loss) < 1e-5
    for name, grad in grads.items():
        assert gradients[name].dtype == np.float32
        assert np.abs(gradients[name] - grad).max() <= 2e-5
