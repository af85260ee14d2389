"""Partials in terms of forward values: ∂y_i/∂z_j of a softmax as y_i (δ_ij − y_j), of tanh as 1 − y².

No function is known here by name. The equation y = f is solved for a generator g of f (a function such as exp(z_i), or
an entry) wherever f is a quotient of two linear forms in g; the solution replaces g in the partial, at whatever indices
g stands there; and the result is kept if it takes fewer operations and divides by nothing that the partial did not.

    y = (a g + b) / (c g + d)   gives   g = (b − d y) / (c y − a)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import gcd, lcm

from sympy import (
    Add,
    Basic,
    Expr,
    Integer,
    Poly,
    Pow,
    Rational,
    Symbol,
    cancel,
    cosh,
    exp,
    fraction,
    powdenest,
    sinh,
    together,
)

from symbp.ir.functions import Largest, Smallest, varies
from symbp.ir.network import Equation
from symbp.ir.nodes import (
    Delta,
    Entry,
    Iverson,
    Reduce,
    Slope,
    base_exponent,
    free_indices,
    substitute,
    transform,
    walk,
)
from symbp.ir.slots import Slot, is_leaf, slotted
from symbp.naming import alpha
from symbp.rewrite import cost, factor_common, pull_out


def in_terms_of_output(eq: Equation, partial: Expr) -> Expr:
    """The cheapest form of a coefficient of ∂y/∂z that solving y = f for one generator of f gives."""
    best = _attained(eq, _thresholds(eq, partial))
    flat = rational(best)
    if cost(flat) < cost(best):
        best = flat
    for candidate in _candidates(eq, best):
        fewer = cost(candidate) < cost(best)
        poles = _poles(candidate) <= _poles(best) | {_output(eq)}
        if fewer and poles and not _grows(candidate):
            best = candidate
    return best


def _grows(expr: Expr) -> bool:
    """Whether an exponential is left that nothing beside it holds back: y² sinh z for the slope of y = 1/cosh z."""
    below = (n.base for n in walk(expr) if isinstance(n, Pow) and n.exp.could_extract_minus_sign())
    return _has_exponential(expr) and not any(map(_has_exponential, below))


def _has_exponential(expr: Basic) -> bool:
    return any(isinstance(n, (exp, sinh, cosh)) for n in walk(expr))


def _output(eq: Equation) -> Entry:
    return Entry(eq.name, *eq.indices)


def _candidates(eq: Equation, partial: Expr) -> Iterator[Expr]:
    for base, exponential in _generators(eq.expr):
        solution = _solve(eq, base, exponential)
        if solution is not None:
            yield from (f for f in (_replace(partial, solution),) if f is not None)
            inside = _replace_in_sums(eq, partial, solution)
            yield from (
                f for f in (_replace(inside, solution),) if inside != partial and f is not None
            )


def rational(expr: Expr) -> Expr:
    """The expression as one cancelled fraction of what it reads, common factors before the terms.

    Exponentials whose exponents are whole multiples of one are powers of one: exp(z) exp(−z) = 1.
    """
    scalar, slots, back = slotted(expr, _is_atom)
    powers, bases = _powers_of_one(slots)
    scalar, back = scalar.xreplace(powers), {**back, **bases}
    if not scalar.is_rational_function(*back):
        return expr
    found: Expr = factor_common(cancel(scalar).xreplace(back))
    return found


def shorter(expr: Expr) -> Expr:
    """The expression with its exponentials cancelled, where that costs less; without any, as it stands."""
    return min(expr, rational(expr), key=cost) if _has_exponential(expr) else expr


def _powers_of_one(slots: dict[Basic, Slot]) -> tuple[dict[Slot, Expr], dict[Basic, Expr]]:
    """(slot of exp(k u) -> g**k, g -> exp(u)) for every family of exponentials."""
    families: list[list[tuple[Slot, Expr]]] = []
    for node, slot in slots.items():
        if isinstance(node, exp):
            u = node.args[0]
            home = next((f for f in families if (u / f[0][1]).is_Rational), None)
            if home is None:
                families.append([(slot, u)])
            else:
                home.append((slot, u))
    powers: dict[Slot, Expr] = {}
    bases: dict[Basic, Expr] = {}
    for n, family in enumerate(f for f in families if len(f) > 1):
        first = family[0][1]
        ratios = [u / first for _, u in family]
        whole = first / lcm(*(int(r.q) for r in ratios))
        generator = Slot(f"power{n}", positive=True)
        bases[generator] = exp(whole)
        powers |= {slot: generator ** (u / whole) for slot, u in family}
    return powers, bases


def _is_atom(node: Basic) -> bool:
    return is_leaf(node) or node.is_Function or isinstance(node, (Delta, Iverson)) or _is_root(node) or (
        isinstance(node, Symbol) and not isinstance(node, Slot)
    )  # fmt: skip


def _is_root(node: Basic) -> bool:
    return isinstance(node, Pow) and not node.exp.is_Integer


def _generators(expr: Expr) -> Iterator[tuple[Expr, bool]]:
    """What f may be solved for: (exponent, True) of its first exponential, then (function, root or entry, False)."""
    _, found, _ = slotted(expr, _is_atom)
    exponents = [n.args[0] for n in found if isinstance(n, exp)]
    if exponents:
        yield exponents[0], True
    for node in found:
        if not isinstance(node, exp) and varies(node):
            yield node, False


@dataclass(frozen=True)
class _Solution:
    """g**step = value, where g = exp(base) for an exponent `base`, else `base` itself.

    Of a root every power of what stands under it is a power.
    """

    base: Expr
    exponential: bool
    step: int
    value: Expr

    def power_at(self, node: Basic) -> tuple[Expr, Rational] | None:
        """(g**step at the node's own indices, r) where the node is that g to the power r; else None."""
        own = self.base
        exponents: tuple[Expr, Expr] | None = None
        if self.exponential:
            if not isinstance(node, exp):
                return None
            node = node.args[0]
        elif _is_root(own):
            exponents = node.exp if isinstance(node, Pow) else Integer(1), own.exp
            own, node = own.base, node.base if isinstance(node, Pow) else node
        if not self.exponential and node.func != own.func:
            return None
        target = alpha(node)
        for names in _renamings(own, node):
            moved = alpha(substitute(own, names))
            ratio = target / moved if self.exponential else Rational(target == moved)
            if exponents is not None:
                ratio *= exponents[0] / exponents[1]
            if ratio.is_Rational and ratio != 0:
                return substitute(self.value, names), ratio
        return None


def _renamings(base: Expr, node: Basic) -> Iterator[dict[Basic, Expr]]:
    """Every way to rename the free indices of one expression to those of another, over equal ranges."""
    own = sorted(free_indices(base), key=lambda i: i.name)
    others = sorted(free_indices(node), key=lambda i: i.name)
    choices = [
        sorted(
            (o for o in others if (o.lower, o.upper) == (i.lower, i.upper)), key=lambda o: o != i
        )
        for i in own
    ]
    for chosen in product(*choices):
        yield dict(zip(own, chosen))


def _solve(eq: Equation, base: Expr, exponential: bool) -> _Solution | None:
    """y = f solved for a power of g; None where f is no quotient of two linear forms in that power."""
    powers = exponential or _is_root(base)
    generator = Slot("generator", real=True, positive=powers or None)
    probe = _Solution(base, exponential, 1, base)

    def visit(node: Basic) -> Basic | None:
        if node == base and not powers:
            return generator
        found = probe.power_at(node) if powers else None
        return generator ** found[1] if found and found[0] == base else None

    scalar, _, back = slotted(_outside_leaves(eq.expr, visit), _is_atom)
    top, bottom = fraction(together(powdenest(scalar)))
    if not (top.is_polynomial(generator) and bottom.is_polynomial(generator)):
        return None
    p, q = Poly(top, generator), Poly(bottom, generator)
    step = reduce(gcd, (m[0] for m in (*p.monoms(), *q.monoms())), 0)
    if step == 0 or p.degree() > step or q.degree() > step:
        return None
    (a, b), (c, d) = (p.nth(step), p.nth(0)), (q.nth(step), q.nth(0))
    y = Slot("output", real=True)
    if c * y - a == 0:
        return None
    value = cancel((b - d * y) / (c * y - a))
    if _cancels(value, y):
        return None
    value = value.xreplace({**back, y: _output(eq)})
    if _has_exponential(value) and not (exponential or _has_exponential(base)):
        return None  # tanh x = y (1 + exp(−x)) where y = tanh x / (1 + exp(−x)): worse than tanh x
    return _Solution(base, exponential, step, value)


def _cancels(value: Expr, y: Slot) -> bool:
    """Whether a solution subtracts what else y was made of, as y − x where y = x + g: digits of g are lost there.

    Only numbers up to 1 may stand beside y in a sum: 1 − y of a sigmoid, 1 + y of a tanh.
    """
    for node in walk(value):
        if isinstance(node, Add) and node.has(y):
            others = [t for t in node.args if not t.has(y)]
            if any(not t.is_number or abs(t) > 1 for t in others):
                return True
    return False


def _outside_leaves(expr: Basic, visit: Callable[[Basic], Basic | None]) -> Expr:
    """Top-down rewriting that does not enter reductions or entries: constants to the scalar function."""
    found = visit(expr)
    if found is not None:
        return found
    if is_leaf(expr) or not expr.args:
        return expr
    return expr.func(*(_outside_leaves(a, visit) for a in expr.args))


def _replace(partial: Expr, solution: _Solution) -> Expr | None:
    """Every g of the partial, at any indices, by the solution there; None where a power of g is left over."""
    values: dict[Slot, Expr] = {}

    def visit(node: Basic) -> Basic | None:
        found = solution.power_at(node)
        if found is None:
            return None
        slot = next((s for s, v in values.items() if v == found[0]), None)
        if slot is None:
            positive = solution.exponential or _is_root(solution.base) or None
            slot = Slot(f"generator{len(values)}", real=True, positive=positive)
            values[slot] = found[0]
        return slot ** found[1]

    opened = rational(_outside_leaves(partial, visit))
    if not values:
        return None

    def close(node: Basic) -> Basic | None:
        slot, power = base_exponent(node)
        if slot in values and (power / solution.step).is_Integer:
            return values[slot] ** (power / solution.step)
        return None

    closed = _outside_leaves(opened, close)
    return None if any(n in values for n in walk(closed)) else rational(closed)


def _replace_in_sums(eq: Equation, partial: Expr, solution: _Solution) -> Expr:
    """Σ_c w_c g_c as Σ_c w_c (g_c in terms of y_c), in the sums that are not the equation's own."""
    own = {alpha(n) for n in walk(eq.expr) if isinstance(n, Reduce)}

    def inner(node: Basic) -> Basic | None:
        found = solution.power_at(node)
        if found is None or not (found[1] / solution.step).is_Integer:
            return None
        return found[0] ** (found[1] / solution.step)

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Reduce) and node.reducer == "sum" and alpha(node) not in own:
            return pull_out(_outside_leaves(node.body, inner), node.indices)
        return node if is_leaf(node) else None

    return _outside_leaves(partial, visit)


