"""Matrix forms: those of textbooks, and each against the formula in indices, evaluated over all places."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache, reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from sympy import Abs, Add, Expr, Ge, Gt, Idx, Integer, Mul, Pow, Symbol, exp, log, sqrt, tanh

from symbp import derive
from symbp.ir import matrix as m
from symbp.ir.functions import Largest, SafeInverse
from symbp.ir.nodes import Cases, Delta, Entry, Head, Iverson, Reduce, Slope, free_indices, size_of
from symbp.ir.program import unshifted
from symbp.matrices import matrix_form
from symbp.notation.matrix import matrix_latex, matrix_text

Array = np.ndarray[Any, Any]

FUNCTIONS = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "Abs": np.abs,
    "Magnitude": np.abs, "Sign": np.sign, "LogAddExp": np.logaddexp,
    "Largest": lambda *a: reduce(np.maximum, a), "Smallest": lambda *a: reduce(np.minimum, a),
    "Max": lambda *a: reduce(np.maximum, a), "Min": lambda *a: reduce(np.minimum, a),
}  # fmt: skip
RELATIONS = {
    ">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal, "==": np.equal,
    "!=": np.not_equal,
}  # fmt: skip


class Places:
    """Evaluates formulas in index notation one place at a time. An index outside its axis wraps around."""

    def __init__(self, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.arrays = arrays
        self.sizes = sizes
        self.lengths: dict[Idx, int] = {}

    def length(self, index: Idx) -> int:
        if index not in self.lengths:
            size = size_of(index)
            self.lengths[index] = int(size.subs({x: self.sizes[x.name] for x in size.free_symbols}))
        return self.lengths[index]

    def __call__(self, expr: Any, at: Mapping[Idx, int]) -> Any:
        if isinstance(expr, Idx):
            return at[expr]
        if isinstance(expr, Head):
            return at[expr.index]
        if isinstance(expr, Entry):
            array = self.arrays[expr.tensor]
            places = [int(self(p, at)) % n for p, n in zip(expr.indices, array.shape, strict=True)]
            return array[tuple(places)]
        if isinstance(expr, Symbol):
            return self.sizes.get(expr.name, 0.75)
        if isinstance(expr, Reduce):
            fold = {"sum": np.sum, "product": np.prod, "maximum": np.max}[expr.reducer]
            ranges = [range(self.length(i)) for i in expr.indices]
            values = [
                self(expr.body, {**at, **dict(zip(expr.indices, p))}) for p in product(*ranges)
            ]
            return fold(values)
        if isinstance(expr, Cases):
            taken = (value for value, condition in expr.branches if self(condition, at))
            return self(next(taken, expr.otherwise), at)
        if isinstance(expr, Slope):
            return self(expr.open(), at)
        if not expr.args:
            return float(expr)
        values = [self(a, at) for a in expr.args]
        if isinstance(expr, Delta):
            return float(values[0] == values[1])
        if isinstance(expr, Iverson):
            return float(values[0])
        if hasattr(expr, "rel_op"):
            return RELATIONS[expr.rel_op](*values)
        if isinstance(expr, Add):
            return sum(values)
        if isinstance(expr, Mul):
            return prod(values)
        if isinstance(expr, Pow):
            return values[0] ** values[1]
        return FUNCTIONS[type(expr).__name__](*values)


class Matrices:
    """Evaluates matrices as arrays of two axes, from the product of NumPy."""

    def __init__(self, places: Places, at: Mapping[Idx, int]) -> None:
        self.places = places
        self.at = at

    def shape(self, axes: m.Axes) -> tuple[int, ...]:
        return tuple(1 if i is None else self.places.length(i) for i in axes)

    def __call__(self, node: m.Matrix) -> Array:
        value = self.value(node)
        assert value.shape == self.shape(node.axes)
        return value

    def value(self, node: m.Matrix) -> Array:
        parts = [] if isinstance(node, m.Summation) else [self(p) for p in node.parts]
        match node:
            case m.Scalar():
                return np.array([[self.places(node.value, self.at)]])
            case m.Tensor():
                places = product(*(range(self.places.length(i)) for i in node.moving))
                at = [{**self.at, **dict(zip(node.moving, p))} for p in places]
                entries = [self.places(node.entry, a) for a in at]
                return np.array(entries).reshape(self.shape(node.axes))
            case m.Ones():
                return np.ones(self.shape(node.axes))
            case m.Unit():
                size = self.places.length(node.index)
                return np.eye(size)[:, [int(self.places(node.place, self.at)) % size]]
            case m.Identity():
                return np.eye(self.places.length(node.rows))
            case m.Transpose():
                return parts[0].T
            case m.Product():
                return reduce(np.matmul, parts)
            case m.Scale():
                scalars = prod(p.item() for p in parts[1:])
                return parts[0] * self.places(node.factor, self.at) * scalars
            case m.Sum():
                return sum(parts, np.zeros((1, 1)))
            case m.Hadamard():
                return reduce(np.multiply, parts)
            case m.Power():
                return parts[0] ** self.places(node.exponent, self.at)
            case m.Apply():
                return FUNCTIONS[node.function.__name__](*parts)
            case m.Indicator():
                return RELATIONS[node.relation](*parts).astype(float)
            case m.Diagonal():
                return np.diag(parts[0][:, 0])
            case m.Inner():
                assert parts[0].shape == parts[1].shape
                return np.array([[np.sum(parts[0] * parts[1])]])
            case m.Summation():
                steps = product(*(range(self.places.length(i)) for i in node.indices))
                at = [{**self.at, **dict(zip(node.indices, p))} for p in steps]
                return np.sum([Matrices(self.places, a)(node.parts[0]) for a in at], axis=0)
        raise AssertionError(type(node))


def assert_equal(form: m.MatrixForm, indices: tuple[Idx, ...], expr: Expr, places: Places) -> None:
    """The form is the formula, for each value of the indices that it holds fixed."""
    inside = [i for i in form.left.axes if i is not None]
    assert {*inside, *form.each} == {*indices}
    for held in product(*(range(places.length(i)) for i in form.each)):
        at = dict(zip(form.each, held))
        found = np.broadcast_to(
            Matrices(places, at)(form.right), Matrices(places, at).shape(form.left.axes)
        )
        for place in product(*(range(places.length(i)) for i in inside)):
            expected = places(expr, {**at, **dict(zip(inside, place))})
            np.testing.assert_allclose(found[(*place, 0, 0)[:2]], expected, rtol=1e-9, atol=1e-12)


n, d, k = (Symbol(name, integer=True, positive=True) for name in "ndk")
s, r, j, o, i, c = (Idx(name, size) for name, size in zip("srjoic", (n, n, d, d, k, k)))
AXES = {
    "x": (s, j),
    "g": (s, i),
    "W": (i, j),
    "A": (j, o),
    "u": (j,),
    "v": (i,),
    "q": (s,),
    "p": (),
}


def at(name: str, *indices: Idx) -> Entry:
    return Entry(name, *(indices or AXES[name]))


def total(body: Expr, *indices: Idx) -> Reduce:
    return Reduce("sum", body, *indices)


LINEAR = total(at("W") * at("x"), j) + at("v")
CASES = {
    "y = x Wᵀ + 𝟏 vᵀ": ((s, i), LINEAR),
    "y = W u + v": ((i,), total(at("W") * at("u"), j) + at("v")),
    "y = Wᵀ v": ((j,), total(at("W") * at("v"), i)),
    "y = gᵀ x": ((i, j), total(at("g") * at("x"), s)),
    "y = gᵀ 𝟏": ((i,), total(at("g"), s)),
    "y = 𝟏ᵀ q": ((), total(at("q"), s)),
    "y = v uᵀ": ((i, j), at("v") * at("u")),
    "y = (1 / n) v uᵀ": ((i, j), at("v") * at("u") / n),
    "y = uᵀ A u": ((), total(at("A") * at("u") * at("u", o), j, o)),
    "y = diag(v) W": ((i, j), at("v") * at("W")),
    "y = W diag(u)": ((i, j), at("u") * at("W")),
    "y = x diag(u) Wᵀ": ((s, i), total(at("x") * at("u") * at("W"), j)),
    "y = (1 − x^∘2) ⊙ (g W)": ((s, j), (1 - at("x") ** 2) * total(at("g") * at("W"), i)),
    "y = 𝟏[x > 0] ⊙ (g W)": ((s, j), Iverson(Gt(at("x"), 0)) * total(at("g") * at("W"), i)),
    "y = g − 𝟏 vᵀ": ((s, i), at("g") - at("v")),
    "y = (1 / n) ‖x‖²": ((), total(at("x") ** 2, s, j) / n),
    "y = −⟨x, log(x)⟩": ((), -total(at("x") * log(at("x")), s, j)),
    "y = max(0, x)": ((s, j), Largest(0, at("x"))),
    "y = diag(exp(g) 𝟏)⁻¹ exp(g)": ((s, i), exp(at("g")) / total(exp(at("g", s, c)), c)),
    "y = diag(u) − u uᵀ": ((j, o), at("u") * (Delta(j, o) - at("u", o))),
    "y = x u + p 𝟏": ((s,), total(at("x") * at("u"), j) + at("p")),
    "y = tanh(W u)": ((i,), tanh(total(at("W") * at("u"), j))),
    "y[s] = g[s] − 𝐞[w[s]]": ((s, i), at("g") - Delta(i, Entry("w", s))),
}  # fmt: skip


@pytest.fixture(scope="module")
def places() -> Places:
    return small({"y": (), **AXES}, {"n": 2, "d": 3, "k": 4}, {"w": (s,)})


def small(
    axes: Mapping[str, tuple[Idx, ...]],
    sizes: Mapping[str, int],
    whole: Mapping[str, tuple[Idx, ...]] = {},
) -> Places:
    """Small random arrays, positive; integers are 0 and 1."""
    rng = np.random.default_rng(0)
    places = Places({}, sizes)
    shapes = {name: [places.length(i) for i in own] for name, own in {**axes, **whole}.items()}
    places.arrays = {
        name: rng.integers(0, 2, shape) if name in whole else rng.uniform(0.2, 0.8, shape)
        for name, shape in shapes.items()
    }
    return places


@pytest.mark.parametrize("expected", CASES)
def test_forms_of_textbooks(expected: str, places: Places) -> None:
    indices, expr = CASES[expected]
    form = matrix_form("y", indices, expr)
    assert form is not None
    assert f"{matrix_text(form.left)} = {matrix_text(form.right)}" == expected
    assert_equal(form, indices, expr, places)


def test_latex() -> None:
    """Adjoints have bars, and the number of a layer stands beside the sign of the transpose."""
    expr = total(Entry("dz1", s, i) * Entry("x1", s, j), s)
    form = matrix_form("dW", (i, j), expr, ("dz1", "dW"))
    assert form is not None
    adjoints = {"dz1": "z1", "dW": "W"}
    assert matrix_latex(form.left, adjoints) == r"\bar{W}"
    assert matrix_latex(form.right, adjoints) == r"\bar{z}^{(1)\top}\, x^{(1)}"
    expr = total(Iverson(Gt(Entry("z1", s, i), 0)) * at("x"), s)
    form = matrix_form("y", (i, j), expr)
    assert form is not None
    assert matrix_latex(form.right) == r"\mathbf{1}\bigl[z^{(1)} > 0\bigr]^{\top}\, x"


def test_marks_that_mean_something_else_of_matrices() -> None:
    """|A| is a determinant, A⁺ the pseudo-inverse, and A² is A A: entry by entry they are written otherwise."""
    for function, text in (
        (Abs, "abs(W) u"),
        (SafeInverse, "W^∘(+) u"),
        (lambda e: e**2, "W^∘2 u"),
    ):
        form = matrix_form("y", (i,), total(function(at("W")) * at("u"), j))
        assert form is not None
        assert matrix_text(form.right) == text


@pytest.mark.parametrize(
    ("indices", "expr"),
    [
        ((s,), Reduce("maximum", at("g"), i)),
        ((s,), at("p") * at("q")),  # the same with its index left out
        ((j,), Entry("u", j - 1)),
        ((s,), total(Entry("u", i + s) * at("v"), i)),  # a convolution
        ((s,), total(Cases(at("x"), Ge(s, j), Integer(0)), j)),
        ((), at("p") ** 2),
    ],
)
def test_no_form_is_forced(indices: tuple[Idx, ...], expr: Expr) -> None:
    assert matrix_form("y", indices, expr) is None


def test_three_matrices_that_meet_at_an_index_have_no_form() -> None:
    three = at("W") * at("x") * at("A")
    assert matrix_form("y", (i, s), total(three, j, o)) is not None  # A 1 is a vector
    beyond = Entry("B", s, o) * Entry("C", i, s)
    assert matrix_form("y", (i, o), total(three * beyond, j, s)) is None


def test_a_recurrence_has_a_form_at_each_step() -> None:
    """The index of the steps is held fixed, though it is not the first; a gradient is a sum over steps."""
    t, a, b = Idx("t", n), Idx("a", d), Idx("b", d)
    expr = total(Entry("U", a, b) * Entry("h", s, t - 1, b), b) + Entry("c", a)
    form = matrix_form("z", (s, t, a), expr, steps=(t,))
    assert form is not None
    assert form.each == (t,)
    assert matrix_text(form.left) == "z[t]"
    assert matrix_text(form.right) == "h[t − 1] Uᵀ + 𝟏 cᵀ"
    gradient = total(Entry("dz", s, t, a) * Entry("h", s, t - 1, b), s, t)
    form = matrix_form("dU", (a, b), gradient, ("dz", "dU"), steps=(t,))
    assert form is not None
    assert matrix_text(form.right) == "Σ_t dz[t]ᵀ h[t − 1]"


QUICK = ("mlp", "linear_neuron", "logistic_regression", "rnn", "hmm")
SLOW = (
    "autoencoder", "character_mlp", "ctc", "digits_cnn", "dropout_mlp", "gru", "lenet", "lstm",
    "residual_mlp", "tagger", "transformer", "gpt2",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_zoo(name: str) -> None:
    """Each equation and each adjoint that has a form equals it, at sizes that tell the axes apart."""
    adjoint = derive(importlib.import_module(f"symbp.zoo.{name}").net)._adjoint
    program = adjoint.program
    steps = tuple({x.over for x in (*program.shifts, *adjoint.shifts)})
    tensors = adjoint.tensors()
    axes = {name: d.indices for name, d in program.declarations.items()}
    axes |= {eq.name: eq.indices for eq in program.equations}
    axes |= {name: axes[tensor] for name, tensor in tensors.items()}
    whole = {d.name: d.indices for d in program.declarations.values() if d.integer}
    places = small(axes, {name: 2 + k % 3 for k, name in enumerate(sorted(program.sizes()))}, whole)
    found = 0
    for equation in (*program.equations, *adjoint.adjoints):
        expr = unshifted(equation.expr, program, adjoint.shifts)
        form = matrix_form(equation.name, equation.indices, expr, tensors, steps)
        if form is not None:
            found += 1
            assert_equal(form, equation.indices, expr, places)
            for write in (matrix_text, matrix_latex):
                assert write(form.left, tensors) and write(form.right, tensors)
    assert found


@lru_cache
def entries() -> st.SearchStrategy[Expr]:
    """Entries of any tensor at any indices, two over each size, now and then one entry of a function."""
    over = {size: [x for x in (s, r, j, o, i, c) if size_of(x) == size] for size in (n, d, k)}
    plain = st.sampled_from(sorted(AXES)).flatmap(
        lambda name: st.tuples(*(st.sampled_from(over[size_of(a)]) for a in AXES[name])).map(
            lambda places: Entry(name, *places)
        )
    )
    functions = st.sampled_from([exp, tanh, sqrt, lambda e: e**2, lambda e: 1 / e, lambda e: 1 - e])
    masks = plain.map(lambda e: Iverson(Gt(e, 0.5)))
    deltas = st.sampled_from([Delta(s, r), Delta(j, o), Delta(i, c)])
    applied = st.tuples(functions, plain).map(lambda pair: pair[0](pair[1]))
    return st.one_of(plain, plain, plain, applied, applied, masks, deltas)


def summed(expr: Expr, free: tuple[Idx, ...]) -> Expr:
    """Σ over all indices that are not free."""
    bound = sorted((x for x in free_indices(expr) if x not in free), key=str)
    return total(expr, *bound) if bound else expr


@lru_cache
def formulas(free: tuple[Idx, ...]) -> st.SearchStrategy[Expr]:
    numbers = st.sampled_from([Integer(1), Integer(-1), Integer(2), 1 / n])
    products = st.lists(entries(), min_size=1, max_size=4).map(lambda found: Mul(*found))
    terms = st.tuples(numbers, products).map(lambda pair: pair[0] * summed(pair[1], free))
    sums = st.lists(terms, min_size=1, max_size=3).map(lambda found: Add(*found))
    outer = st.tuples(sums, products).map(lambda pair: summed(pair[0] * pair[1], free))
    return st.one_of(sums, sums, outer)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_formulas(data: st.DataObject, places: Places) -> None:
    free = data.draw(st.sampled_from([(), (s,), (j,), (s, i), (i, j), (j, o), (s, r)]))
    expr = data.draw(formulas(free))
    form = matrix_form("y", free, expr)
    event("a form" if form else "none")
    assume(form is not None)
    assert_equal(form, free, expr, places)
    assert matrix_text(form.right)
    assert matrix_latex(form.right)
