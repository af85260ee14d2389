"""Models that once went wrong, each a kind of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sympy import (
    And,
    Eq,
    Integer,
    KroneckerDelta,
    Piecewise,
    Product,
    Rational,
    Sum,
    cosh,
    exp,
    log,
    sqrt,
    tanh,
)

from symbp import Maximum, Network, derive, indices, sizes
from symbp.evaluate import evaluate
from symbp.numbers import Multiprecision
from symbp.reference import Oracle, has_kinks
from symbp.sample import Sampler
from symbp.zoo import lstm

from . import exact as x_
from .helpers import assert_close, frozen, load, run
from .test_random_contractions import peak_memory
from .test_variations_probability import BINARY, SCORES, cross_entropy, sigma, softmax
from .variation import Definition, positive, variation

n, d, h, k = sizes("n d h k")
s, u = indices("s u", n)
j, m, j_ = indices("j m j_", d)
a = indices("a", h)
i, c = indices("i c", k)

SPREAD_OUT = [{"x": SCORES}]


def sig(x: Any) -> Any:
    return 1 / (1 + exp(-x))


@variation()
def test_a_sum_over_an_axis_that_a_definition_lacks(net: Network) -> Definition:
    """Σ_a log h_sa with h_sa = exp x_s counts x_s once for each of four a."""
    x = net.param("x", s)
    four = indices("four", 4)
    hidden = net.define("hidden", (s, four), exp(x[s]))
    net.loss(Sum(log(hidden[s, four]), s, four))
    return lambda x: 4 * x.sum()


def test_a_slope_is_not_taken_from_a_sum_that_hides_it() -> None:
    """y = x + tanh z at large x: 1 − (y − x)² would lose every digit of tanh z."""
    net = Network("residual")
    x, w = net.input("x", s), net.param("w", s)
    y = net.define("y", (s,), x[s] + tanh(w[s]))
    net.loss(Sum(y[s], s))
    module = load(net)
    w0 = np.array([0.5, -0.25])
    _, grads = run(module, frozen({"x": [1e6, -1e6], "w": w0}, "float32"))
    assert_close(grads["w"], (1 - np.tanh(w0) ** 2).astype("float32"), 1e-6)


def test_no_array_over_an_axis_twice() -> None:
    """log(y + ε) of a softmax y needs no array over (s, i, c)."""
    net = Network("smoothed")
    z, t = net.param("z", s, i), net.input("t", s, i)
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    net.loss(-Sum(t[s, i] * log(y[s, i] + Rational(1, 10**7)), s, i))
    assert peak_memory(load(net), length=120) < 30 * 120**2 * 8


def test_the_gradient_of_an_output_that_nothing_reads_is_its_adjoint() -> None:
    net = Network("two")
    x = net.param("x", s)
    left, right = net.define("left", (s,), tanh(x[s])), net.define("right", (s,), 2 * x[s])
    net.output(left, right)
    derivation = derive(net, wrt=["left"])
    module = derivation.load()
    _, cache = module.forward({"x": np.ones(2)})
    given = {"left": np.array([3.0, 4.0]), "right": np.zeros(2)}
    assert_close(module.backward({"x": np.ones(2)}, cache, given)["left"], given["left"], 0)
    assert str(derivation.gradient("left")) == "dleft[s]"


@variation()
def test_softplus_of_a_number(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(log(1 + exp(Integer(2))) * Sum(x[s], s))
    return lambda x: x_.log(1 + x_.exp(x_.array(2))) * x.sum()


@variation()
def test_log_cosh_of_a_tanh(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(Sum(log(cosh(tanh(x[s]))), s))
    return lambda x: x_.log(x_.cosh(x_.tanh(x))).sum()


def test_a_branch_that_an_index_decides_is_folded() -> None:
    net = Network("folded")
    x = net.param("x", i)
    y = net.define("y", (i,), Piecewise((i * x[i], i * x[i] > 0), (exp(i * x[i]) - 1, True)))
    net.loss(y[0] + y[1])
    _, grads = run(load(net), frozen({"x": [2.0, -1.0, 0.5]}))
    assert_close(grads["x"], [0, np.exp(-1), 0], 1e-15)


@variation(extremes=BINARY, digits=1000)
def test_one_minus_sigmoid_as_an_equation(net: Network) -> Definition:
    x, t = net.param("x", s), net.input("t", s)
    y = net.define("y", (s,), sig(x[s]))
    q = net.define("q", (s,), 1 - y[s])
    net.loss(-Sum(t[s] * log(y[s]) + (1 - t[s]) * log(q[s]), s))
    return lambda x, t: -(t * x_.log(sigma(x)) + (1 - t) * x_.log(1 - sigma(x))).sum()


@variation(extremes=SPREAD_OUT)
def test_slope_of_a_hyperbolic_secant(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(Sum(1 / cosh(x[s]), s))
    return lambda x: (1 / x_.cosh(x)).sum()


@variation(extremes=SPREAD_OUT, digits=1000)
def test_focal_loss_in_one_equation(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(-Sum((1 - sig(x[s])) ** 2 * log(sig(x[s])), s))
    return lambda x: -((1 - sigma(x)) ** 2 * x_.log(sigma(x))).sum()


@variation(extremes=SPREAD_OUT)
def test_logistic_density(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(Sum(exp(-x[s]) / (1 + exp(-x[s])) ** 2, s))
    return lambda x: (x_.exp(-x) / (1 + x_.exp(-x)) ** 2).sum()


@variation(extremes=SPREAD_OUT)
def test_powers_of_two(net: Network) -> Definition:
    x = net.param("x", s)
    net.loss(Sum(log(1 + 2 ** x[s]) + 1 / (1 + 2 ** (-x[s])), s))
    return lambda x: (x_.log(1 + 2**x) + 1 / (1 + 2 ** (-x))).sum()


@variation(extremes=[{"x": [1000, -1000]}, {"x": [90, 88]}])
def test_every_pair_of_players(net: Network) -> Definition:
    """Bradley–Terry: one tensor at two indices of one sum."""
    x = net.param("x", s)
    net.loss(-Sum(log(exp(x[s]) / (exp(x[s]) + exp(x[u]))), s, u))

    def definition(x: Any) -> Any:
        e = x_.exp(x)
        return -x_.log(e[:, None] / (e[:, None] + e)).sum()

    return definition


@variation(draw={"t": positive}, extremes=[{"z": [[1000, 1001, -1000]], "t": [[1, 1, 0]]}])
def test_marginal_likelihood(net: Network) -> Definition:
    z, t = net.param("z", s, i), net.input("t", s, i)
    net.loss(-Sum(log(Sum(t[s, i] * exp(z[s, i]), i) / Sum(exp(z[s, c]), c)), s))
    return lambda z, t: -x_.log((t * x_.exp(z)).sum(axis=1) / x_.exp(z).sum(axis=1)).sum()


@variation(extremes=[{"z": [[128, 129, -128]], "t": [[0, 1, 0]]}])
def test_softmax_in_base_two(net: Network) -> Definition:
    z, t = net.param("z", s, i), net.input("t", s, i)
    net.loss(-Sum(t[s, i] * log(2 ** z[s, i] / Sum(2 ** z[s, c], c)), s, i))
    return lambda z, t: cross_entropy(z * x_.log(x_.array(2)), t)


@variation(extremes=[{"q": [[30, -20]], "key": [[20, 5], [-9, 9]], "v": [[1, 2], [3, 4]]}])
def test_weighted_mean_without_normalising_first(net: Network) -> Definition:
    q, key, v = net.param("q", s, j), net.param("key", i, j), net.param("v", i, a)
    e = net.define("e", (s, i), exp(Sum(q[s, j] * key[i, j], j)))
    net.output(net.define("o", (s, a), Sum(e[s, i] * v[i, a], i) / Sum(e[s, i], i)))
    return lambda q, key, v: softmax(q @ key.T) @ v


def test_weighted_mean_is_derived_without_a_jacobian() -> None:
    """Its adjoint is e (v·ō − o·ō) / Σe: nothing over (s, i, a) is ever built."""
    net = Network("attention")
    q, key, v = net.param("q", s, j), net.param("key", i, j), net.param("v", i, a)
    e = net.define("e", (s, i), exp(Sum(q[s, j] * key[i, j], j)))
    net.output(net.define("o", (s, a), Sum(e[s, i] * v[i, a], i) / Sum(e[s, i], i)))
    source = derive(net).source
    assert "do @ v.T - (do * o).sum(axis=1, keepdims=True)" in source
    assert "tensordot" not in source and "None, :, None" not in source


def test_layer_norm_in_one_equation_is_derived_without_a_jacobian() -> None:
    """Its adjoint stood as Σ_j' ȳ_j' (1 + u_j u_j' / v), and was computed so: over (s, j, j')."""
    net = Network("norm")
    x = net.input("x", s, j)
    less = x[s, j] - Sum(x[s, j], j) / d
    net.output(net.define("y", (s, j), less / sqrt(Sum(less**2, j) / d + Rational(1, 10))))
    assert "None, :" not in derive(net).source


@pytest.mark.parametrize("name", ["dx", "types"])
def test_adjoints_keep_clear_of_sizes_and_reserved_words(name: str) -> None:
    size = sizes("dx")
    p = indices("p", size)
    net = Network("clash")
    x, w = net.param("x", s, p), net.param("types" if name == "types" else "w", p)
    net.loss(Sum(x[s, p] * w[p], s, p))
    assert derive(net).verify().ok


def shifted_into(longer: Any, by: Any, x_size: Any) -> Network:
    """x with zeros before and behind it."""
    net, q = Network("padded"), indices("q", longer)
    x = net.param("x", indices("l", x_size))
    y = Piecewise((x[q - by], And(q >= by, q < by + x_size)), (0, True))
    net.output(net.define("y", q, y))
    return net


@pytest.mark.parametrize(
    ("net", "sizes_given", "before", "behind"),
    [
        # SymPy makes q < 2 d + 1 to d > q/2 − 1/2
        (shifted_into(2 * d + 2, 1, 2 * d), {}, 1, 1),
        # of places that the sizes may put on the axis or off it, the condition decides: d − 1 is 0 for d = 1
        (shifted_into(n + 2 * d - 2, d - 1, n), {"d": 4}, 3, 3),
        (shifted_into(n + 2 * (d // 2), d // 2, n), {"d": 5}, 2, 2),
    ],
    ids=["divided", "decided by a size", "floor"],
)
def test_a_padded_axis(net: Network, sizes_given: Any, before: int, behind: int) -> None:
    derivation = derive(net)
    assert derivation.verify().ok
    x = np.arange(1.0, 7.0)
    dy = np.arange(6.0 + before + behind)
    y, grads = run(derivation.load(), frozen({"x": x}), dy, **sizes_given)
    assert_close(y, np.pad(x, (before, behind)), 0)
    assert_close(grads["x"], dy[before : before + 6], 0)


def test_a_mask_that_sympy_divides_is_compared_in_whole_numbers() -> None:
    net = Network("band")
    x = net.param("x", s)
    net.loss(Sum(Piecewise((x[s], s < 2 * d), (x[s] ** 2, True)), s))
    derivation = derive(net)
    assert derivation.verify().ok and "/ 2" not in derivation.source


def test_an_index_condition_is_exact_where_numbers_are_noisy() -> None:
    """Of zeros around x, q/2 ≤ d as SymPy has it: rounded the other way, x is read beyond its end."""
    declared = shifted_into(2 * d + 2, 1, 2 * d).declared()
    x = np.arange(6.0)
    noisy = Multiprecision(50, noise=True).numbers
    y = evaluate(declared, {"d": 3}, {"x": x}, noisy).values["y"][0]
    assert_close(y, np.pad(x, 1), 1e-45)


def test_side_by_side_is_a_view_and_no_matrix_of_ones() -> None:
    """y[d r + e] = x[r, e], written with a δ: r and e run through y in steps."""
    net, r, b = Network("concatenated"), indices("r", 3), indices("b", 3 * d)
    x = net.param("x", s, r, j)
    net.output(net.define("y", (s, b), Sum(KroneckerDelta(b, d * r + j) * x[s, r, j], r, j)))
    derivation = derive(net)
    assert "np.arange" not in derivation.source
    module = derivation.load()
    x0, dy = np.arange(24.0).reshape(2, 3, 4), np.arange(24.0)[::-1].reshape(2, 12)
    y, grads = run(module, frozen({"x": x0}), dy)
    assert_close(y, x0.reshape(2, 12), 0)
    assert_close(grads["x"], dy.reshape(2, 3, 4), 0)


@pytest.mark.parametrize("reduction", [Maximum, Product, Sum])
def test_a_placed_term_under_a_reduction(reduction: Any) -> None:
    """max_c δ(c, 2s + 1) x_s is no sum of terms that are placed."""
    net, b = Network("placed"), indices("b", 2 * n)
    x = net.param("x", s)
    net.output(net.define("y", s, reduction(KroneckerDelta(b, 2 * s + 1) * x[s], b)))
    assert derive(net).verify().ok


def test_a_root_of_a_size_below_a_mask_is_a_number() -> None:
    """√d is defined whether or not the branch that divides by it is taken."""
    net = Network("masked")
    x = net.param("x", s, u)
    net.loss(Sum(Piecewise((x[s, u] ** 2 / sqrt(d), u <= s), (0, True)), s, u))
    assert ", d, 1)" not in derive(net).source


def test_a_root_of_a_constant_is_read_only_where_its_branch_is_taken() -> None:
    """Python's (−1)**0.5 is complex."""
    net = Network("rooted")
    x, lam = net.param("x", s), net.constant("lam", 1.0)
    net.loss(Sum(Piecewise((x[s] * sqrt(lam), lam > 0), (x[s] ** 2, True)), s))
    loss, grads = run(load(net), frozen({"x": np.ones(3)}), lam=-1.0)
    assert loss == 3 and grads["x"].dtype == np.float64 and (grads["x"] == 2).all()


