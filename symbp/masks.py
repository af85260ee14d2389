"""Conditions on indices that several statements read, as arrays of booleans: computed once, and kept for backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sympy import Basic, Eq
from sympy.core.relational import Relational

from symbp.ir.functions import Mask
from symbp.ir.nodes import Entry, Iverson, free_indices, transform, walk
from symbp.ir.schedule import Assign
from symbp.share import Sharing, canonical


def with_masks(
    forward: Sequence[Assign], backward: Sequence[Assign], sharing: Sharing
) -> tuple[list[Assign], list[Assign]]:
    """Both bodies, where each condition that stands in them more than once is a value before its first use."""
    both = (*forward, *backward)
    counts = Counter(canonical(c)[0] for a in both for c in _conditions(a.expr))
    masks: dict[Basic, tuple[Mask, tuple[int, ...]]] = {}  # condition -> name, order of its axes

    def masked(assign: Assign) -> Iterator[Assign]:
        for condition in _conditions(assign.expr):
            form, order = canonical(condition)
            if counts[form] > 1 and form not in masks:
                mask = Mask(sharing.fresh("mask", assign.name), integer=True)
                axes = sorted(order, key=[*assign.indices, *order].index)
                masks[form] = mask, tuple(map(order.index, axes))
                own = sharing.own_indices(tuple(axes))
                value = Iverson(condition.xreplace(dict(zip(axes, own))))
                named = Assign(mask.name, own, value, value, assign.like, is_mask=True)
                sharing.record(named, "mask", "a condition of its own, computed once", value)
                yield named
        yield replace(assign, expr=transform(assign.expr, read) if masks else assign.expr)

    def read(node: Basic) -> Basic | None:
        form, order = canonical(node) if _is_mask(node) else (None, ())
        if form not in masks:
            return None
        mask, places = masks[form]
        return Eq(Entry(mask, *(order[k] for k in places)), 1, evaluate=False)

    return [b for a in forward for b in masked(a)], [b for a in backward for b in masked(a)]


def _conditions(expr: Basic) -> list[Basic]:
    return [node for node in walk(expr) if _is_mask(node)]


def _is_mask(node: Basic) -> bool:
    """Whether a node is a relation between indices of two axes or more, and reads no tensor."""
    return (
        isinstance(node, Relational)
        and len(free_indices(node)) > 1
        and not any(isinstance(n, Entry) for n in walk(node))
    )
