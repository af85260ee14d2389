"""Formulas as text and LaTeX: exact strings, brackets where they are due, and nothing that reads two ways."""

from __future__ import annotations

import pytest
from sympy import (
    Abs,
    And,
    Basic,
    Eq,
    Expr,
    Function,
    Ge,
    Gt,
    I,
    Idx,
    Integer,
    Le,
    Lt,
    MatrixSymbol,
    Ne,
    Not,
    Or,
    Piecewise,
    Pow,
    Rational,
    S,
    Symbol,
    ceiling,
    cos,
    erf,
    exp,
    floor,
    log,
    pi,
    sign,
    sqrt,
    symbols,
    tanh,
)  # fmt: skip

from symbp.errors import CompilerError
from symbp.ir.functions import Largest, LogAddExp, SafeInverse, Smallest
from symbp.ir.nodes import Cases, Delta, Entry, Iverson, Reduce
from symbp.notation import escape, latex, lhs_latex, lhs_text, prose, sum_latex, sum_text, text
from symbp.notation.display import LINE, lines, width

n, k = symbols("n k", integer=True, positive=True)
lam = Symbol("lam", real=True)
s, a, (i, j, c) = Idx("s", n), Idx("a", n), (Idx(name, k) for name in "ijc")
row = Idx("row", n)
ADJOINTS = {"dz2": "z2", "dy": "y"}

x, y, t, w = (Entry(name, i) for name in "xytw")
xj, wj = Entry("x", j), Entry("w", j)
z = Entry("z2", s, i)
b = Entry("b")


