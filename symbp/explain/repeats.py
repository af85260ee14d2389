"""Derivations that are the same in other names: the second is not printed again.

Two are the same where a renaming of tensors and indices, one to one, turns every step of one into that of the other.
Indices that only tell apart what is computed alike (of the batch, of the layer) do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Add, Basic, Expr, Idx, Mul

from symbp.ir.nodes import Delta, Entry, Index, Reduce, free_indices, walk

Names = Mapping[object, object]

WORTH = 2  # rows up to which a derivation is rather printed again


@dataclass
class Repeats:
    """The derivations met so far, each with its label."""

    _known: dict[tuple[str, ...], list[tuple[str, list[Expr]]]] = field(default_factory=dict)

    def earlier(self, label: str, forms: Sequence[Expr]) -> str | None:
        """The label of an earlier derivation with the same forms in other names; without one, this becomes known."""
        bare = [_bare(form) for form in forms]
        known = self._known.setdefault(tuple(map(_outline, bare)), [])
        for other, theirs in known:
            if next(_matches(list(zip(bare, theirs)), {}), None) is not None:
                return other
        known.append((label, bare))
        return None


def _bare(expr: Expr) -> Expr:
    """The expression without those free indices that stand in entries alone."""
    loose = {i for n in walk(expr) if isinstance(n, Delta) for i in n.args}
    carried = free_indices(expr) - loose - {n for n in _numbers(expr)}
    return _without(expr, carried)


def _numbers(expr: Basic) -> Iterator[Index]:
    """Indices that are used otherwise than as the place on an axis."""
    if isinstance(expr, Idx):
        yield expr
    elif isinstance(expr, Entry):
        for place in expr.indices:
            if not isinstance(place, Idx):
                yield from _numbers(place)
    else:
        for arg in expr.args[1:] if isinstance(expr, Reduce) else expr.args:
            if not (isinstance(expr, Reduce) and arg in expr.indices):
                yield from _numbers(arg)


def _without(expr: Basic, carried: frozenset[Index] | set[Index]) -> Expr:
    if isinstance(expr, Entry):
        return Entry(
            expr.args[0], *(_without(i, carried) for i in expr.indices if i not in carried)
        )
    if isinstance(expr, Idx) or not expr.args:
        return expr
    if isinstance(expr, Reduce):
        return Reduce(expr.args[0], _without(expr.body, carried), *expr.indices)
    found: Expr = expr.func(*(_without(a, carried) for a in expr.args))
    return found


def _outline(expr: Basic) -> str:
    """What stays the same in other names."""
    if isinstance(expr, Entry):
        return f"[{','.join(map(_outline, expr.indices))}]"
    if isinstance(expr, Idx):
        return "i"
    if isinstance(expr, Reduce):
        return f"{expr.reducer}{len(expr.indices)}({_outline(expr.body)})"
    if not expr.args:
        return str(expr)
    parts = [_outline(a) for a in expr.args]
    if isinstance(expr, (Add, Mul, Delta)):
        parts.sort()
    return f"{expr.func.__name__}({','.join(parts)})"


def _matches(pairs: list[tuple[Basic, Basic]], names: Names) -> Iterator[Names]:
    """Every renaming, one to one and with what is fixed already, that makes all pairs equal."""
    if not pairs:
        yield names
        return
    (left, right), rest = pairs[0], pairs[1:]
    if isinstance(left, Idx) or not left.args:
        if isinstance(left, Idx) and isinstance(right, Idx):
            if (more := _with(names, left, right)) is not None:
                yield from _matches(rest, more)
        elif left == right:
            yield from _matches(rest, names)
        return
    if left.func != right.func or len(left.args) != len(right.args):
        return
    if isinstance(left, Entry) and isinstance(right, Entry):
        if (more := _with(names, left.tensor, right.tensor)) is not None:
            yield from _matches([*zip(left.indices, right.indices), *rest], more)
    elif isinstance(left, Reduce) and isinstance(right, Reduce):
        if left.reducer == right.reducer:
            yield from _matches([(left.body, right.body), *rest], names)
    elif isinstance(left, (Add, Mul, Delta)):
        yield from _unordered(left.args, right.args, rest, names)
    else:
        yield from _matches([*zip(left.args, right.args), *rest], names)


def _unordered(
    left: tuple[Basic, ...], right: tuple[Basic, ...], rest: list[tuple[Basic, Basic]], names: Names
) -> Iterator[Names]:
    """Arguments whose order does not count, then the rest."""
    if not left:
        yield from _matches(rest, names)
        return
    outline = _outline(left[0])
    for k, arg in enumerate(right):
        if _outline(arg) == outline:
            for more in _matches([(left[0], arg)], names):
                yield from _unordered(left[1:], (*right[:k], *right[k + 1 :]), rest, more)


def _with(names: Names, left: object, right: object) -> Names | None:
    """The renaming with one more name; None where it would not be one to one."""
    if left in names:
        return names if names[left] == right else None
    return None if right in names.values() else {**names, left: right}
