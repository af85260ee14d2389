"""Pictures: complete, nothing in them covers anything else, the same in every run, safe against names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbp import Network, indices, sizes
from symbp.differentiate import differentiate
from symbp.explain.figures import longest_chain, network_graph
from symbp.ir.nodes import tensors_of
from symbp.ir.program import AdjointProgram
from symbp.model_file import load_model
from symbp.normalise import normalise
from symbp.notation import display
from symbp.notation.style import Latex, Text
from symbp.pages.blocks import Figure, Section
from symbp.pages.latex import latex_page
from symbp.pages.text import text_page
from symbp.pictures.chains import placed
from symbp.pictures.contents import Detail
from symbp.pictures.curves import Curve, Point, backward, forward
from symbp.pictures.graph import Chain, Edge, Graph, Node
from symbp.pictures.layout import Layout, layout
from symbp.pictures.outline import mermaid
from symbp.pictures.slots import fitted
from symbp.pictures.svg import chain_svg, svg
from symbp.pictures.tikz import chain_tikz, tikz
from symbp.stabilise import expose

ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
MODELS = sorted(path.stem for path in ZOO.glob("[!_]*.py"))
LOOPS = ("gru", "lstm", "linear_recurrence", "tagger", "residual_mlp")
each_model = pytest.mark.parametrize("name", MODELS)


@cache
def zoo(name: str) -> AdjointProgram:
    return derived(load_model(ZOO / f"{name}.py"))


def derived(net: Network) -> AdjointProgram:
    declared = net.declared()
    wrt = tuple(d.name for d in declared.of_kind("param"))
    return differentiate(expose(normalise(declared)), wrt)


def drawn(name: str) -> Graph:
    return network_graph(zoo(name), Latex(zoo(name)))


# What is shown


@each_model
def test_every_tensor_is_a_node_and_every_read_an_arrow(name: str) -> None:
    program, graph = zoo(name).program, drawn(name)
    names = [n.name for n in graph.nodes]
    assert len(set(names)) == len(names)
    given = {d.name for d in program.declarations.values() if d.kind != "defined"}
    assert given | {eq.name for eq in program.equations} <= {*names}
    shown = {(e.source, e.target) for e in graph.edges}
    assert {(t, eq.name) for eq in program.equations for t in tensors_of(eq.expr)} <= shown
    assert len(shown) == len(graph.edges) and {n for pair in shown for n in pair} <= {*names}


@each_model
def test_adjoints_go_back_where_they_are_computed(name: str) -> None:
    """An arrow back for each path of a total derivative, and as many paths as the document counts."""
    adjoint, graph = zoo(name), drawn(name)
    back = {(e.source, e.target) for e in graph.edges if e.partial}
    paths = {(a.tensor, path) for a in adjoint.adjoints for path in a.paths}
    shifts = {(s.source, s.name) for s in adjoint.program.shifts}
    starts = {(t, s.name) for s in adjoint.program.shifts for t in tensors_of(s.outside)}
    ends = {(tensor, end) for tensor, end in adjoint.program.ends.items()}
    assert paths <= back <= paths | shifts | starts | ends
    for node in graph.nodes:
        assert node.paths == max(1, sum(source == node.name for source, _ in back))


def test_a_fan_out_is_counted_and_a_dead_end_is_not() -> None:
    paths = {n.name: n.paths for n in drawn("fan_out").nodes}
    assert paths == {"t": 2, "x": 1, "y": 1, "f": 1, "loss": 1}
    cell = {e.target: e.partial for e in drawn("lstm").edges if e.source == "c"}
    assert cell["r"] and not cell["c_last"]  # what predict alone returns


@pytest.mark.parametrize("name", LOOPS)
def test_recurrences_are_loops(name: str) -> None:
    graph = drawn(name)
    steps = {e.target: e.steps for e in graph.edges if e.steps}
    assert steps == {s.name: abs(s.by) for s in zoo(name).program.shifts}
    found = layout(graph)
    for route in found.routes:
        ways = [knot.way for knot in route.knots]
        assert ways[0] == ways[-1] == 1
        assert (-1 in ways) == bool(route.edge.steps)  # all others run down


def test_a_recurrence_reads_the_tensor_of_another_step() -> None:
    titles = {n.name: (n.plain, n.kind) for n in drawn("tagger").nodes}
    assert titles["f_before"] == ("f[s,t − 1,a]", "step")
    assert titles["g_after"] == ("g[s,t + 1,a]", "step")
    labels = {e.symbol for e in drawn("tagger").edges if e.source == "f_before"}
    assert labels == {r"\frac{\partial \mathrm{zf}}{\partial f_{s,t - 1,a}}"}


@each_model
def test_a_chain_is_a_path_of_partials(name: str) -> None:
    adjoint = zoo(name)
    chain = longest_chain(adjoint, Text(adjoint))
    assert chain is not None
    steps = list(pairwise(chain.names))
    ends = {end: tensor for tensor, end in adjoint.program.ends.items()}
    partials = {
        (ends.get(p.output, p.output), ends.get(p.input, p.input)) for p in adjoint.partials
    }
    assert {*steps} <= partials
    assert chain.names[0] == "loss" and chain.names[-1] in adjoint.wrt
    assert chain.factors == tuple(f"∂{above}/∂{below}" for above, below in steps)
    assert chain.left == f"∂loss/∂{chain.names[-1]}"


def test_the_chain_of_a_layer_begins_with_the_adjoint_of_its_output() -> None:
    n = sizes("n")
    i = indices("i", n)
    net = Network("layer")
    w = net.param("w", i)
    y = net.define("y", (i,), w[i] ** 2)
    net.output(y)
    adjoint = derived(net)
    chain = longest_chain(adjoint, Text(adjoint))
    assert chain == Chain("∂L/∂w", ("∂L/∂y", "∂y/∂w"), ("y", "w"))


# Where it stands


Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def boxes(found: Layout) -> dict[str, Rectangle]:
    return {
        b.node.name: (b.x - b.width / 2, b.top, b.x + b.width / 2, b.bottom) for b in found.boxes
    }


def overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def points(curve: Curve) -> Iterator[Point]:
    """Points of a curve, close to each other."""
    start = curve.start
    for a, b, end in curve.pieces:
        for k in range(33):
            t = k / 32
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            x, y = (sum(w * p[d] for w, p in zip(weights, (start, a, b, end))) for d in (0, 1))
            yield x, y
        start = end


def check(found: Layout) -> None:
    """No two boxes or labels overlap, and no line runs through one."""
    areas = list(boxes(found).values())
    for label in found.labels:
        width, height = label.content.width, label.content.height
        areas.append(
            (label.x - width / 2, label.y - height / 2, label.x + width / 2, label.y + height / 2)
        )
    for a, b in combinations(areas, 2):
        assert not overlap(a, b)
    for left, top, right, bottom in areas:
        assert left >= 0 and top >= 0 and right <= found.width and bottom <= found.height
    junctions = {j.node.name: j for j in found.junctions}
    for route in found.routes:
        curves = [forward(route)]
        if route.edge.partial:
            curves.append(backward(route, junctions.get(route.edge.source)))
        for curve in curves:
            for x, y in points(curve):
                assert 0 <= x <= found.width and 0 <= y <= found.height
                through = [r for r in areas if r[0] < x < r[2] and r[1] + 0.01 < y < r[3] - 0.01]
                assert not through, route.edge


@each_model
def test_nothing_covers_anything_else(name: str) -> None:
    check(layout(drawn(name)))
    check(layout(drawn(name), Detail.TITLES))


@each_model
def test_arrows_end_at_their_boxes(name: str) -> None:
    found = layout(drawn(name))
    at = boxes(found)
    for route in found.routes:
        first, last = route.knots[0], route.knots[-1]
        source, target = at[route.edge.source], at[route.edge.target]
        assert first.y == pytest.approx(source[3]) and source[0] < first.x < source[2]
        assert last.y == pytest.approx(target[1]) and target[0] < last.x < target[2]


FORMULAS = ("", "1", r"x_{sj}", r"\frac{1}{n}", r"W^{(1)}_{aj}\, (1 - y_{si}) + \sum_{s} b_{s}")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any network: arrows lead on in the order of nodes, and from later nodes back by a step."""
    count = draw(st.integers(1, 9))
    names = [f"v{k}" for k in range(count)]
    formula = st.sampled_from(FORMULAS)
    edges = [
        Edge(names[a], names[b], label := draw(formula), label and "y")
        for a, b in combinations(range(count), 2)
        if draw(st.booleans())
    ]
    back = draw(st.sets(st.tuples(*[st.integers(0, count - 1)] * 2), max_size=3))
    edges += [
        Edge(names[max(p)], names[min(p)], draw(formula), steps=1) for p in back if p[0] != p[1]
    ]
    nodes = []
    for name in names:
        paths = sum(bool(e.partial) for e in edges if e.source == name)
        nodes.append(
            Node(name, "defined", draw(formula) or name, name, draw(formula), max(1, paths))
        )
    return Graph(tuple(nodes), tuple(dict.fromkeys(edges)))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_nothing_covers_anything_else_in_any_network(graph: Graph) -> None:
    check(layout(graph))