def total(body: Expr, *indices: Idx) -> Expr:
    return Reduce("sum", body, *indices)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        # what the emitted modules say
        ((Entry("y", s, i) - Entry("t", s, i)) / n, "(y[s,i] − t[s,i]) / n"),
        (total(Entry("dz2", s, i) * Entry("h1", s, a), s), "Σ_s ∂L/∂z2[s,i] h1[s,a]"),
        (
            Iverson(Gt(Entry("z1", s, a), 0)) * total(Entry("dz2", s, i) * Entry("W2", i, a), i),
            "[z1[s,a] > 0] Σ_i ∂L/∂z2[s,i] W2[i,a]",
        ),
        (exp(z) / total(exp(Entry("z2", s, c)), c), "exp(z2[s,i]) / Σ_c exp(z2[s,c])"),
        (b + total(w * x, i), "b + Σ_i w[i] x[i]"),
        (-total(t * log(y), s, i) / n, "−(1 / n) Σ_{s,i} t[i] log(y[i])"),
        # numbers, symbols, entries
        (Integer(0), "0"),
        (Rational(-1, 2), "−1/2"),
        (S(0.044715) * x, "0.044715 x[i]"),
        (S(1e-5) + x, "1e−05 + x[i]"),
        (pi * lam, "π lam"),
        (S.Exp1 - S.Infinity * x, "e − ∞ x[i]"),
        (Entry("W10", row, i), "W10[row,i]"),
        (Entry("x", 2 * i + n - 1), "x[2 i + n − 1]"),
        (i * x, "i x[i]"),
        # order and signs
        (-(y**2) + 1, "1 − y[i]²"),
        (-t + y, "y[i] − t[i]"),
        (-t - y, "−t[i] − y[i]"),
        (x * lam * 3 * exp(y) * n, "3 lam n x[i] exp(y[i])"),
        (Entry("W10", i) * Entry("W2", i), "W2[i] W10[i]"),
        (Entry("dy", i) * Entry("A", i), "∂L/∂y[i] A[i]"),
        (x**3 + x + x**2, "x[i] + x[i]² + x[i]³"),
        (x**2 + 2 * x * w + w**2, "w[i]² + 2 w[i] x[i] + x[i]²"),
        (log(1 - y) * (1 - t), "(1 − t[i]) log(1 − y[i])"),
        (y * (Delta(i, j) - Entry("y", j)), "y[i] (δ_ij − y[j])"),
        # a number that SymPy multiplied in stands before the sum
        (2 * x - 2 * y, "2 (x[i] − y[i])"),
        ((2 * x - 2 * y) / n, "2 (x[i] − y[i]) / n"),
        (x / 2 + y / 2, "(x[i] + y[i]) / 2"),
        ((-x - y) * b, "−b (x[i] + y[i])"),
        # brackets around sums and signs
        ((x + y) * (x - y), "(x[i] + y[i]) (x[i] − y[i])"),
        ((x + y) ** 2, "(x[i] + y[i])²"),
        (Pow(-2, n, evaluate=False), "(−2)^n"),
        (2**n, "2^n"),
        (Pow(Rational(1, 2), n), "(1/2)^n"),
        (3 * 2**n, "3 · 2^n"),
        (x**n, "x[i]^n"),
        (x ** (n + 1), "x[i]^(1 + n)"),
        (Pow(x**n, lam, evaluate=False), "(x[i]^n)^lam"),
        (x ** (n**lam), "x[i]^(n^lam)"),
        (Delta(i, j) ** 2, "(δ_ij)²"),
        # fractions
        (x / (y * b), "x[i] / (b y[i])"),
        (x / (y + b), "x[i] / (b + y[i])"),
        (1 / x, "1 / x[i]"),
        (x**-2, "1 / x[i]²"),
        (2 / (3 * x), "2 / (3 x[i])"),
        ((x / y) ** n, "(x[i] / y[i])^n"),
        (x / y + b, "b + x[i] / y[i]"),
        (1 / Entry("dy", i), "1 / (∂L/∂y[i])"),
        (Entry("dy", i) ** 2, "(∂L/∂y[i])²"),
        (1 / sqrt(1 + x), "1 / √(1 + x[i])"),
        (x ** Rational(3, 2), "x[i]^(3/2)"),
        (SafeInverse(sqrt(x)), "√(x[i])⁺"),
        # Σ reaches to the end of its product
        (total(x + y, i), "Σ_i (x[i] + y[i])"),
        (total(-x, i), "−Σ_i x[i]"),
        (y + total(-xj * 2, j), "y[i] − Σ_j 2 x[j]"),
        (total(x, i) * total(wj, j), "(Σ_j w[j]) Σ_i x[i]"),
        (total(x, i) ** 2, "(Σ_i x[i])²"),
        (total(x, i) + total(wj, j), "(Σ_j w[j]) + Σ_i x[i]"),
        (y * total(wj, j) - t, "y[i] (Σ_j w[j]) − t[i]"),
        (total(total(x * wj, j), i), "Σ_i Σ_j w[j] x[i]"),
        (total(x, i) / b, "(1 / b) Σ_i x[i]"),
        (total(x, i) / xj, "(Σ_i x[i]) / x[j]"),
        (xj / total(x * w, i), "x[j] / (Σ_i w[i] x[i])"),
        (xj / total(x, i) + 1 / total(w, i), "x[j] / (Σ_i x[i]) + 1 / Σ_i w[i]"),
        (Reduce("maximum", z, i), "max_i z2[s,i]"),
        (Reduce("product", x, i) * b, "b Π_i x[i]"),
        (total(x, row), "Σ_row x[i]"),
        # δ and conditions
        (Delta(i, row), "δ_{i,row}"),
        (Delta(i, n - 1), "δ_{i,n − 1}"),
        (Delta(i, Idx("i'", k)), "δ_ii'"),
        (Iverson(Ge(x, y)), "[x[i] ≥ y[i]]"),
        (Iverson(Gt(3, i)), "[i < 3]"),
        (Iverson(Le(x, y)) + Iverson(Lt(x, 1)), "[x[i] ≤ y[i]] + [x[i] < 1]"),
        (Iverson(Ne(x, 0)) * Iverson(Eq(x, y)), "[x[i] = y[i]] [x[i] ≠ 0]"),
        (Iverson(Or(And(x > 0, y > 0), Not(Eq(t, 0)))), "[(x[i] > 0 and y[i] > 0) or t[i] ≠ 0]"),
        # functions
        (Largest(x, 0), "max(0, x[i])"),
        (Smallest(x, y, 1), "min(1, x[i], y[i])"),
        (LogAddExp(x, 0), "logaddexp(x[i], 0)"),
        (Abs(x - 1) * erf(x), "|x[i] − 1| erf(x[i])"),
        (sign(x) * cos(x), "cos(x[i]) sign(x[i])"),
        (tanh(x) ** 2, "tanh(x[i])²"),
        (Function("swish")(x), "swish(x[i])"),
        (exp(-x) * x, "x[i] exp(−x[i])"),
        (Cases(x, x > 0, S.Zero), "{x[i] if x[i] > 0; 0 otherwise}"),
        (Piecewise((x, x > 0), (y, True)), "{x[i] if x[i] > 0; y[i] otherwise}"),
        (Piecewise((x, x > 0), (y, x < 0)), "{x[i] if x[i] > 0; y[i] if x[i] < 0}"),
    ],
)  # fmt: skip
def test_text(expr: Basic, expected: str) -> None:
    assert text(expr, ADJOINTS) == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ((Entry("y", s, i) - Entry("t", s, i)) / n, r"\frac{y_{si} - t_{si}}{n}"),
        (total(Entry("dz2", s, i) * x, s), r"\sum_{s} \bar{z}^{(2)}_{si}\, x_{i}"),
        (z**2, r"\bigl(z^{(2)}_{si}\bigr)^{2}"),
        (x**2, "x_{i}^{2}"),
        (exp(-x), "e^{-x_{i}}"),
        (Pow(exp(x), y, evaluate=False), r"\bigl(e^{x_{i}}\bigr)^{y_{i}}"),
        (exp(-(z**2) / 2), r"\exp\Bigl(-\frac{\bigl(z^{(2)}_{si}\bigr)^{2}}{2}\Bigr)"),
        (-total(t * log(y), s, i) / n, r"-\frac{1}{n}\, \sum_{s,i} t_{i}\, \log(y_{i})"),
        (total(x, i) - y, r"\Bigl(\sum_{i} x_{i}\Bigr) - y_{i}"),
        (total(x, i) ** 2, r"\Bigl(\sum_{i} x_{i}\Bigr)^{2}"),
        (total(2 * x * y, i), r"\sum_{i} 2\, x_{i}\, y_{i}"),
        (Reduce("maximum", z, i), r"\max_{i} z^{(2)}_{si}"),
        (Delta(i, j), r"\delta_{ij}"),
        (Delta(i, row), r"\delta_{i,\mathrm{row}}"),
        (Iverson(x >= 0), r"[x_{i} \ge 0]"),
        (Largest(x, 0), r"\max(0, x_{i})"),
        (erf(x) * Abs(x), r"\lvert x_{i} \rvert\, \operatorname{erf}(x_{i})"),
        (floor(x), r"\lfloor x_{i} \rfloor"),
        (ceiling(x / y) ** 2, r"\Bigl\lceil \frac{x_{i}}{y_{i}}\Bigr\rceil^{2}"),
        (sqrt(x + 1), r"\sqrt{1 + x_{i}}"),
        (S(1e-5) * x, r"10^{-5}\, x_{i}"),
        (S(2.5e-5) * x, r"2.5 \cdot 10^{-5}\, x_{i}"),
        (3 * 2**n, r"3 \cdot 2^{n}"),
        (
            Cases(x, x > 0, S.Zero) * y,
            r"y_{i}\, \Bigl(\begin{cases} x_{i} & \text{if } x_{i} > 0 \\ 0 & \text{otherwise} \end{cases}\Bigr)",
        ),
        # names
        (Entry("net"), r"\mathrm{net}"),
        (Entry("x_1", i) + Entry("x1", i), r"x^{(1)}_{i} + \mathrm{x\_1}_{i}"),
        (Symbol("lam") + Symbol("eps") + Symbol("c1"), r"c_{1} + \varepsilon + \lambda"),
        (Entry("sigma2", Idx("i'", k), j), r"\sigma^{(2)}_{i'j}"),
        (Entry("x", Idx("i1", k), row), r"x_{i_{1},\mathrm{row}}"),
        (Entry("dy", n - 1), r"\bar{y}_{n - 1}"),
    ],
)  # fmt: skip
def test_latex(expr: Basic, expected: str) -> None:
    assert latex(expr, ADJOINTS) == expected


