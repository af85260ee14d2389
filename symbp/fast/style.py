"""A module in the fast style: the same formulas, and every operation writes into an array that is made before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from symbp.fast.arrays import Array
from symbp.fast.buffers import event, slots, spans
from symbp.fast.source import names
from symbp.fast.statements import Operations, Repeat, Step, declared
from symbp.fast.values import shape_code
from symbp.ir.module import Arrays, Block, Body, Line, Module, code_of

Steps = Sequence[Step | Repeat]

_TEMPORARY = re.compile(r"\b_part\d+(_view)?\b")


def fast(module: Module) -> Module:
    """The module with forward and backward as operations on arrays that are made once."""
    tensors = (*module.parameters, *module.inputs, *module.noise)
    integers = [d.name for d in module.inputs if d.integer]
    known = declared({d.name: d.shape for d in tensors}, integers)
    known |= {d.name: Array((), "number") for d in module.constants}
    sizes = frozenset(module.sizes)
    outputs = {variable for _, variable in module.outputs} if module.loss is None else set()
    first = Operations(known, sizes, frozenset(outputs))
    ahead = first.body(module.forward)
    cache = {*(name for name in module.cache if name not in sizes)}
    copies = _lasting(first, ahead, {*cache, *(d.name for d in tensors)})
    seeds = dict(zip((s for _, s in module.seeds), module.seed_shapes, strict=True))
    gradients = {variable for _, variable in module.gradients}
    second = Operations({**first.known, **declared(seeds, ())}, sizes, frozenset(gradients), copies)
    back = second.body(module.backward)
    taken = sorted(second.writer.taken)
    cache &= _read(back, second)  # a copy that forward made may stand for what backward read
    forward = _planned(module.forward, first, ahead, {*outputs, *cache, *taken})
    backward = _planned(module.backward, second, back, gradients)
    used = "\n".join(code_of((*forward.lines, *backward.lines)))
    helpers = {*module.helpers, *(["scatter_into"] if "_scatter_into(" in used else [])}
    return replace(
        module,
        forward=forward,
        backward=backward,
        cache=(*(name for name in module.cache if name in cache), *taken),
        helpers=tuple(sorted(helpers)),
    )


def _read(steps: Steps, operations: Operations) -> set[str]:
    """The names that a body mentions."""
    written = (*_flat(steps)[0], *operations.writer.constants.values())
    return {name for code in written for name in names(ast.parse(code))}


def _lasting(operations: Operations, steps: Steps, kept: set[str]) -> dict[str, str]:
    """The copies whose origin lives on and is not written to after: code -> name."""
    writer, (lines, loops) = operations.writer, _flat(steps)
    events = [event(line) for line in lines]
    found: dict[str, str] = {}
    for code, name in writer.copies.items():
        read = {n for n in names(ast.parse(code)) if n in operations.known}
        at = next(k for k, e in enumerate(events) if name in e.writes)
        memory = {root for n in (*read, name) for root in writer.roots(n)}
        later = {root for e in events[at + 1 :] for n in e.writes for root in writer.roots(n)}
        inside = any(start <= at <= end for start, end in loops)
        if read <= kept and not (memory & later or inside):
            found[code] = name
    return found


def _planned(body: Body, operations: Operations, steps: Steps, kept: Iterable[str]) -> Body:
    """The body with its arrays. `kept` are the variables that live on."""
    writer = operations.writer
    every = {**operations.buffers, **writer.temporary}
    lines, loops = _flat(steps)
    events = [event(line) for line in lines]
    roots = {name: writer.roots(name) for name in {n for e in events for n in e.names}}
    alive = {root for name in kept for root in writer.roots(name)}
    life = spans(events, loops, roots, every, alive)
    groups = slots(every, life, events)
    used = {name for e in events for name in e.names} | set(kept)
    shown = _shown(groups, used, used | set(operations.known))
    needed = _needed(writer.constants, used)
    constants = {n: code for n, code in writer.constants.items() if n in needed}
    made = [f"{name} = {code}" for name, code in constants.items()]
    given = [*constants]
    for array, values in groups:
        own = list(dict.fromkeys(shown.get(v, v) for v in values))
        kind = {"float": "dtype", "bool": "bool"}[array.kind]
        made.append(f"{' = '.join(own)} = np.empty({shape_code(array)}, {kind})")
        given += own
    arrays = Arrays(tuple(made), tuple(given))
    return replace(body, lines=tuple(_lines(steps, shown)), arrays=arrays)


def _needed(constants: Mapping[str, str], used: set[str]) -> set[str]:
    """The constants that are used, and those that these are made of."""
    found = {name for name in constants if name in used}
    for name in reversed([*constants]):
        if name in found:
            found |= {n for n in constants if re.search(rf"\b{n}\b", constants[name])}
    return found


def _flat(steps: Iterable[Step | Repeat | str]) -> tuple[list[str], list[tuple[int, int]]]:
    """All lines in order, and the first and last one of each loop."""
    lines: list[str] = []
    loops: list[tuple[int, int]] = []

    def visit(items: Iterable[Step | Repeat | str]) -> None:
        for item in items:
            if isinstance(item, str):
                lines.append(item)
            elif isinstance(item, Step):
                visit(item.code)
            else:
                start = len(lines)
                lines.append(f"{item.head} pass")
                visit(item.body)
                loops.append((start, len(lines) - 1))

    visit(steps)
    return lines, loops


def _shown(
    groups: Iterable[tuple[Array, list[str]]], used: Iterable[str], taken: set[str]
) -> dict[str, str]:
    """A name for each array that parts of expressions are computed in, and for each view."""
    parts = [[v for v in values if _TEMPORARY.fullmatch(v)] for _, values in groups]
    views = sorted(name for name in used if name.endswith("_view") and _TEMPORARY.fullmatch(name))
    found: dict[str, str] = {}
    for stem, owners in (("work", [p for p in parts if p]), ("view", [[v] for v in views])):
        free = (name for k in count(1) if (name := f"{stem}{k}") not in taken)
        for names_, name in zip(owners, free):
            found |= dict.fromkeys(names_, name)
    return found


def _lines(
    steps: Iterable[Step | Repeat | str], shown: Mapping[str, str]
) -> Iterator[Line | Block]:
    def named(code: str) -> str:
        return _TEMPORARY.sub(lambda m: shown.get(m[0], m[0]), code)

    for step in steps:
        if isinstance(step, str):
            yield Line("", "", (named(step),))
        elif isinstance(step, Repeat):
            yield Block(step.head, tuple(_lines(step.body, shown)))
        elif all(isinstance(c, str) for c in step.code):
            yield replace(step.line, code=tuple(named(str(c)) for c in step.code))
        else:
            yield replace(step.line, code=())
            yield from _lines(step.code, shown)
