"""One SymPy expression of the IR as one NumPy expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce as fold

from sympy import (
    Abs,
    Add,
    Basic,
    E,
    Expr,
    Float,
    Idx,
    Integer,
    Mul,
    Pow,
    Rational,
    S,
    Symbol,
    ceiling,
    cos,
    cosh,
    erf,
    exp,
    floor,
    log,
    pi,
    sign,
    sin,
    sinh,
    tan,
    tanh,
)  # fmt: skip

from symbp.errors import CompilerError
from symbp.ir.functions import Finite, Largest, LogAddExp, SafeInverse, Smallest
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Head,
    Index,
    Iverson,
    Reduce,
    Slope,
    entries,
    factors,
    free_indices,
    size_of,
    substitute,
    sum_over,
    summands,
)
from symbp.rewrite import split_number
from symbp.shapes import size_code
from symbp.targets.code import (
    ATOM,
    COMPARE,
    MUL,
    NEGATE,
    POWER,
    Code,
    add,
    align,
    call,
    multiply,
    multiply_numbers,
    negated,
    power,
    reduce_axes,
    union,
)  # fmt: skip
from symbp.targets.conditions import condition
from symbp.targets.contraction import contract, product
from symbp.targets.kinds import has_root, inverse, is_decimal, is_python_number
from symbp.targets.places import is_view, positions, read, rows_of, scatter_add, scattered

FUNCTIONS: dict[type, str] = {
    exp: "np.exp", log: "np.log", sin: "np.sin", cos: "np.cos", tan: "np.tan", sinh: "np.sinh", cosh: "np.cosh",
    tanh: "np.tanh", Abs: "np.abs", sign: "np.sign", erf: "_erf",
}  # fmt: skip
Shapes = Mapping[str, tuple[Expr, ...]]
NO_SHAPES: Shapes = {}
HELPERS = {"_erf": "erf"}  # function in the text -> template that defines it


class Printer:
    """Prints the expressions of one statement. `frame` orders every index in it; `like` has the working dtype."""

    def __init__(self, frame: Sequence[Index], like: str, shapes: Shapes = NO_SHAPES) -> None:
        self.frame = tuple(frame)
        self.like = like
        self.shapes = shapes
        self.helpers: set[str] = set()

    def within(self, frame: Sequence[Index]) -> Printer:
        """The printer of a part of the statement, with an order of its own."""
        inner = Printer(frame, self.like, self.shapes)
        inner.helpers = self.helpers
        return inner

    def __call__(self, expr: Basic) -> Code:
        if is_python_number(expr) and isinstance(expr, Expr):
            return self.number(expr)
        return self.array(expr)

    def array(self, expr: Basic) -> Code:
        """What NumPy computes."""
        for kind, method in self._methods.items():
            if isinstance(expr, kind):
                return method(self, expr)
        raise CompilerError(f"the NumPy target has no text for {type(expr).__name__} in {expr}")

    @property
    def dtype(self) -> str:
        return f"{self.like}.dtype"

    # Python numbers

    def number(self, expr: Expr) -> Code:
        """Numbers, sizes and constants; irrational numbers by their value."""
        if expr.is_Integer or expr.is_Float:
            text = str(int(expr)) if expr.is_Integer else repr(float(expr))
            return Code(text, NEGATE if text.startswith("-") else ATOM, (), "python")
        if isinstance(expr, Symbol):
            return Code(expr.name, ATOM, (), "python")
        if expr is S.NegativeInfinity:
            return Code("-np.inf", NEGATE, (), "python")
        if expr in (pi, E):
            return Code("np.pi" if expr == pi else "np.e", ATOM, (), "python")
        if expr.is_number and not expr.is_Rational:
            return self.irrational(expr)
        if expr.is_Rational and is_decimal(expr):
            return self.number(Float(expr, 17))
        if isinstance(expr, (floor, ceiling)):  # n // 2, in parentheses inside a product
            return Code(size_code(expr), MUL - 1, (), "python")
        if isinstance(expr, (Add, Mul, Rational)):
            return self.sum(expr) if isinstance(expr, Add) else self.product(expr)
        if isinstance(expr, Pow) and expr.exp == -1:
            return self.product(expr)
        if isinstance(expr, Pow):
            return power(self.number(expr.base), self.exponent(expr.exp))
        return Code(f"float({self.array(expr).text})", ATOM, (), "python")

    def irrational(self, expr: Expr) -> Code:
        """(2 / np.pi) ** 0.5 for a root of rational numbers and π, else the value: a Python number, so of any dtype."""
        square = expr**2
        if has_root(expr) and not has_root(square) and square.subs(pi, 1).is_Rational:
            return power(self.product(square) if square.has(pi) else self.number(square), "0.5")
        return self.number(Float(expr.evalf(17), 17))

    def exponent(self, expr: Expr) -> str:
        """The text of an exponent: 0.5 rather than 1 / 2."""
        if expr.is_Rational and Rational(repr(float(expr))) == expr and not expr.is_Integer:
            return repr(float(expr))
        code = self.number(expr)
        return code.text if code.level >= NEGATE else f"({code.text})"

    # Arrays

    def entry(self, expr: Entry) -> Code:
        """A tensor as numbers of the working dtype."""
        code = self.places(expr)
        return replace(code, text=f"{code.text}.astype({self.dtype})") if expr.is_whole else code

    def places(self, expr: Entry) -> Code:
        """A tensor at its indices."""
        return read(expr, self.frame, self.number, self.shapes.get(expr.tensor))

    def index(self, expr: Index) -> Code:
        """An index used as a number: 0, 1, …"""
        size = self.number(size_of(expr)).text
        return Code(f"np.arange({size}, dtype={self.dtype})", ATOM, (expr,))

    def delta(self, expr: Delta) -> Code:
        sides = [self.position(a) for a in expr.args]
        axes = union(sides, self.frame)
        left, right = (align(s, axes).at(COMPARE + 1) for s in sides)
        return Code(f"{left} == {right}", COMPARE, axes, "bool")

    def position(self, expr: Expr) -> Code:
        """A place on an axis as an integer."""
        return positions(expr, self.frame, self.number)

    def sum(self, expr: Add) -> Code:
        """Terms with their signs; a number common to all of them stands before the sum."""
        number, inner = split_number(expr)
        if number != 1:
            return self.product(Mul(number, inner, evaluate=False))
        terms = list(summands(expr))
        shifted = self._expm1(terms)
        return add([*shifted, *(self.signed(t) for t in terms)], self.frame)

    def _expm1(self, terms: list[Expr]) -> list[tuple[int, Code]]:
        """exp(u) − 1 and 1 − exp(u), which lose all digits near u = 0 if computed so."""
        for one, unit in ((S.NegativeOne, 1), (S.One, -1)):
            for term in terms:
                if one in terms and isinstance(unit * term, exp) and not is_python_number(term):
                    terms.remove(one)
                    terms.remove(term)
                    return [(unit, call("np.expm1", [self((unit * term).args[0])], self.frame))]
        return []

    def signed(self, expr: Expr) -> tuple[int, Code]:
        """A term as (sign, what is added or subtracted)."""
        coefficient, _ = expr.as_coeff_Mul()
        sign, size = (-1, -expr) if coefficient.is_negative else (1, expr)
        return sign, self.numeric(self(size))

    def product(self, expr: Expr) -> Code:
        """Factors above and below the line; the sign first."""
        args = list(factors(expr))
        negative = bool(args[0].is_Rational and args[0].is_negative)
        if negative:
            args[0] = -args[0]
        above: list[Code] = []
        below: list[Code] = []
        constant = Mul(*(a for a in args if a.is_number))
        if has_root(constant) and constant != expr:  # √2 / √π as one number
            args = [a for a in args if not a.is_number]
            inside = (1 / constant**2).is_Integer  # x / 2**0.5
            side, size = (below, 1 / constant) if inside else (above, constant)
            side.append(self.irrational(size))
        for arg in args:
            if arg.is_Rational:
                top, bottom = (arg, S.One) if is_decimal(arg) else (Integer(arg.p), Integer(arg.q))
                above += [self.number(top)] if top != 1 else []
                below += [self.number(bottom)] if bottom != 1 else []
                continue
            turned = inverse(arg)
            if turned is None:
                above.append(self(arg))
            elif isinstance(arg, SafeInverse):
                below.append(self.nowhere_zero(turned))
            else:
                below.append(self(turned))
        if not any(c.kind == "float" for c in above) and (negative or len(above) + len(below) > 1):
            above = self._cast(above)
        if len(above) == 1 and not below:
            only = above[0]
            return replace(only, text=negated(only), level=MUL, kept="") if negative else only
        return multiply(above, below, self.frame, negative)

    def _cast(self, codes: list[Code]) -> list[Code]:
        """A comparison made an array of numbers, where no array of numbers is there to take it."""
        for k, code in enumerate(codes):
            if code.kind == "bool":
                cast = Code(f"({code.text}).astype({self.dtype})", ATOM, code.axes)
                return [*codes[:k], cast, *codes[k + 1 :]]
        return codes

    def power(self, expr: Pow) -> Code:
        base, exponent = expr.base, expr.exp
        if exponent.could_extract_minus_sign():
            return self.product(expr)
        if exponent == Rational(1, 2):
            return call("np.sqrt", [self(base)], self.frame)
        code = self(base)
        if exponent in (3, 4) and isinstance(base, Entry) and is_view(base, code.text):
            # NumPy's power is some hundred times slower than the products
            return Code(" * ".join([code.text] * int(exponent)), POWER - 2, code.axes)
        if is_python_number(exponent):
            return power(code, self.exponent(exponent))
        raised = self(exponent)
        axes = union([code, raised], self.frame)
        left, right = align(code, axes), align(raised, axes)
        return Code(f"{left.at(ATOM)} ** {right.at(ATOM)}", POWER, axes)

    def function(self, expr: Expr) -> Code:
        name = FUNCTIONS[type(expr)]
        self.helpers.update({HELPERS[name]} if name in HELPERS else ())
        arg = expr.args[0]
        if isinstance(expr, log) and isinstance(arg, Add) and S.One in arg.args:
            return call("np.log1p", [self(arg - 1)], self.frame)
        return call(name, [self(arg)], self.frame)

    def extremum(self, expr: Expr) -> Code:
        name = "np.maximum" if isinstance(expr, Largest) else "np.minimum"
        args = sorted((self(a) for a in expr.args), key=lambda c: c.kind == "python")
        return fold(lambda a, b: call(name, [a, b], self.frame), args)

    def log_add_exp(self, expr: LogAddExp) -> Code:
        return call("np.logaddexp", [self(a) for a in expr.args], self.frame)

    def iverson(self, expr: Iverson) -> Code:
        return self.condition(expr.args[0])

    def finite(self, expr: Finite) -> Code:
        code = self(expr.args[0])
        return Code(f"np.where(np.isfinite({code.text}), {code.text}, 0)", ATOM, code.axes)

    def nowhere_zero(self, expr: Expr) -> Code:
        """x with infinity where it is 0, to divide by: 1 / x is then 0 there."""
        code = self(expr)
        return Code(f"np.where({code.at(COMPARE + 1)} > 0, {code.text}, np.inf)", ATOM, code.axes)

    def cases(self, expr: Cases) -> Code:
        if expr.otherwise == 0 and [v for v, _ in expr.branches] == [1]:
            return self.condition(expr.branches[0][1])
        values = [self.numeric(self(v)) for v in (*expr.args[:-1:2], expr.otherwise)]
        conditions = [self.condition(c) for _, c in expr.branches]
        axes = union([*values, *conditions], self.frame)
        text, numbers = align(values[-1], axes).text, values[-1].kind == "python"
        for value, test in reversed(list(zip(values, conditions))):
            text = f"np.where({align(test, axes).text}, {align(value, axes).text}, {text})"
            if numbers and value.kind == "python":  # an array of its own type beside no other
                text += f".astype({self.dtype})"
            numbers = False
        return Code(text, ATOM, axes)

    def condition(self, expr: Basic) -> Code:
        """A relation, or relations joined by and, or, not."""
        return condition(expr, self, self.position, self.frame)

    def reduction(self, expr: Reduce) -> Code:
        if expr.reducer == "sum":
            return self.total(expr.body, frozenset(expr.indices))
        method = {"maximum": "max", "product": "prod"}[expr.reducer]
        return reduce_axes(self.numeric(self(expr.body)), method, expr.indices)

    def others(self, expr: Slope) -> Code:
        """Π_{c≠i} f_c, with the axes of f_i."""
        node = expr.reduction
        self.helpers.add("others")
        code = self.numeric(self(substitute(node.body, dict(zip(node.indices, expr.place)))))
        axes = ", ".join(str(code.axes.index(i)) for i in expr.place)
        axis = axes if len(expr.place) == 1 else f"({axes})"
        return Code(f"_others({code.text}, axis={axis})", ATOM, code.axes)

    def total(self, body: Expr, bound: frozenset[Index]) -> Code:
        """Σ over a product: numbers outside, divisors with a factor that has their axes, then contraction."""
        inner = self.within((*self.frame, *sorted(bound - set(self.frame), key=str)))
        places, value = scattered(body, bound)
        if places:
            return inner.scatter(places, value, bound)
        numbers = [f for f in factors(body) if is_python_number(f)]
        arrays = [f for f in factors(body) if not is_python_number(f) and inverse(f) is None]
        for divisor in (
            f for f in factors(body) if not is_python_number(f) and inverse(f) is not None
        ):
            axes = free_indices(divisor)
            home = next((k for k, a in enumerate(arrays) if axes <= free_indices(a)), None)
            if home is None:
                arrays.append(divisor)
            else:
                arrays[home] = Mul(arrays[home], divisor, evaluate=False)
        code = contract(inner.numbers([inner(a) for a in arrays]), bound, inner.frame)
        if not numbers:
            return code
        return multiply_numbers(self.product_parts(Mul(*numbers)), code, self.frame)

    def scatter(self, places: dict[Index, Expr], value: Expr, bound: frozenset[Index]) -> Code:
        """Σ over terms that are added, each at its place, to an array of zeros."""
        rows = rows_of(places, self.frame)
        inner = self.within((*rows, *(i for i in self.frame if i not in rows)))
        code = inner.numeric(inner(sum_over(value, tuple(sorted(bound - set(rows), key=str)))))
        self.helpers.add("scatter_add")
        targets = {**{i: i for i in rows if i not in bound}, **places}
        return scatter_add(targets, rows, code, self.frame, self.number, self.dtype)

    def numeric(self, code: Code) -> Code:
        """The code as numbers of the working dtype where it is a comparison."""
        return self._cast([code])[0]

    def numbers(self, codes: list[Code]) -> list[Code]:
        """Operands of a contraction as numbers: a comparison goes with one that has its axes, or is made one."""
        found = [c for c in codes if c.kind != "bool"]
        for test in (c for c in codes if c.kind == "bool"):
            home = next((k for k, c in enumerate(found) if set(test.axes) <= set(c.axes)), None)
            if home is None:
                found.append(self.numeric(test))
            else:
                found[home] = product((found[home], test), self.frame)
        return found

    def product_parts(self, expr: Expr) -> tuple[list[Code], list[Code]]:
        """A product of Python numbers as what stands above and below the line."""
        top, bottom = expr.as_numer_denom()
        above = [self.number(top)] if top != 1 else []
        return above, [self.number(bottom)] if bottom != 1 else []

    _methods: dict[type, Callable[[Printer, Basic], Code]]


Printer._methods = {
    Entry: Printer.entry, Reduce: Printer.reduction, Slope: Printer.others, Idx: Printer.index, Delta: Printer.delta,
    Head: lambda self, expr: self.index(expr.index),
    Iverson: Printer.iverson, Cases: Printer.cases, Finite: Printer.finite, Largest: Printer.extremum,
    Smallest: Printer.extremum, LogAddExp: Printer.log_add_exp, SafeInverse: Printer.product, Add: Printer.sum,
    Mul: Printer.product, Pow: Printer.power,
    **{kind: Printer.function for kind in FUNCTIONS},
}  # fmt: skip


def first_tensor(expr: Basic) -> str | None:
    """A tensor that an expression reads, to take the working dtype from."""
    return next((e.tensor for e in entries(expr) if not e.is_whole), None)