def test_left_sides() -> None:
    assert lhs_text("z2", (s, i)) == "z2[s,i]"
    assert lhs_text("dz2", (s, i), ADJOINTS) == "∂L/∂z2[s,i]"
    assert lhs_text("b", ()) == "b"
    assert lhs_latex("dz2", (s, i), ADJOINTS) == r"\bar{z}^{(2)}_{si}"
    assert lhs_latex("hidden", (s,), {"hidden": "hidden"}) == r"\overline{\mathrm{hidden}}_{s}"


def test_sums_of_finished_formulas() -> None:
    assert sum_text((s, i), ["f", "g"]) == "Σ_{s,i} f g"
    assert sum_text((), ["f", "g"]) == "f g"
    assert sum_latex((s, i), ["f", "g"]) == r"\sum_{s,i} f\, g"


@pytest.mark.parametrize(
    ("expr", "name"),
    [
        (MatrixSymbol("A", 2, 2), "MatrixSymbol"),
        (I * x, "ImaginaryUnit"),
        (Reduce("median", x, i), "median"),
    ],
)
def test_an_unknown_node_is_named(expr: Basic, name: str) -> None:
    with pytest.raises(CompilerError, match=name):
        text(expr)
    with pytest.raises(CompilerError, match=name):
        latex(expr)


