"""Verification: right modules pass, and every kind of wrong one is refused for the right reason."""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np
import pytest
from sympy import Abs, Max, Sum, cosh, exp, log, sign, sin, sqrt, tanh

from symbp import Network, indices, sizes
from symbp.ir.network import Declared
from symbp.numbers import Multiprecision
from symbp.reference import Oracle, unit_directions
from symbp.sample import Sampler
from symbp.verify import Report, Row, verify

n, d, h, k = sizes("n d h k")
s, j, a = indices("s", n), indices("j", d), indices("a", h)
i, c = indices("i c", k)

Edit = tuple[str, str]


def build(source: str, *edits: Edit) -> ModuleType:
    """The module of this source, after replacements that must each apply."""
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new)
    module = ModuleType("fake")
    exec("import numpy as np\n" + source, module.__dict__)
    return module


MLP = importlib.import_module("symbp.zoo.mlp").net.declared()
MLP_WRT = ("W1", "b1", "W2", "b2")
MLP_SOURCE = """
def forward(params, x, t):
    h1, y = _values(params, x)
    return -(t * y).sum() / len(x), (x, t, h1, np.exp(y))

def _values(params, x):
    h1 = np.maximum(0, x @ params["W1"].T + params["b1"])
    z = h1 @ params["W2"].T + params["b2"]
    z = z - z.max(axis=1, keepdims=True)
    return h1, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

def backward(params, cache):
    x, t, h1, y = cache
    dz2 = (y - t) / len(x)
    dW2 = dz2.T @ h1
    db2 = dz2.sum(axis=0)
    dz1 = (dz2 @ params["W2"]) * (h1 > 0)
    dW1 = dz1.T @ x
    db1 = dz1.sum(axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

def value_and_grad(params, x, t):
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)

def predict(params, x):
    return np.exp(_values(params, x)[1])
"""


def refused(report: Report, tensor: str, *words: str) -> bool:
    """Whether a failure names the tensor and says these words."""
    assert not report.ok
    texts = [str(row) for row in report.failures if row.tensor == tensor]
    return any(all(word in text for word in words) for text in texts)


def test_a_right_module_passes_and_each_tensor_is_listed() -> None:
    report = verify(MLP, build(MLP_SOURCE), MLP_WRT)
    assert report.ok and not report.failures and not report.notes
    quantities = ["loss", "y", *(f"∂L/∂{name}" for name in MLP_WRT)]
    assert [line[0] for line in report.table()] == ["quantity", *quantities, "contract"]
    assert all(f"\n{quantity} " in str(report) for quantity in quantities)
    gradients = [r for r in report.rows if r.check == "gradient" and not r.extreme]
    assert {r.dtype for r in gradients} == {"float64", "float32"} and len(gradients) == 8
    assert {r.method for r in gradients} == {"central differences"}
    double = [r for r in report.rows if r.dtype == "float64" and not r.extreme]
    assert max(r.error for r in double) < 1e-10
    single = [r.error for r in report.rows if r.dtype == "float32" and r.check != "contract"]
    assert 1e-9 < max(single) < 1e-4


def test_a_report_is_the_same_every_time() -> None:
    one, other = (verify(MLP, build(MLP_SOURCE), MLP_WRT) for _ in range(2))
    assert one == other
    assert one != verify(MLP, build(MLP_SOURCE), MLP_WRT, seed=1)


