"""Mistakes in a model: each is one line that names tensor and index, at the statement that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

import symbp
from symbp import ModelError
from symbp.validate import RESERVED

PRELUDE = """\
import numpy as np
from sympy import *
from symbp import Maximum, Network, functions, indices, sizes
n, d, h, k, T = sizes("n d h k T")
s, j, a, u, p = indices("s", n), indices("j", d), indices("a", h), indices("u", T), indices("p", 4)
i, c = indices("i c", k)
other = Network("other")
x_other, z_other, g = other.input("x", s), other.input("v", i), other.input("g")
net = Network("m")
x, z, v, q = net.input("x", s, j), net.input("z", i), net.input("v", u), net.input("q", p)
w, m = net.input("w", s, integer=True), net.input("m", integer=True)
W, b, lam = net.param("W", a, j), net.param("b"), net.constant("lam", 0.1)
y = net.define("y", i, exp(z[i]))
"""


def mistake(statement: str, file: str = "model.py") -> ModelError:
    """What a model raises whose last statement is this."""
    code = compile(PRELUDE + statement, file, "exec")
    with pytest.raises(ModelError) as caught:
        exec(code, {"__name__": "model"})
    error = caught.value
    assert "\n" not in str(error)
    return error


def check(statement: str, *words: str) -> None:
    error = mistake(statement)
    assert error.where == f"model.py:{PRELUDE.count(chr(10)) + 1}"
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("W[a]", ["W[a]", "(h, d)", "2 indices, not 1"]),
        ("W[a, j, s]", ["W[a, j, s]", "2 indices, not 3"]),
        ("z[()]", ["z[]", "1 index, not 0"]),
        ("b[i]", ["b[i]", "0 indices, not 1"]),
        ("net.loss(W[j, a])", ["axis 0 of W has size h", "index j runs over size d"]),
        ("net.loss(W[a, p])", ["axis 1 of W has size d", "index p runs over size 4"]),
        ("z[-1]", ["z[-1]", "axis 0 of z", "negative", "k - 1"]),
        ("z[-k]", ["z[-k]", "negative"]),
        ("z[1.0]", ["z[1.0]", "axis 0 of z", "float"]),
        ("z[Float(1)]", ["axis 0 of z", "float"]),
        ("z[True]", ["z[True]", "axis 0 of z", "bool"]),
        ("z[true]", ["axis 0 of z", "bool"]),
        ("z[Rational(1, 2)]", ["z[1/2]", "axis 0 of z", "fraction"]),
        ("z[i/2]", ["z[i/2]", "axis 0 of z", "fraction"]),
        ("z[k/2]", ["z[k/2]", "fraction"]),
        ("q[4]", ["q[4]", "axis 0 of q", "outside", "last entry is 3"]),
        ("v[T]", ["v[T]", "axis 0 of v", "outside", "T - 1"]),
        ("v[2*T - 1 + n]", ["axis 0 of v", "outside"]),
        ("q[T + 3]", ["q[T + 3]", "axis 0 of q", "outside"]),
        ("v[Max(0, T - 2)]", ["axis 0 of v", "Max(0, T - 2)", "no integer expression of sizes"]),
        ("v[n % 2]", ["axis 0 of v", "Mod(n, 2)", "no integer expression of sizes"]),
        ("z[:]", ["z[:]", "axis 0 of z", "sliced"]),
        ("W[a, 1:]", ["W[a, 1:]", "axis 1 of W", "sliced"]),
        ("W[a, ...]", ["W[a, ...]", "axis 1 of W", "sliced"]),
        ("z[None]", ["axis 0 of z", "None", "no index"]),
        ("z['i']", ["axis 0 of z", "'i'", "no index"]),
        ("z[np.array([0, 1])]", ["axis 0 of z", "no index"]),
        ("z[Symbol('r')]", ["axis 0 of z", "r is no index"]),
        ("z[Symbol('r', integer=True)]", ["axis 0 of z", "r is no index"]),
        ("z[Idx('i')]", ["index i", "no range"]),
        ("z[Idx('i', (1, k))]", ["index i", "begins at 1"]),
        ("net.loss(z[i + 1])", ["axis 0 of z", "i + 1", "ends at k", "last entry is k - 1"]),
        ("net.loss(z[i - 1])", ["axis 0 of z", "i - 1", "begins at -1"]),
        ("net.loss(z[i + k])", ["axis 0 of z", "outside", "last entry is k - 1"]),
        ("net.loss(z[-1 - i])", ["axis 0 of z", "negative"]),
        ("z[i*i]", ["axis 0 of z", "i**2", "no sum of indices times sizes", "not supported yet"]),
        ("z[(n - d)*i]", ["axis 0 of z", "no sum of indices times sizes"]),
        ("z[2*i + w[s]]", ["axis 0 of z", "arithmetic with an integer tensor"]),
        ("W[w[s] + 1, j]", ["axis 0 of W", "w[s] + 1", "arithmetic", "not supported yet"]),
        ("W[m + 1, j]", ["axis 0 of W", "m + 1", "m is no index"]),
        ("net.loss(W[w[i], j])", ["axis 0 of w", "index i"]),
        ("W[w, j]", ["tensor w", "without its indices"]),
        ("W[z[i], j]", ["axis 0 of W", "z[i] is real", "integer input"]),
        ("z[z[i]]", ["axis 0 of z", "z[i] is real"]),
        ("z[b]", ["axis 0 of z", "b is no index"]),
        ("z[x]", ["tensor x", "without its indices"]),
    ],
)
def test_indices(entry: str, words: list[str]) -> None:
    check(entry, *words)


@pytest.mark.parametrize(
    "use",
    [
        "exp(x)", "Max(0, x)", "Abs(x)", "sqrt(x)", "Sum(x, s, j)", "Eq(x, 0)", "erf(x)", "sum([x])",
        "Piecewise((x, b > 0), (0, True))", "Piecewise((0, x > 0), (1, True))", "KroneckerDelta(x, i)",
        "x + 1", "1 + x", "x - b", "2 * x", "1.5 * x", "np.float64(2) * x", "z[i] * x", "n * x", "x / 2",
        "z[i] / x", "x**2", "2**x", "z[i]**x", "-x", "+x", "abs(x)", "x @ x", "x < 0", "z[i] <= x",
        "functions.relu(x)", "functions.leaky_relu(x)", "functions.square(x)",
        "net.loss(x)", "net.define('f', s, x)", "net.define('f', (s, j), exp(x))",
    ],
)  # fmt: skip
def test_a_bare_tensor(use: str) -> None:
    check(use, "tensor x", "x[s, j]")


@pytest.mark.parametrize("use", ["list(x)", "net.output(*x)", "r, t = x", "b in x", "list(b)"])
def test_a_tensor_cannot_be_unpacked(use: str) -> None:
    check(use, f"tensor {'b' if use == 'list(b)' else 'x'}", "unpacked")


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("x[s, j]", ["f[i]", "j (over d), s (over n)", "free on the right"]),
        ("Sum(x[s, j], j)", ["f[i]", "index s (over n)", "free on the right"]),
        ("z_other[i]", ["f[i]", "(k,)", "this network's v", "(T,)"]),
        ("x_other[s]", ["f[i]", "(n,)", "this network's x", "(n, d)"]),
        ("IndexedBase('z', shape=(k,))[i]", ["f[i]", "this network's z"]),
        ("IndexedBase(Symbol('z', real=True), shape=(k,))[j]", ["axis 0 of z", "index j"]),
        ("Symbol('z', real=True)", ["f[i]", "z", "shape ()"]),
        ("IndexedBase('e')[i]", ["f[i]", "reads e", "no statement before it declares"]),
        ("z[i] + Symbol('mu')", ["f[i]", "symbol mu", "unknown"]),
        ("z[i] * g", ["f[i]", "symbol g", "unknown"]),
        ("Function('foo')(z[i])", ["f[i]", "unknown function foo", "z[i]"]),
        ("tan(z[i])", ["f[i]", "unknown function tan", "z[i]"]),
        ("floor(z[i])", ["f[i]", "unknown function floor"]),
        ("exp(zeta(z[i]))", ["f[i]", "unknown function zeta"]),
        ("Derivative(z[i]**2, z[i])", ["f[i]", "Derivative"]),
        ("Integral(z[i], (Symbol('r'), 0, 1))", ["f[i]", "Integral"]),
        ("Matrix([[1]])", ["f[i]"]),
        ("z[i] * I", ["f[i]", "complex"]),
        ("z[i] + 2j", ["f[i]", "complex"]),
        ("sqrt(-2) * z[i]", ["f[i]", "complex"]),
        ("(-8)**Rational(1, 3) * z[i]", ["f[i]", "complex"]),
        ("z[i] / 0", ["f[i]", "by zero"]),
        ("z[i] * oo", ["f[i]", "oo", "finite"]),
        ("z[i] + nan", ["f[i]", "nan", "finite"]),
        ("z[i] + 10**400", ["f[i]", "finite"]),
        ("Sum(z[i], (i, 0, k - 2))", ["f[i]", "Sum over i from 0 to k - 2", "not supported yet"]),
        ("Sum(z[c], (c, 0, i))", ["f[i]", "Sum over c from 0 to i", "not supported yet"]),
        ("Sum(z[i], (Symbol('r'), 0, n - 1))", ["f[i]", "Sum over r", "no index"]),
        ("Product(z[c], (c, 0, k - 2))", ["f[i]", "Product over c from 0 to k - 2", "not supported yet"]),
        ("Product(z[c], (c, 0, i))", ["f[i]", "Product over c from 0 to i", "not supported yet"]),
        ("Product(x[s, j], j)", ["f[i]", "index s (over n) is free"]),
        ("Product(z[i], (Symbol('r'), 0, n - 1))", ["f[i]", "Product over r", "no index"]),
        ("Maximum(z[c], (c, 0, k - 2))", ["f[i]", "Maximum over c from 0 to k - 2", "not supported yet"]),
        ("Maximum(x[s, j], j)", ["f[i]", "index s (over n) is free"]),
        ("Maximum(z[c])", ["Maximum of z[c]", "no index is given"]),
        ("Maximum(z[c], k)", ["Maximum over k", "no index"]),
        ("Maximum(z[c], 0)", ["Maximum over 0", "no index"]),
        ("Maximum(z[c], c, c)", ["Maximum of z[c]", "index c is given twice"]),
        ("Maximum(z[c], Idx('c', (1, k)))", ["index c", "begins at 1"]),
        ("Maximum(z, c)", ["tensor z", "without its indices"]),
        ("Maximum('z[c]', c)", ["Maximum", "no SymPy expression"]),
        ("Maximum(z[c] > 0, c)", ["Maximum", "no SymPy expression"]),
        ("Maximum(W[c, c], c)", ["axis 0 of W", "index c"]),
        ("Piecewise((z[i], z[i] > 0))", ["f[i]", "z[i] > 0", "hole"]),
        ("Piecewise((z[i], z[i] > 0), (1, z[i] < 0))", ["f[i]", "hole"]),
        ("Piecewise((z[i], i > 1), (0, i < 1))", ["f[i]", "i > 1", "hole"]),
        ("Piecewise((z[i - 1], i >= 0), (0, True))", ["z[i - 1]", "begins at -1"]),
        ("Piecewise((z[i - 2], i >= 1), (0, True))", ["z[i - 2]", "axis 0 of z", "begins at -1"]),
        ("Piecewise((z[i + 1], i < k), (0, True))", ["z[i + 1]", "ends at k"]),
        ("Piecewise((z[i - 1], Or(i >= 1, b > 0)), (0, True))", ["z[i - 1]", "begins at -1"]),
        ("Piecewise((z[i - 1], And(i >= 1, b > 0)), (0, True))", ["z[i - 1]", "not supported yet"]),
        ("Piecewise((z[i - 1], And(i >= 1, Ne(i, 3))), (0, True))", ["z[i - 1]", "not supported"]),
        ("Piecewise((v[c + p], c + p < T), (0, True))", ["v[c + p]", "no range of each index"]),
        ("Piecewise((v[i - d + 1], i >= d), (0, True))", ["v[-d + i + 1]", "no range of each index"]),
        ("Piecewise((z[i], i**2 > 1), (0, True))", ["f[i]", "i**2 > 1", "not supported yet"]),
        ("Piecewise((z[i], And(z[i] > 0, i > 0.5)), (0, True))", ["i > 0.5", "not supported yet"]),
        ("Piecewise((z[i], i > 1), (oo, True))", ["f[i]", "oo", "not finite"]),
        ("Piecewise((z[i], Xor(z[i] > 0, b > 0)), (0, True))", ["f[i]", "no comparison"]),
        ("Piecewise((z[i], tan(z[i]) > 0), (0, True))", ["f[i]", "unknown function tan"]),
        ("KroneckerDelta(i, s)", ["f[i]", "size k", "index s runs over size n"]),
        ("KroneckerDelta(i, k)", ["f[i]", "outside"]),
        ("KroneckerDelta(i, c**2)", ["f[i]", "c**2", "not supported yet"]),
        ("KroneckerDelta(n, d)", ["f[i]", "not supported yet"]),
        ("z[i] > 0", ["f[i]", "condition"]),
        ("True", ["f[i]", "condition"]),
        ("None", ["f[i]", "None"]),
        ("[z[i]]", ["f[i]", "no SymPy expression"]),
        ("'z[i]'", ["f[i]", "no SymPy expression"]),
    ],
)  # fmt: skip
def test_expressions(expr: str, words: list[str]) -> None:
    check(f"net.define('f', i, {expr})", *words)


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("Sum(Sum(Piecewise((z[i], i > 1), (b, True)), i)**2 * z[i], i)", ["i > 1", "Sum over i"]),
        ("Product(z[i] + Product(Piecewise((z[i], i > 1), (b, True)), i), i)", ["Product over i"]),
        ("Sum(Maximum(Piecewise((z[i], z[i] < b), (b, True)), i) * z[i], i)", ["Maximum over i"]),
        ("Sum(x[s, 0] * Sum(Piecewise((v[u], u <= s), (0, True)), u), s)", ["s >= u", "Sum over u"]),
        ("Sum(Sum(functions.elu(x[s, j]), j)**2, s)", ["x[s, j] > 0", "Sum over j"]),
    ],
)  # fmt: skip
def test_a_condition_that_sympy_moves_out_of_a_sum(expr: str, words: list[str]) -> None:
    """SymPy does so while the user's Sum is made, so that what was written can no longer be told."""
    check(f"net.loss({expr})", "SymPy moves the condition", "as a tensor of its own", *words)


