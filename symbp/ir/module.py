"""A module as finished strings: what the templates arrange. Nothing here is left to compute but layout."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sympy import Expr

from symbp.ir.network import Declaration


@dataclass(frozen=True)
class Line:
    """One step of a function body: the formula (a comment above) and the Python statements that compute it."""

    formula: str  # "∂L/∂z2[s,i] = (y[s,i] − t[s,i]) / n"; empty: no comment
    shape: str  # "(n, k)"; empty: not stated
    code: tuple[str, ...]  # whole statements without indentation, each short enough for one line
    name: str = ""  # what it computes: a tensor, an adjoint, or a part of one


@dataclass(frozen=True)
class Block:
    """A loop: its first line, and the steps in it."""

    head: str  # "for t in range(T):"
    lines: tuple[Line | Block, ...]


@dataclass(frozen=True)
class Place:
    """A fixed position on an axis of a tensor, which may lie outside it: the sizes decide."""

    tensor: str
    axis: int
    position: Expr
    size: Expr  # of the axis


@dataclass(frozen=True)
class Gather:
    """An integer tensor whose values are places on an axis of another: they must be inside it."""

    places: str
    tensor: str
    axis: int
    size: Expr  # of the axis


@dataclass(frozen=True)
class Arrays:
    """What a body writes to, made before it runs: statements of sizes and `dtype`, and the names that they define."""

    lines: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """A function body, with the names that it reads from outside itself."""

    lines: tuple[Line | Block, ...]
    reads: tuple[
        str, ...
    ]  # parameters, inputs, constants, sizes, adjoint seeds or forward values, in a fixed order
    places: tuple[Place, ...] = ()  # what it reads at, once each; to be checked before it runs
    gathers: tuple[Gather, ...] = ()  # the same of integer tensors
    batch: tuple[str, ...] = ()  # the sizes that may be 0
    arrays: Arrays | None = None  # of the fast style alone


@dataclass(frozen=True)
class UpdateCode:
    """What `init_state` and `step` are made of, for an update by an optimiser."""

    constants: tuple[Declaration, ...]  # what step takes; the learning rate has no default
    numbers: Mapping[str, str]  # those of the state -> the code of the first value
    arrays: Mapping[str, str]  # likewise, of what the state has for each parameter
    head: tuple[str, ...]  # statements that come first
    lines: tuple[Line | Block, ...]
    helpers: tuple[str, ...]


@dataclass(frozen=True)
class Update:
    """The optimisers of a module, and their update."""

    names: tuple[str, ...]
    texts: tuple[str, ...]  # what each is, and where its equations are from
    over: tuple[str, ...]  # the parameters that it changes
    variable: str  # what holds their names
    code: UpdateCode


@dataclass(frozen=True)
class Module:
    """Everything that the templates need, as strings. Names are Python identifiers that do not clash."""

    name: str
    equations: tuple[str, ...]  # the declared equations as text, for the module's docstring
    parameters: tuple[Declaration, ...]
    inputs: tuple[Declaration, ...]
    constants: tuple[Declaration, ...]
    noise: tuple[Declaration, ...]
    sizes: tuple[str, ...]  # every size symbol, in order of first use
    forward: Body
    loss: str | None  # the variable that holds the loss; None: a layer
    outputs: tuple[
        tuple[str, str], ...
    ]  # (declared name, variable) of what predict, or a layer's forward, returns
    cache: tuple[str, ...]  # variables of forward that backward reads, parameters excepted
    backward: Body
    gradients: tuple[tuple[str, str], ...]  # (name the user sees, variable), in the order returned
    seeds: tuple[
        tuple[str, str], ...
    ]  # of a layer: (output, variable that holds its adjoint in backward)
    seed_shapes: tuple[tuple[Expr, ...], ...]  # one for each seed
    predict: Body | None  # None where no output is declared
    helpers: tuple[str, ...]  # names of helper functions that bodies call, e.g. "erf"
    update: Update | None = None  # None: plain gradient descent, without a state
    ties: bool = False  # whether backward shares gradients among entries that tie for a maximum


def code_of(lines: Iterable[Line | Block]) -> Iterator[str]:
    """Every statement, those in loops too, and the first lines of these."""
    for line in lines:
        if isinstance(line, Block):
            yield f"{line.head} pass"
            yield from code_of(line.lines)
        else:
            yield from line.code


def code_by_name(
    lines: Iterable[Line | Block], wanted: Container[str]
) -> dict[str, tuple[str, ...]]:
    """The statements that compute each of the wanted names, with those of the parts that they are the first to read."""
    every = list(_opened(lines))
    parts = {line.name: line.code for line in every if line.name and line.name not in wanted}

    def whole(code: tuple[str, ...]) -> tuple[str, ...]:
        read = dict.fromkeys(name for text in code for name in _NAME.findall(text))
        return (*(x for name in read if name in parts for x in whole(parts.pop(name))), *code)

    return {line.name: whole(line.code) for line in every if line.name in wanted}


_NAME = re.compile(r"[^\W\d]\w*")


def _opened(lines: Iterable[Line | Block]) -> Iterator[Line]:
    """Every line, those in loops too."""
    for line in lines:
        if isinstance(line, Block):
            yield from _opened(line.lines)
        else:
            yield line
