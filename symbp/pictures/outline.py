"""A network as plain text: an outline for a terminal, and a Mermaid flowchart, which hosts of Markdown draw."""

from __future__ import annotations

from collections.abc import Iterator

from symbp.pictures.graph import Chain, Edge, Graph, Node

_GIVEN = {"param": "parameter", "input": "input", "constant": "constant", "random": "noise"}
_SHAPES = {"defined": '["{}"]', "loss": '[["{}"]]', "step": '>"{}"]'}  # others in round ends
_ENTITIES = {'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"}
_CLASSES = {
    "param": "stroke:#0f6b4f,stroke-width:2px", "loss": "stroke-width:3px", "step": "stroke-dasharray:3",
}  # fmt: skip


def outline(graph: Graph) -> str:
    """One line for each tensor: what it reads, what reads it; ⊕ marks where adjoints of several paths are added."""
    lines = [*_lines(graph)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def product(chain: Chain) -> str:
    """The chain rule as one line; its factors are plain text."""
    return f"{chain.left} = {' · '.join(chain.factors)}"


def picture(figure: Graph | Chain) -> str:
    """Either of the two as plain text."""
    return outline(figure) if isinstance(figure, Graph) else product(figure)


def _lines(graph: Graph) -> Iterator[tuple[str, str, str]]:
    titles = {n.name: n.plain for n in graph.nodes}
    for node in graph.nodes:
        reads = [titles[e.source] for e in graph.edges if e.target == node.name]
        read = [titles[e.target] for e in graph.edges if e.source == node.name]
        paths = f"  ⊕ {node.paths} paths" if node.paths > 1 else ""
        yield (
            node.plain,
            f"← {', '.join(reads)}" if reads else _GIVEN.get(node.kind, ""),
            f"→ {', '.join(read)}{paths}" if read else "",
        )


def mermaid(graph: Graph) -> str:
    """A flowchart in Mermaid's language, between fences of its own kind."""
    number = {n.name: f"n{k}" for k, n in enumerate(graph.nodes)}
    nodes = [f"  {number[n.name]}{_shape(n)}{_class(n)}" for n in graph.nodes]
    edges = [f"  {number[e.source]} {_arrow(e)} {number[e.target]}" for e in graph.edges]
    classes = [f"  classDef {kind} {style}" for kind, style in _CLASSES.items()]
    return "\n".join(["flowchart TD", *nodes, *edges, *classes])


def _shape(node: Node) -> str:
    paths = f" ⊕ {node.paths} paths" if node.paths > 1 else ""
    text = "".join(_ENTITIES.get(c, c) for c in node.plain + paths)
    return _SHAPES.get(node.kind, '(["{}"])').format(text)


def _class(node: Node) -> str:
    return f":::{node.kind}" if node.kind in _CLASSES else ""


def _arrow(edge: Edge) -> str:
    """Thick where an adjoint goes back, dotted from one step to another."""
    if edge.steps:
        return "-.->"
    return "==>" if edge.partial else "-->"
