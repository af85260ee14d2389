"""The zoo: what it derives is what `generated/` holds, and its gradients are right."""

from __future__ import annotations

import importlib
import inspect
import math
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symbp import derive
from symbp.model_file import load_model
from symbp.pipeline import Derivation

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "generated"
MODELS = sorted(p for p in (ROOT / "symbp" / "zoo").glob("*.py") if p.stem != "__init__")

KINKS = {"mlp", "dropout_mlp", "character_mlp", "lenet", "digits_cnn", "residual_mlp"}

COMPLEX_STEPS = 1e-10  # what they are allowed where nothing vanishes

LARGE = {"digits_cnn", "gpt2", "lenet", "transformer"}  # each takes some seconds

every_model = pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=[pytest.mark.slow] * (m.stem in LARGE)) for m in MODELS],
    ids=lambda path: path.stem,
)


@cache
def derivation(model: Path) -> Derivation:
    return derive(load_model(model))


@every_model
def test_derived_again_it_is_what_generated_holds(
    model: Path, tmp_path: Path, update_generated: bool
) -> None:
    paths = derivation(model).write(GENERATED if update_generated else tmp_path, force=True)
    assert [path.name for path in paths] == [f"{model.stem}.py", f"{model.stem}.tex"]
    for path in paths:
        golden = GENERATED / path.name
        assert golden.exists(), f"{golden.name} is missing: run pytest --update-generated"
        assert path.read_text("utf-8") == golden.read_text("utf-8")
        assert path.read_bytes() == golden.read_bytes()


@every_model
def test_a_second_derivation_is_the_same(model: Path) -> None:
    """Nothing depends on what was derived before, nor on the order of a set."""
    again = derive(load_model(model))
    assert again.source == derivation(model).source
    assert again.latex == derivation(model).latex


@every_model
def test_it_is_right(model: Path) -> None:
    report = derivation(model).verify()
    assert report.ok, str(report)
    gradients = [r for r in report.rows if r.check == "gradient"]
    assert {r.tensor for r in gradients} == set(derivation(model).load().PARAMETERS)
    ordinary = [r for r in gradients if r.dtype == "float64" and not r.extreme]
    assert ordinary
    if {r.method for r in ordinary} == {"complex steps"}:
        # beside what rounding alone is of a gradient that nearly vanishes, as below a norm over one number
        assert max(r.error - (r.tolerance - COMPLEX_STEPS) for r in ordinary) <= 1e-12
    else:  # of a ReLU or a maximum
        assert model.stem in KINKS


@every_model
def test_no_array_has_more_axes_than_its_tensors(model: Path) -> None:
    """At sizes twice as large the peak grows by no more than the largest declared tensor does."""
    module = derivation(model).load()
    declarations = importlib.import_module(f"symbp.zoo.{model.stem}").net.declared().declarations

    def shapes_at(size: int) -> dict[str, tuple[int, ...]]:
        return {
            d.name: tuple(int(s.xreplace(dict.fromkeys(s.free_symbols, size))) for s in d.shape)
            for d in declarations.values()
        }

    def entries(size: int) -> int:
        return max(map(math.prod, shapes_at(size).values()))

    power = round(math.log2(entries(2**21) / entries(2**20)))  # of the size, in the largest tensor
    small = {0: 64, 1: 32, 2: 64, 3: 34, 4: 8, 5: 6}[power]

    def peak(size: int) -> int:
        """What value_and_grad allocates at most, where every size is this one."""
        shapes = shapes_at(size)
        arrays: dict[str, Any] = {
            name: np.ones(shapes[name], int)
            if declarations[name].integer
            else np.full(shapes[name], 1 / size)
            for name in (*module.PARAMETERS, *module.INPUTS)
        }
        taken = inspect.signature(module.value_and_grad).parameters
        params = {name: arrays[name] for name in module.PARAMETERS}
        inputs = {name: arrays[name] for name in module.INPUTS if name in taken}
        if "rng" in taken:
            inputs["rng"] = np.random.default_rng(0)
        module.value_and_grad(params, **inputs)
        tracemalloc.start()
        try:
            module.value_and_grad(params, **inputs)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(2 * small) / peak(small) < 1.3 * entries(2 * small) / entries(small)


@every_model
def test_it_is_importable_and_named_after_its_file(model: Path) -> None:
    module = importlib.import_module(f"symbp.zoo.{model.stem}")
    assert module.net.name == model.stem
    assert module.__doc__


