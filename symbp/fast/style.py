"""A module in the fast style: the same formulas, and every operation writes into an array that is made before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count

from symbp.fast.arrays import Array
from symbp.fast.buffers import event, slots, spans
from symbp.fast.statements import Operations, Repeat, Step, declared
from symbp.fast.values import shape_code
from symbp.ir.module import Arrays, Block, Body, Line, Module, code_of

_TEMPORARY = re.compile(r"\b_part\d+(_view)?\b")


def fast(module: Module) -> Module:
    """The module with forward and backward as operations on arrays that are made once."""
    tensors = (*module.parameters, *module.inputs, *module.noise)
    integers = [d.name for d in module.inputs if d.integer]
    known = declared({d.name: d.shape for d in tensors}, integers)
    known |= {d.name: Array((), "number") for d in module.constants}
    sizes = frozenset(module.sizes)
    outputs = {variable for _, variable in module.outputs} if module.loss is None else set()
    forward, known = _planned(module.forward, known, sizes, outputs, {*outputs, *module.cache})
    seeds = dict(zip((s for _, s in module.seeds), module.seed_shapes, strict=True))
    known |= declared(seeds, ())
    gradients = {variable for _, variable in module.gradients}
    backward, _ = _planned(module.backward, known, sizes, gradients, gradients)
    cache = tuple(name for name in module.cache if name not in sizes)
    used = "\n".join(code_of((*forward.lines, *backward.lines)))
    helpers = {*module.helpers, *(["scatter_into"] if "_scatter_into(" in used else [])}
    return replace(
        module, forward=forward, backward=backward, cache=cache, helpers=tuple(sorted(helpers))
    )


def _planned(
    body: Body,
    known: Mapping[str, Array],
    sizes: frozenset[str],
    results: Iterable[str],
    kept: Iterable[str],
) -> tuple[Body, dict[str, Array]]:
    """The body with its arrays, and what is known of its variables. `kept` are those that live on."""
    operations = Operations(dict(known), sizes, frozenset(results))
    steps = operations.body(body)
    writer = operations.writer
    every = {**operations.buffers, **writer.temporary}
    lines, loops = _flat(steps)
    events = [event(line) for line in lines]
    roots = {name: writer.roots(name) for name in {n for e in events for n in e.names}}
    alive = {root for name in kept for root in writer.roots(name)}
    life = spans(events, loops, roots, every, alive)
    groups = slots(every, life, events)
    used = {name for e in events for name in e.names} | set(kept)
    shown = _shown(groups, used, used | set(known))
    constants = {
        n: code for n, code in writer.constants.items() if n in _needed(writer.constants, used)
    }
    made = [f"{name} = {code}" for name, code in constants.items()]
    given = [*constants]
    for array, values in groups:
        own = list(dict.fromkeys(shown.get(v, v) for v in values))
        kind = {"float": "dtype", "bool": "bool"}[array.kind]
        made.append(f"{' = '.join(own)} = np.empty({shape_code(array)}, {kind})")
        given += own
    final = tuple(_lines(steps, shown))
    return replace(body, lines=final, arrays=Arrays(tuple(made), tuple(given))), operations.known


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