def test_rounding_on_the_way_is_no_error_of_the_module() -> None:
    """x + b, less its mean, keeps what rounding of x + b leaves: which rounding x alone does not show."""
    net = Network("centred")
    x, b = net.param("x", s, j), net.param("b", j)
    z = net.define("z", (s, j), x[s, j] + b[j])
    y = net.define("y", (s, j), z[s, j] - Sum(z[u, j], u) / n)
    net.loss(Sum(y[s, j] ** 2 / sqrt(Sum(y[u, j] ** 2, u) / n + 1e-5) * s, s, j))
    declared = net.declared()
    point = Sampler(declared, np.random.default_rng(0)).point({"n": 3, "d": 2}, "normal(0, 1)")
    small = point.replaced({"x": point.values["x"] / 1000})
    disturbed = Sampler(declared, np.random.default_rng(1)).disturbed(small, 1e-7)
    assert set(disturbed.roundings) == {"z", "y"}
    direction = {"x": np.ones((1, 3, 2)) * [[[1.0], [2.0], [4.0]]]}
    oracle = Oracle(declared)
    moved, alone = oracle.smooth(disturbed, direction), replace(disturbed, roundings={})
    here = oracle.smooth(small, direction).derivatives["x"]
    off = (
        abs(moved.derivatives["x"] - here),
        abs(oracle.smooth(alone, direction).derivatives["x"] - here),
    )
    assert off[0] > 100 * off[1]


