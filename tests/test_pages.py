"""Documents as pages: well formed, whole in themselves, safe against what stands in names and texts."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sympy import Max, Sum, erf, exp, tanh

from symbp import ModelError, Network, derive, indices, sizes
from symbp.documents import FORMS
from symbp.model_file import load_model
from symbp.notation import display
from symbp.notation.style import Html, Markdown
from symbp.pages.blocks import Block, Code, Display, Prose, Row, Section, Table
from symbp.pages.html import html_page, html_part
from symbp.pages.markdown import markdown_page
from symbp.pages.mathml import mathml
from symbp.pages.pdf import PROGRAMS, pdf
from symbp.pipeline import Derivation

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
LARGE = {"gpt2", "lenet", "transformer"}  # each takes some seconds
MODELS = [
    pytest.param(p.stem, marks=[pytest.mark.slow] * (p.stem in LARGE))
    for p in sorted(ZOO.glob("[!_]*.py"))
]
HOSTILE = '<script>alert(1)</script> & "x" `y` $z$ a|b *c* \\d 1_2 #'


@cache
def derived(name: str) -> Derivation:
    return derive(load_model(ZOO / f"{name}.py"))


class Page(HTMLParser):
    """A page as a reader of HTML takes it: every element closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href"):
                self.links.append(value or "")
            assert not name.startswith("on"), f"a script in {tag}"

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(text: str) -> Page:
    """Well formed, with links to its own parts alone, every formula MathML."""
    page = Page(text)
    assert [i for i, times in Counter(page.ids).items() if times > 1] == []
    assert {link for link in page.links if link.removeprefix("#") not in page.ids} == set()
    assert all(link.startswith("#") for link in page.links)
    assert page.tags["script"] == 0
    assert set(re.findall(r"""(?:https?:)?//[^\s"'<]+""", text)) <= {
        "http://www.w3.org/1998/Math/MathML",
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xhtml",
    }
    for formula in re.findall(r"(?s)<math.*?</math>", text):
        ElementTree.fromstring(formula)
    return page


# Pages of the zoo


@pytest.mark.parametrize("name", MODELS)
def test_a_page_is_well_formed_and_whole(name: str) -> None:
    text = derived(name).html
    page = check_page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert page.tags["h1"] == page.tags["nav"] == page.tags["main"] == 1
    assert text.partition("</head>")[0].count("<title>") == 1  # others are of parts of a picture
    assert "\\" not in page.text.replace("\\n", ""), "LaTeX that was not converted"
    assert derived(name).document("html") == text


@pytest.mark.parametrize("name", MODELS)
def test_markdown_is_whole(name: str) -> None:
    text = derived(name).markdown
    assert text.count("```") % 2 == 0
    assert text.count("$`") == text.count("`$")
    assert text.count(r"\begin{aligned}") == text.count("```math\n") == text.count(r"\end{aligned}")
    assert "operatorname" not in text
    for table in re.findall(r"(?m)(?:^\|.*\|\n)+", text):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(bars) == 1, table


def test_two_parts_of_one_page_keep_their_anchors_apart() -> None:
    whole, part = derived("mlp"), derive(load_model(ZOO / "mlp.py"), wrt=["W1"])
    text = f"{whole._repr_html_()}\n{part._repr_html_()}"
    page = check_page(text)
    assert page.tags["h1"] == 0, "the page that it stands in has its own"
    assert page.ids


def test_the_same_page_each_time() -> None:
    again = derive(load_model(ZOO / "mlp.py"))
    assert again.html == derived("mlp").html
    assert again._repr_html_() == derived("mlp")._repr_html_()


# What stands in names and texts


def test_no_text_breaks_a_page() -> None:
    write = Html(derived("mlp")._adjoint)
    prose = write.prose(HOSTILE)
    blocks: tuple[Block, ...] = (
        Prose(prose),
        Table((prose, "b"), ((prose, write.inline("a < b")),)),
        Code((HOSTILE,)),
        Display((Row("a", "b + c < d", prose, prose, checked=True),)),
    )
    sections = [Section(prose, blocks, 'x"y'), Section(prose, blocks, "", 2)]
    for text in (html_page(prose, sections), f"<h1>a</h1>{html_part(prose, sections)}"):
        page = check_page(text)
        assert page.text.count("<script>alert(1)</script>") >= 8
        assert page.text.count("Both sides of this line") == 1
    assert "<title>&lt;script&gt;" in html_page(prose, sections)


def test_no_text_breaks_markdown() -> None:
    write = Markdown(derived("mlp")._adjoint)
    prose = write.prose(HOSTILE)
    assert not re.search(r"(?<!\\)[`*_<>|$#&]", prose)
    assert write.prose("1. a") == r"1\. a" and write.prose("- a") == r"\- a"
    assert write.name("a`b") == "``a`b``"
    text = markdown_page("t", [Section("s", (Table(("a", "b"), ((prose, "c"),)),))])
    row = text.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_names_and_functions_that_hosts_take_amiss() -> None:
    n = sizes("n")
    i = indices("i", n)
    net = Network("a_b_c")
    w, v = net.param("x_in_", i), net.param("lambda_", i)
    net.loss(Sum(tanh(w[i]) * erf(v[i]) + Max(0, v[i]), i))
    d = derive(net)
    assert "a_b_c" in check_page(d.html).text and "x_in_" in check_page(net._repr_html_()).text
    assert "`a_b_c`" in d.markdown and r"\mathrm{x\_in\_}_{i}" in d.markdown
    assert r"\mathop{\mathrm{erf}}" in d.markdown and "operatorname" not in d.markdown


