"""The derivation as a document: complete, in order, and fit for pdflatex."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sympy import Abs, Max, Piecewise, Sum, exp, log, sqrt, tanh

from symbp import Network, indices, sizes
from symbp.differentiate import differentiate
from symbp.explain import document, text_document
from symbp.ir.program import AdjointProgram, Program, unshifted
from symbp.ir.trace import Step
from symbp.model_file import load_model
from symbp.normalise import normalise
from symbp.notation import latex, text
from symbp.simplify import simplify
from symbp.stabilise import expose

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
MODELS = sorted(path.stem for path in ZOO.glob("[!_]*.py"))


def derived(net: Network) -> tuple[Program, AdjointProgram]:
    """The program as declared, and its derivation."""
    declared = net.declared()
    inputs = () if declared.loss else declared.of_kind("input")
    wrt = tuple(d.name for d in (*declared.of_kind("param"), *inputs))
    program = normalise(declared)
    return program, simplify(differentiate(expose(program), wrt))


@cache
def zoo(name: str) -> tuple[Program, AdjointProgram]:
    return derived(load_model(ZOO / f"{name}.py"))


def position(whole: str, *parts: str) -> None:
    """Each part stands behind the one before."""
    start = 0
    for part in parts:
        assert part in whole[start:], f"no {part!r} behind {whole[max(start - 80, 0) : start]!r}"
        start = whole.index(part, start) + len(part)


# Contents


def test_the_whole_text_of_a_fan_out() -> None:
    found = text_document(zoo("fan_out")[1])
    position(
        found,
        "The gradient of fan_out\n=======================\n",
        "  t       parameter         scalar\n",
        "  x = t²\n  y = sin(t)\n  f = x² + x y\n  loss = f\n",
        "Of f:\n\n  ∂f/∂y = x\n  ∂f/∂x = 2 x + y\n",
        "t feeds x and y: the total derivative has one term for each path.\n\n"
        "  ∂L/∂t = ∂L/∂x ∂x/∂t + ∂L/∂y ∂y/∂t\n      = 2 t ∂L/∂x + ∂L/∂y cos(t)\n",
        "Gradients\n---------\n\n  ∂L/∂t = ",
    )


def test_softmax_with_cross_entropy_step_by_step() -> None:
    found = text_document(zoo("mlp")[1])
    position(
        found,
        "  i, c   0, …, k − 1\n",
        "  t[s,i]   input, sums to 1 over i  n × k\n",
        "  h1[s,a] = max(0, z1[s,a])\n",
        "  y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c])\n",
        "  loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i])\n",
        "  ∂y[s,i]/∂z2[s',c] = ",  # with every δ
        "    (in terms of y: ",
        "      = δ_ss' y[s,i] (δ_ci − y[s,c])    (collect: ",
        "z2[s,i] feeds y[s,i].\n",
        "  ∂L/∂z2[s,i] = Σ_{c,s'} ∂L/∂y[s',c] ∂y[s',c]/∂z2[s,i]\n",
        "      = Σ_{c,s'} δ_ss' ∂L/∂y[s',c] y[s',c] (δ_ci − y[s',i])\n",
        "(contract δ: Σ_i δ_ij f_i = f_j)\n",
        "      = y[s,i] (−t[s,i] / (n y[s,i])) − y[s,i] Σ_c y[s,c] (−t[s,c] / (n y[s,c]))    (substitute ∂L/∂y: ",
        "(cancel: a / a = 1)\n",
        "      = (y[s,i] (Σ_c t[s,c]) − t[s,i]) / n    (collect: ",
        "      = (y[s,i] − t[s,i]) / n    (data sum to 1: ",
        "  ∂L/∂W2[i,a] = Σ_s ∂L/∂z2[s,i] h1[s,a]    (shape k × h)\n",
    )


BROKEN_PRODUCT = r" \\\\\n *&\\quad \{\} \\cdot "  # where a line of an align* ends at a product


LARGE = {"gpt2", "lenet", "transformer"}  # each takes some seconds


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=[pytest.mark.slow] * (m in LARGE)) for m in MODELS]
)
def test_every_equation_partial_and_gradient_is_there(name: str) -> None:
    declared, adjoint = zoo(name)
    adjoints = {a.name: a.tensor for a in adjoint.adjoints}
    plain, tex = text_document(adjoint, declared), document(adjoint, None, declared)
    unbroken = re.sub(r" \\\\\n *&\\quad \{\} ", " ", re.sub(BROKEN_PRODUCT, r"\\, ", tex))
    ends = {*declared.ends.values()}  # which are written as h[s,T − 1] where they are read
    formulas = [eq.expr for eq in declared.equations if eq.name not in ends]
    formulas += [e for p in adjoint.partials for e in (p.derived, p.expr)]
    formulas += [e for a in adjoint.adjoints for e in (a.chain, a.expr)]
    for formula in (unshifted(f, declared, adjoint.shifts) for f in formulas):
        assert f" = {text(formula, adjoints)}" in plain
        assert latex(formula, adjoints) in unbroken
    position(plain, "Gradients\n", *(f"\n  ∂L/∂{w}" for w in adjoint.wrt))
    position(tex, r"\section{Gradients}", *[r"\frac{d \mathcal{L}}{d "] * len(adjoint.wrt))
    assert document(adjoint, None, declared) == tex


def test_equations_stand_as_declared_and_as_rewritten() -> None:
    n, k = sizes("n k")
    s, (i, c) = indices("s", n), indices("i c", k)
    net = Network("apart")
    z = net.param("z", s, i)
    e = net.define("e", (s, i), exp(z[s, i]))
    total = net.define("total", (s,), Sum(e[s, c], c))
    y = net.define("y", (s, i), e[s, i] / total[s])
    net.loss(-Sum(log(y[s, i]), s, i))
    declared, adjoint = derived(net)
    position(
        text_document(adjoint, declared),
        "  e[s,i] = exp(z[s,i])\n  total[s] = Σ_c e[s,c]\n  y[s,i] = e[s,i] / total[s]\n",
        "      = exp(z[s,i]) / Σ_c exp(z[s,c])    (substitute: ",
    )


def test_a_layer_is_given_the_adjoint_of_its_output() -> None:
    n = sizes("n")
    i = indices("i", n)
    net = Network("layer_of_one")
    x = net.input("x", i)
    net.output(net.define("y", (i,), tanh(x[i])))
    _, adjoint = derived(net)
    plain = text_document(adjoint)
    position(plain, "L is any scalar computed from the outputs.", "Given: ∂L/∂y[i].")
    assert "loss" not in plain
    tex = document(adjoint)
    position(tex, r"\texttt{layer\_of\_one}", r"Given: $\bar{y}_{i}$.")


def test_paths_through_sums_stay_apart() -> None:
    n = sizes("n")
    i = indices("i", n)
    net = Network("two_sums")
    w = net.param("w", i)
    u, v = net.define("u", (i,), w[i] ** 2), net.define("v", (i,), tanh(w[i]))
    net.loss(Sum(u[i] * v[i] * w[i], i))
    position(
        text_document(derived(net)[1]),
        "w[i] feeds u[i] and v[i] and loss: the total derivative has one term for each path.\n",
        "  ∂L/∂w[i] = ∂loss/∂w[i] + (Σ_i' ∂L/∂u[i'] ∂u[i']/∂w[i]) + Σ_i' ∂L/∂v[i'] ∂v[i']/∂w[i]\n",
    )


def test_a_network_without_parameters_has_no_gradients() -> None:
    net = Network("nothing_to_learn")
    net.loss(net.input("x") ** 2)
    _, adjoint = derived(net)
    assert "Gradients" not in text_document(adjoint)
    assert "align" in document(adjoint)


def test_a_tensor_that_nothing_reads_says_so() -> None:
    net = Network("unread")
    net.param("unused")
    net.loss(net.param("w") ** 2)
    plain = text_document(derived(net)[1])
    position(
        plain,
        "unused feeds nothing that leads to L.\n\n  ∂L/∂unused = 0\n",
        "∂L/∂unused = 0    (scalar)",
    )


def test_a_step_on_a_part_is_an_equation_of_its_own() -> None:
    _, adjoint = zoo("linear_neuron")
    first = adjoint.adjoints[0]
    part = Step("∂L/∂o", "square", "a a = a²", first.expr**2, first.expr)
    changed = adjoint.with_adjoints((replace(first, steps=(part,)), *adjoint.adjoints[1:]))
    assert "\n  (o − t)² = o − t    (square: a a = a²)\n" in text_document(changed)


def test_kinks_are_explained_where_there_are_any() -> None:
    assert "At a kink" in text_document(zoo("mlp")[1])
    assert "At a kink" not in text_document(zoo("linear_regression")[1])


def test_code_is_shown_as_it_is() -> None:
    _, adjoint = zoo("linear_regression")
    code = {"w": ('w = params["w"]  # a_b', "if n > 0:", "    dw = df @ x")}
    position(
        document(adjoint, code),
        r"\texttt{\hspace*{0.0em}w = params[\char34{}w\char34{}]  \# a\_b}\\",
        r"\texttt{\hspace*{0.0em}if n \textgreater{} 0:}\\",
        r"\texttt{\hspace*{2.0em}dw = df @ x}\\",
    )


# pdflatex


def wide_network() -> Network:
    """Names, functions and fractions that are hard to set."""
    n, features = sizes("n features")
    s, (i, j, k2) = indices("s", n), indices("i j k2", features)
    net = Network("wide_and_hard")
    x, gamma = net.input("x_in", s, i), net.param("gamma", i)
    eps = net.constant("eps", 1e-5)
    mean = Sum(x[s, j], j) / features
    variance = Sum((x[s, j] - Sum(x[s, k2], k2) / features) ** 2, j) / features
    h1 = net.define("h1", (s, i), gamma[i] * (x[s, i] - mean) / sqrt(variance + eps))
    bent = Piecewise((h1[s, i], h1[s, i] > 0), (exp(h1[s, i]) - 1, True))
    net.define(
        "out_1", (s, i), bent * Abs(h1[s, i]) + Max(h1[s, i], gamma[i]) * tanh(h1[s, i]) ** 2
    )
    net.loss(Sum(log(1 + exp(h1[s, i] * gamma[i] ** 3)), s, i) / n)
    return net


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("name", ["fan_out", "mlp", "wide"])
def test_the_document_compiles(name: str, tmp_path: Path) -> None:
    declared, adjoint = derived(wide_network()) if name == "wide" else zoo(name)
    code = {adjoint.wrt[0]: ('x = params["x_in"] ** 2  # \\ {a} ~ ^ it\'s', "    y = 50 % 7 & 3")}
    (tmp_path / "derivation.tex").write_text(document(adjoint, code, declared), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    for trouble in ("Overfull", "Undefined", "Missing character", "LaTeX Warning: Reference"):
        assert trouble not in done.stdout