def window_at_zero(net: Network) -> None:
    """h_p = (Σ_a x_{p+a})² read at p = 0 alone: of x its first entries, not all of them."""
    x = net.param("x", indices("e", n + h - 1))
    y = net.define("y", s, Sum(x[s + a], a) ** 2)
    net.output(net.define("z", (), y[0]))


def maximum_over_unordered_indices(net: Network) -> None:
    """Ties over (i, a), which the model names in another order than it declares them."""
    z, x = net.param("z", a), net.param("x", s, i)
    net.output(net.define("y", s, Maximum(x[s, i] * z[a], i, a)))


def product_with_a_fixed_place(net: Network) -> None:
    x = net.param("x", i, c)
    net.loss(Product(KroneckerDelta(0, s) * x[i, i] / 2 + 1, s, i))


def product_of_noise(net: Network) -> None:
    """Where the output is predicted, Π_a (p/2 + 1) over nothing that varies is a power."""
    x, mask = net.param("x", s), net.random("mask", a, p=0.5)
    net.output(net.define("y", s, Product(mask[a] / 2 + 1, a) * x[s]))


def a_product_in_a_long_statement(net: Network) -> None:
    x, e = net.param("x", i, j), net.input("e", a)
    before = exp(x[i, j - 1] / 4) / 2 + 1
    f = Piecewise((before, j >= 1), (exp(e[0] / 4) / 2 + 1, True))
    y = net.define("y", (s, j), Product(f, i))
    net.loss(Sum(y[s, j], s, j))


