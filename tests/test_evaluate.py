"""The direct evaluator of declared equations: meanings, kinds of number, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import sympy as sp
from numpy.typing import ArrayLike
from sympy import Abs, Idx, IndexedBase, KroneckerDelta, Max, Min, Piecewise, Sum, Symbol

from symbp import Maximum
from symbp.errors import CompilerError
from symbp.evaluate import Evaluation, evaluate
from symbp.ir.network import Declaration, Declared, Equation
from symbp.numbers import COMPLEX128, FLOAT64, LONGDOUBLE, Array, Multiprecision, Numbers

n, d = sp.symbols("n d", integer=True, positive=True)
i, c = Idx("i", n), Idx("c", n)
j = Idx("j", d)
SIZES = {"n": 4, "d": 3}


def tensor(name: str, *shape: Any) -> Any:
    symbol = Symbol(name, real=True)
    return IndexedBase(symbol, shape=shape) if shape else symbol


x, A, a, y = tensor("x", n), tensor("A", n, n), tensor("a"), tensor("y", n)
VALUES: dict[str, Array] = {
    "x": np.array([0.3, -1.2, 2.5, 0.7]),
    "A": np.arange(16.0).reshape(4, 4) ** 1.5 - 3,
    "a": np.array(0.6),
}
X, AA = VALUES["x"], VALUES["A"]


def declared(*equations: Equation) -> Declared:
    declarations = {
        "x": Declaration("x", "param", (i,)),
        "A": Declaration("A", "param", (i, c)),
        "a": Declaration("a", "param", ()),
        **{e.name: Declaration(e.name, "defined", e.indices) for e in equations},
    }
    names = tuple(e.name for e in equations)
    return Declared("test", declarations, equations, None, names, (), names)


def run(
    expr: Any,
    indices: tuple[Any, ...] = (),
    numbers: Numbers = FLOAT64,
    values: Mapping[str, ArrayLike] = VALUES,
    shifts: Mapping[str, Array] | None = None,
) -> Evaluation:
    equation = Equation("result", indices, sp.sympify(expr))
    return evaluate(declared(equation), SIZES, values, numbers, shifts)


def result(expr: Any, indices: tuple[Any, ...] = (), **more: Any) -> Array:
    value: Array = run(expr, indices, **more).values["result"]
    return value[0, ...]


k = np.arange(4)
MEANINGS = {
    "bound and free share a name": (Sum(x[i] * A[i, c], i), (c,), X @ AA),
    "an inner sum shadows": (x[i] / Sum(x[i], i), (i,), X / X.sum()),
    "two sums bind one name": (Sum(x[i], i) * Sum(x[i] ** 2, i), (), X.sum() * (X**2).sum()),
    "flattened limits (i, i)": (Sum(Sum(x[i], i), i), (), 4 * X.sum()),
    "a term without the summed index repeats": (Sum(x[i] + 1, i, c), (), 4 * (X + 1).sum()),
    "a term outside the sum does not": (Sum(x[i], i) + a, (), X.sum() + 0.6),
    "an index as a number": (Sum(i * x[i], i), (), k @ X),
    "a size as a number": (n * x[i] + d, (i,), 4 * X + 3),
    "fixed places": (x[n - 1] + x[3] - x[0], (), X[3] + X[3] - X[0]),
    "a repeated index": (A[i, i], (i,), np.diag(AA)),
    "a transposed entry": (A[c, i], (i, c), AA.T),
    "a delta": (KroneckerDelta(i, c) * x[i] + KroneckerDelta(i, 2), (i, c), None),
    "a bound of an outer index": (Sum(x[c], (c, 0, i)), (i,), X.cumsum()),
    "an empty range": (Sum(x[c], (c, i + 1, n - 1)), (i,), X.sum() - X.cumsum()),
    "a part of a range": (Sum(x[c], (c, 1, 2)), (), X[1] + X[2]),
    "a sum over another size": (Sum(x[i], j), (i,), 3 * X),
    "a scalar": (a**2 + sp.pi - sp.Rational(1, 3) + 0.25, (), 0.36 + math.pi - 1 / 3 + 0.25),
    "shifted and strided places": (Sum(x[2 * j - j] * x[j + 1], j), (), X[:3] @ X[1:]),
    "extrema": (Max(x[i], a, 0) + Min(x[i], 1), (i,), np.maximum(X, 0.6) + np.minimum(X, 1)),
    "a product": (sp.Product(A[i, c] * a - x[c], c), (i,), (0.6 * AA - X).prod(axis=1)),
    "a product without its index": (sp.Product(x[i], c), (i,), X**4),
    "a maximum": (Maximum(A[i, c] * a - x[c] ** 2, c), (i,), (0.6 * AA - X**2).max(axis=1)),
    "a maximum over two": (Maximum(A[i, c] + x[i], i, c) - a, (), (AA.T + X).max() - 0.6),
    "a maximum without its index": (Maximum(x[i], c), (i,), X),
    "magnitude and sign": (Abs(x[i]) * 2 + sp.sign(x[i]), (i,), 2 * abs(X) + np.sign(X)),
    "rounding": (sp.floor(n / 2) + sp.ceiling(a * 3), (), 4.0),
}


@pytest.mark.parametrize("name", MEANINGS)
@pytest.mark.parametrize("numbers", [FLOAT64, LONGDOUBLE, COMPLEX128, Multiprecision(30).numbers])
def test_meaning(name: str, numbers: Numbers) -> None:
    expr, indices, expected = MEANINGS[name]
    if expected is None:
        expected = np.diag(X) + (k == 2)[:, None]
    got = np.asarray(result(expr, indices, numbers=numbers), np.complex128)
    assert got.shape == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


u = Symbol("u", real=True)
ANALYTIC = [
    *(f(u) for f in (sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.tanh, sp.sinh, sp.cosh, sp.erf)),
    *(sp.sqrt(u), u**3, u**-2, 1 / u, u ** sp.Rational(3, 10), u**u, 2**u, (u - 2) ** 3),
    *(1 / (1 + sp.exp(-u)), sp.log(1 + sp.exp(u)), u / sp.sqrt(u**2 + 1)),
]


@pytest.mark.parametrize("f", ANALYTIC, ids=str)
def test_complex_step_gives_the_derivative_to_rounding(f: Any) -> None:
    step = {"a": np.array(1e-30j)}
    for at in (0.6, 1.7):
        got = result(f.subs(u, a), numbers=COMPLEX128, values={**VALUES, "a": at}, shifts=step)
        assert got.imag / 1e-30 == pytest.approx(float(f.diff(u).subs(u, at)), rel=1e-14)
        assert got.real == pytest.approx(float(f.subs(u, at)), rel=1e-14)


@pytest.mark.parametrize("f", ANALYTIC, ids=str)
def test_longdouble_and_multiprecision_are_as_precise_as_they_say(f: Any) -> None:
    exact = f.subs(u, sp.Rational(0.6)).evalf(60)
    long = result(f.subs(u, a), numbers=LONGDOUBLE)
    assert long.dtype == np.longdouble
    error = abs(sp.Float(str(long), 30) - exact) / abs(exact)
    assert error < 16 * float(np.finfo(np.longdouble).eps)
    many = result(f.subs(u, a), numbers=Multiprecision(50).numbers).item()
    assert abs(sp.Float(many, 60) - exact) < 1e-48 * abs(exact)


def test_irrational_and_rational_numbers_are_not_rounded_to_float64() -> None:
    got = result(sp.pi / 3 + sp.Rational(1, 7), numbers=LONGDOUBLE)
    exact = (sp.pi / 3 + sp.Rational(1, 7)).evalf(30)
    assert abs(sp.Float(str(got), 30) - exact) < 4 * float(np.finfo(np.longdouble).eps)


def test_probes_are_many_evaluations_at_once() -> None:
    rng = np.random.default_rng(0)
    xs, shifts = rng.standard_normal((5, 4)), rng.standard_normal((5, 4))
    z = Equation("z", (i,), x[i] ** 2 + Sum(A[i, c] * x[c], c))
    network = declared(z, Equation("result", (), Sum(sp.exp(tensor("z", n)[i] / 9), i) * a))
    together = evaluate(network, SIZES, {**VALUES, "x": xs}, shifts={"z": shifts}).values
    assert together["result"].shape == (5,) and together["z"].shape == (5, 4)
    assert together["a"].shape == (1,)
    for one, shift, value in zip(xs, shifts, together["result"]):
        alone = evaluate(network, SIZES, {**VALUES, "x": one}, shifts={"z": shift}).values
        assert alone["result"] == pytest.approx([value], rel=1e-14)


def test_a_branch_is_read_only_where_its_condition_holds() -> None:
    safe_log = Piecewise((sp.log(x[i]), x[i] > 0), (0, True))
    expected = np.where(X > 0, np.log(np.abs(X)), 0)
    for numbers in (FLOAT64, COMPLEX128, Multiprecision(30).numbers):
        np.testing.assert_allclose(
            np.asarray(result(safe_log, (i,), numbers=numbers), complex), expected
        )
    previous = Piecewise((x[i - 1], sp.Ge(i, 1)), (a, True))
    np.testing.assert_array_equal(result(previous, (i,)), [0.6, *X[:3]])
    mask = Sum(Piecewise((x[c + i], sp.And(c + i <= n - 1, sp.Ne(c, 1))), (0, True)), c)
    assert result(mask, (i,))[2] == X[2]


def test_conditions_on_indices_are_exact_whatever_the_numbers_are() -> None:
    """With noise in the last digit of every sum, i + 1 < n would hold of the last i too."""
    for condition in (n > i + 1, i < n - 1, n / 2 > i / 2 + sp.Rational(1, 2)):
        expr = Sum(Piecewise((x[i + 1], condition), (0, True)), i)
        for _ in range(8):
            got = result(expr, numbers=Multiprecision(30, noise=True).numbers).item()
            assert abs(got - X[1:].sum()) < 1e-12


def test_an_index_outside_its_axis_is_an_error() -> None:
    with pytest.raises(CompilerError, match=r"x\[i \+ 1\].*length 4"):
        result(x[i + 1], (i,))
    with pytest.raises(CompilerError, match=r"x\[i - 1\]"):
        result(Piecewise((x[i - 1], sp.Ge(i, 0)), (a, True), evaluate=False), (i,))


def test_a_hole_in_a_piecewise_and_a_nan_in_an_extremum_stay_visible() -> None:
    hole = result(Piecewise((x[i], x[i] > 0)), (i,))
    assert np.isnan(hole[1]) and not np.isnan(hole[[0, 2, 3]]).any()
    nan = {**VALUES, "a": math.nan}
    assert np.isnan(result(Max(x[0], a), values=nan)) and np.isnan(result(Min(a, x[0]), values=nan))


@pytest.mark.parametrize(
    "expr", [Max(x[0], a), Min(x[0], a), Abs(x[0] - a), sp.sign(x[0] - a),
             Piecewise((x[0], x[0] > a), (a, True))], ids=str,
)  # fmt: skip
def test_probes_on_both_sides_of_a_kink_are_noticed(expr: Any) -> None:
    beside = {"x": np.array([[0.1, 0, 0, 0], [0.2, 0, 0, 0]])}  # x[0] is 0.3, a is 0.6
    across = {"x": np.array([[0.1, 0, 0, 0], [0.4, 0, 0, 0]])}
    assert not run(expr, shifts=beside).straddled
    assert run(expr, shifts=across).straddled


def test_comparisons_look_at_the_real_part() -> None:
    step = {"x": np.full(4, 1e-30j)}
    got = result(Max(x[i], 0) + 3 * Abs(x[i]), (i,), numbers=COMPLEX128, shifts=step)
    np.testing.assert_allclose(got.imag / 1e-30, np.where(X > 0, 4, -3))


def test_multiprecision_reaches_beyond_float64_and_sees_what_it_lost() -> None:
    softplus = sp.log(1 + sp.exp(a))
    few, many = Multiprecision(50), Multiprecision(400)
    at = {**VALUES, "a": -800.0}
    assert result(softplus, numbers=few.numbers, values=at) == 0
    assert few.gap == pytest.approx(800 / math.log(10), abs=1)
    exact = result(softplus, numbers=many.numbers, values=at).item()
    assert float(sp.log(sp.Float(exact, 50))) == pytest.approx(-800, rel=1e-14)
    assert float(result(softplus, numbers=few.numbers, values={**VALUES, "a": 1e5}).item()) == 1e5


def test_noise_shows_what_depends_on_lost_digits() -> None:
    at = {**VALUES, "a": -800.0}
    lost, kept = sp.log(sp.sqrt(1 + sp.exp(a)) - 1), sp.log(2 + sp.exp(a))
    for expr, depends in ((lost, True), (kept, False)):
        noisy = Multiprecision(50, noise=True).numbers
        one, other = (result(expr, numbers=noisy, values=at).item() for _ in range(2))
        assert bool(abs(one - other) < 1e-40) is not depends


def test_no_real_value_is_nan_in_multiprecision() -> None:
    for expr in (sp.log(-a), sp.sqrt(-a), 1 / (a - 1)):
        got = result(expr, numbers=Multiprecision(30).numbers, values={**VALUES, "a": 1.0}).item()
        assert not math.isfinite(got)
    huge = result(
        sp.sin(sp.exp(a)), numbers=Multiprecision(30).numbers, values={**VALUES, "a": 1e9}
    )
    assert math.isnan(huge.item())


@pytest.mark.parametrize(
    "expr", [sp.gamma(a), sp.Function("foo")(a), sp.Integral(x[0], a), sp.I * a, sp.oo * Sum(a, i)],
    ids=str,
)  # fmt: skip
def test_an_unknown_node_is_named(expr: Any) -> None:
    with pytest.raises(CompilerError, match="does not know") as error:
        result(expr)
    names = {type(e).__name__ for e in sp.preorder_traversal(expr)} | {"oo"}
    assert any(name in str(error.value) for name in names)


def test_an_unbound_index_and_a_wrong_shape_are_errors() -> None:
    with pytest.raises(CompilerError, match="index i is not bound"):
        result(x[i])
    with pytest.raises(CompilerError, match=r"x: a value of shape \(3,\)"):
        result(a, values={**VALUES, "x": np.zeros(3)})
    with pytest.raises(CompilerError, match=r"result: a value of shape \(2, 2\)"):
        run(a, shifts={"result": np.zeros((2, 2))})