def _poles(expr: Expr) -> set[Expr]:
    """What an expression divides by, outside sums: the bases of its negative powers."""
    if is_leaf(expr) or not expr.args:
        return set()
    own = {expr.base} if isinstance(expr, Pow) and expr.exp.could_extract_minus_sign() else set()
    return own.union(*(_poles(a) for a in expr.args))


def _thresholds(eq: Equation, partial: Expr) -> Expr:
    """[u > c] = [y > c] where y = max(c, u), and the mirror image for min: the sign of u need not be kept."""
    f = eq.expr
    if not isinstance(f, (Largest, Smallest)) or len(f.args) != 2:
        return partial
    constant, variable = sorted(f.args, key=varies)
    if varies(constant):
        return partial

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Iverson) and node.args[0].args == (variable, constant):
            return Iverson(node.args[0].func(_output(eq), constant, evaluate=False))
        return None

    found: Expr = transform(partial, visit)
    return found


def _attained(eq: Equation, partial: Expr) -> Expr:
    """A maximum or a product by its name y, where it is the whole of the equation: [x_i = max_c x_c] = [x_i = y]."""
    form = alpha(eq.expr)

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Slope) and alpha(node.reduction) == form:
            return Slope(node.reduction, _output(eq), *node.place)
        return None

    found: Expr = transform(partial, visit)
    return found