def branches_of_no_entries(net: Network) -> None:
    """Where h = 1, a range of h − 1 indices is empty: in a window, and in a product."""
    x, w, y = net.param("x", a), net.param("w", a), net.param("y", a, i)
    p = net.define("p", a, Product(Piecewise((y[a - 1, i], a >= 1), (1, True)), i))
    net.loss(Sum(p[a], a) * Sum(Piecewise((x[a - 1] * w[h - 1 - a], a >= 1), (0, True)), a))


def gathered_from_what_is_shifted(net: Network) -> None:
    """The gradient of x goes to the places 1 + w[s]."""
    w, x, b = net.input("w", s, integer=True), net.param("x", indices("e", d + 2)), net.param("b")
    y = net.define("y", j, x[j + 1] ** 2 * b)
    net.loss(Sum(y[w[s]] ** 2 * y[w[0]], s))


def loops_over_one_letter(net: Network) -> None:
    """Two bound indices, s and s', become the variables of two loops."""
    x = net.param("x", s, u)
    y = net.define("y", (s, u), tanh(x[s, u]))
    peak = Maximum(y[s, n - 1] * x[s, 0], s)
    net.loss(Sum(y[n - 1 - s, n - 1 - u] * peak, s, u) ** 2)


def gates_of_which_one_is_sparse(net: Network) -> None:
    """All gates are written, but not all places of the first: it is zero beside what `first` is at."""
    gate = indices("gate", 2)
    w, first = net.param("w", s, a), net.input("first", s, integer=True)
    picked = KroneckerDelta(gate, 0) * KroneckerDelta(a, first[s]) * tanh(w[s, a])
    both = net.define("both", (s, gate, a), picked + KroneckerDelta(gate, 1) * w[s, a] / 2)
    net.loss(Sum(both[s, gate, a] ** 2 * (gate + 1), s, gate, a))