def test_prose_is_escaped() -> None:
    assert escape("a_b & 50% {x} \\ ~^#$") == (
        r"a\_b \& 50\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{}\#\$"
    )
    assert escape("≥ δ é 漢") == r"$\ge$ $\delta$ é [U+6F22]"
    assert escape("two\nlines") == "two lines"
    assert prose("Σ_i δ_ij f_i = f_j") == r"$\sum_{i}$ $\delta_{ij}$ $f_{i}$ = $f_{j}$"
    assert prose("in terms of h_prev") == r"in terms of h\_prev"


# Long formulas


def test_a_short_formula_stays_on_one_line() -> None:
    assert lines("a + b") == ["a + b"]


def test_lines_break_before_operators_and_keep_everything() -> None:
    formula = latex(total(sum(Entry(f"w{m}", i) * x / (1 + x) for m in range(20)) * y, i))
    found = lines(formula)
    assert len(found) > 1
    assert all(width(line) <= LINE for line in found)
    assert all(line.startswith(("+ ", "- ", r"\cdot ")) for line in found[1:])
    joined = found[0] + "".join(f" {line}" for line in found[1:])
    assert joined.replace(r" \cdot ", r"\, ") == formula


def test_a_sum_is_broken_rather_than_its_products() -> None:
    long = r"\, ".join(["a_{i}"] * 15)
    assert lines(f"{long} + {long}", 1.5 * width(long)) == [long, f"+ {long}"]


def test_braces_are_never_torn() -> None:
    inner = " + ".join(["a"] * 30)
    assert lines(rf"\frac{{{inner}}}{{b}}", 20) == [rf"\frac{{{inner}}}{{b}}"]


def test_a_fraction_that_is_too_wide_becomes_a_quotient() -> None:
    found = latex(sum(Entry(f"w{m}", i) for m in range(40)) / b)
    assert found.endswith(r"\bigr) \mathbin{\big/} b")
    assert all(width(line) <= LINE for line in lines(found))


def test_width_is_that_of_the_glyphs() -> None:
    assert width(r"\frac{a}{b + c}") == pytest.approx(width("b + c"), abs=1)
    assert width("x_{i}^{2}") == width("x_{i}")
    assert width(r"\mathrm{net}") == width("net")
    rows = r"\begin{cases} a & \text{if } b \\ a + a + a & \text{otherwise} \end{cases}"
    assert width(r"a + a + a") < width(rows) < width(r"a + a + a + b + otherwise + if")


def test_cases_inside_other_cases_and_functions_have_a_width() -> None:
    inner = Piecewise((x, x > 0), (exp(x) - 1, True))
    outer = Piecewise((inner, x > -1), (y, True))
    assert width(latex(outer)) > width(latex(inner)) + width("a + b")
    assert width(latex(Largest(inner, y / 2))) > width(latex(inner))
