"""The NumPy target: a schedule as finished lines of Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sympy import Add, Basic, Eq, Expr, Idx, Mul, S, Symbol, expand_mul

from symbp.ir.functions import Largest, Smallest
from symbp.ir.module import Block, Body, Gather, Line, Module, Place, code_of
from symbp.ir.network import Declaration
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    entries,
    factors,
    size_of,
    substitute,
    summands,
    walk,
)
from symbp.ir.program import Program
from symbp.ir.schedule import (
    Allocate,
    Assign,
    Displace,
    Fill,
    Repeat,
    Schedule,
    Statement,
    arrays,
    assigns,
    batch_sizes,
    loop_variables,
    reads_of,
)  # fmt: skip
from symbp.layout import statement as wrap
from symbp.naming import bound_indices
from symbp.notation import lhs_text, text
from symbp.targets import steps
from symbp.targets.code import ATOM, Code, align
from symbp.targets.expressions import Printer, Shapes, first_tensor
from symbp.targets.loops import (
    Region,
    accumulate,
    accumulated,
    apart,
    cover,
    joined,
    store,
    surrounding,
    target,
)
from symbp.targets.places import scattered
from symbp.validate import provably_inside, reach

WIDTH = 84  # columns of a statement in a function body of 88
MOST_LINES = 7
VIEWS = ("sliding_window_view", "_windows")  # functions, by the templates that define them
_NAME = re.compile(r"[^\W\d]\w*")


def statement(assign: Assign, shapes: Shapes) -> tuple[tuple[str, ...], set[str]]:
    """The Python statements of one assignment, and the helper functions that they call.

    `shapes` are those of arrays, as far as they are known; places that go through a whole axis are simpler views.
    """
    printer = Printer(_frame(assign), first_tensor(assign.expr) or assign.like, shapes)
    whole, placed = _split(assign)
    looped = [t for t in summands(whole) if accumulated(t)]
    dense = Add(*(t for t in summands(whole) if t not in looped))
    parts = [*(Mul(*deltas, value) for deltas, value in placed), *looped]
    regions = [_region(assign, term) for term in parts]
    around = None if placed else surrounding(dense, looped)
    alone = len(parts) == len(looped) == 1 and dense == 0
    value = joined(printer, assign, looped[0]) if alone else None
    if value is not None:
        parts = []
    elif around is not None:
        value = _filled(printer, assign, printer.number(around).text)
    elif dense != 0 or not parts:
        value = _whole(printer, assign, dense, assign.at is None and (assign.owned or bool(parts)))
    else:
        single = not looped and all(len(deltas) == 1 for deltas, _ in placed)
        value = _filled(printer, assign, "" if single and cover(regions) else "0")
    lines = [f"{target(printer, assign, {}).text} = {value}"] if value else []
    for k, (term, region) in enumerate(zip(parts, regions)):
        fresh = around is not None or dense == 0 and all(apart(region, r) for r in regions[:k])
        if term in looped:
            lines.append(accumulate(printer, assign, term, fresh))
        else:
            lines.append(_scatter(printer, assign, term, fresh))
    return tuple(lines), printer.helpers | {v for v in VIEWS if any(v + "(" in x for x in lines)}


def _filled(printer: Printer, assign: Assign, number: str) -> str:
    """An array that holds this number everywhere; without one, an array, if there is none yet, to be written to."""
    if assign.at is not None:
        return number
    kind = {"": "empty", "0": "zeros"}.get(number, "full")
    value = f", {number}" if kind == "full" else ""
    return f"np.{kind}({_shape(printer, assign.indices)}{value}, dtype={printer.dtype})"


def fitting(program: Program) -> Callable[[Assign], bool]:
    """Whether every statement of an assignment fits in a line, or in a few that break at its operators."""
    shapes = _shapes(program)
    return lambda assign: _fits(statement(assign, shapes)[0])


def _fits(lines: tuple[str, ...]) -> bool:
    wrapped = [wrap(line) for line in lines]
    return all(len(lines) <= MOST_LINES and max(map(len, lines)) <= WIDTH for lines in wrapped)


def _frame(assign: Assign) -> tuple[Index, ...]:
    """The statement's own indices, then the bound ones in order of appearance."""
    bound = [n for n in _indices_in_order(assign.expr) if n not in assign.indices]
    return (*assign.indices, *dict.fromkeys(bound))