def test_states_that_read_each_other_at_the_step_before() -> None:
    """c at t reads h at t − 1, and h reads c at t − 1: one arrow leads back, the other down."""
    names = ("h_before", "c", "c_before", "h", "loss")
    pairs = [(a, b, int(a in "ch")) for a, b in pairwise(names[:4])] + [("h", "loss", 0)]
    edges = [Edge(a, b, "1", "y", steps) for a, b, steps in pairs] + [
        Edge("h", "h_before", "1", steps=1)
    ]
    found = layout(Graph(tuple(Node(n, "defined", n) for n in names), tuple(edges)))
    check(found)
    back = [r.edge.source for r in found.routes if any(k.way < 0 for k in r.knots)]
    assert len(back) == 1


def test_a_place_is_as_near_as_order_and_widths_allow() -> None:
    assert fitted([0, 10], [1, 1], [4]) == [0, 10]
    assert fitted([5, 5], [1, 1], [4]) == [3, 7]
    assert fitted([5, 5], [3, 1], [4]) == [4, 8]
    assert fitted([9, 0, 1], [1, 1, 1], [2, 2]) == pytest.approx([4 / 3, 10 / 3, 16 / 3])


def test_a_long_chain_fills_rows_and_its_arrow_leads_from_the_last_factor_to_the_first() -> None:
    adjoint = zoo("gru")
    chain = longest_chain(adjoint, Latex(adjoint))
    assert chain is not None
    found = placed(chain)
    assert len({oval.y for oval in found.ovals}) > 1
    for a, b in combinations(found.ovals, 2):
        assert (
            abs(a.x - b.x) > (a.width + b.width) / 2 or abs(a.y - b.y) > (a.height + b.height) / 2
        )
    first, last = found.ovals[0], found.ovals[-1]
    assert found.arrow.start == (last.x, last.y + last.height / 2)
    assert found.arrow.tip == (first.x, first.y + first.height / 2)
    for x, y in points(found.arrow):
        assert 0 <= x <= found.width and 0 <= y <= found.height
        assert not any(
            abs(x - o.x) < o.width / 2 and abs(y - o.y) < o.height / 2 - 0.01 for o in found.ovals
        )