# Each edit makes the module wrong; the failure names the tensor or clause, and says why.
WRONG: dict[str, tuple[Edit, str, str]] = {
    "a factor": (("dz2.T @ h1", "dz2.T @ h1 * 1.0001"), "W2", "error 1.0e-04"),
    "a sign": (("dz1.sum(axis=0)", "-dz1.sum(axis=0)"), "b1", "error 2.0e+00"),
    "a kink's wrong side": (("(h1 > 0)", "(h1 >= 0)"), "W1", "central differences"),
    "a factor of the batch": (("/ len(x)\n    dW2", "\n    dW2"), "b2", "error"),
    "a shape": (("dz2.sum(axis=0)", "dz2.sum(axis=0, keepdims=True)"), "b2", "has shape (1, "),
    "float64 for float32": (("dW1 = ", "dW1 = np.float64(1) * "), "W1", "is float64"),
    "a loss of float64": (("return -(t", "return -np.float64(1) * (t"), "loss", "is float64"),
    "a value": (("np.maximum(0, ", "np.maximum(1e-3, "), "loss", "direct evaluation"),
    "a prediction": (("return np.exp(_v", "return 1.001 * np.exp(_v"), "y", "direct evaluation"),
    "an overflow": (("z = z - z.max(axis=1, keepdims=True)", "pass"), "loss", "not finite"),
    "its warning": (("z = z - z.max(axis=1, keepdims=True)", "pass"), "no warning", "overflow"),
    "a warning": (("x, t, h1, y = cache", "x, t, h1, y = cache; np.log(h1 - h1)"),
                  "no warning", "divide by zero"),
    "NaN": (("dW2 = ", "dW2 = np.nan * "), "W2", "not finite"),
    "a written input": (("dW2 = ", "t *= 2; dW2 = "), "arguments are not written to", "wrote to t"),
    "a written parameter": (("dW2 = ", "params['b1'] += 1; dW2 = "),
                            "arguments are not written to", "wrote to b1"),
    "another parameter": (("dW2 = ", "params['b1'] = params['b1'] + 0; dW2 = "),
                          "arguments are not written to", "other arrays"),
    "a written cache": (("dW2 = ", "h1 *= 2; dW2 = "), "backward leaves its cache alone", "other"),
    "value_and_grad": (("return loss, backward", "return 2 * loss, backward"),
                       "value_and_grad agrees with forward and backward", "differs"),
    "a gradient lacks": (('"b2": db2', ""), "gradients as asked for", "lacks b2"),
    "a gradient too many": (('"b2": db2', '"b2": db2, "x": x'), "gradients as asked for", "x"),
    "an exception": (("dW2 = ", "dW2 = missing"), "runs without an error", "NameError: name 'miss"),
    "no function": (("def predict", "def guess"), "runs without an error", "no function predict"),
    "an argument": (("forward(params, x, t):", "forward(params, x, t, u):"),
                    "runs without an error", "missing 1 required positional argument: 'u'"),
    "a structure": (("return loss, backward(params, cache)", "return loss"),
                    "runs without an error", "not a pair"),
    "a ragged list": (("dW2 = dz2.T @ h1", "dW2 = [[1.0], [1.0, 2.0]]"), "W2", "is a list, no array"),
    "objects": (("dW2 = dz2.T @ h1", "dW2 = (dz2.T @ h1).astype(object)"), "W2", "is object"),
    "complex numbers": (("dW2 = dz2.T @ h1", "dW2 = dz2.T @ h1 + 0j"), "W2", "is complex"),
    "no array": (("return np.exp(_values(params, x)[1])", "return None"), "y", "NoneType"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_module_is_refused(name: str) -> None:
    edit, tensor, words = WRONG[name]
    report = verify(MLP, build(MLP_SOURCE, edit), MLP_WRT)
    assert refused(report, tensor, words), report


def test_only_what_is_wrong_is_refused() -> None:
    report = verify(MLP, build(MLP_SOURCE, ("dz2.T @ h1", "dz2.T @ h1 * 1.0001")), MLP_WRT)
    assert {row.tensor for row in report.failures} == {"W2"}
    assert str(report).count("\nFAILED  ") == 1


QUADRATIC = """
def forward(params, x):
    A = params["A"]
    return x @ A @ A @ x, (x, A)

def backward(params, cache):
    x, A = cache
    return {"A": np.outer(x, A @ x) + np.outer(A.T @ x, x)}

def value_and_grad(params, x):
    loss, cache = forward(params, x)
    return loss, backward(params, cache)
"""


def quadratic() -> Declared:
    net = Network("quadratic")
    A, x, e = net.param("A", i, c), net.input("x", i), indices("e", k)
    net.loss(Sum(x[i] * A[i, c] * A[c, e] * x[e], i, c, e))
    return net.declared()


@pytest.mark.parametrize(
    "wrong",
    [("np.outer(x, A @ x) + np.outer(A.T @ x, x)", "(np.outer(x, A @ x) + np.outer(A.T @ x, x)).T"),
     (" + np.outer(A.T @ x, x)", ""), ("A.T @ x", "A @ x")],
    ids=["transposed", "a missing term", "a transposed factor"],
)  # fmt: skip
def test_a_square_gradient(wrong: Edit) -> None:
    right = verify(quadratic(), build(QUADRATIC), ("A",))
    assert right.ok and {
        r.method for r in right.rows if r.check == "gradient" and not r.extreme
    } == {"complex steps"}
    assert max(r.error for r in right.rows if r.dtype == "float64" and not r.extreme) < 1e-13
    assert refused(verify(quadratic(), build(QUADRATIC, wrong), ("A",)), "A", "complex steps")


def scalar_model(f: str, slope: str, head: str = "w") -> str:
    """L = f(w), elementwise and summed, with the derivative f'."""
    return f"""
def forward(params):
    w = params["{head}"]
    return ({f}).sum(), w

def backward(params, w):
    return {{"{head}": np.asarray({slope})}}

def value_and_grad(params):
    return forward(params)[0], backward(params, params["{head}"])
"""


def elementwise(f: object) -> Declared:
    net = Network("elementwise")
    w = net.param("w", i)
    net.loss(Sum(f(w[i]), i))  # type: ignore[operator]
    return net.declared()


STABLE = {
    "softplus": (lambda w: log(1 + exp(w)), "np.logaddexp(0, w)", "np.exp(w - np.logaddexp(0, w))",
                 "np.log(1 + np.exp(w))", "loss"),
    "sigmoid": (lambda w: 1 / (1 + exp(-w)), "np.exp(-np.logaddexp(0, -w))",
                "np.exp(-np.logaddexp(0, -w) - np.logaddexp(0, w))", "1 / (1 + np.exp(-w))", "no warning"),
    "log of a complement": (lambda w: log(1 - 1 / (1 + exp(-w))), "-np.logaddexp(0, w)",
                            "-np.exp(-np.logaddexp(0, -w))",
                            "np.log(np.maximum(1 - np.exp(-np.logaddexp(0, -w)), 1e-30))", "loss"),
    "log cosh": (lambda w: log(cosh(w)), "np.logaddexp(w, -w) - np.log(2).astype(w.dtype)",
                 "np.tanh(w)", "np.log(np.cosh(w))", "loss"),
}  # fmt: skip


@pytest.mark.parametrize("name", STABLE)
def test_extreme_inputs_tell_stable_code_from_naive(name: str) -> None:
    f, stable, slope, naive, broken = STABLE[name]
    right = verify(elementwise(f), build(scalar_model(stable, slope)), ("w",))
    assert right.ok, right
    wrong = verify(elementwise(f), build(scalar_model(naive, slope)), ("w",))
    assert refused(wrong, broken, "at extreme inputs"), wrong
    assert all(row.extreme for row in wrong.failures)


def test_a_gradient_may_not_overflow_where_the_exact_one_is_finite() -> None:
    naive = "np.exp(w) / (1 + np.exp(w))"
    source = scalar_model("np.logaddexp(0, w)", naive)
    report = verify(elementwise(lambda w: log(1 + exp(w))), build(source), ("w",))
    assert refused(report, "w", "at extreme inputs", "not finite")


def test_what_no_dtype_can_represent_is_not_judged() -> None:
    """exp overflows on either side: of w = ±1000 nothing is left to compare."""
    source = scalar_model("np.exp(w) + np.exp(-w)", "np.exp(w) - np.exp(-w)")
    report = verify(elementwise(lambda w: exp(w) + exp(-w)), build(source), ("w",))
    assert report.ok
    assert not any(row.extreme for row in report.rows)
    assert report.table()[1][3] == "–"


def test_an_ill_conditioned_result_is_allowed_its_condition() -> None:
    """sin(w²) near w = 1000 rounds w² to 0.06 in float32, in whatever way it is computed."""
    source = scalar_model("np.sin(w**2)", "2 * w * np.cos(w**2)")
    assert verify(elementwise(lambda w: sin(w**2)), build(source), ("w",)).ok
    wrong = build(scalar_model("np.sin(w**2)", "2 * w * np.cos(w**2) * 1.0001"))
    assert refused(verify(elementwise(lambda w: sin(w**2)), wrong, ("w",)), "w", "1.0e-04")


def test_data_keep_to_the_domain_and_the_report_says_so() -> None:
    source = scalar_model("np.log(w) + np.sqrt(w)", "1 / w + 1 / (2 * np.sqrt(w))")
    declared = elementwise(lambda w: log(w) + sqrt(w))
    report = verify(declared, build(source), ("w",), seed=1)
    assert report.ok and "uniform(0.5, 1.5)" in report.notes[0]
    assert any(row.extreme for row in report.rows)


def test_no_point_at_all_is_a_failure() -> None:
    source = scalar_model("np.log(-(w**2))", "2 / w")
    report = verify(elementwise(lambda w: log(-(w**2))), build(source), ("w",))
    assert refused(report, "random points", "no sizes and data found")


def test_a_gradient_that_is_always_zero_is_pointed_out() -> None:
    source = scalar_model("np.sign(w)", "0 * w")
    report = verify(elementwise(lambda w: sign(w)), build(source), ("w",))
    assert report.ok and "Zero at every point" in report.notes[0] and "∂L/∂w" in report.notes[0]


LAYER = """
def forward(params, x):
    W = params["W"]
    y = np.tanh(x @ W.T)
    return y, (x, y)

def backward(params, cache, dy):
    x, y = cache
    dz = dy * (1 - y**2)
    return {"W": dz.T @ x, "x": dz @ params["W"]}

def predict(params, x):
    return forward(params, x)[0]
"""


def layer(outputs: int) -> Declared:
    net = Network("layer")
    x, W = net.input("x", s, j), net.param("W", a, j)
    y = net.define("y", (s, a), tanh(Sum(W[a, j] * x[s, j], j)))
    norm = net.define("norm", s, Sum(y[s, a] ** 2, a))
    net.output(*(y, norm)[:outputs])
    return net.declared()


def test_a_layer_is_a_vector_jacobian_product() -> None:
    report = verify(layer(1), build(LAYER), ("W", "x"))
    assert report.ok and [line[0] for line in report.table()[1:4]] == ["y", "∂L/∂W", "∂L/∂x"]
    wrong = verify(layer(1), build(LAYER, ("dz @ params", "dy @ params")), ("W", "x"))
    assert refused(wrong, "x", "complex steps") and not refused(wrong, "W")
    writes = verify(layer(1), build(LAYER, ("dz = dy", "dy *= 1.5; dz = dy")), ("W", "x"))
    assert refused(writes, "arguments are not written to", "the adjoint of y")
    differs = build(LAYER, ("return forward(params, x)[0]", "return 1.01 * forward(params, x)[0]"))
    assert refused(verify(layer(1), differs, ("W", "x")), "predict agrees with forward")


TWO_OUTPUTS = LAYER.replace("return y, (x, y)", "return _outputs(y), (x, y)").replace(
    "    dz = dy", "    dy = dy['y'] + 2 * y * dy['norm'][:, None]\n    dz = dy"
) + '\ndef _outputs(y):\n    return {"y": y, "norm": (y**2).sum(axis=1)}\n'  # fmt: skip


def test_a_layer_with_two_outputs() -> None:
    report = verify(layer(2), build(TWO_OUTPUTS), ("W", "x"))
    assert report.ok, report
    wrong = verify(layer(2), build(TWO_OUTPUTS, ("2 * y", "y")), ("W", "x"))
    assert refused(wrong, "W", "complex steps") and refused(wrong, "x", "complex steps")
    bare = verify(layer(2), build(TWO_OUTPUTS, ("return _outputs(y), ", "return y, ")), ("W", "x"))
    assert refused(bare, "runs without an error", "not a dict of y, norm")


INTERMEDIATE = """
def forward(params, x):
    z = params["w"] * x
    return (z**2).sum() / 2, (x, z)

def backward(params, cache):
    x, z = cache
    return {"w": z * x, "z": z, "x": z * params["w"]}

def value_and_grad(params, x):
    loss, cache = forward(params, x)
    return loss, backward(params, cache)
"""


def test_gradients_of_inputs_and_of_defined_tensors() -> None:
    net = Network("intermediate")
    w, x = net.param("w", i), net.input("x", i)
    z = net.define("z", i, w[i] * x[i])
    net.loss(Sum(z[i] ** 2, i) / 2)
    wrt = ("w", "z", "x")
    assert verify(net.declared(), build(INTERMEDIATE), wrt).ok
    wrong = verify(net.declared(), build(INTERMEDIATE, ('"z": z,', '"z": 2 * z,')), wrt)
    assert {row.tensor for row in wrong.failures} == {"z"}


RIDGE = """
def forward(params, x, *, lam=0.1{open}):
    w = params["w"]
    return (w * x).sum() + lam * w**2 * {count}, (w, x, lam{pass_on})

def backward(params, cache):
    w, x, lam{pass_on} = cache
    return {{"w": x.sum() + 2 * lam * w * {count}}}

def value_and_grad(params, x, *, lam=0.1{open}):
    loss, cache = forward(params, x, lam=lam{given})
    return loss, backward(params, cache)
"""


def test_constants_scalars_and_open_sizes_are_keywords() -> None:
    """m is the size of no array; w is a scalar."""
    net = Network("ridge")
    index = indices("e", sizes("m"))
    w, x, lam = net.param("w"), net.input("x", i), net.constant("lam", 0.1)
    net.loss(Sum(w * x[i], i) + lam * Sum(w**2, index))
    source = RIDGE.format(open=", m", count="m", pass_on=", m", given=", m=m")
    assert verify(net.declared(), build(source), ("w",)).ok
    default = verify(net.declared(), build(source, ("lam=0.1", "lam=0.2")), ("w",))
    assert refused(default, "loss", "direct evaluation")
    ignored = verify(net.declared(), build(source, ("+ lam *", "+ 0.1 *")), ("w",))
    assert refused(ignored, "loss", "direct evaluation")


def test_sizes_admit_every_fixed_place_and_are_one_at_times() -> None:
    net = Network("places")
    x, y, v = net.param("x", i), net.param("y", j), net.param("v", indices("u", 7))
    net.loss(x[3] * y[d - 1] * v[6])
    sampler = Sampler(net.declared(), np.random.default_rng(0))
    drawn = [sampler.sizes(ones=True) for _ in range(20)]
    assert all(sizes is not None and sizes["k"] > 3 for sizes in drawn)
    assert 1 in {sizes["d"] for sizes in drawn if sizes is not None}
    distinct = sampler.sizes()
    assert distinct is not None and len(set(distinct.values())) == 2


def test_distributions_sum_to_one_exactly_in_both_dtypes() -> None:
    sampler = Sampler(MLP, np.random.default_rng(0))
    point = sampler.point({"n": 3, "d": 2, "h": 2, "k": 7}, "normal(0, 1)")
    for dtype in (np.float64, np.float32):
        t = np.asarray(point.values["t"], dtype)
        assert t.min() > 0 and (t.sum(axis=1) == 1).all()


def test_entries_of_a_large_tensor_that_no_probe_samples_are_checked_too() -> None:
    net = Network("large")
    w = net.param("w", indices("e", 5000))
    net.loss(Sum(w[indices("e", 5000)] ** 2, indices("e", 5000)))
    directions = unit_directions((5000,), np.random.default_rng(0))
    missed = int(np.flatnonzero(~directions[:-2].any(axis=0))[0])
    source = scalar_model("w**2", f"2 * w + (np.arange(5000) == {missed})")
    report = verify(net.declared(), build(source), ("w",), trials=1)
    assert refused(report, "w", "complex steps")
    assert "Extreme inputs not tried" in report.notes[0]


def test_the_exact_reference_takes_the_digits_that_it_needs() -> None:
    """At w = 84 the derivative of log(1 − σ(w)) is lost in 50 digits, with its steps: 1 − σ keeps but 13 of them."""
    declared = elementwise(lambda w: log(1 - 1 / (1 + exp(-w))))
    point = Sampler(declared, np.random.default_rng(0)).point({"k": 3}, "normal(0, 1)")
    point = point.replaced({"w": np.array([-486.0, 84.0, 700.0])})
    exact = Oracle(declared).exact(point, {"w": np.eye(3)})
    assert exact.values["loss"] == pytest.approx(-784.0, rel=1e-12)
    np.testing.assert_allclose(exact.derivatives["w"], [0, -1, -1], atol=1e-9)


def test_huge_arguments_of_saturated_functions_cost_nothing() -> None:
    numbers = Multiprecision(50).numbers
    huge = numbers.functions["exp"](numbers.array([1e18]))
    for name in ("tanh", "erf"):
        assert list(numbers.functions[name](huge)) == [1]
        assert list(numbers.functions[name](-huge)) == [-1]


SOFTMAX = """
def forward(params, t):
    z = params["z"] - params["z"].max()
    z = z - np.log(np.exp(z).sum())
    return -(t * z).sum(), (t, np.exp(z))

def backward(params, cache):
    t, y = cache
    return {"z": y * t.sum() - t, "y": -t / y}

def value_and_grad(params, t):
    loss, cache = forward(params, t)
    return loss, backward(params, cache)
"""


def softmax(kinked: bool) -> Declared:
    net = Network("softmax")
    z, t = net.param("z", i), net.input("t", i, sums_to_one=i)
    y = net.define("y", i, exp(z[i]) / Sum(exp(z[c]), c))
    net.loss(-Sum(t[i] * log(Max(y[i], 0) if kinked else y[i]), i))
    return net.declared()


@pytest.mark.parametrize("kinked", [False, True])
def test_steps_in_a_defined_tensor_keep_to_its_scale(kinked: bool) -> None:
    """At extremes y is near 1e-400, and so −t/y is beyond every dtype: neither it nor its warning is judged."""
    for seed in range(3):
        report = verify(softmax(kinked), build(SOFTMAX), ("z", "y"), seed=seed)
        assert report.ok, report
    wrong = verify(softmax(kinked), build(SOFTMAX, ("-t / y", "-t / y * 1.001")), ("z", "y"))
    assert refused(wrong, "y", "error 1.0e-03") and not refused(wrong, "z")


def test_differences_where_entries_are_small() -> None:
    declared = softmax(True)
    point = Sampler(declared, np.random.default_rng(0)).point({"k": 3}, "normal(0, 1)")
    point = point.replaced({"z": np.array([0.0, -12.0, -5.0])})
    reference = Oracle(declared).at(point, {"y": np.eye(3)})
    assert reference is not None and reference.method == "central differences"
    exact = -point.values["t"] * np.exp(np.array([0.0, 12.0, 5.0])) * (1 + np.exp(-12) + np.exp(-5))
    slopes = reference.derivatives["y"]
    np.testing.assert_allclose(slopes, exact, rtol=0, atol=1e-10 * np.abs(exact).max())


def test_steps_in_a_huge_defined_tensor_are_not_lost() -> None:
    net = Network("huge")
    w = net.param("w", i)
    net.loss(Sum(net.define("h", i, exp(w[i]))[i], i))
    declared = net.declared()
    point = Sampler(declared, np.random.default_rng(0)).point({"k": 2}, "normal(0, 1)")
    for height, slope in {900.0: 2.0, 9e9: math.nan}.items():
        reference = Oracle(declared).exact(
            point.replaced({"w": np.array([height, 0.0])}), {"h": np.ones((1, 2))}
        )
        np.testing.assert_allclose(reference.derivatives["h"], [slope])


def test_a_huge_output_does_not_swallow_another() -> None:
    net = Network("two")
    w = net.param("w", i)
    y, z = net.define("y", i, exp(w[i])), net.define("z", i, 2 * w[i])
    net.output(y, z)
    declared = net.declared()
    point = Sampler(declared, np.random.default_rng(0)).point({"k": 2}, "normal(0, 1)")
    point = point.replaced({"w": np.array([900.0, 0.0])})
    exact = Oracle(declared).exact(point, {"z": np.eye(2), "w": np.array([[0.0, 1.0]])})
    np.testing.assert_allclose(exact.derivatives["z"], point.seeds["z"])
    np.testing.assert_allclose(
        exact.derivatives["w"], point.seeds["y"][1] + 2 * point.seeds["z"][1]
    )


def test_a_kink_between_two_steps_is_noticed() -> None:
    declared = elementwise(lambda w: Abs(w) + Max(0, w - 1))
    oracle, sampler = Oracle(declared), Sampler(declared, np.random.default_rng(0))
    point = sampler.point({"k": 2}, "normal(0, 1)")
    for value, smooth in {0.5: True, 0.0: False, 1e-9: False, 1.0: False}.items():
        reference = oracle.at(point.replaced({"w": np.array([value, -2.0])}), {"w": np.eye(2)})
        assert (reference is not None) is smooth
        if reference is not None:
            np.testing.assert_allclose(reference.derivatives["w"], [1, -1], rtol=1e-9)


def test_rows_are_judged_by_their_numbers() -> None:
    row = Row("W", "gradient", "float64", "complex steps", 1e-11, 1e-10)
    assert row.ok and Report((row,)).ok
    for bad in (
        Row("W", "gradient", "float64", "complex steps", 1e-9, 1e-10),
        Row("W", "gradient", "float64", "complex steps", math.nan, 1e-10),
        Row("W", "gradient", "float64", "complex steps", 0.0, 1e-10, note="is complex"),
    ):
        assert not bad.ok and not Report((row, bad)).ok and "FAILED" in str(Report((row, bad)))
    assert not Report(()).ok