def _indices_in_order(expr: Expr) -> list[Index]:
    present = bound_indices(expr)
    found = [i for n in walk(expr) if isinstance(n, Entry) for i in n.indices if isinstance(i, Idx)]
    rest = [n for n in walk(expr) if isinstance(n, Idx)]
    return [*found, *rest, *sorted(present, key=lambda i: i.name)]


def _whole(printer: Printer, assign: Assign, expr: Expr, owned: bool) -> str:
    """An expression as an array with exactly the axes of the left side, in a buffer of its own."""
    code = printer(expr)
    if code.kind == "bool" and not assign.is_mask:
        code = Code(f"({code.text}).astype({printer.dtype})", ATOM, code.axes)
    if not assign.indices:
        return (
            code.text
            if code.kind != "python"
            else f"np.asarray({code.text}, dtype={printer.dtype})"
        )
    shape = _shape(printer, assign.indices)
    if not code.axes:
        made = f"zeros({shape}" if code.text == "0" else f"full({shape}, {code.text}"
        return f"np.{made}, dtype={printer.dtype})"
    aligned = align(code, assign.indices)
    if set(code.axes) == set(assign.indices):
        return f"{aligned.text}.copy()" if owned and _is_view(expr) else aligned.text
    return f"np.broadcast_to({aligned.text}, {shape}).copy()"


def _is_view(expr: Expr) -> bool:
    return isinstance(expr, Entry)


def _shape(printer: Printer, indices: tuple[Index, ...]) -> str:
    sizes = [printer.number(i.upper - i.lower + 1).text for i in indices]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _split(assign: Assign) -> tuple[Expr, list[tuple[list[Delta], Expr]]]:
    """Terms without and with δ between axes of the left side: the second are written at single places only."""
    expr = assign.expr
    if not any(isinstance(n, Delta) for n in walk(expr)):
        return expr, []
    dense, scattered = [], []
    for term in _opened(expr):
        deltas = [
            f for f in factors(term) if isinstance(f, Delta) and set(f.args) & set(assign.indices)
        ]
        rest = Mul(*(f for f in factors(term) if f not in deltas))
        if deltas:
            scattered.append((deltas, rest))
        else:
            dense.append(term)
    return Add(*dense), scattered


def _opened(expr: Expr) -> list[Expr]:
    """The terms of a sum, multiplied out where a δ stands deeper than among the factors of one."""
    found: list[Expr] = []
    for term in summands(expr):
        beside = Mul(*(f for f in factors(term) if not isinstance(f, Delta)))
        inside = any(isinstance(n, Delta) for n in walk(beside))
        found += summands(expand_mul(term, deep=False)) if inside else [term]
    return found


def _region(assign: Assign, term: Expr) -> Region:
    """Where a term stands on the axes of the left side, by its δ."""
    found: Region = {}
    for factor in factors(term):
        body = factor.body if isinstance(factor, Reduce) else factor
        for left, right in (d.args for d in factors(body) if isinstance(d, Delta)):
            axis, place = (left, right) if left in assign.indices else (right, left)
            if not any(isinstance(n, Entry) for n in walk(place)):
                found.setdefault(axis, place)
    return found


def _scatter(printer: Printer, assign: Assign, term: Expr, fresh: bool) -> str:
    """name[place] += value for a product of δ: fixed or gathered positions on some axes, diagonals of others."""
    gathered, rest = scattered(term)
    deltas = [
        f for f in factors(rest) if isinstance(f, Delta) and set(f.args) & set(assign.indices)
    ]
    value = Mul(*(f for f in factors(rest) if f not in deltas))
    fixed, leader, agree = _places(assign.indices, deltas)
    at: dict[Basic, Expr] = {i: fixed.get(first, first) for i, first in leader.items()}
    at |= {i: substitute(place, at) for i, place in gathered.items()}
    place = target(printer, assign, at)
    value = substitute(agree * value, at)
    minus = value.could_extract_minus_sign() and not fresh
    code = align(printer(-value if minus else value), place.axes)
    return store(place.text, code.text, minus, fresh)