@pytest.mark.parametrize(
    "name",
    [
        "class", "None", "lambda", "a b", "a.b", "1a", "", "x\n", "x;y", "β", "x'", "_x", "__x__",
        "x=1\nimport os", "x: (os := 1)", 'x"""',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "call",
    [
        "net.param({!r}, s)",
        "net.input({!r}, s)",
        "net.constant({!r}, 1)",
        "net.define({!r}, s, 1)",
        "Network({!r})",
        "net.param('f', Idx(Symbol({!r}, integer=True), n))",
        "net.param('f', Idx('r', Symbol({!r}, integer=True, positive=True)))",
        "net.define('f', s, Symbol({!r}, integer=True, positive=True))",
    ],
)
def test_names(call: str, name: str) -> None:
    mistake(call.format(name))


def test_nothing_in_a_name_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("print('run')", "__import__('builtins').print('run')"):
        for call in ("net.param({!r})", "net.loss({!r})", "net.define('f', i, {!r})", "z[{!r}]"):
            mistake(call.format(text))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_the_module_needs(name: str) -> None:
    check(f"net.param({name!r}, s)", f"param {name}", "emitted module")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("net.param('x', s)", ["x is declared twice", "model.py:10"]),
        ("net.define('y', i, 1)", ["y is declared twice", "model.py:13"]),
        ("net.constant('b', 1)", ["b is declared twice"]),
        ("net.input('n', s)", ["n is the name of a size"]),
        ("net.param('r', indices('e', sizes('b')))", ["r", "b names a size and a tensor"]),
        ("net.param('r', indices('e', sizes('r')))", ["r", "names a size and a tensor"]),
        ("net.define('f', (), sizes('b') * 2)", ["f", "b", "this network's b"]),
        ("net.param(3, s)", ["3", "string"]),
        ("net.param('f', n)", ["f", "n is no index"]),
        ("net.param('f', 's')", ["f", "'s' is no index"]),
        ("net.param('f', 3)", ["f", "3 is no index"]),
        ("net.param('f', W)", ["f", "W[a, j] is no index"]),
        ("net.param('f', i, i)", ["f", "index i is given twice"]),
        ("net.define('f', (i, i), z[i])", ["f", "index i is given twice"]),
        ("net.define('f', n, 1)", ["f", "n is no index"]),
        ("net.param('f', Idx('r'))", ["index r", "no range"]),
        ("net.param('f', Idx('r', Symbol('e')))", ["index r", "e", "no size"]),
        ("net.param('f', Idx('r', n/2))", ["index r", "n/2", "fraction"]),
        ("net.param('f', s, init='xavier')", ["f", "'xavier'", "glorot"]),
        ("net.param('f', s, init=float('nan'))", ["f", "nan"]),
        ("net.param('f', s, init=True)", ["f", "True"]),
        ("net.param('f', s, init=[0])", ["f", "[0]"]),
        ("net.param('f', s, init=1j)", ["f", "1j"]),
        ("net.param('f', s, init=np.zeros(2))", ["f", "array"]),
        ("net.constant('f', 'one')", ["f", "'one'"]),
        ("net.constant('f', 1j)", ["f", "1j"]),
        ("net.constant('f', np.complex64(1))", ["f"]),
        ("net.constant('f', None)", ["f", "None"]),
        ("net.constant('f', float('inf'))", ["f", "inf"]),
        ("net.constant('f', False)", ["f", "False"]),
        ("net.constant('f', b)", ["f", "b"]),
        ("net.input('f', s, sums_to_one=i)", ["f", "sums_to_one=i", "own indices"]),
        ("net.input('f', s, sums_to_one='s')", ["f", "'s'", "own indices"]),
        ("net.input('f', s, sums_to_one=True)", ["f", "True", "own indices"]),
        ("net.input('f', s, integer=True, sums_to_one=s)", ["f", "s", "integer"]),
        ("net.random('f', s)", ["random 'f'", "bernoulli law needs p"]),
        ("net.random('f', s, law='uniform')", ["random 'f'", "law='uniform'", "bernoulli, normal"]),
        ("net.random('f', s, law=['normal'])", ["random 'f'", "law="]),
        ("net.random('f', s, p=1.5)", ["random 'f'", "p=1.5 is no probability"]),
        ("net.random('f', s, p=-0.1)", ["random 'f'", "p=-0.1"]),
        ("net.random('f', s, p='lam')", ["random 'f'", "p", "no finite real number"]),
        ("net.random('f', s, p=b)", ["random 'f'", "p=b", "neither a number nor a constant"]),
        ("net.random('f', s, p=g)", ["random 'f'", "p=g", "neither a number nor a constant"]),
        ("net.random('f', s, p=1 - lam)", ["random 'f'", "p=1 - lam", "one constant"]),
        ("net.random('f', s, p=net.constant('r', 3))", ["random 'f'", "p=3 is no probability"]),
        ("net.random('f', s, p=0.5, std=1)", ["random 'f'", "takes p, not std"]),
        ("net.random('f', s, law='normal', p=0.5)", ["random 'f'", "takes mean, std, not p"]),
        ("net.random('f', s, law='normal', std=-1)", ["random 'f'", "std=-1 is negative"]),
        (
            "net.random('f', s, law='normal', mean=oo)",
            ["random 'f'", "mean", "no finite real number"],
        ),
        ("net.random('x', s, p=0.5)", ["x is declared twice"]),
        ("net.random('rng', s, p=0.5)", ["random rng", "the emitted module needs this name"]),
        ("net.random('f', 3, p=0.5)", ["f", "3 is no index"]),
        ("net.output(net.random('f', s, p=0.5))", ["output f", "kind random"]),
        ("net.recurrent('f', s, over=i, initial=0)", ["f[s]", "over=i", "none of its indices"]),
        ("net.expect(b > 0)", ["expect", "not supported yet"]),
        ("Network('numpy')", ["network numpy", "hide"]),
    ],
)
def test_declarations(statement: str, words: list[str]) -> None:
    check(statement, *words)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("net.loss(z[i])", ["loss is no scalar", "index i (over k) is free"]),
        ("net.loss(Sum(x[s, j], j))", ["loss is no scalar", "index s (over n) is free"]),
        ("net.loss(x[s, j])", ["indices j (over d), s (over n) are free"]),
        ("net.loss(b > 0)", ["loss", "condition"]),
        ("net.loss(5)", ["the loss is 5", "reads no tensor"]),
        ("net.loss(Sum(Piecewise((z[i], i == c), (0, True)), i, c))", ["reads no tensor", "Eq"]),
        ("net.loss('b')", ["loss", "'b'"]),
        ("net.loss(b); net.loss(b)", ["loss is declared twice", "model.py:14"]),
        ("net.output()", ["output", "no tensor"]),
        ("net.output(y[i])", ["output y[i]", "no tensor"]),
        ("net.output('y')", ["output 'y'", "no tensor"]),
        ("net.output(x)", ["output x", "input"]),
        ("net.output(y, y)", ["output y is declared twice"]),
        ("net.output(y); net.output(y)", ["output y is declared twice"]),
        ("net.output(x_other)", ["output x", "network m"]),
    ],
)
def test_loss_and_outputs(statement: str, words: list[str]) -> None:
    check(statement, *words)


