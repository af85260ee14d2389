"""What an equation may consist of.

One walk over the user's expression refuses what is no part of the language, and gives the free
indices of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import reduce

from sympy import (
    Abs,
    Add,
    And,
    Basic,
    Expr,
    Idx,
    Indexed,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Not,
    Number,
    NumberSymbol,
    Or,
    Piecewise,
    Pow,
    Product,
    S,
    Sum,
    Symbol,
    SympifyError,
    cos,
    cosh,
    erf,
    exp,
    log,
    sign,
    sin,
    sinh,
    tanh,
)
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import Application
from sympy.core.relational import Relational
from sympy.core.sympify import _sympify
from sympy.logic.boolalg import Boolean

from symbp.errors import ModelError
from symbp.exhaustive import covers_everything
from symbp.ir.network import Declaration
from symbp.ir.nodes import Index
from symbp.maximum import Maximum
from symbp.ranges import NONE, decides, fits, ranges, region, taken, whole
from symbp.recurrence import unstepped
from symbp.validate import (
    Ranges,
    affine,
    check_entry,
    check_index,
    check_position,
    check_variable,
    is_size,
    model_error,
    not_yet,
    same_size,
    show,
    show_shape,
    sizes_in,
    subexpressions,
)

FUNCTIONS = (exp, log, sin, cos, tanh, sinh, cosh, erf, Abs, sign, Max, Min)
"""The functions of values that an equation may use; `sqrt` is a power."""

_KNOWN = ", ".join(
    [
        *(f.__name__ for f in FUNCTIONS),
        "sqrt",
        "Piecewise",
        "Sum",
        "Product",
        "Maximum",
        "KroneckerDelta",
    ]
)


_Key = tuple[frozenset[tuple[Index, tuple[Expr, Expr]]], bool]


def check_value(subject: str, value: object) -> Expr:
    """A SymPy expression that stands for a number. Strings are refused, never evaluated."""
    try:
        expr = _sympify(value)
    except SympifyError:
        raise model_error(f"{subject}: {show(value)} is no SymPy expression") from None
    if isinstance(expr, Boolean) and not isinstance(expr, Symbol):
        raise model_error(f"{subject}: {show(expr)} is a condition; use it in a Piecewise")
    if not isinstance(expr, Expr):
        raise model_error(f"{subject}: {show(value)} is no expression that stands for a number")
    return expr


class ExpressionCheck:
    """Checks one equation against the tensors declared before it.

    `indices` and `sizes` collect those that it meets, in order of appearance.
    """

    def __init__(
        self, subject: str, declarations: Mapping[str, Declaration], atoms: Mapping[Basic, str]
    ) -> None:
        """`subject` begins each message; `atoms` maps each tensor's symbol or base to its name."""
        self.subject = subject
        self.declarations = declarations
        self.atoms = atoms
        self.indices: dict[Index, None] = {}
        self.sizes: dict[Symbol, None] = {}
        # each distinct subexpression is seen once for each branch that it stands in
        self._free: dict[tuple[Basic, _Key], frozenset[Index]] = {}
        self._ranges: Ranges = {}  # where the branch is taken that is being checked
        self._exact = True  # whether its condition says no more than these ranges
        self._guarded: set[tuple[Basic, _Key]] = (
            set()
        )  # entries that would leave their axes elsewhere

    def free(self, node: Basic) -> frozenset[Index]:
        """The free indices of a subexpression, which is checked on the way."""
        key = node, self._key()
        found = self._free.get(key)
        if found is None:
            found = self._free[key] = self._visit(node)
        return found

    def _key(self) -> _Key:
        return frozenset(self._ranges.items()), self._exact

    def _all(self, nodes: Iterable[Basic]) -> frozenset[Index]:
        return reduce(frozenset.union, map(self.free, nodes), frozenset())

    def _visit(self, node: Basic) -> frozenset[Index]:
        if isinstance(node, Idx):
            return self._index(node)
        if isinstance(node, Indexed):
            return self._entry(node)
        if isinstance(node, Symbol):
            return self._symbol(node)
        if isinstance(node, (Number, NumberSymbol)):
            return self._number(node)
        if isinstance(node, (Sum, Product, Maximum)):
            return self._reduction(node)
        if isinstance(node, Piecewise):
            return self._piecewise(node)
        if isinstance(node, KroneckerDelta):
            return self._delta(node)
        if isinstance(node, (Add, Mul, Pow, *FUNCTIONS)):
            return self._arithmetic(node)
        raise self._unsupported(node)

    def _error(self, message: str) -> ModelError:
        return model_error(f"{self.subject}: {message}")

    def _arithmetic(self, node: Expr) -> frozenset[Index]:
        free = self._all(node.args)
        if node.is_number and node.is_extended_real is False:
            raise self._error(f"{show(node)} is complex; tensors are real")
        return free

    def _index(self, index: Index) -> frozenset[Index]:
        self.sizes.update((size, None) for size in sizes_in(check_index(index)))
        self.indices[index] = None
        return frozenset((index,))

    def _entry(self, node: Indexed) -> frozenset[Index]:
        if node.base not in self.atoms:
            raise self._foreign(str(node.base.label), tuple(node.base.shape or ()))
        name = self.atoms[node.base]
        declaration, scalars = self.declarations[name], self._integer_scalars()
        places = unstepped(declaration, node.indices)
        check_entry(name, declaration.shape, places, scalars, self._ranges)
        known = self._ranges if self._exact else NONE
        if self._ranges and not fits(places, declaration.shape, known):
            self._guarded.add((node, self._key()))
        return self._places(places)

    def _integer_scalars(self) -> list[Basic]:
        return [atom for atom in self.atoms if isinstance(atom, Symbol) and atom.is_integer]

    def _places(self, places: Iterable[Expr]) -> frozenset[Index]:
        """The free indices of places that have been checked: affine in indices and sizes, or gathers."""
        return self._all(
            leaf
            for p in places
            for leaf in subexpressions(p)
            if isinstance(leaf, (Idx, Indexed, Symbol))
        )

    def _symbol(self, symbol: Symbol) -> frozenset[Index]:
        if symbol in self.atoms:
            return frozenset()
        if symbol.name in self.declarations:
            raise self._foreign(symbol.name, ())
        if not is_size(symbol):
            raise self._error(
                f"symbol {symbol} is unknown; declare it with param, input, constant or sizes"
            )
        check_variable("size", symbol.name)
        self.sizes[symbol] = None
        return frozenset()

    def _foreign(self, name: str, shape: tuple[Expr, ...]) -> ModelError:
        """An entry of a tensor that this network has not declared, or has declared otherwise."""
        if name not in self.declarations:
            return self._error(f"reads {name}, which no statement before it declares")
        mine = self.declarations[name].shape
        return self._error(
            f"reads a {name} of shape {show_shape(shape)} that is not this network's {name}, of"
            f" shape {show_shape(mine)}; use the tensor that its declaration gave back"
        )

    def _number(self, number: Expr) -> frozenset[Index]:
        if not (number.is_finite and math.isfinite(float(number))):
            raise self._error(f"the number {show(number)} is not finite in float64")
        return frozenset()

    def _reduction(self, node: ExprWithLimits) -> frozenset[Index]:
        name = type(node).__name__
        outside = self._ranges
        bound = {limit[0] for limit in node.limits}
        self._ranges = {i: r for i, r in outside.items() if i not in bound}
        free = self.free(node.function)
        self._ranges = outside
        self._check_fold(node)
        for index, low, high in node.limits:
            if not isinstance(index, Idx):
                raise self._error(
                    f"{name} over {index}, which is no index; make it with indices({str(index)!r}, …)"
                )
            self._index(index)
            if not (same_size(low, index.lower) and same_size(high, index.upper)):
                raise not_yet(
                    f"{self.subject}: {name} over {index} from {show(low)} to {show(high)}, where"
                    f" {index} runs from 0 to {index.upper}"
                )
        return free - {limit[0] for limit in node.limits}

    def _check_fold(self, node: ExprWithLimits) -> None:
        """A Sum moves any Piecewise within that has its index to the front, even out of sums that bind what it tests.

        Σ_i x_i (Σ_i {a_i if i > 1; b}) reaches us as Σ_i {x_i Σ_i a_i if i > 1; x_i Σ_i b}, which is another value.
        """
        body = node.function
        if isinstance(node, Maximum) or not isinstance(body, Piecewise):
            return
        inner = body.atoms(Sum, Product, Maximum)
        for _, condition in body.args:
            tested = self._conditions([condition])
            within = next((r for r in inner if not tested.isdisjoint(r.variables)), None)
            if within is not None:
                name, index = type(within).__name__, show(within.variables[0])
                raise self._error(
                    f"SymPy moves the condition {show(condition)} out of the {name} over {index} that it may belong"
                    f" to; define that {name} as a tensor of its own"
                )

    def _piecewise(self, node: Piecewise) -> frozenset[Index]:
        conditions = [condition for _, condition in node.args]
        free = self._conditions(conditions)
        for value, where in taken(node.args):
            if value is not S.NegativeInfinity:  # a mask
                free |= self._branch(value, where)
        if not covers_everything(conditions):
            raise self._error(f"{show(node)} may leave a hole; end it with (value, True)")
        return free

    def _branch(self, value: Expr, where: Basic) -> frozenset[Index]:
        """A value is read where it is taken: that must be a range of each index, if it could not be read elsewhere."""
        outside = self._ranges, self._exact
        self._ranges, exact = ranges(where, self._ranges)
        self._exact = exact and region(self._ranges)
        free, key = self.free(value), self._key()
        read = next((e for e in value.atoms(Indexed) if (e, key) in self._guarded), None)
        if read is None or self._exact:
            read = next((e for e in value.atoms(Indexed) if self._decided(e, where)), None)
        if read is not None:
            raise not_yet(
                f"{self.subject}: {show(read)} where {show(where)}, no range of each index"
            )
        self._ranges, self._exact = outside
        return free

    def _decided(self, entry: Indexed, where: Basic) -> bool:
        shape = self.declarations[self.atoms[entry.base]].shape
        known = self._ranges if self._exact else NONE
        return any(decides(where, p, size, known) for p, size in zip(entry.indices, shape))

    def _conditions(self, conditions: Iterable[Basic]) -> frozenset[Index]:
        free: frozenset[Index] = frozenset()
        for condition in conditions:
            if isinstance(condition, (And, Or, Not)):
                free |= self._conditions(condition.args)
            elif isinstance(condition, Relational):
                if _reads_values(condition):
                    free |= self._all(condition.args)
                elif all(map(_is_place, whole(condition).args)):
                    free |= self._places(condition.args)
                else:
                    what = f"the condition {show(condition)}, no comparison of sums of indices"
                    raise not_yet(f"{self.subject}: {what}")
            elif condition not in (S.true, S.false):
                raise self._error(f"{show(condition)} is no comparison of values")
        return free

    def _delta(self, node: KroneckerDelta) -> frozenset[Index]:
        """δ_ij: two indices over one size, or an index and a place, not provably outside its range."""
        first, *rest = sorted(node.args, key=lambda a: not isinstance(a, Idx))
        if not isinstance(first, Idx) or len(rest) != 1:
            raise not_yet(f"{self.subject}: {show(node)} without a plain index")
        if not isinstance(rest[0], (Idx, Indexed)) and rest[0].has(Idx):
            if affine(rest[0]) is None:
                raise not_yet(f"{self.subject}: {show(node)}, no sum of indices times sizes")
            return self._places(node.args)  # 0 where it leaves the range
        subject = f"{self.subject}: {show(node)} over index {first}"
        check_position(subject, check_index(first), rest[0], self._integer_scalars(), {})
        return self._places(node.args)

    def _unsupported(self, node: Basic) -> ModelError:
        name = node.func.__name__
        if node is S.ImaginaryUnit:
            return self._error("I is complex; tensors are real")
        if node is S.ComplexInfinity:
            return self._error("divides by zero")
        kind = "function" if isinstance(node, Application) else "expression"
        return self._error(f"unknown {kind} {name} in {show(node)}; known are {_KNOWN}")


def _reads_values(condition: Relational) -> bool:
    """Whether a comparison depends on a tensor or a scalar, not on indices and sizes alone."""
    return any(
        isinstance(e, Indexed) or (isinstance(e, Symbol) and not is_size(e))
        for e in subexpressions(condition)
    )


def _is_place(side: Expr) -> bool:
    """Whether a side of a condition on indices is c0 + Σ c i with whole numbers or sizes for c, or |c0 + Σ c i|."""
    inside = side.args[0] if isinstance(side, Abs) else side
    return bool(inside.is_integer) and affine(inside) is not None