@pytest.mark.parametrize(
    "build",
    [
        gates_of_which_one_is_sparse,
        loops_over_one_letter,
        gathered_from_what_is_shifted,
        window_at_zero,
        maximum_over_unordered_indices,
        product_with_a_fixed_place,
        product_of_noise,
        a_product_in_a_long_statement,
        branches_of_no_entries,
    ],
)
def test_verified(build: Callable[[Network], None]) -> None:
    net = Network(build.__name__)
    build(net)
    report = derive(net).verify()
    assert report.ok, report


def test_the_gradient_through_a_part_that_is_a_tensor_of_our_own() -> None:
    """d.gradient names the adjoint of log y, which the model does not declare."""
    net = Network("exposed")
    x, w = net.param("x", j), net.param("w", i, j)
    y = net.define("y", i, exp(Sum(w[i, j] * x[j], j) / 4))
    net.loss(Sum(tanh(y[i]), i) + Sum(x[j] * y[0] / (1 + (x[j] * y[0]) ** 2), j))
    assert derive(net).gradient("x").has(Sum)


@pytest.mark.parametrize("shifted", [False, True])
def test_a_softmax_in_cuts(shifted: bool) -> None:
    """e = exp z, r = 1 / Σ e, p = e r: one softmax, p − t beside a logarithm, with a shift of the user's or without."""
    net = Network("cuts")
    z, t = net.param("z", s, i), net.input("t", s, integer=True)
    a = z
    if shifted:
        peak = net.define("peak", s, Maximum(z[s, i], i))
        a = net.define("a", (s, i), z[s, i] - peak[s])
    e = net.define("e", (s, i), exp(a[s, i]))
    r = net.define("r", s, 1 / Sum(e[s, i], i))
    p = net.define("p", (s, i), e[s, i] * r[s])
    net.loss(-Sum(log(p[s, t[s]]), s))
    derived = derive(net)
    assert "∂L/∂z[s,i] = p[s,i] − δ_{i,t[s]}" in derived.source
    assert not shifted or derived.gradient("peak") == 0
    assert not shifted or derived.source.count(".max(") == 1
    values = np.array([[1000.0, 1001, -1000], [-1000, -1000, -1001]])
    loss, grads = derived.load().value_and_grad({"z": values}, np.array([1, 2]))
    q = np.exp(values - values.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    assert_close(loss, -np.log(q[[0, 1], [1, 2]]).sum(), 1e-14)
    assert_close(grads["z"], q - np.eye(3)[[1, 2]], 1e-14)


def test_an_inverse_beside_an_exponential() -> None:
    """e / (1 + e) in two cuts, where e overflows or 1 / (1 + e) vanishes."""
    net = Network("inverse")
    x = net.param("x", j)
    q = net.define("q", j, 1 / (1 + exp(x[j])))
    y = net.define("y", j, exp(x[j]) * q[j])
    net.loss(Sum(y[j], j))
    assert derive(net).verify().ok
    x_, y_ = np.array([-800.0, 0, 800]), np.array([0, 0.5, 1])
    loss, grads = derive(net).load().value_and_grad({"x": x_})
    assert loss == y_.sum() and np.all(grads["x"] == y_ * (1 - y_))


def test_a_guarded_read_is_printed_as_it_was_written() -> None:
    """Σ_i δ(j, i + 1) x[i] is how it is derived, not what the user said."""
    net = Network("guarded")
    x = net.param("x", j)
    l_ = indices("l", d + 1)
    y = net.define("y", l_, Piecewise((x[l_ - 1], l_ >= 1), (0, True)))
    net.loss(Sum(y[l_] ** 2, l_))
    derived = derive(net)
    line = "y[l] = {x[l − 1] if l ≥ 1; 0 otherwise}"
    assert f"    {line}\n" in derived.source and f"# {line} " in derived.source
    assert line in derived.text


def test_the_cube_of_what_a_step_keeps_is_a_product() -> None:
    """NumPy's power made GPT-2's GELU take half of the time of a training step."""
    net = Network("cubes")
    w = net.param("w", i)
    y = net.recurrent("y", (i, u), over=u, initial=w[i])
    net.define(y, (i, u), y[i, u - 1] - y[i, u - 1] ** 3 / 9)
    net.loss(Sum(y[i, u], i, u))
    derived = derive(net)
    assert "y_before[:, u] * y_before[:, u] * y_before[:, u]" in derived.source
    assert "] ** 3" not in derived.source
    assert derived.verify().ok


def test_the_gradient_of_gates_on_one_axis_is_written_gate_by_gate() -> None:
    """Not as a sum of arrays that are zero but for one gate: a step of an LSTM took a fifth more time."""
    source = derive(lstm.net).source
    for gate in range(4):
        assert f"dz[:, t, {gate}] = d" in source


T = sizes("T")
r = indices("r", T)


def begins_with_a_delta(net: Network) -> None:
    """α[0] is set apart by a δ; the loop of its adjoint is read at its first step alone, by way of a view."""
    A, p = net.param("A", j, m), net.param("p", j)
    x = net.recurrent("x", (r, j), over=r)
    start = KroneckerDelta(r, 0) * p[j] ** 2
    net.define(x, (r, j), start + Sum(x[r - 1, m] * (1 + A[m, j] ** 2), m))
    net.loss(log(Sum(x[T - 1, j], j)))


def begins_with_a_delta_unscaled(net: Network) -> None:
    A, p = net.param("A", j, m), net.param("p", j)
    x = net.recurrent("x", (r, j), over=r)
    start = KroneckerDelta(r, 0) * p[j]
    net.define(x, (r, j), start + Sum(x[r - 1, m] * A[m, j], m))
    net.loss(Sum(tanh(x[T - 1, j]), j))


def set_at_one_place_at_every_step(net: Network) -> None:
    """{p if j = 0} is no beginning: its scale is not that of the state."""
    A, p = net.param("A", j, m), net.param("p")
    x = net.recurrent("x", (r, j), over=r, initial=1)
    spread = Sum(x[r - 1, m] * (1 + A[m, j] ** 2), m)
    net.define(x, (r, j), Piecewise((1 + p**2, Eq(j, 0)), (spread, True)))
    net.loss(log(Sum(x[T - 1, j], j)))


def masked_in_every_layer(net: Network) -> None:
    """Read twice in a loop, the mask is a value of its own, and no part of it a number."""
    W, x0 = net.param("W", r, j, m), net.input("x0", s, j)
    X = net.recurrent("X", (r, s, j), over=r, initial=x0[s, j])
    z = net.define("z", (r, s, u), Sum(W[r, j, m] * X[r - 1, s, j] * X[r - 1, u, m], j, m))
    seen = net.define("seen", (r, s, u), Piecewise((z[r, s, u], u <= s), (0, True)))
    own = Piecewise((tanh(z[r, s, u]), u <= s), (0, True))
    net.define(X, (r, s, j), tanh(Sum(seen[r, s, u] * X[r - 1, u, j], u) + Sum(own, u)))
    net.loss(Sum(X[T - 1, s, j] ** 2, s, j))


@pytest.mark.parametrize(
    "build",
    [
        begins_with_a_delta,
        begins_with_a_delta_unscaled,
        set_at_one_place_at_every_step,
        masked_in_every_layer,
    ],
)
def test_recurrence_verified(build: Callable[[Network], None]) -> None:
    net = Network(build.__name__)
    build(net)
    report = derive(net).verify()
    assert report.ok, report


def test_what_begins_with_a_delta_is_scaled() -> None:
    """Some 10⁴⁰⁰⁰ after two thousand steps."""
    net = Network("long")
    A, p = net.param("A", j, m), net.param("p", j)
    x = net.recurrent("x", (r, j), over=r)
    start = KroneckerDelta(r, 0) * p[j]
    net.define(x, (r, j), start + Sum(x[r - 1, m] * A[m, j], m))
    total = net.input("total", r)
    net.loss(log(Sum(x[T - 1, j], j)) + Sum(total[r], r))
    params = frozen({"A": np.full((2, 2), 50.0), "p": np.ones(2)})
    value, grads = run(load(net), {**params, "total": np.zeros(2000)})
    assert_close(value, np.log(2.0) + 1999 * np.log(100.0), 1e-13)
    assert_close(grads["A"], np.full((2, 2), 1999 / 200), 1e-12)


def test_nothing_is_kept_for_its_dtype_alone() -> None:
    """The scores z of a softmax are not read by its backward, which y and the labels suffice for."""
    net = Network("classes")
    x, t = net.input("x", s, j), net.input("t", s, integer=True)
    W = net.param("W", i, j)
    z = net.define("z", (s, i), Sum(W[i, j] * x[s, j], j))
    y = net.define("y", (s, i), exp(z[s, i]) / Sum(exp(z[s, c]), c))
    h = net.recurrent("h", (s, i), over=s)
    net.define(h, (s, i), h[s - 1, i] / 2 + y[s, i])
    net.loss(-Sum(log(y[s, t[s]]), s) + Sum(h[s, i] ** 2, s, i))
    backward = derive(net).source.split("def backward")[1].split("def value_and_grad")[0]
    cache = re.search(r"\n    (\(?[\w,\s]+\)?) = cache\n", backward)
    assert cache is not None
    for name in re.findall(r"\w+", cache[1]):
        assert re.search(rf"\b{name}\b(?!\.dtype)", backward[cache.end() :]), name


def test_masks_over_indices_leave_an_equation_analytic() -> None:
    """So that complex steps judge its gradients; a comparison of values does not."""
    x = Network("m").param("x", s)
    assert not has_kinks(Piecewise((exp(x[s]), s <= u), (0, True)))
    assert has_kinks(Piecewise((exp(x[s]), x[s] > 0), (0, True)))


def test_a_view_that_is_written_to_has_a_line_of_its_own_where_one_is_too_short() -> None:
    """The gradient of a grouped and dilated convolution: no line can break within the slices of its left side."""
    net = Network("grouped")
    x = net.param("x", s, indices("q", d * h), indices("l", n + 4), indices("w", k + 4))
    g, p, o = indices("g", d), indices("p", h), indices("o", 2)
    v, z = indices("v z", 3)
    W = net.param("W", g, o, p, v, z)
    y = Sum(W[g, o, p, v, z] * x[s, g * h + p, u + 2 * v, i + 2 * z], p, v, z)
    net.output(net.define("y", (s, g, o, u, i), y))
    derived = derive(net)
    code = derived.source.split("# Checks at entry")[0]
    assert max(map(len, code.splitlines())) <= 88
    assert ".reshape(" in derived.source and derived.verify().ok


def test_the_gradient_of_a_recurrent_tensor_reads_the_next_step() -> None:
    """It was an adjoint under a name that the user never sees, and whose axes nothing knew."""
    derived = derive(lstm.net)
    assert str(derived.gradient("h")).startswith("dh_before[s, t + 1, a] + Sum(")
    assert all(derived.gradient(eq.name) is not None for eq in lstm.net.declared().equations)