@pytest.mark.parametrize(
    ("formula", "lines"),
    [
        ("x", 1.0),
        (r"\frac{a}{b}", 2.1),
        (r"\frac{\frac{a}{b}}{c}", 2.8),
        (r"\frac{a}{\frac{b}{c}}", 2.8),
    ],
)
def test_the_height_of_a_formula(formula: str, lines: float) -> None:
    assert display.height(formula) == pytest.approx(lines)


# How it is drawn


@each_model
def test_svg_is_well_formed_and_every_tensor_a_link(name: str) -> None:
    graph = drawn(name)
    chain = longest_chain(zoo(name), Latex(zoo(name)))
    assert chain is not None
    ElementTree.fromstring(chain_svg(chain))
    root = ElementTree.fromstring(svg(graph))
    links = {a.get("href") for a in root.iter("{http://www.w3.org/2000/svg}a")}
    assert links == {f"#eq-{n.name}" for n in graph.nodes if n.kind != "step"}


def test_links_lead_to_the_sections_that_there_are() -> None:
    drawing = svg(drawn("mlp"), linked=("z1", "h1"))
    links = [a.get("href") for a in ElementTree.fromstring(drawing).iter() if a.get("href")]
    assert links == ["#eq-z1", "#eq-h1"]


def test_a_name_with_markup_is_escaped() -> None:
    name = '<b> & "a" `c`'
    graph = Graph(
        (Node(name, "param", "x", name), Node("y", "loss", "y", "y")), (Edge(name, "y", "1", "z"),)
    )
    root = ElementTree.fromstring(svg(graph, label=name))
    assert root.find(".//{*}title").text == name  # type: ignore[union-attr]
    assert root.find("{*}svg").get("aria-label") == name  # type: ignore[union-attr]
    assert '(["#lt;b#gt; #amp; #quot;a#quot; #96;c#96;"])' in mermaid(graph)