# Formulas


@pytest.mark.parametrize(
    ("formula", "pieces"),
    [
        ("a + b - c", ["a", "+ b", "- c"]),
        (r"\Bigl(a + b\Bigr)\, c", [r"\Bigl(a + b\Bigr)\, c"]),
        (r"\frac{a + b}{c} - \sum_{i} d", [r"\frac{a + b}{c}", r"- \sum_{i} d"]),
    ],
)
def test_a_formula_is_cut_at_its_operators(formula: str, pieces: list[str]) -> None:
    assert display.pieces(formula, 40) == pieces


def test_a_wide_piece_is_cut_further() -> None:
    factors = [f"x_{{{c}}}" for c in "abcdefghijklmnopqrstuvwxyz" * 2]
    pieces = display.pieces(r"\, ".join(factors), 20)
    assert len(pieces) > 2 and all(display.width(p) <= 25 for p in pieces)
    assert all(p.startswith(r"\cdot ") for p in pieces[1:])


def test_a_condition_breaks_at_its_relations() -> None:
    condition = (
        r"\bigl[\mathrm{first} + \mathrm{second} = \mathrm{third} \land \mathrm{fourth} > 0\bigr]"
    )
    pieces = display.pieces(condition, 14)
    assert [p.split(" ")[0] for p in pieces[1:]] == ["+", "=", r"\land"]
    assert display.pieces("a = b", 1) == ["a = b"], (
        "outside brackets a relation holds an equation together"
    )


def test_signs_are_set_as_latex_sets_them() -> None:
    assert "<mo>=</mo>" in mathml(r"{} = a") and "<mrow />" in mathml(r"{} = a")
    assert "<msup>" not in mathml("s'")
    assert "<mi>loss</mi>" in mathml(r"\mathrm{loss}")
    assert "<mn>𝟏</mn>" in mathml(r"\mathbf{1}") and "<mn>1</mn>" in mathml("1")
    assert "<mtext>größe_</mtext>" in mathml(r"\text{größe\_}")
    assert "<munder>" in mathml(r"\max_{c} z", block=True)
    assert "<mo><" not in mathml(r"a \mathbin{\big/} b").replace("</mo><", "")


# Notebooks


def test_networks_and_tensors_show_themselves() -> None:
    n, d = sizes("n d")
    s, j = indices("s", n), indices("j", d)
    net = Network("shown")
    x, w = net.input("x", s, j), net.param("W1", j)
    b, t = net.param("b"), net.input("t", s, integer=True)
    net.define("y", s, Sum(w[j] * x[s, j], j) + b)
    assert x._repr_latex_() == r"$(x_{sj}) \in \mathbb{R}^{n \times d}$"
    assert t._repr_latex_() == r"$(t_{s}) \in \mathbb{Z}^{n}$"
    assert b._repr_latex_() == r"$b \in \mathbb{R}$"
    ElementTree.fromstring(w._repr_html_())
    assert r"y_{s} &= b + \sum_{j} W^{(1)}_{j}\, x_{sj}" in net._repr_latex_()  # no loss yet
    check_page(net._repr_html_())


def test_a_recurrent_tensor_shows_where_it_begins() -> None:
    n, length = sizes("n T")
    s, t = indices("s", n), indices("t", length)
    net = Network("recurrence")
    x, a = net.input("x", s, t), net.param("a")
    h = net.recurrent("h", (s, t), over=t, initial=0)
    net.define(h, (s, t), exp(a) * h[s, t - 1] + x[s, t])
    assert r"h_{st} &= 0 \quad \text{outside the steps}" in net._repr_latex_()


def test_a_derivation_shows_its_adjoints() -> None:
    shown = derived("mlp")._repr_latex_()
    assert shown.startswith(r"$$\begin{aligned}")
    assert r"\bar{W}^{(2)}_{ia} &= \sum_{s} \bar{z}^{(2)}_{si}\, h^{(1)}_{sa}" in shown


# Forms


def test_an_unknown_form_and_a_gradient_that_was_not_derived() -> None:
    with pytest.raises(ModelError, match="'doc' is unknown; known are text, tex, html, md"):
        derived("mlp").document("doc")
    with pytest.raises(ModelError, match="'doc' is unknown; known are txt, tex, html, md, pdf"):
        derived("mlp").file("doc")
    with pytest.raises(ModelError, match="no gradient in 'x' was derived; there are W1, b1"):
        derived("mlp").document("html", wrt=["x"])


@pytest.mark.parametrize("form", FORMS)
def test_brief_and_wrt_leave_out(form: str) -> None:
    d = derived("mlp")
    whole, brief = d.document(form), d.document(form, brief=True)
    assert len(d.document(form, brief=True, wrt=["W2"])) < len(brief) < len(whole)


def test_without_a_latex_program_a_pdf_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match="needs a LaTeX program: none of pdflatex"):
        pdf(derived("mlp").latex)


@pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="needs a LaTeX program")
def test_pdf() -> None:
    assert derived("fan_out").pdf().startswith(b"%PDF-")
    with pytest.raises(ModelError, match="failed: Undefined control sequence"):
        pdf("\\documentclass{article}\\begin{document}\\nonsense\\end{document}")
