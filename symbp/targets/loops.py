"""Σ_{p,a} δ(j, 2p + a) v as slices that accumulate, in a loop over the offsets a; disjoint windows as one view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import Basic, Expr, Idx, Integer, Symbol

from symbp.ir.nodes import Cases, Entry, Index, Reduce, factors, size_of, substitute, sum_over
from symbp.ir.schedule import Assign
from symbp.layout import BODY_WIDTH, INDENT
from symbp.layout import statement as wrap
from symbp.ranges import ranges
from symbp.rewrite import is_accumulated
from symbp.targets.code import ATOM, Code, align
from symbp.targets.expressions import Printer
from symbp.targets.kinds import is_python_number
from symbp.targets.places import read, scattered
from symbp.targets.views import breadth, covers, nested
from symbp.validate import line, never_negative, reach, same_size

Region = dict[Index, Expr]  # axis -> the places on it, as far as they are known


def accumulated(term: Expr) -> tuple[Expr, Reduce] | None:
    """(coefficient, sum) of a term that is added up in slices; None for any other."""
    sums = [f for f in factors(term) if is_accumulated(f)]
    return (term / sums[0], sums[0]) if len(sums) == 1 else None


def surrounding(dense: Expr, terms: Sequence[Expr]) -> Expr | None:
    """The number v of {0 in a region; v otherwise}, where one term is added to just this region.

    Then the array can be filled with v, and the term take the region's place. None for all else.
    """
    if not (isinstance(dense, Cases) and len(terms) == len(dense.branches) == 1):
        return None
    ((inside, condition),) = dense.branches
    _, node = accumulated(terms[0]) or (terms[0], terms[0])
    places, _ = scattered(node.body, frozenset(node.indices))
    region, exact = ranges(condition)
    if inside != 0 or not is_python_number(dense.otherwise) or not exact:
        return None
    if set(region) != set(places) or any(offsets(place) for place in places.values()):
        return None
    ends = [pair for axis, place in places.items() for pair in zip(reach(place), region[axis])]
    return dense.otherwise if all(same_size(a, b) for a, b in ends) else None


def apart(one: Region, other: Region) -> bool:
    """Whether two terms are written to different places, whatever the sizes are."""

    def before(a: Expr, b: Expr) -> bool:
        return never_negative(reach(b)[0] - reach(a)[1] - 1)

    return any(
        before(one[i], other[i]) or before(other[i], one[i]) for i in one.keys() & other.keys()
    )


def cover(regions: Sequence[Region]) -> bool:
    """Whether terms, of one δ each, are written to all places: one for each on an axis whose length is a number."""
    for axis in (place for place in regions[0] if isinstance(place, Idx)):
        size = size_of(axis)
        every = {Integer(k) for k in range(int(size))} if size.is_Integer else set()
        if len(regions) == len(every) and {r.get(axis) for r in regions} == every:
            return all(len(region) == 1 for region in regions)
    return False


def store(place: str, value: str, minus: bool, fresh: bool) -> str:
    """A value added to a place, or written where nothing is yet."""
    place += "[...]" * place.endswith(")")  # of a view that a call gives
    return f"{place} {'' if fresh else '-' if minus else '+'}= {value}"


def target(printer: Printer, assign: Assign, at: Mapping[Basic, Expr]) -> Code:
    """The places of its array that a statement writes to, its own indices being at these."""
    shape = tuple(map(size_of, assign.indices)) if assign.at is None else None
    entry = Entry(assign.name, *(substitute(place, at) for place in assign.places))
    known = shape or printer.shapes.get(assign.name)
    return read(entry, printer.frame, printer.number, known, written=True)


def accumulate(printer: Printer, assign: Assign, term: Expr, fresh: bool) -> str:
    """The statement, or the loop around it, that adds a term to an array."""
    coefficient, node = accumulated(term) or (term, term)
    bound = frozenset(node.indices)
    places, value = scattered(node.body, bound)
    loops = list(dict.fromkeys(i for p in places.values() for i in offsets(p)))
    fixed: dict[Basic, Expr] = {i: Symbol(i.name, integer=True) for i in loops}
    at: dict[Basic, Expr] = {
        i: substitute(places.get(i, fixed.get(i, i)), fixed) for i in assign.indices
    }
    view = target(printer, assign, at)
    rest = tuple(i for i in node.indices if i not in view.axes and i not in loops)
    value = substitute(coefficient * sum_over(value, rest), fixed)
    fresh = fresh and not loops
    minus = value.could_extract_minus_sign() and not fresh
    inner = printer.within((*view.axes, *(i for i in printer.frame if i not in view.axes)))
    code = align(inner(-value if minus else value), view.axes)
    width = BODY_WIDTH - len(INDENT) * len(loops)
    lines = wrap(store(view.text, code.text, minus, fresh), width)
    if max(map(len, lines)) > width:
        lines = wrap(f"_view = {view.text}", width)
        lines += wrap(store("_view[:]", code.text, minus, fresh), width)
    for index in reversed(loops):
        head = f"for {index.name} in range({printer.number(size_of(index)).text}):"
        lines = [head, *(INDENT + line for line in lines)]
    return "\n".join(lines)


def joined(printer: Printer, assign: Assign, term: Expr) -> str | None:
    """The term with axes joined to those that its places go through; None where these are not whole axes."""
    coefficient, node = accumulated(term) or (term, term)
    places, value = scattered(node.body, frozenset(node.indices))
    axes = assign.indices
    parts = [covers(places[i], size_of(i)) if i in places else [i] for i in axes]
    if not all(parts):
        return None
    every = tuple(i for part in parts for i in part)
    rest = tuple(i for i in node.indices if i not in every)
    code = printer.within((*every, *rest))(coefficient * sum_over(value, rest))
    if set(code.axes) != set(every) or code.kind == "bool":
        return None
    shape = ", ".join(printer.number(size_of(i)).text for i in axes)
    is_view = isinstance(coefficient * value, Entry) and not rest
    return f"{align(code, every).at(ATOM)}.reshape({shape}){'.copy()' * (assign.owned and is_view)}"


def offsets(place: Expr) -> list[Index]:
    """The indices of a place to loop over: all but the one with the most values, none where no two places meet."""
    if isinstance(place, Entry):
        return []
    _, steps = line(place)
    if nested(steps):
        return []
    return sorted(steps, key=lambda i: breadth(i, steps[i]))[:-1]
