"""Names and texts of a model reach a module, a document and a terminal as names and texts alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import sympy
from sympy import Idx, KroneckerDelta, Product, Sum, Symbol

from symbp import Maximum, ModelError, Network, derive, indices, sizes
from symbp.cli import main
from symbp.optimizers.sgd import sgd
from symbp.pipeline import Derivation

HOSTILE = {
    "a statement": "a\nimport os #",
    "the end of a string": 'a"""\nimport os\n"""',
    "a call": "__import__('os').system('true')",
    "an escape": "a\\N{BULLET}\\",
    "a homoglyph": "а",  # Cyrillic
    "reversed": "a\u202e\u2066b",
    "a line separator": "a\u2028import os",
    "a null": "a\x00",
    "colour": "\x1b[31ma",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "a format": "%s{0}{name}",
    "LaTeX": "\\input{/etc/passwd}\\write18{true}%^^5c",
    "HTML": "<script>alert(1)</script>",
    "Markdown": "[a](javascript:alert(1))\n```\n$$",
    "a path": "../../a",
    "two names": "a b",
}

n, d = sizes("n d")
s, j = indices("s", n), indices("j", d)


def network() -> tuple[Network, Any]:
    net = Network("plain")
    return net, net.param("w", j)


def bound(name: str) -> Idx:
    return Idx(Symbol(name, integer=True), d)


def size(name: str) -> Symbol:
    return Symbol(name, integer=True, positive=True)


def of_loss(expr: Callable[[Any, str], Any], name: str) -> None:
    net, w = network()
    net.loss(expr(w, name))
    net.declared()


def with_parameters(name: str) -> None:
    net, _ = network()
    net.param("v", indices("b", size(name)))


LOSSES: dict[str, Callable[[Any, str], Any]] = {
    "index of a sum": lambda w, a: Sum(w[bound(a)], bound(a)),
    "index of a product": lambda w, a: Product(w[bound(a)], bound(a)),
    "index of a maximum": lambda w, a: Maximum(w[bound(a)], bound(a)),
    "index of a delta": lambda w, a: Sum(w[j] * KroneckerDelta(j, bound(a)), j, bound(a)),
    "size as a number": lambda w, a: Sum(w[j], j) / size(a),
    "size as a limit": lambda w, a: Sum(w[j], (j, 0, size(a))),
    "place": lambda w, a: w[size(a)],
    "tensor": lambda w, a: w[0] + sympy.IndexedBase(a)[0],
    "scalar": lambda w, a: w[0] + Symbol(a, real=True),
    "function": lambda w, a: sympy.Function(a.replace("\0", "\1"))(w[0]),
}

CALLS: dict[str, Callable[[str], Any]] = {
    **{place: partial(of_loss, expr) for place, expr in LOSSES.items()},
    "network": Network,
    "parameter": lambda a: network()[0].param(a, j),
    "input": lambda a: network()[0].input(a, j),
    "integer input": lambda a: network()[0].input(a, j, integer=True),
    "noise": lambda a: network()[0].random(a, j, p=0.5),
    "constant": lambda a: network()[0].constant(a, 1.0),
    "default": lambda a: network()[0].constant("c", a),
    "definition": lambda a: network()[0].define(a, j, 1),
    "recurrent": lambda a: network()[0].recurrent(a, (s, j), over=s),
    "over": lambda a: network()[0].recurrent("h", (s, j), over=a),
    "sums to one": lambda a: network()[0].input("t", j, sums_to_one=a),
    "init": lambda a: network()[0].param("v", j, init=a),
    "law": lambda a: network()[0].random("v", j, law=a, p=0.5),
    "parameter of a law": lambda a: network()[0].random("v", j, **{a: 0.5}),
    "probability": lambda a: network()[0].random("v", j, p=a),
    "size": with_parameters,
    "sizes": lambda a: network()[0].param("v", indices("b", sizes(a))),
    "indices": lambda a: network()[0].param("v", indices(a, d)),
    "expression": lambda a: of_loss(lambda w, name: name, a),
    "wrt": lambda a: derived(wrt=[a]),
    "optimizer": lambda a: derived(optimizer=a),
    "name of an optimiser": lambda a: derived(optimizer=optimizer(a, "")),
    "name of an init function": lambda a: initial(a),
}

TAKEN = {
    ("name of an optimiser", "a homoglyph"),  # names of functions are Python's to judge
    ("name of an init function", "a homoglyph"),
    ("sizes", "two names"),
    ("indices", "two names"),
}


def derived(**how: Any) -> Derivation:
    net, w = network()
    net.loss(Sum(w[j] ** 2, j))
    return derive(net, **how)


def optimizer(name: str, doc: str) -> Any:
    def descent(update: Any, g: Any) -> Any:
        return sgd(update, g)

    descent.__name__, descent.__doc__ = name, doc
    return descent


def filled(rng: Any, shape: Any, dtype: Any) -> Any:
    return rng.normal(size=shape)


def initial(name: str) -> Derivation:
    net, w = network()
    named = FunctionType(filled.__code__, filled.__globals__, name)
    net.loss(Sum(net.param("v", j, init=named)[j] * w[j], j))
    return derive(net)


@pytest.mark.parametrize("place", CALLS)
def test_a_name_that_is_none_is_refused_in_a_line_that_a_terminal_may_show(place: str) -> None:
    for attack, name in HOSTILE.items():
        if (place, attack) in TAKEN:
            continue
        with pytest.raises(ModelError) as raised:
            CALLS[place](name)
        assert str(raised.value).isprintable(), attack


def test_a_long_name_is_a_name() -> None:
    name = "a" * 2000
    long = Network(name)
    w = long.param(name, indices(name + "i", size(name + "n")))
    i = indices(name + "i", size(name + "n"))
    long.loss(Sum(w[i] ** 2, i))
    made = derive(long).load()
    assert made.value_and_grad({name: [1.0, 2.0]})[0] == 5.0


def test_a_file_name_that_is_too_long_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.py"
    text = (
        "from symbp import Network\nnet = Network('a' * 300)\nw = net.param('w')\nnet.loss(w**2)\n"
    )
    path.write_text(text, encoding="utf-8")
    assert main(["derive", str(path), "-o", str(tmp_path)]) == 2
    assert re.fullmatch(r".*a\.py: error: File name too long\n", capsys.readouterr().err)


def test_the_name_of_a_file_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\n\x1b[31m\u202eb.py"
    path.write_text("net = 1\n", encoding="utf-8")
    assert main(["derive", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.endswith("a \\x1b[31m\\u202eb.py: error: `net` is an int, not a Network\n")


@pytest.mark.parametrize("attack", HOSTILE)
def test_the_docstring_of_an_optimiser_stays_text(attack: str) -> None:
    """It stands in the module's docstring, and in every document."""
    text = HOSTILE[attack]
    safe = derived(optimizer=optimizer("descent", "A text."))
    for doc in (text, f"First.\n\n{text}", text + '"', text + "\\"):
        made = derived(optimizer=optimizer("descent", doc))
        assert without_docstrings(made.source) == without_docstrings(safe.source)
        for document in (made.source, made.text, made.latex, made.html, made.markdown):
            assert document.replace("\n", "").isprintable()
        assert not re.search(r"(?<!\\)(<script|\]\(javascript)", made.markdown)
        assert tags(made.html) == tags(safe.html)
        commands = set(re.findall(r"\\(?:[a-zA-Z]+|.)", made.latex, re.DOTALL))
        assert not commands & {r"\input", r"\write", r"\N"}
        comment = re.compile(r"(?<!\\)%")
        assert len(comment.findall(made.latex)) == len(comment.findall(safe.latex))


def tags(page: str) -> set[str]:
    return set(re.findall(r"<[a-zA-Z!/][^\s>]*", page))


def without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            del node.body[0]
    return ast.dump(tree)
