"""Declared equations to normal form: SymPy's own nodes become ours, and no two indices in an equation share a name.

Σ_i c_i x_i written beside a free i      binds its own i: the inner one is renamed
Σ_i b                                    = k b, for i over k values
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Abs,
    Add,
    Basic,
    Eq,
    Expr,
    Function,
    Idx,
    Indexed,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    Product,
    S,
    Sum,
    Symbol,
    exp,
    expand_mul,
)  # fmt: skip
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFunction

from symbp.errors import CompilerError
from symbp.ir.functions import Largest, Smallest
from symbp.ir.network import Declared, Equation
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    free_indices,
    is_placed,
    size_of,
    walk,
)
from symbp.ir.program import Program
from symbp.maximum import Maximum
from symbp.rewrite import contract, fresh_index
from symbp.validate import provably_inside

Names = Mapping[Basic, Expr]


def normalise(declared: Declared) -> Program:
    """The program of a declared network, its loss (if any) last."""
    scalars = frozenset(
        d.name for d in declared.declarations.values() if not d.indices and d.kind != "constant"
    )
    equations = [*declared.equations, *([declared.loss] if declared.loss else [])]
    return Program(
        declared.name,
        declared.declarations,
        tuple(_equation(eq, scalars, declared.indices) for eq in equations),
        declared.loss.name if declared.loss else None,
        declared.outputs,
        declared.indices,
    )


def _equation(eq: Equation, scalars: frozenset[str], pool: tuple[Index, ...]) -> Equation:
    convert = _Convert(scalars, pool, set(eq.indices))
    return Equation(eq.name, eq.indices, convert(eq.expr, {}), eq.where)


@dataclass
class _Convert:
    """SymPy to IR within one equation; `taken` grows by every index bound so far."""

    scalars: frozenset[str]
    pool: tuple[Index, ...]
    taken: set[Index]

    def __call__(self, expr: Basic, env: Names) -> Any:
        if isinstance(expr, Idx):
            return env.get(expr, expr)
        if isinstance(expr, Indexed):
            return Entry(_tensor(expr.base.label), *(self(i, env) for i in expr.indices))
        if isinstance(expr, Symbol):
            return Entry(_tensor(expr)) if expr.name in self.scalars else expr
        if isinstance(expr, Sum):
            return _without_delta(self._reduce("sum", expr.function, list(expr.limits), env))
        if isinstance(expr, (Product, Maximum)):
            reducer = "product" if isinstance(expr, Product) else "maximum"
            return self._reduce(reducer, expr.function, list(expr.limits), env)
        if isinstance(expr, Piecewise):
            return self._cases(expr, env)
        args = [self(a, env) for a in expr.args]
        for kind, build in _NODES.items():
            if isinstance(expr, kind):
                return build(*args)
        if isinstance(expr, (Relational, BooleanFunction)) or _is_scalar_node(expr):
            return expr.func(*args) if args else expr
        raise CompilerError(f"normalise: no meaning for {type(expr).__name__} in {expr}")

    def _reduce(self, reducer: str, body: Expr, limits: list[Any], env: Names) -> Expr:
        """Limits bind from the last (outermost) to the first; an index that its body lacks repeats it."""
        if not limits:
            return self(body, env)
        index = limits[-1][0]
        bound = fresh_index(index, self.taken, self.pool)
        self.taken.add(bound)
        inner = self._reduce(reducer, body, limits[:-1], {**env, index: bound})
        if bound not in free_indices(inner):
            self.taken.discard(bound)
            return _REPEATED[reducer](inner, size_of(index))
        if isinstance(inner, Reduce) and inner.reducer == reducer:
            return Reduce(reducer, inner.body, *inner.indices, bound)
        return Reduce(reducer, inner, bound)

    def _cases(self, expr: Piecewise, env: Names) -> Expr:
        """Piecewise is exhaustive (declare saw to it), so its last branch needs no condition.

        {exp a if P; 0 otherwise} = exp {a if P; −∞ otherwise}, which SymPy folds to the first under a sum.
        """
        values = [self(pair.expr, env) for pair in expr.args]
        conditions = [self(pair.cond, env) for pair in expr.args[:-1]]
        masked = any(isinstance(v, exp) for v in values)
        if masked and all(isinstance(v, exp) or v == 0 for v in values):
            return exp(
                _branches([v.args[0] if v != 0 else -S.Infinity for v in values], conditions)
            )
        return _branches(values, conditions)


def _branches(values: list[Expr], conditions: list[Basic]) -> Expr:
    pairs = [x for pair in zip(values, conditions) for x in pair]
    return Cases(*pairs, values[-1]) if pairs else values[-1]


def _tensor(label: Symbol) -> Symbol:
    """The name of a tensor, with the one assumption that the stages read: that it holds integers."""
    return Symbol(label.name, integer=True) if label.is_integer else Symbol(label.name)


def _without_delta(expr: Expr) -> Expr:
    """Σ_j δ_ij f_j = f_i, where the user wrote a δ under a sum."""
    if isinstance(expr, Reduce) and any(isinstance(n, Delta) for n in walk(expr.body)):
        return contract(expand_mul(expr.body), expr.indices)
    return expr


def _delta(left: Expr, right: Expr, *_: Expr) -> Expr:
    """δ_ij; a comparison where a place may lie outside the index's range: Σ_i δ_i7 is then not always 1."""
    index, place = (left, right) if isinstance(left, Idx) else (right, left)
    if isinstance(place, Idx) or (not is_placed(place) and provably_inside(place, size_of(index))):
        return Delta(left, right)
    return Iverson(Eq(index, place, evaluate=False))


# n times the same value, reduced
_REPEATED: dict[str, Callable[[Expr, Expr], Expr]] = {
    "sum": lambda value, n: n * value,
    "product": lambda value, n: value**n,
    "maximum": lambda value, n: value,
}


_NODES: dict[type, Callable[..., Expr]] = {
    KroneckerDelta: _delta,
    Max: Largest,
    Min: Smallest,
}


def _is_scalar_node(expr: Basic) -> bool:
    return (
        expr.is_Number
        or expr.is_NumberSymbol
        or isinstance(expr, (Add, Mul, Pow, Abs, Function))
        or expr.is_Boolean
    )