def test_generated_holds_the_zoo_and_nothing_else() -> None:
    names = {f"{model.stem}{suffix}" for model in MODELS for suffix in (".py", ".tex")}
    assert {path.name for path in GENERATED.iterdir() if path.is_file()} == names


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("linear_neuron", "∂L/∂net = o (1 − o) (o − t)"),
        ("linear_regression", "∂L/∂f[s] = 2 (f[s] − y[s]) / n"),
        ("logistic_regression", "∂L/∂z[s] = (y[s] − t[s]) / n"),
        ("softmax_regression", "∂L/∂z[s,i] = (y[s,i] − t[s,i]) / n"),
        ("mlp", "∂L/∂z1[s,a] = [h1[s,a] > 0] Σ_i ∂L/∂z2[s,i] W2[i,a]"),
        ("fan_out", "∂L/∂t = 2 t (2 x + y) + x cos(t)"),
        ("dropout_mlp", "∂L/∂z2[s,i] = (y[s,i] − δ_{i,t[s]}) / n"),
        ("character_mlp", "∂L/∂b1[a] = 0"),
        ("lenet", "∂L/∂ip2[s,i] = (prob[s,i] − δ_{i,label[s]}) / n"),
        ("digits_cnn", "∂L/∂z[s,i] = (prob[s,i] − δ_{i,label[s]}) / n"),
        ("transformer", "∂L/∂v[b,h,t,e] = Σ_u ∂L/∂atty[b,h,u,e] att[b,h,u,t]"),
        ("rnn", "∂L/∂h_before[s,t,a] = Σ_b ∂L/∂z[s,t,b] Whh[b,a]"),
        ("lstm", "∂L/∂c_before[s,t,a] = ∂L/∂c[s,t,a] f[s,t,a]"),
        ("gru", "∂L/∂zr[s,t,a] = ∂L/∂zm[s,t,a] p[s,t,a] r[s,t,a] (1 − r[s,t,a])"),
        ("tagger", "∂L/∂g_after[s,t,a] = Σ_b ∂L/∂zg[s,t,b] Ug[b,a]"),
        ("linear_recurrence", "∂L/∂q = Σ_t ∂L/∂y[t] y[t − 2]"),
        ("hmm", "∂L/∂A[i,j] = Σ_{s,t} ∂L/∂prior[s,t,j] alpha[s,t − 1,i]"),
        ("ctc", "∂L/∂y[s,t,c] = Σ_i δ_{c,path[s,i]} ∂L/∂alpha_step[s,t,i] reached[s,t,i]"),
        ("residual_mlp", "∂L/∂z[l,s,g] = [r[l,s,g] > 0] Σ_a ∂L/∂X_before[l + 1,s,a] V[l,a,g]"),
        ("gpt2", "∂L/∂v[l,b,h,t,e] = Σ_t2 ∂L/∂att[l,b,h,t2,e] att_weights[l,b,h,t2,t]"),
        ("autoencoder", "∂L/∂z[s,a] = (1 − h[s,a]²) Σ_j ∂L/∂r[s,j] W[a,j]"),
    ],
)
def test_its_gradient_reads_as_in_a_textbook(model: str, line: str) -> None:
    assert f"# {line}" in derivation(ROOT / "symbp" / "zoo" / f"{model}.py").source


def test_what_a_normalisation_does_not_see_has_gradient_zero() -> None:
    """A softmax does not see the shift of its row, nor batch normalisation the bias before it."""
    derived = derivation(ROOT / "symbp" / "zoo" / "character_mlp.py")
    assert derived.gradient("logit_maxes") == 0
    assert derived.gradient("b1") == 0


def test_the_character_model_names_every_step() -> None:
    """Those of makemore, part 4."""
    names = "emb embcat hprebn bnmeani bndiff bndiff2 bnvar bnvar_inv bnraw hpreact h logits logit_maxes norm_logits"
    names += " counts counts_sum counts_sum_inv probs logprobs"
    net = importlib.import_module("symbp.zoo.character_mlp").net
    assert set(names.split()) <= net.declared().declarations.keys()


def test_lenet_has_the_sizes_of_its_file() -> None:
    """Shapes of blobs and parameters as Caffe prints them for lenet_train_test.prototxt; ip1 reads pool2 flattened."""
    declarations = importlib.import_module("symbp.zoo.lenet").net.declared().declarations
    shapes = {name: tuple(map(str, d.shape)) for name, d in declarations.items()}
    want = {
        "data": "n 1 28 28",
        "W1": "20 1 5 5",
        "conv1": "n 20 24 24",
        "pool1": "n 20 12 12",
        "W2": "50 20 5 5",
        "conv2": "n 50 8 8",
        "pool2": "n 50 4 4",
        "W3": "500 50 4 4",
        "ip1": "n 500",
        "W4": "10 500",
        "ip2": "n 10",
    }
    assert {name: " ".join(shapes[name]) for name in want} == want
    params = derivation(ROOT / "symbp" / "zoo" / "lenet.py").load().init(np.random.default_rng(0))
    for name in ("W1", "W2", "W3", "W4"):
        limit = math.sqrt(3 / math.prod(params[name].shape[1:]))
        assert 0.98 * limit < np.abs(params[name]).max() <= limit