def test_neither_loss_nor_output_is_reported_at_the_network() -> None:
    error = mistake("net.declared()")
    assert "network m has neither a loss nor an output" in str(error)
    assert error.where == "model.py:9"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("sizes('')", ["sizes", "''"]),
        ("sizes(3)", ["sizes", "3"]),
        ("sizes('e e')", ["e is named twice"]),
        ("sizes('e:3')", ["size 'e:3'"]),
        ("sizes('np')", ["size np", "emitted module"]),
        ("indices('', n)", ["indices", "''"]),
        ("indices('e e', n)", ["e is named twice"]),
        ("indices('if', n)", ["index if", "keyword"]),
        ("indices('e', 0)", ["index e", "0", "not positive"]),
        ("indices('e', -n)", ["index e", "-n", "not positive"]),
        ("indices('e', n - n)", ["index e", "not positive"]),
        ("indices('e', 2.0)", ["index e", "2.0"]),
        ("indices('e', True)", ["index e", "True"]),
        ("indices('e', n / 2)", ["index e", "n/2", "fraction"]),
        ("indices('e', sin(n))", ["index e", "sin(n)"]),
        ("indices('e', oo)", ["index e", "oo"]),
        ("indices('e', s)", ["index e", "s is no size"]),
        ("indices('e', b)", ["index e", "b", "no size"]),
        ("indices('e', x)", ["tensor x"]),
        ("indices('e', 'n')", ["index e", "'n'"]),
        ("indices('e', Symbol('n'))", ["index e", "n", "sizes(…)"]),
    ],
)
def test_sizes_and_indices(statement: str, words: list[str]) -> None:
    check(statement, *words)


# Where


def test_a_statement_of_several_lines_is_at_its_call() -> None:
    error = mistake("net.define(\n    'f',\n    s,\n    z[i],\n)\n")
    assert error.where == "model.py:14"
    error = mistake("net.define(\n    'f',\n    s,\n    exp(x),\n)\n")
    assert error.where == "model.py:17"  # where the bare tensor stands


def test_a_mistake_in_a_users_function_is_at_its_line() -> None:
    error = mistake("def f(t):\n    return exp(t)\nnet.loss(f(x))\n")
    assert error.where == "model.py:15"


def test_a_mistake_in_a_zoo_model_is_at_the_model() -> None:
    model = str(Path(symbp.__file__).parent / "zoo" / "model.py")
    assert mistake("net.loss(z[i])", model).where == f"{model}:14"


def test_a_model_may_be_named_as_what_it_imports() -> None:
    assert mistake("net.loss(z[i])", "sympy.py").where == "sympy.py:14"
