"""What the pictures show, as data. Formulas are finished strings in the notation of the document they stand in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A tensor, and the equation that defines it."""

    name: str  # the user's name: identifies the node, and is the anchor of its section
    kind: str  # "input", "param", "constant", "random", "defined", "loss", or "step": read at another step
    title: str  # the tensor with its indices, as a formula
    plain: str = ""  # the same as plain text, for where no formula can stand
    equation: str = ""  # the right side that defines it, as a formula; empty where it is given
    paths: int = 1  # how many equations on a way to the loss read it: more than one is a fan-out


@dataclass(frozen=True)
class Edge:
    """`target` reads `source`: forward the value goes along it, backward the adjoint."""

    source: str
    target: str
    partial: str = ""  # what the adjoint is multiplied by on its way back, as a formula; empty: nothing goes back
    symbol: str = ""  # the same by its name, ∂target/∂source, where the formula finds no room
    steps: int = 0  # of a recurrence: how many steps later the value is read; 0 within one step


@dataclass(frozen=True)
class Graph:
    """A network: nodes in an order of evaluation. Only edges of one step or more lead back in it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Chain:
    """The chain rule along one path, left = Π factors, the factor next to the loss first."""

    left: str
    factors: tuple[str, ...]
    names: tuple[
        str, ...
    ] = ()  # the tensors on the path, from the loss to what is differentiated by