def _places(
    indices: tuple[Index, ...], deltas: list[Delta]
) -> tuple[dict[Index, Expr], dict[Index, Index], Expr]:
    """(position of each fixed axis, the axis that each axis moves with, δ between positions of one axis).

    Axes are named by the first of their diagonal.
    """
    leader = {i: i for i in indices}
    pinned: list[tuple[Index, Expr]] = []
    for left, right in (d.args for d in deltas):
        if left in leader and right in leader:
            first, second = sorted((leader[left], leader[right]), key=indices.index)
            leader = {i: first if at == second else at for i, at in leader.items()}
        else:
            pinned.append((left, right) if left in leader else (right, left))
    fixed: dict[Index, Expr] = {}
    agree: Expr = S.One
    for i, position in pinned:
        agree *= Delta(fixed.setdefault(leader[i], position), position)
    return fixed, leader, agree


def module(schedule: Schedule, equations: tuple[str, ...]) -> Module:
    """The schedule as finished strings for the templates."""
    adjoint = schedule.adjoint
    program = adjoint.program
    adjoints = adjoint.tensors()
    helpers: set[str] = set()

    def body(statements: tuple[Statement, ...], **checks: Any) -> Body:
        shapes = _shapes(program, schedule.forward, schedule.predict, statements)
        lines = tuple(_line(s, adjoints, helpers, shapes) for s in statements)
        names = {name for code in code_of(lines) for name in _NAME.findall(code)}
        return Body(lines, tuple(r for r in reads_of(statements) if r in names), **checks)

    def checked(statements: tuple[Statement, ...], later: tuple[Statement, ...] = ()) -> Body:
        own = tuple(assigns(statements))
        gathers = _gathers(program, (*own, *assigns(later)))
        places = _undecided(program, statements)
        return body(statements, places=places, gathers=gathers, batch=batch_sizes(statements))

    forward = checked(schedule.forward, schedule.backward)
    predict = checked(schedule.predict)
    backward = body(schedule.backward)  # reads and writes where forward has read
    names = adjoint.adjoint_names()
    # the gradient of an output that nothing reads is the adjoint given for it
    given = [s for s in adjoint.seeds.values() if s in {names[w] for w in adjoint.wrt}]
    backward = replace(backward, reads=tuple(dict.fromkeys((*backward.reads, *given))))

    def of_kind(kind: str) -> tuple[Declaration, ...]:
        return tuple(d for d in program.declarations.values() if d.kind == kind)

    return Module(
        name=program.name,
        equations=equations,
        parameters=of_kind("param"),
        inputs=of_kind("input"),
        constants=of_kind("constant"),
        noise=of_kind("random"),
        sizes=_sizes(schedule),
        forward=forward,
        loss=program.loss,
        outputs=tuple((o, o) for o in program.outputs),
        cache=tuple(name for name in schedule.cache if name in backward.reads),
        backward=backward,
        gradients=tuple((w, names[w]) for w in adjoint.wrt),
        seeds=tuple(adjoint.seeds.items()),
        seed_shapes=tuple(program.declarations[o].shape for o in adjoint.seeds),
        predict=predict if program.outputs else None,
        helpers=tuple(sorted(helpers)),
        ties=_shares(program, assigns((*schedule.forward, *schedule.backward))),
    )


def _shares(program: Program, body: Iterable[Assign]) -> bool:
    """Whether there is a maximum or minimum, and its values are compared for equality."""
    extrema = any(
        isinstance(n, (Largest, Smallest)) or isinstance(n, Reduce) and n.reducer == "maximum"
        for eq in program.equations
        for n in walk(eq.expr)
    )
    equal = (n.args[0] for a in body for n in walk(a.expr) if isinstance(n, Iverson))
    return extrema and any(
        isinstance(e, Eq) and not all(side.is_integer for side in e.args) for e in equal
    )


