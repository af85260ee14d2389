"""NumPy source with named axes: how texts are combined, aligned and parenthesised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symbp.ir.nodes import Index

# Binding strengths, weakest first. A matrix product is set off by parentheses inside a product.
COMPARE, OR, AND, ADD, MATMUL, MUL, NEGATE, POWER, ATOM = range(9)


@dataclass(frozen=True)
class Code:
    """A text whose value is an array with these axes, in this order; without axes, a scalar.

    `kind` is "float" for arrays and NumPy scalars, "bool" for comparisons, and "python" for Python numbers, which
    take the dtype of whatever they meet. `kept` is the same value with reduced axes kept as size 1 among `kept_axes`.
    """

    text: str
    level: int = ATOM
    axes: tuple[Index, ...] = ()
    kind: str = "float"
    kept: str = ""
    kept_axes: tuple[Index, ...] = ()

    def at(self, level: int) -> str:
        """The text as an operand that must bind at least this strongly."""
        return self.text if self.level >= level else f"({self.text})"


def align(code: Code, target: Sequence[Index]) -> Code:
    """The code with axes that broadcast against `target`: transposed if need be, with None for axes it lacks."""
    target = tuple(target)
    if not code.axes and code.kind == "python":
        return code
    if code.kept and _gaps(code.kept_axes, code.axes) == _gaps(target, code.axes):
        return replace(code, text=code.kept, axes=target, kept="", level=min(code.level, ATOM))
    wanted = tuple(i for i in target if i in code.axes)
    if wanted != code.axes:
        code = transpose(code, wanted)
    first = target.index(wanted[0]) if wanted else len(target)
    slots = [":" if i in code.axes else "None" for i in target[first:]]
    if "None" in slots:
        return Code(f"{code.at(ATOM)}[{', '.join(slots)}]", ATOM, target, code.kind)
    return replace(code, axes=target[first:])


def _gaps(axes: tuple[Index, ...], present: tuple[Index, ...]) -> list[Index | None]:
    """The axes with None for those that are absent."""
    return [i if i in present else None for i in axes]


def transpose(code: Code, axes: Sequence[Index]) -> Code:
    """The code with its axes in another order."""
    axes = tuple(axes)
    if axes == code.axes:
        return code
    order = tuple(code.axes.index(i) for i in axes)
    base = code.at(ATOM)
    if order == (1, 0):
        text = base[:-2] if base.endswith(".T") else f"{base}.T"
    elif order == tuple(reversed(range(len(order)))):
        text = f"{base}.T"
    elif len(order) > 2 and order[:-2] == tuple(range(len(order) - 2)):
        text = f"{base}.swapaxes(-1, -2)"
    else:
        text = f"{base}.transpose({', '.join(map(str, order))})"
    return Code(text, ATOM, axes, code.kind)


def union(codes: Sequence[Code], frame: Sequence[Index]) -> tuple[Index, ...]:
    """All axes of several codes in the order of the frame."""
    present = {i for c in codes for i in c.axes}
    return tuple(i for i in frame if i in present)


def add(terms: Sequence[tuple[int, Code]], frame: Sequence[Index]) -> Code:
    """Σ ± terms, given with their signs: a positive one first, whole arrays before what is broadcast."""
    ordered = sorted(terms, key=lambda t: (t[0] < 0, t[1].text != "1", -len(t[1].axes)))
    axes = union([c for _, c in terms], frame)
    text = ""
    for sign, code in ordered:
        operand = align(code, axes).at(ADD if sign > 0 and not text else ADD + 1)
        if not text:
            text = operand if sign > 0 else negated(align(code, axes))
        else:
            text += f" {'+' if sign > 0 else '-'} {operand}"
    kind = "python" if all(c.kind == "python" for _, c in terms) else "float"
    return Code(text, ADD, axes, kind)


def negated(code: Code) -> str:
    """−code, with a power in parentheses: formatters write -(x**2)."""
    return f"-{code.at(ATOM if code.level == POWER else NEGATE)}"


def multiply(
    above: Sequence[Code], below: Sequence[Code], frame: Sequence[Index], negative: bool = False
) -> Code:
    """± Π above / Π below. Python numbers first and among themselves, then arrays, comparisons last."""
    everything = (*above, *below)
    axes = union(everything, frame)
    reduced = [c for c in above if c.kept]
    if len(reduced) == 1 and all(c.kind == "python" for c in everything if c is not reduced[0]):
        return _scaled(above, below, reduced[0], negative)
    smaller, above, below = _smaller_first(above, below, axes)
    rank = {"python": 0, "float": 1, "bool": 2}
    numbers = [c for c in above if c.kind == "python"]
    arrays = sorted(
        (c for c in above if c.kind != "python"), key=lambda c: (rank[c.kind], c.level != ATOM)
    )
    numbers_below = [c for c in below if c.kind == "python"]
    arrays_below = [c for c in below if c.kind != "python"]
    texts = [align(c, axes).at(MUL if k == 0 else NEGATE) for k, c in enumerate(smaller)]
    product = " * ".join([*texts, *(align(c, axes).at(MUL) for c in arrays)])
    arrays = [*smaller, *arrays]
    if not arrays or not numbers:  # (y − t) / n, and 1 / (2 r)
        head = " * ".join(c.at(MUL) for c in numbers)
        text = _divide(product or head or "1", [*numbers_below, *arrays_below], axes)
    else:  # 2 / n * (y − t)
        text = _divide(" * ".join(c.at(MUL) for c in numbers), numbers_below, axes)
        text = _divide(f"{text} * {product}", arrays_below, axes)
    kind = "python" if all(c.kind == "python" for c in everything) else "float"
    if negative:
        first = align([*numbers, *arrays, Code("1")][0], axes)
        lead = len(first.at(MUL))
        text = f"-({text[:lead]}){text[lead:]}" if first.level == POWER else f"-{text}"
    return Code(text, MUL, axes, kind)


def _smaller_first(
    above: Sequence[Code], below: Sequence[Code], axes: tuple[Index, ...]
) -> tuple[list[Code], list[Code], list[Code]]:
    """(products of factors that lack axes, numbers with the first of them; the other factors above; those below).

    So the whole is gone over less often.
    """
    arrays = [c for c in above if c.kind == "float"]
    homes = dict.fromkeys(frozenset(c.axes) for c in arrays if 0 < len(c.axes) < len(axes))
    rest_above, rest_below = list(above), list(below)
    found = []
    for home in homes:
        top = [c for c in rest_above if _at_home(c, home)]
        bottom = [c for c in rest_below if _at_home(c, home)]
        if len(top) + len(bottom) > 1:
            rest_above = [c for c in rest_above if not _at_home(c, home)]
            rest_below = [c for c in rest_below if not _at_home(c, home)]
            found.append(multiply(top, bottom, [i for i in axes if i in home]))
    return found, rest_above, rest_below


def _at_home(code: Code, home: frozenset[Index]) -> bool:
    return frozenset(code.axes) == home or (not code.axes and code.kind == "python")


def _scaled(above: Sequence[Code], below: Sequence[Code], reduced: Code, negative: bool) -> Code:
    """A reduction times Python numbers: it can still keep its axes."""

    def times(code: Code) -> Code:
        return multiply([code if c is reduced else c for c in above], below, code.axes, negative)

    kept = times(replace(reduced, text=reduced.kept, axes=reduced.kept_axes, kept=""))
    return replace(times(replace(reduced, kept="")), kept=kept.text, kept_axes=reduced.kept_axes)


def multiply_numbers(
    parts: tuple[list[Code], list[Code]], code: Code, frame: Sequence[Index]
) -> Code:
    """An array times a Python number."""
    above, below = parts
    return multiply([*above, code], below, frame)


def _divide(text: str, below: Sequence[Code], axes: tuple[Index, ...]) -> str:
    """text / (a * b): one division whatever the number of factors."""
    if not below:
        return text
    operands = [align(c, axes) for c in below]
    if len(operands) == 1:
        return f"{text} / {operands[0].at(NEGATE)}"
    return f"{text} / ({' * '.join(c.at(MUL) for c in operands)})"


def power(base: Code, exponent: str) -> Code:
    """base**exponent, spaced as formatters do: around the operator unless both sides are simple."""
    simple = base.text.replace(".", "").replace("_", "").isalnum() and base.level == ATOM
    plain = exponent.removeprefix("-").replace(".", "").isalnum()
    space = "" if simple and plain else " "
    return Code(f"{base.at(ATOM)}{space}**{space}{exponent}", POWER, base.axes, base.kind)


def call(function: str, args: Sequence[Code], frame: Sequence[Index]) -> Code:
    """function(args), arguments aligned with each other."""
    axes = union(args, frame)
    text = ", ".join(align(c, axes).text for c in args)
    return Code(f"{function}({text})", ATOM, axes)


def reduce_axes(code: Code, method: str, bound: Sequence[Index]) -> Code:
    """code.sum(axis=…) over some of its axes, and the same with keepdims."""
    rest = tuple(i for i in code.axes if i not in bound)
    base = code.at(ATOM)
    if not rest:
        return Code(f"{base}.{method}()", ATOM, ())
    positions = [k for k, i in enumerate(code.axes) if i in bound]
    axis = str(positions[0]) if len(positions) == 1 else f"({', '.join(map(str, positions))})"
    kept = f"{base}.{method}(axis={axis}, keepdims=True)"
    return Code(f"{base}.{method}(axis={axis})", ATOM, rest, "float", kept, code.axes)
