"""The rules of the language for names, sizes, indices and the entries of tensors.

Every check raises a `ModelError` of one line, whose `where` is the user's statement that called into symbp.
What an equation may consist of is in `expressions`.
"""

from __future__ import annotations

import keyword
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from types import FrameType

import sympy
from sympy import (
    Add,
    Basic,
    Dummy,
    Expr,
    Float,
    Idx,
    Indexed,
    Integer,
    Mul,
    Pow,
    Rational,
    Symbol,
    SympifyError,
    ceiling,
    expand,
    floor,
)
from sympy.core.sympify import _sympify
from sympy.logic.boolalg import BooleanAtom

from symbp.errors import ModelError
from symbp.ir.nodes import Head, Index, free_indices, size_of

RESERVED = frozenset(
    "np numpy params cache arrays adjoints outputs rng learning_rate grads dtype loss PARAMETERS INPUTS OPTIMIZER"
    " init forward backward value_and_grad predict init_state step step_value"
    " bool complex dict enumerate float int isinstance iter len list max min next object range set slice"
    " sorted str sum tuple type zip KeyError TypeError ValueError erf sliding_window_view".split()
)
"""Names that the emitted module keeps: its arguments, its functions, and the builtins it may call."""

HIDDEN_BY_A_MODULE = frozenset({"numpy", "symbp"})
"""Names no network may have: its module would hide a package that it, or its test, imports."""

Ranges = Mapping[Index, tuple[Expr, Expr]]
"""The first and the last value that an index has where a condition holds."""

_SYMBP = os.path.join(os.path.dirname(__file__), "")
_SYMPY = os.path.join(os.path.dirname(sympy.__file__), "")
_ZOO = os.path.join(_SYMBP, "zoo", "")


# Where a statement stands, and how a message is built


def caller() -> str | None:
    """The user's statement as "file:line": the innermost frame outside symbp and SymPy.

    The models of the zoo count as a user's.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_SYMBP, _SYMPY)) or file.startswith(_ZOO):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def model_error(message: str) -> ModelError:
    """A `ModelError` of one line, at the user's statement."""
    return ModelError(" ".join(message.split()), caller())


def not_yet(what: str) -> ModelError:
    """The error for a part of the language that this version cannot derive."""
    return model_error(f"{what}: not supported yet")


