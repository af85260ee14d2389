"""Declared equations to normal form: SymPy's own nodes become ours, and no two indices in an equation share a name.

Σ_i c_i x_i written beside a free i      binds its own i: the inner one is renamed
Σ_i b                                    = k b, for i over k values
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    expand,
    expand_mul,
)  # fmt: skip
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanFunction

from symbp.errors import CompilerError, ModelError
from symbp.ir.functions import Largest, Smallest
from symbp.ir.loops import Loop, names_in
from symbp.ir.network import Declaration, Declared, Equation
from symbp.ir.nodes import (
    Cases,
    Delta,
    Entry,
    Head,
    Index,
    Iverson,
    Reduce,
    entries,
    free_indices,
    size_of,
    substitute,
    tensors_of,
    transform,
    walk,
)
from symbp.ir.program import Program, Shift, arranged
from symbp.ir.trace import Step
from symbp.maximum import Maximum
from symbp.naming import fresh_index
from symbp.ranges import decided, fits, ranges, taken, whole
from symbp.recurrence import step_of, unstepped
from symbp.rewrite import contract
from symbp.validate import RESERVED, Ranges, provably_inside, same_size

Names = Mapping[Basic, Expr]


def normalise(declared: Declared) -> Program:
    """The program of a declared network, its loss (if any) last."""
    convert = _Equations(declared)
    equations = {eq.name: convert(eq) for eq in declared.equations}
    loss = [convert(declared.loss)] if declared.loss else []
    shifts = tuple(convert.shifts())
    every = [*convert.before, *equations.values()]
    order = names_in(arranged(every, shifts)) if shifts else equations
    table = {eq.name: eq for eq in every}
    return Program(
        declared.name,
        {**declared.declarations, **convert.declarations},
        (*(table[name] for name in order if name in table), *loss),
        declared.loss.name if declared.loss else None,
        declared.outputs,
        declared.indices,
        tuple(convert.origin),
        tuple(convert.trace),
        shifts,
        convert.ends,
    )


class _Equations:
    """Converts equations one by one, and collects what they read of recurrent tensors at other steps."""

    def __init__(self, declared: Declared) -> None:
        self.given = declared.declarations
        self.pool = declared.indices
        self.scalars = frozenset(
            d.name for d in self.given.values() if not d.indices and d.kind != "constant"
        )
        self.shapes = {d.name: d.shape for d in self.given.values()}
        self.origin: list[Step] = []
        self.trace: list[Step] = []
        self.steps: dict[tuple[str, int], str] = {}
        self.ends: dict[str, str] = {}
        self.last = dict(self.last_steps(declared.order))
        self.before: list[
            Equation
        ] = []  # of what stands for a recurrent tensor before its first step
        self.declarations: dict[str, Declaration] = {}  # that the user did not make
        sizes = {
            s.name for shape in self.shapes.values() for size in shape for s in size.free_symbols
        }
        self.taken = RESERVED | set(self.given) | sizes

    def __call__(self, eq: Equation) -> Equation:
        convert = _Convert(self, set(eq.indices))
        found = stated = convert(eq.expr, {})
        if convert.embeds:
            stated = _Convert(self, set(eq.indices), as_stated=True)(eq.expr, {})
            reason = "a branch is read over indices that run where its condition holds"
            self.trace.append(
                Step(eq.name, "place", reason, stated, found, "normalise", eq.indices)
            )
        reason = "in index notation, where each Σ binds an index of its own"
        self.origin.append(Step(eq.name, "read", reason, eq.expr, stated, "normalise", eq.indices))
        for entry in entries(found):
            if not fits(entry.indices, self.shapes[entry.tensor]):
                message = (
                    f"{eq.name}: {entry} under conditions of several branches: not supported yet"
                )
                raise ModelError(message, eq.where)
        return Equation(eq.name, eq.indices, found, eq.where)

    def last_steps(self, order: Iterable[str | Loop]) -> Iterator[tuple[str, Expr]]:
        """The step at which the loop of a recurrent tensor ends."""
        for loop in order:
            if isinstance(loop, Loop):
                for name, axis in loop.axes.items():
                    index = self.given[name].indices[axis]
                    if self.given[name].over == index:
                        yield name, size_of(index) - 1 if loop.forward else S.Zero
                yield from self.last_steps(loop.body)

    def at_step(self, tensor: str, step: int) -> str:
        """The name by which a tensor is read at another step."""
        if (tensor, step) not in self.steps:
            stem = f"{tensor}_{'before' if step < 0 else 'after'}"
            name = self.declare(
                stem if abs(step) == 1 else f"{stem}_{abs(step)}", self.given[tensor].indices
            )
            self.steps[tensor, step] = name
        return self.steps[tensor, step]

    def at_end(self, tensor: str) -> str:
        """The name by which a recurrent tensor is read at its last step."""
        if tensor not in self.ends:
            d = self.given[tensor]
            rest = tuple(i for i in d.indices if i != d.over)
            name = self.declare(f"{tensor}_{'last' if self.last[tensor] != 0 else 'first'}", rest)
            places = (self.last[tensor] if i == d.over else i for i in d.indices)
            self.before.append(Equation(name, rest, Entry(tensor, *places), d.where))
            self.ends[tensor] = name
        return self.ends[tensor]

    def declare(self, stem: str, indices: tuple[Index, ...]) -> str:
        """A tensor that the user did not declare, with a name that nothing has."""
        name = next(n for n in (stem + "_" * k for k in range(99)) if n not in self.taken)
        self.taken |= {name}
        self.declarations[name] = Declaration(name, "defined", indices)
        self.shapes[name] = self.declarations[name].shape
        return name

    def shifts(self) -> Iterator[Shift]:
        """One for each step that is read, with what stands for it outside the range."""
        outside: dict[str, Expr] = {}
        while new := [t for t, _ in self.steps if t not in outside]:  # which may read further steps
            outside |= {tensor: self.initial(self.given[tensor]) for tensor in dict.fromkeys(new)}
        for (tensor, step), name in self.steps.items():
            declaration = self.given[tensor]
            axis = declaration.indices.index(declaration.over)
            yield Shift(name, tensor, declaration.indices, axis, step, outside[tensor])

    def initial(self, declaration: Declaration) -> Expr:
        """What a recurrent tensor is before its first step: a number, or the entry of a tensor in all other indices.

        That tensor is an input, a parameter or one with an equation: no other step of a recurrent one.
        """
        rest = tuple(i for i in declaration.indices if i != declaration.over)
        eq = self(Equation(declaration.name, rest, declaration.initial, declaration.where))
        own = isinstance(eq.expr, Entry) and eq.expr.tensor not in self.steps.values()
        plain = own and sorted(map(str, eq.expr.indices)) == sorted(map(str, rest))
        if plain or not tensors_of(eq.expr) and not free_indices(eq.expr):
            return eq.expr
        name = self.declare(f"{declaration.name}_initial", rest)
        self.before.append(replace(eq, name=name))
        return Entry(name, *rest)


@dataclass
class _Convert:
    """SymPy to IR within one equation; `taken` grows by every index bound so far.

    `as_stated` keeps every read in its branch, for the text; `embeds` says whether that makes a difference.
    """

    network: _Equations
    taken: set[Index]
    as_stated: bool = False
    embeds: bool = False

    @property
    def pool(self) -> tuple[Index, ...]:
        return self.network.pool

    @property
    def shapes(self) -> Mapping[str, tuple[Expr, ...]]:
        return self.network.shapes

    def __call__(self, expr: Basic, env: Names) -> Any:
        if isinstance(expr, Idx):
            return env.get(expr, expr)
        if isinstance(expr, Indexed):
            return self._entry(expr, env)
        if isinstance(expr, Symbol):
            return Entry(_tensor(expr)) if expr.name in self.network.scalars else expr
        if isinstance(expr, Sum):
            return _without_delta(self._reduce("sum", expr.function, list(expr.limits), env))
        if isinstance(expr, (Product, Maximum)):
            reducer = "product" if isinstance(expr, Product) else "maximum"
            return self._reduce(reducer, expr.function, list(expr.limits), env)
        if isinstance(expr, Piecewise):
            return self._cases(expr, env)
        if isinstance(expr, Relational):
            return expr.func(*(self(a, env) for a in whole(expr).args))
        args = [self(a, env) for a in expr.args]
        for kind, build in _NODES.items():
            if isinstance(expr, kind):
                return build(*args)
        if isinstance(expr, BooleanFunction) or _is_scalar_node(expr):
            return expr.func(*args) if args else expr
        raise CompilerError(f"normalise: no meaning for {type(expr).__name__} in {expr}")

    def _entry(self, expr: Indexed, env: Names) -> Entry:
        declaration = self.network.given[expr.base.label.name]
        name, places = declaration.name, tuple(expr.indices)
        found = step_of(declaration, places)
        if found is not None:
            places = unstepped(declaration, places)
            return Entry(self.network.at_step(name, found[1]), *(self(i, env) for i in places))
        if declaration.over is not None:
            axis = declaration.indices.index(declaration.over)
            if name in self.network.last and same_size(places[axis], self.network.last[name]):
                places = places[:axis] + places[axis + 1 :]
                return Entry(self.network.at_end(name), *(self(i, env) for i in places))
        return Entry(_tensor(expr.base.label), *(self(i, env) for i in places))

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
        if conditions and not self.as_stated:
            values = self._embedded(values, conditions)
        placed = Add(*values[len(conditions) + 1 :])
        return placed + _branches(values[: len(conditions) + 1], conditions)

    def _embedded(self, values: list[Expr], conditions: list[Basic]) -> list[Expr]:
        """{x[u − 1] if 1 ≤ u ≤ H; 0 otherwise} = Σ_j δ(u, j + 1) x[j]: what may be read only where it is taken.

        Such values are 0 in the branches, and are terms behind these.
        """
        found, placed = [], []
        for value, where in taken(zip(values, [*conditions, S.true])):
            reads = [(e, self.shapes[e.tensor]) for e in entries(value)]
            if all(fits(e.indices, shape, decided(where)) for e, shape in reads):
                found.append(value)
                continue
            found.append(S.Zero)
            self.embeds = True
            placed.append(self._placed(value, ranges(where)[0]))
        return [*found, *placed]

    def _placed(self, value: Expr, known: Ranges) -> Expr:
        """The value over new indices that run over these ranges, each at its place."""
        at: dict[Basic, Expr] = {}
        for index, (first, last) in known.items():
            name = Symbol(index.name, integer=True)
            bound = fresh_index(Idx(name, (0, expand(last - first))), self.taken, self.pool)
            self.taken.add(bound)
            at[index] = bound + first if first != 0 else Head(bound)
        own = frozenset().union(*(free_indices(place) for place in at.values()))

        def visit(node: Basic) -> Basic | None:
            if not isinstance(node, Entry):
                return None
            shape = self.shapes[node.tensor]
            places = (_fitted(p, size, own) for p, size in zip(node.indices, shape))
            return Entry(node.args[0], *places)

        moved = transform(substitute(value, at), visit)
        deltas = Mul(*(Delta(index, place) for index, place in at.items()))
        return Reduce("sum", deltas * moved, *sorted(own, key=str))


def _fitted(place: Expr, size: Expr, own: frozenset[Index]) -> Expr:
    """A new index as the place on an axis: itself where it runs over all of it."""
    index = place.index if isinstance(place, Head) else place
    if index not in own:
        return place
    return index if same_size(size_of(index), size) else Head(index)


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
    if isinstance(place, Idx) or provably_inside(place, size_of(index)):
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
