"""One step of training as lines of NumPy: in place, with no array made that the formula does not need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sympy import Expr, Idx, S, expand_mul

from symbp.ir.module import Block, Line, Module, Update, UpdateCode
from symbp.ir.nodes import Entry, Reduce, entries, factors, substitute, summands, tensors_of, walk
from symbp.ir.schedule import Assign
from symbp.ir.update import Stepping
from symbp.notation import lhs_text, text
from symbp.targets.code import ATOM, Code
from symbp.targets.expressions import Printer
from symbp.targets.kinds import is_python_number

ARRAYS = {"w": "params[name]", "g": "grads[name]"}
"""Where a parameter and its gradient are, in a loop over names."""

TRAINED = "_TRAINED"
"""The names of the parameters that have a gradient, where these are not all."""

REDUCTIONS = {
    "sum": ("0.0", "{total} += float({values}.sum())"),
    "product": ("1.0", "{total} *= float({values}.prod())"),
    "maximum": ("-np.inf", "{total} = float(np.maximum({total}, {values}.max()))"),
}
"""How a reduction over all parameters begins, and goes on from one to the next."""


def with_update(
    module: Module, names: tuple[str, ...], texts: tuple[str, ...], stepping: Stepping
) -> Module:
    """The module with a `step` by these optimisers, which goes over the parameters that have a gradient."""
    graded = {name for name, _ in module.gradients}
    over = tuple(p.name for p in module.parameters if p.name in graded)
    variable = "PARAMETERS" if len(over) == len(module.parameters) else TRAINED
    update = Update(names, texts, over, variable, _Target(stepping, variable).code())
    return replace(module, update=update)


class _Target:
    def __init__(self, stepping: Stepping, over: str) -> None:
        self.stepping = stepping
        self.loop = f"for name in {over}:"
        self.over = over
        kept = [s.name for s in stepping.states if s.entrywise]
        self.where = ARRAYS | {name: f'state["{name}"][name]' for name in kept}
        self.helpers: set[str] = set()

    def code(self) -> UpdateCode:
        stepping, number = self.stepping, Printer((), "w").number
        once = [line for a in stepping.numbers for line in self.once(a)]
        each = (*self.reads(), *(self.each(a) for a in stepping.entries))
        stored = [Line("", "", (f'state["{name}"] = {new}',)) for name, new in stepping.kept]
        arrays = {s.name: number(s.initial).text for s in stepping.states if s.entrywise}
        numbers = {s.name: number(s.initial).text for s in stepping.states if not s.entrywise}
        head = [f'{name} = float(state["{name}"])' for name in numbers]
        if stepping.counter:
            name = stepping.counter
            numbers[name] = "0"
            head.append(f'{name} = int(state["{name}"])')
            stored.append(Line("", "", (f'state["{name}"] = {name} + 1',)))
        if stepping.total:
            head.append(f"{stepping.total} = sum(np.size(params[name]) for name in {self.over})")
        lines = (*once, Block(self.loop, each), *stored)
        return UpdateCode(
            stepping.constants, numbers, arrays, tuple(head), lines, tuple(sorted(self.helpers))
        )

    def reads(self) -> Iterator[Line]:
        """The arrays that the statements of one parameter read or write, as variables."""
        used = {t for a in self.stepping.entries for t in (a.name, *tensors_of(a.expr))}
        for group in (ARRAYS, self.where.keys() - ARRAYS):
            names = [name for name in self.where if name in group and name in used]
            if names:
                values = ", ".join(self.where[name] for name in names)
                yield Line("", "", (f"{', '.join(names)} = {values}",))

    def once(self, assign: Assign) -> Iterator[Line | Block]:
        """A number that all parameters share."""
        formula = _formula(assign)
        if not isinstance(assign.expr, Reduce):
            code = self.printed(assign.expr, {})
            yield Line(formula, "", (f"{assign.name} = {code.text}",))
            return
        begin, add = REDUCTIONS[assign.expr.reducer]
        values = self.printed(assign.expr.body, self.where).at(ATOM)
        yield Line(formula, "", (f"{assign.name} = {begin}",))
        line = Line("", "", (add.format(total=assign.name, values=values),))
        yield Block(self.loop, (line,))

    def each(self, assign: Assign) -> Line:
        """What each entry of a parameter has: a state, the parameter itself, or an array on the way to them."""
        expr, name = assign.expr, assign.name
        if name in self.where:
            return Line(_formula(assign), "", tuple(self.in_place(name, expr, assign.indices[0])))
        value = self.printed(expr, {}).text
        if isinstance(expr, Entry) and expr.tensor in self.where:
            value = f"{value}.copy()"  # the array itself changes
        return Line(_formula(assign), "", (f"{name} = {value}",))

    def in_place(self, name: str, expr: Expr, index: Idx) -> Iterator[str]:
        """a ← c a + b as a *= c, a += b, where no other term reads a; else a[...] = …"""
        own = Entry(name, index)
        rate, rest = _affine(expr, own)
        if rate is None:
            yield f"{name}[...] = {self.printed(expr, {}).text}"
            return
        if rate != 1:
            yield f"{name} *= {self.printed(rate, {}).text}"
        if rest != 0:
            minus = bool(rest.as_coeff_Mul()[0].is_negative)
            yield f"{name} {'-' if minus else '+'}= {self.printed(-rest if minus else rest, {}).text}"

    def printed(self, expr: Expr, where: Mapping[str, str]) -> Code:
        """The code of an expression whose arrays are at these places, or variables of their own names."""
        indices = dict.fromkeys(n for n in walk(expr) if isinstance(n, Idx))
        printer = _Placed(tuple(indices), where)
        code = printer.numeric(printer(expr))
        self.helpers |= printer.helpers
        return code


class _Placed(Printer):
    """Prints some arrays by the place where they are kept, in a loop over names."""

    def __init__(self, frame: tuple[Idx, ...], where: Mapping[str, str]) -> None:
        super().__init__(frame, where.get("w", "w"))
        self.where = where

    @property
    def dtype(self) -> str:
        return super().dtype if self.frame else "float"

    def places(self, expr: Entry) -> Code:
        return Code(self.where.get(expr.tensor, expr.tensor), ATOM, expr.indices)


def _affine(expr: Expr, own: Entry) -> tuple[Expr | None, Expr]:
    """(c, b) where the expression is c · own + b, c is a number and b does not read own; else (None, expr)."""
    rate: Expr = S.Zero
    for term in summands(expand_mul(expr)):
        if own in entries(term):
            others = [f for f in factors(term) if f != own]
            if len(others) == len(factors(term)) or not all(map(is_python_number, others)):
                return None, expr
            rate += term / own
    return (None, expr) if rate == 0 else (rate, substitute(expr, {own: S.Zero}))


def _formula(assign: Assign) -> str:
    if not assign.label:
        return ""
    return f"{lhs_text(assign.name, assign.label)} = {text(assign.meaning)}"