def show(thing: object, limit: int = 80) -> str:
    """Any object as a short piece of a message."""
    text = " ".join((str if isinstance(thing, Basic) else repr)(thing).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# Names


def check_identifier(kind: str, name: object) -> str:
    """A name that can stand in source code and comments: an ASCII identifier, no keyword, no leading _."""
    if not isinstance(name, str):
        raise model_error(f"{kind} {show(name)}: a name is a string")
    if not (name.isascii() and name.isidentifier()):
        raise model_error(
            f"{kind} {show(name)}: a name consists of ASCII letters, digits and _, and begins with a letter"
        )
    if keyword.iskeyword(name):
        raise model_error(f"{kind} {name}: a Python keyword cannot be a name")
    if name.startswith("_"):
        raise model_error(f"{kind} {name}: names that begin with _ are kept for the emitted module")
    return name


def check_variable(kind: str, name: object) -> str:
    """The name of a tensor, a constant or a size: it becomes a variable of the emitted module."""
    text = check_identifier(kind, name)
    if text in RESERVED:
        raise model_error(f"{kind} {text}: the emitted module needs this name; choose another")
    return text


def check_network_name(name: object) -> str:
    """The name of a network: it becomes a module, `<name>.py`."""
    text = check_identifier("network", name)
    if text in HIDDEN_BY_A_MODULE:
        raise model_error(f"network {text}: its module would hide the package {text}; rename it")
    return text


# Sizes and indices


def is_size(symbol: Basic) -> bool:
    """Whether this is a symbol as `sizes` makes it, whoever made it."""
    return isinstance(symbol, Symbol) and symbol == Symbol(symbol.name, integer=True, positive=True)


@lru_cache(maxsize=10_000)
def sizes_in(size: Expr) -> tuple[Symbol, ...]:
    """The size symbols of a size expression, by name."""
    return tuple(sorted(size.free_symbols, key=lambda s: str(s.name)))


def check_size(subject: str, size: object) -> Expr:
    """A positive integer, or an integer expression of sizes: + - * / **, floor and ceiling."""
    value = _expression(size)
    if value is None or isinstance(value, Idx):
        raise model_error(
            f"{subject}: {show(size)} is no size; use an integer or an expression of sizes"
        )
    for symbol in value.free_symbols:
        if not is_size(symbol):
            raise model_error(
                f"{subject}: {show(symbol)} in its size is no size; make sizes with sizes(…)"
            )
        check_variable("size", symbol.name)
    if not _is_size_arithmetic(value):
        raise model_error(f"{subject}: size {show(value)} is no integer expression of sizes")
    if not value.is_integer:
        raise model_error(f"{subject}: size {show(value)} may be a fraction; use floor or ceiling")
    if _least(value).is_nonpositive:
        raise model_error(f"{subject}: size {show(value)} is not positive")
    return value


@lru_cache(maxsize=10_000)
def check_index(index: Index) -> Expr:
    """The size of an index: it must run over 0…size−1, and its name be an identifier."""
    name = check_identifier("index", index.name)
    if index.lower is None:
        raise model_error(f"index {name} has no range; make it with indices({name!r}, size)")
    if index.lower != 0:
        raise model_error(f"index {name} begins at {show(index.lower)}; indices begin at 0")
    return check_size(f"index {name}", size_of(index))


def check_axes(subject: str, indices: Iterable[object]) -> tuple[Index, ...]:
    """The indices of a declaration: `Idx` objects, each once."""
    axes = tuple(indices)
    for axis in axes:
        if not isinstance(axis, Idx):
            raise model_error(f"{subject}: {show(axis)} is no index; make one with indices(…)")
        check_index(axis)
        if axes.count(axis) > 1:
            raise model_error(f"{subject}: index {axis} is given twice; give each axis its own")
    return axes


@lru_cache(maxsize=10_000)
def same_size(left: Expr, right: Expr) -> bool:
    """Whether two sizes are equal for all values of their symbols."""
    return bool(expand(left - right) == 0)


def provably_inside(place: Expr, size: Expr, ranges: Ranges | None = None) -> bool:
    """Whether a place is on an axis of this size for all values of the sizes in both."""
    first, last = reach(place, ranges)
    return never_negative(first) and never_negative(size - 1 - last)


def never_negative(size: Expr) -> bool:
    """Whether a size expression is provably 0 or more."""
    return bool(_least(size).is_nonnegative or _least(_below(size)).is_nonnegative)


@lru_cache(maxsize=10_000)
def _below(expr: Expr) -> Expr:
    """What a size expression is never below: y − 1 < floor(y) ≤ y ≤ ceiling(y) < y + 1, each term by its sign."""
    terms = []
    for term in Add.make_args(expand(expr)):
        factor, rounded = term.as_independent(floor, ceiling, as_Add=False)
        if isinstance(rounded, (floor, ceiling)) and _least(factor).is_positive:
            rounded = rounded.args[0] - (1 if isinstance(rounded, floor) else 0)
        elif isinstance(rounded, (floor, ceiling)) and _least(factor).is_negative:
            rounded = rounded.args[0] + (1 if isinstance(rounded, ceiling) else 0)
        terms.append(factor * rounded)
    return expand(Add(*terms))


@lru_cache(maxsize=10_000)
def _least(expr: Expr) -> Expr:
    """A size expression with each size n written as 1 + n', n' ≥ 0: SymPy can decide its sign."""
    above = {s: 1 + Dummy(integer=True, nonnegative=True) for s in expr.free_symbols}
    return expand(expr.xreplace(above))


def _is_size_arithmetic(expr: Expr) -> bool:
    """Whether there is nothing in it but numbers, symbols, + - * / **, floor and ceiling."""
    allowed = (Symbol, Rational, Add, Mul, floor, ceiling)
    return all(
        isinstance(e, allowed) or (isinstance(e, Pow) and e.exp.is_Integer)
        for e in subexpressions(expr)
    )


def subexpressions(expr: Basic) -> Iterator[Basic]:
    """Every subexpression, the whole first; the insides of an `Idx` or an `Indexed` are left out."""
    yield expr
    if not isinstance(expr, (Idx, Indexed)):
        for arg in expr.args:
            yield from subexpressions(arg)


def _expression(value: object) -> Expr | None:
    """What SymPy makes of a value, None where that is no expression. Strings are never evaluated."""
    try:
        expr = _sympify(value)
    except SympifyError:
        return None
    return expr if isinstance(expr, Expr) else None


# Entries of tensors


def check_entry(
    tensor: str,
    shape: tuple[Expr, ...],
    key: tuple[object, ...],
    scalars: Collection[Basic] = (),
    ranges: Ranges | None = None,
) -> tuple[Expr, ...]:
    """The indices of `tensor[key]`, one for each axis.

    `ranges` bound indices where the entry is read; without them it is not yet known where that is.

    Each is an index of exactly the axis's size, an integer or size expression that is not provably
    outside the axis, or an entry of an integer tensor; `scalars` are the integer tensors without axes.
    """
    entry = f"{tensor}[{', '.join(map(_position, key))}]"
    if len(key) != len(shape):
        takes = "1 index" if len(shape) == 1 else f"{len(shape)} indices"
        raise model_error(
            f"{entry}: {tensor} has shape {show_shape(shape)}, so it takes {takes}, not {len(key)}"
        )
    return tuple(
        check_position(f"{entry}: axis {axis} of {tensor}", size, index, scalars, ranges)
        for axis, (size, index) in enumerate(zip(shape, key, strict=True))
    )


def show_shape(shape: tuple[Expr, ...]) -> str:
    """A shape as Python writes a tuple."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _position(index: object) -> str:
    if isinstance(index, slice):
        return ":".join("" if end is None else show(end) for end in (index.start, index.stop))
    return "..." if index is Ellipsis else show(index)


def check_position(
    subject: str,
    size: Expr,
    index: object,
    scalars: Collection[Basic] = (),
    ranges: Ranges | None = None,
) -> Expr:
    """One index at an axis of this size; `subject` names the axis."""
    if isinstance(index, Idx):
        runs = check_index(index)
        if ranges is None or index in ranges and provably_inside(index, size, ranges):
            return index
        if not same_size(runs, size):
            raise model_error(f"{subject} has size {size}, but index {index} runs over size {runs}")
        return index
    if isinstance(index, (slice, type(Ellipsis))):
        raise model_error(f"{subject} is sliced; write an index, and Sum to sum over it")
    if isinstance(index, (bool, BooleanAtom)):
        raise model_error(f"{subject} is indexed by the bool {index}; use an index or an integer")
    value = _expression(index)
    if value is None:
        raise model_error(f"{subject} is indexed by {show(index)}, which is no index")
    return _check_arithmetic(f"{subject} is indexed by {show(index)}", size, value, scalars, ranges)


def _check_arithmetic(
    subject: str, size: Expr, value: Expr, scalars: Collection[Basic], ranges: Ranges | None
) -> Expr:
    """An index that is no plain `Idx`: a number or a size expression, not provably outside the axis.

    One that is not provably inside either is checked by the emitted module, when the sizes are known.
    """
    if value.has(Float):
        raise model_error(f"{subject}, a float; use an integer")
    for part in subexpressions(value):
        if isinstance(part, Indexed) and not part.is_integer:
            raise model_error(f"{subject}, but {part} is real; an integer input can be an index")
        if isinstance(part, Symbol) and not is_size(part) and part not in scalars:
            raise model_error(f"{subject}, but {part} is no index; make one with indices(…)")
    if not value.is_integer:
        raise model_error(f"{subject}, which may be a fraction")
    if isinstance(value, Indexed) or value in scalars:
        return value  # a gather: the emitted module checks the values of the integer tensor
    if value.has(Indexed, *scalars):
        raise not_yet(f"{subject} (arithmetic with an integer tensor)")
    if value.has(Idx) and affine(value) is None:
        raise not_yet(f"{subject}, which is no sum of indices times sizes")
    if not value.has(Idx) and not _is_size_arithmetic(value):
        raise model_error(f"{subject}, which is no integer expression of sizes")
    if ranges is None and value.has(Idx) or provably_inside(value, size, ranges):
        return value
    first, last = reach(value, ranges)
    if _least(last).is_negative or _least(size - 1 - first).is_negative:
        fault = "negative" if _least(last).is_negative else "outside"
        raise model_error(f"{subject}, which is {fault}; its last entry is {size - 1}")
    if _least(first).is_negative:
        raise model_error(f"{subject}, which begins at {first}; its first entry is 0")
    if _least(size - 1 - last).is_negative:
        raise model_error(f"{subject}, which ends at {last}; its last entry is {size - 1}")
    return value


def line(place: Expr) -> tuple[Expr, dict[Index, Expr]]:
    """(c0, {index: c}) of an affine place c0 + Σ c i."""
    opened = expand(place.replace(Head, lambda index: index))
    steps = {i: opened.coeff(i) for i in sorted(free_indices(place), key=str)}
    return expand(opened - Add(*(c * i for i, c in steps.items()))), steps


def affine(place: Expr) -> tuple[Expr, dict[Index, Expr]] | None:
    """(c0, {index: c}) of a place c0 + Σ c i with coefficients made of sizes, whose signs are known; else None."""
    start, steps = line(place)
    signs = [_least(c) for c in steps.values()]
    known = all(c.is_positive or c.is_negative for c in signs)
    plain = not any(
        _mentions_index(e) or not _is_size_arithmetic(e) for e in (start, *steps.values())
    )
    return (start, steps) if known and plain else None


def _mentions_index(expr: Expr) -> bool:
    return any(isinstance(e, (Idx, Indexed)) for e in subexpressions(expr))


def reach(place: Expr, ranges: Ranges | None = None) -> tuple[Expr, Expr]:
    """The first and the last place that an affine index reaches while its indices run, or in `ranges` of them."""
    start, steps = affine(place) or (place, {})
    first = last = start
    for index, step in steps.items():
        low, high = (ranges or {}).get(index, (Integer(0), size_of(index) - 1))
        up = _least(step).is_positive
        first += step * (low if up else high)
        last += step * (high if up else low)
    return expand(first), expand(last)