def _shapes(program: Program, *bodies: Iterable[Statement]) -> dict[str, tuple[Expr, ...]]:
    """The shapes of the declared tensors, and of every array that these statements make."""
    made = {name: axes for body in bodies for name, axes in arrays(body).items()}
    declared = {name: tuple(d.shape) for name, d in program.declarations.items()}
    return declared | {name: tuple(map(size_of, axes)) for name, axes in made.items()}


def _undecided(program: Program, body: tuple[Statement, ...]) -> tuple[Place, ...]:
    """The fixed positions that these statements read at and that the sizes may put outside, by tensor and axis."""
    shapes = _shapes(program, body)
    variables = {Symbol(name, integer=True) for name in loop_variables(body)}
    read = [
        Place(entry.tensor, axis, end, shapes[entry.tensor][axis])
        for a in assigns(body)
        for entry in entries(a.expr)
        for axis, place in enumerate(entry.indices)
        if not isinstance(place, (Idx, Entry))
        and not place.free_symbols & variables  # a step
        and not provably_inside(place, shapes[entry.tensor][axis])
        for end in dict.fromkeys(reach(place))
    ]
    order = list(shapes)
    found = [p for p in dict.fromkeys(read) if not provably_inside(p.position, p.size)]
    return tuple(sorted(found, key=lambda p: (order.index(p.tensor), p.axis)))


def _gathers(program: Program, own: tuple[Assign, ...]) -> tuple[Gather, ...]:
    """The integer tensors that these statements, or the formulas behind them, read at, once for each axis size.

    An adjoint may scatter to places that its own forward equation was simplified not to read at: so they are named
    by what the declared equations read.
    """
    wanted = {e.tensor for a in own for e in entries(a.expr) if e.is_whole}
    declared = [a.meaning for a in own] + [eq.expr for eq in program.equations]
    found: dict[tuple[str, Expr], Gather] = {}
    for entry in (e for expr in declared for e in entries(expr)):
        for axis, place in enumerate(entry.indices):
            if isinstance(place, Entry) and place.tensor in wanted:
                size = program.declarations[entry.tensor].shape[axis]
                gather = Gather(place.tensor, entry.tensor, axis, size)
                found.setdefault((place.tensor, size), gather)
    return tuple(found.values())


def _line(
    item: Statement, adjoints: Mapping[str, str], helpers: set[str], shapes: Shapes
) -> Line | Block:
    if isinstance(item, Repeat):
        lines = tuple(_line(s, adjoints, helpers, shapes) for s in item.body)
        return Block(steps.head(item), lines)
    if isinstance(item, Allocate):
        return Line("", "", tuple(steps.allocate(item)))
    if isinstance(item, Displace):
        return Line("", "", tuple(steps.displace(item)))
    if isinstance(item, Fill):
        return Line("", "", (steps.fill(item),))
    code, used = statement(item, shapes)
    helpers |= used
    indices = item.indices if item.label is None else item.label
    left = lhs_text(item.name, indices, adjoints)
    formula = f"{left} = {text(item.meaning, adjoints)}" if item.label != () else ""
    sizes = ", ".join(str(i.upper - i.lower + 1) for i in item.indices)
    shape = f"({sizes}{',' if len(item.indices) == 1 else ''})"
    return Line(formula, shape, code, item.name)


def _sizes(schedule: Schedule) -> tuple[str, ...]:
    """Every size: those of axes in declared order, then those that statements alone read."""
    program = schedule.adjoint.program
    found: dict[str, None] = {}
    for d in program.declarations.values():
        for size in d.shape:
            found |= dict.fromkeys(sorted(symbol.name for symbol in size.free_symbols))
    bodies = (schedule.forward, schedule.predict, schedule.backward)
    known = {
        *program.declarations,
        *schedule.adjoint.seeds.values(),
        *(a.name for body in bodies for a in assigns(body)),
    }
    read = [name for body in bodies for name in reads_of(body)]
    return tuple(found | dict.fromkeys(name for name in read if name not in known))
