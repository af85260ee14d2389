"""The derivation as a document: complete, in order, and fit for pdflatex."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sympy import Abs, Max, Piecewise, Sum, exp, log, sqrt, tanh

from symbp import Network, derive, indices, sizes
from symbp.differentiate import differentiate
from symbp.explain import View, explain
from symbp.ir.nodes import Entry
from symbp.ir.program import AdjointProgram, Program, unshifted
from symbp.ir.trace import Step
from symbp.model_file import load_model
from symbp.normalise import normalise
from symbp.notation import latex, text
from symbp.notation.style import Latex, Text
from symbp.pages.latex import latex_page
from symbp.pages.text import text_page
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


def plain_text(
    program: Program,
    adjoint: AdjointProgram,
    brief: bool = False,
    wrt: tuple[str, ...] | None = None,
) -> str:
    return text_page(*explain(View(adjoint, program), Text(adjoint), brief, wrt))


def document(
    program: Program, adjoint: AdjointProgram, code: Mapping[str, tuple[str, ...]] | None = None
) -> str:
    return latex_page(*explain(View(adjoint, program, code=code or {}), Latex(adjoint)))


def position(whole: str, *parts: str) -> None:
    """Each part stands behind the one before."""
    start = 0
    for part in parts:
        assert part in whole[start:], f"no {part!r} behind {whole[max(start - 80, 0) : start]!r}"
        start = whole.index(part, start) + len(part)


# Contents


def test_the_whole_text_of_a_fan_out() -> None:
    found = plain_text(*zoo("fan_out"))
    position(
        found,
        "The gradient of fan_out\n=======================\n",
        "  t      parameter  scalar\n",
        "  x = t²\n\n  ∂x/∂t = 2 t\n",
        "  f = x² + x y\n\n  ∂f/∂y = x\n  ∂f/∂x = 2 x + y\n",
        "t feeds x and y: the total derivative has one term for each path.\n\n"
        "  ∂L/∂t = ∂L/∂x ∂x/∂t + ∂L/∂y ∂y/∂t\n      = 2 t ∂L/∂x + ∂L/∂y cos(t)\n",
        "Gradients\n---------\n",
        "∂L/∂t     scalar  O(1)\n",
    )


def test_softmax_with_cross_entropy_step_by_step() -> None:
    found = plain_text(*zoo("mlp"))
    position(
        found,
        "i, c from 0 to k − 1",
        "  t[s,i]   input, sums to 1 over i  n × k\n",
        "  h1[s,a] = max(0, z1[s,a]) ",
        "  y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c]) ",
        "  ∂y[s,i]/∂z2[s,c] = δ_ci ",  # with every δ
        "(in terms of y)\n",
        "      = y[s,i] (δ_ci − y[s,c])    (collect: a b + a c = a (b + c); as an array O(k²) a row)\n",
        "  loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i]) ",
        "  ∂L/∂z2[s,i] = Σ_c ∂L/∂y[s,c] ∂y[s,c]/∂z2[s,i]\n",
        "      = Σ_c ∂L/∂y[s,c] y[s,c] (δ_ci − y[s,i])    (O(k²) a row)\n",
        "(multiply out: a (b + c) = a b + a c)\n",
        "(contract δ; O(k) a row)\n",
        "(substitute ∂L/∂y",
        "(cancel: a / a = 1)\n",
        "      = (y[s,i] (Σ_c t[s,c]) − t[s,i]) / n    (collect",
        "      = (y[s,i] − t[s,i]) / n    (data sum to 1: ",
        "  ∂L/∂W2[i,a] = Σ_s ∂L/∂z2[s,i] ∂z2[s,i]/∂W2[i,a]\n      = Σ_s ∂L/∂z2[s,i] h1[s,a] ",
        "  ∂L/∂W2[i,a]  k × h  O(n k h)\n",
    )


@pytest.mark.parametrize(
    "name", ["fan_out", "linear_neuron", "mlp", "rnn", "hmm", "softmax_regression"]
)
def test_the_signs_of_matrices_that_occur_are_explained_and_no_others(name: str) -> None:
    notation, formulas = plain_text(*zoo(name)).split("Equations and their local partials")
    signs = {
        " ⊙ ": "A ⊙ B",
        " ⊘ ": "A ⊘ B",
        "^∘": "A^∘2",
        "𝟏[": "𝟏[A > 0]",
        "𝐞[": "𝐞[p]",
        "⟨": "⟨A, B⟩",
    }
    for sign, sample in signs.items():
        assert (sample in notation) == (sign in formulas)


def test_each_line_of_a_gather_has_the_reason_it_follows_by() -> None:
    """Summed over with δ, ∂L/∂y is 1 / (T n y) at the target: no product is multiplied out there."""
    position(
        plain_text(*zoo("rnn")),
        "  ∂L/∂logits[s,t,i] = Σ_i' ",
        "(multiply out: ",
        "(contract δ; O(k) a row)\n",
        "(substitute ∂L/∂y",
        "      = y[s,t,i] / (T n) − δ_{i,target[s,t]} y[s,t,i] / (T n y[s,t,target[s,t]])    (contract δ)\n",
        "      = (Σ_b ∂L/∂z[s,t + 1,b] Whh[b,a]) + Σ_i ∂L/∂logits[s,t,i] Why[i,a]    (what that step adds",
        "      = Σ_{s,t} δ_{i,x[s,t]} ∂L/∂z[s,t,a]    (O(n T u))\n",
    )


def test_a_scaled_state_is_not_said_to_equal_the_one_declared() -> None:
    lines = [line.strip() for line in derive(load_model(ZOO / "hmm.py")).text.splitlines()]
    scaled = "alpha_step[s,t,j] / alpha_size[s,t]"
    assert f"= {scaled}" not in lines
    assert any(
        line.startswith(f"alpha[s,t,j] = {scaled}    (what this name means") for line in lines
    )


BROKEN = r" \\\\\n *&\\quad \{\} "  # where a line of an align* ends
BROKEN_PRODUCT = BROKEN + r"\\cdot "


LARGE = {"gpt2", "lenet", "transformer"}  # each takes some seconds


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=[pytest.mark.slow] * (m in LARGE)) for m in MODELS]
)
def test_every_equation_partial_and_gradient_is_there(name: str) -> None:
    declared, adjoint = zoo(name)
    adjoints = {a.name: a.tensor for a in adjoint.adjoints}
    plain, tex = plain_text(declared, adjoint), document(declared, adjoint)
    unbroken = re.sub(BROKEN, " ", re.sub(BROKEN_PRODUCT, r"\\, ", tex))
    ends = {*declared.ends.values()}  # which are written as h[s,T − 1] where they are read
    formulas = [eq.expr for eq in declared.equations if eq.name not in ends]
    formulas += [a.expr for a in adjoint.adjoints if a.expr != 0]
    for formula in (unshifted(f, declared, adjoint.shifts) for f in formulas):
        assert f" = {text(formula, adjoints)}" in plain
        assert latex(formula, adjoints) in unbroken
    for p in adjoint.partials:
        left = text(Entry(p.input, *(p.diagonal.get(j, j) for j in p.input_indices)))
        if not {p.input, p.output} & {s.name for s in declared.shifts} | ends:
            assert f"/∂{left} = " in plain
    position(plain, "Gradients\n", *(f"\n  ∂L/∂{w}" for w in adjoint.wrt))
    assert document(declared, adjoint) == tex


def test_equations_stand_as_declared_and_as_rewritten() -> None:
    n, k = sizes("n k")
    s, (i, c) = indices("s", n), indices("i c", k)
    net = Network("apart")
    z = net.param("z", s, i)
    e = net.define("e", (s, i), exp(z[s, i]))
    total = net.define("total", (s,), Sum(e[s, c], c))
    y = net.define("y", (s, i), e[s, i] / total[s])
    net.loss(-Sum(log(y[s, i]), s, i))
    position(
        plain_text(*derived(net)),
        "  e[s,i] = exp(z[s,i]) ",
        "  total[s] = Σ_c e[s,c] ",
        "  y[s,i] = e[s,i] / total[s] ",
        "      = exp(z[s,i]) / Σ_c exp(z[s,c])    (substitute: ",
    )


def test_a_layer_is_given_the_adjoint_of_its_output() -> None:
    n = sizes("n")
    i = indices("i", n)
    net = Network("layer_of_one")
    x = net.input("x", i)
    net.output(net.define("y", (i,), tanh(x[i])))
    program, adjoint = derived(net)
    plain = plain_text(program, adjoint)
    position(plain, "L is any scalar computed from the outputs.", "Given: ∂L/∂y[i].")
    assert "loss" not in plain
    tex = document(program, adjoint)
    position(tex, r"\texttt{layer\_of\_one}", r"Given: $\bar{y}_{i}$.")


def test_paths_through_sums_stay_apart() -> None:
    """All of u reads w[i], and of v one entry: where a partial is 0 unless indices agree, nothing is summed."""
    n, m = sizes("n m")
    i, j = indices("i", n), indices("j", m)
    net = Network("two_sums")
    w, A = net.param("w", i), net.input("A", j, i)
    u = net.define("u", (j,), Sum(A[j, i] * w[i], i))
    v = net.define("v", (i,), tanh(w[i]))
    net.loss(Sum(u[j], j) * Sum(v[i] * w[i], i))
    position(
        plain_text(*derived(net)),
        "w[i] feeds u[j], v[i] and loss: the total derivative has one term for each path.\n",
        "  ∂L/∂w[i] = ∂L/∂v[i] ∂v[i]/∂w[i] + ∂loss/∂w[i] + Σ_j ∂L/∂u[j] ∂u[j]/∂w[i]\n",
    )


def test_a_sum_over_the_index_of_what_is_read_keeps_apart_from_it() -> None:
    n = sizes("n")
    i, j = indices("i j", n)
    net = Network("outer")
    w = net.param("w", i)
    A = net.define("A", (i, j), w[j] * (1 + i))
    net.loss(Sum(A[i, j] ** 2, i, j))
    position(
        plain_text(*derived(net)),
        "  ∂A[i,j]/∂w[j] = 1 + i\n",
        "  ∂L/∂w[i] = Σ_j ∂L/∂A[j,i] ∂A[j,i]/∂w[i]\n      = Σ_j ∂L/∂A[j,i] (1 + j) ",
    )


def test_the_same_derivation_is_printed_once() -> None:
    found = plain_text(*zoo("tagger"))
    assert found.count("exp(") < 60
    n, k = sizes("n k")
    s, (i, c), (a, b) = indices("s", n), indices("i c", k), indices("a b", sizes("m"))
    net = Network("twice")
    x, z = net.param("x", i), net.param("z", s, a)
    p = net.define("p", (i,), exp(x[i]) / Sum(exp(x[c]), c))
    q = net.define("q", (s, a), exp(z[s, a]) / Sum(exp(z[s, b]), b))
    net.loss(Sum(p[i] ** 2, i) + Sum(q[s, a] ** 3, s, a))
    position(
        plain_text(*derived(net)),
        "  ∂p[i]/∂x[c] = ",
        "in terms of p",
        "  ∂q[s,a]/∂z[s,b] = q[s,a] (δ_ab − q[s,b])    (as ∂p[i]/∂x[c]; as an array O(m²) a row)\n",
    )


def test_brief_gives_each_equation_and_each_adjoint_on_one_line() -> None:
    found = plain_text(*zoo("mlp"), brief=True)
    position(
        found,
        "Equations\n---------\n\n  z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]\n  h1[s,a] = max(0, z1[s,a])\n",
        "Adjoints\n--------\n",
        "  ∂L/∂z2[s,i] = (y[s,i] − t[s,i]) / n\n",
    )
    assert "∂y[s,i]/∂z2" not in found and "      = " not in found


def test_only_what_leads_to_one_gradient() -> None:
    found = plain_text(*zoo("mlp"), wrt=("b2",))
    position(found, "∂L/∂z2[s,i] = ", "∂L/∂b2[i] = ", "Gradients\n---------\n")
    assert "∂L/∂z1" not in found and "∂L/∂W2" not in found and "∂z1[s,a]/∂W1" not in found


def test_a_network_without_parameters_has_no_gradients() -> None:
    net = Network("nothing_to_learn")
    net.loss(net.input("x") ** 2)
    program, adjoint = derived(net)
    found = plain_text(program, adjoint)
    assert "Gradients" not in found and "Adjoints" not in found
    assert "align" in document(program, adjoint)


def test_a_tensor_that_nothing_reads_says_so() -> None:
    net = Network("unread")
    net.param("unused")
    net.loss(net.param("w") ** 2)
    position(
        plain_text(*derived(net)), "unused feeds nothing that leads to L.\n\n  ∂L/∂unused = 0\n"
    )


def test_a_step_on_a_part_is_an_equation_of_its_own() -> None:
    program, adjoint = zoo("linear_neuron")
    first = adjoint.adjoints[0]
    part = Step("∂L/∂o", "square", "a a = a²", first.expr**2, first.expr)
    changed = adjoint.with_adjoints((replace(first, steps=(part,)), *adjoint.adjoints[1:]))
    assert "\n  (o − t)² = o − t    (square: a a = a²)\n" in plain_text(program, changed)


def test_kinks_are_explained_where_there_are_any() -> None:
    assert "Where a constant and a variable tie" in plain_text(*zoo("mlp"))
    assert "Where a constant and a variable tie" not in plain_text(*zoo("linear_regression"))


def test_code_is_shown_as_it_is() -> None:
    program, adjoint = zoo("linear_regression")
    code = {"dw": ('w = params["w"]  # a_b', "if n > 0:", "    dw = df @ x")}
    position(
        document(program, adjoint, code),
        r"w = params[\char34{}w\char34{}]  \# a\_b\\",
        r"if n \textgreater{} 0:\\",
        r"\hspace*{2.0em}dw = df @ x",
    )


def test_code_stands_beside_its_formula() -> None:
    derivation = derive(load_model(ZOO / "mlp.py"))
    position(derivation.latex, r"\step{\texttt{dW1 = dz1.T @ x}\quad $O(n\, d\, h)$}")
    position(derivation.text, "  ∂L/∂W1[a,j] = ", "\n\n  dW1 = dz1.T @ x\n")


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
    code = {
        adjoint.adjoints[0].name: (
            'x = params["x_in"] ** 2  # \\ {a} ~ ^ it\'s',
            "    y = 50 % 7 & 3",
        )
    }
    (tmp_path / "derivation.tex").write_text(document(declared, adjoint, code), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    for trouble in ("Overfull", "Undefined", "Missing character", "LaTeX Warning: Reference"):
        assert trouble not in done.stdout


PAGES = {"linear_neuron": 1, "softmax_regression": 3, "mlp": 4, "lstm": 6, "gpt2": 12}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("name", MODELS)
def test_every_derivation_is_fit_to_be_handed_out(name: str, tmp_path: Path) -> None:
    source = (ZOO.parent.parent / "generated" / f"{name}.tex").read_text("utf-8")
    (tmp_path / "derivation.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, errors="replace"
        )
        assert done.returncode == 0, done.stdout[-2000:]
    overfull = [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(overfull, default=0) <= 5
    assert "Undefined" not in done.stdout and "Missing character" not in done.stdout
    pages = re.search(r"Output written on .*\((\d+) pages?", done.stdout)
    assert pages is not None and int(pages[1]) <= PAGES.get(name, 12)