@pytest.mark.slow
def test_the_same_in_every_run() -> None:
    """In another process too, where sets have another order."""
    code = (
        "from tests.test_pictures import drawn, mermaid, svg, tikz; "
        "print([f(drawn(n)) for n in ('gru', 'fan_out') for f in (svg, tikz, mermaid)])"
    )
    seeds = ("1", "2")
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ZOO.parent.parent,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ZOO.parent.parent)},
            capture_output=True,
            text=True,
        )
        for seed in seeds
    ]
    assert runs[0].stdout == runs[1].stdout != "", runs[0].stderr


def test_the_outline_of_a_fan_out() -> None:
    text = Text(zoo("fan_out"))
    chain = longest_chain(zoo("fan_out"), text)
    assert chain is not None
    figures = (Figure(drawn("fan_out"), "The network."), Figure(chain, "The chain rule."))
    assert text_page("A", [Section("B", figures)]) == (
        "A\n=\n\nB\n-\n\n"
        "  t  parameter  → x, y  ⊕ 2 paths\n"
        "  x  ← t        → f\n"
        "  y  ← t        → f\n"
        "  f  ← x, y     → L\n"
        "  L  ← f\n\n"
        "  ∂loss/∂t = ∂loss/∂f · ∂f/∂x · ∂x/∂t\n"
    )


def test_mermaid_of_a_recurrence() -> None:
    lines = mermaid(drawn("rnn")).splitlines()
    number = {n.name: f"n{k}" for k, n in enumerate(drawn("rnn").nodes)}
    assert lines[0] == "flowchart TD"
    assert f'  {number["h_before"]}>"h[s,t − 1,a]"]:::step' in lines
    assert f"  {number['h']} -.-> {number['h_before']}" in lines
    assert f"  {number['z']} ==> {number['h']}" in lines
    assert f"  {number['x']} --> {number['z']}" in lines


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_picture_compiles_and_fits_a_page(tmp_path: Path) -> None:
    sections = []
    for name in MODELS:
        chain = longest_chain(zoo(name), Latex(zoo(name)))
        assert chain is not None
        sections.append(Section("A", (Figure(drawn(name), "B"), Figure(chain, "C"))))
    (tmp_path / "all.tex").write_text(latex_page("A", sections), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_tikz_of_a_large_network_shows_tensors_alone() -> None:
    assert r"\sum" in tikz(drawn("mlp")).text
    large = tikz(drawn("gpt2")).text
    assert r"\sum" not in large and all(n.title in large for n in drawn("gpt2").nodes)
    chain = longest_chain(zoo("mlp"), Latex(zoo("mlp")))
    assert chain is not None and chain_tikz(chain).text.count("ellipse") == len(chain.factors)
