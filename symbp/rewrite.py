"""Algebra that several stages share: what an expression costs, and the identities of Σ and δ.

contract   Σ_i δ_ij f_i       = f_j
sift       δ_ij f_i           = δ_ij f_j          where j is read from an integer tensor
pull out   Σ_i a f_i          = a Σ_i f_i         where a lacks i
factor     a b + a c          = a (b + c)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from sympy import Add, Basic, Expr, Idx, Integer, Mul, Pow, Rational, expand_mul

from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Reduce,
    Slope,
    base_exponent,
    factors,
    free_indices,
    is_placed,
    size_of,
    substitute,
    sum_over,
    summands,
    transform,
    walk,
)  # fmt: skip

TYPICAL_SIZE = 16  # stands for each symbolic size where two forms are compared
TRANSCENDENTAL = 8  # what exp, log, tanh … cost in units of an addition


@lru_cache(maxsize=10_000)
def volume(indices: frozenset[Index]) -> int:
    """How many entries an array over these indices has, each symbolic size taken as typical."""
    count = 1
    for index in indices:
        size = size_of(index)
        count *= int(size) if size.is_Integer else TYPICAL_SIZE
    return count


@lru_cache(maxsize=100_000)
def cost(expr: Basic) -> int:
    """Arithmetic operations to evaluate an expression once for all its indices, each subexpression over its own."""
    if isinstance(expr, (Entry, Idx, Delta)) or not expr.args:
        return 0
    if isinstance(expr, Reduce):
        zeros = int(split_gathers(expr.body)[0] != 1)  # an array of them, to be added to
        return cost(expr.body) + volume(_looped(expr.body)) + zeros * volume(free_indices(expr))
    if isinstance(expr, Slope):
        return cost(expr.reduction) + volume(free_indices(expr))
    if isinstance(expr, Mul) and (parts := split_gathers(expr))[0] != 1:
        return cost(parts[1]) + volume(_looped(expr))
    below = sum(cost(a) for a in expr.args)
    if isinstance(expr, Mul):
        return below + _products(expr)
    return below + _own_weight(expr) * volume(free_indices(expr))


def _products(expr: Mul) -> int:
    """The multiplications of a product: what has fewer axes is multiplied first."""
    sizes = [free_indices(a) for a in expr.args if a != -1]  # a sign is part of the addition
    total, axes = 0, frozenset[Index]()
    for k, own in enumerate(sorted(sizes, key=volume)):
        axes |= own
        total += volume(axes) if k else 0
    return total


def split_gathers(product: Expr) -> tuple[Expr, Expr]:
    """(every δ(j, w[s]) of a product, the rest): they say where its term goes, and cost nothing themselves."""
    placing = [f for f in factors(product) if isinstance(f, Delta) and _pinned(f)]
    return Mul(*placing), Mul(*(f for f in factors(product) if f not in placing))


def _pinned(delta: Delta) -> frozenset[Index]:
    """The axis that something computed from other indices is the place on."""
    if not any(map(is_placed, delta.args)):
        return frozenset()
    return frozenset(a for a in delta.args if isinstance(a, Idx))


def is_accumulated(node: Basic) -> bool:
    """Σ_{p,a} δ(j, 2p + a) v: a sum whose terms go to places that arithmetic gives, in slices."""
    if not isinstance(node, Reduce) or node.reducer != "sum":
        return False
    deltas = [f for f in factors(node.body) if isinstance(f, Delta)]
    places = [place for delta in deltas for place in delta.args if is_placed(place)]
    return bool(places) and not any(isinstance(n, Entry) for p in places for n in walk(p))


def _looped(product: Expr) -> frozenset[Index]:
    """The axes that a term is computed over: not those on which δ(j, w[s]) picks one place."""
    return frozenset(free_indices(product) - _axes_placed(product))


def _axes_placed(product: Expr) -> frozenset[Index]:
    deltas = (f for f in factors(product) if isinstance(f, Delta))
    return frozenset[Index]().union(*map(_pinned, deltas))


def sift(expr: Expr) -> Expr:
    """δ(j, w[s]) f_j = δ(j, w[s]) f_w[s] everywhere in an expression, f before the sum or in it.

    Not where arithmetic gives the place: whole arrays are then as good as slices.
    """

    def visit(node: Basic) -> Basic | None:
        for factor in node.args if isinstance(node, Mul) else ():
            if isinstance(factor, Reduce) and not is_accumulated(factor):
                pinned = _axes_placed(factor.body)
                moved = [f for f in node.args if f is not factor and free_indices(f) & pinned]
                if moved and not any(isinstance(f, (Delta, Reduce)) for f in moved):
                    rest = Mul(*(f for f in node.args if f is not factor and f not in moved))
                    inner = sift(Mul(*moved) * factor.body)
                    return rest * contract(inner, factor.indices)
            if isinstance(factor, Delta):
                for index in _pinned(factor):
                    place = next(a for a in factor.args if a != index)
                    if not isinstance(place, Entry):
                        continue
                    rest = Mul(*_without(node.args, factor))
                    if index in free_indices(rest) and index not in free_indices(place):
                        return sift(factor * substitute(rest, {index: place}))
        return None

    found: Expr = transform(expr, visit)
    return found


def _own_weight(expr: Basic) -> int:
    if isinstance(expr, Add):
        return len(expr.args) - 1
    if isinstance(expr, Pow):
        if expr.exp.is_Integer and abs(expr.exp) <= 4:
            return max(int(abs(expr.exp)) - 1, 0)  # a reciprocal is the division that Mul counts
        return 2 if expr.exp in (Rational(1, 2), Rational(-1, 2)) else TRANSCENDENTAL
    if expr.is_Function:
        return TRANSCENDENTAL
    return 1


def contract(body: Expr, bound: Iterable[Index]) -> Expr:
    """Σ_bound body with every δ on a bound index used up and every constant factor outside. Sums split over +."""
    bound = tuple(bound)
    if isinstance(body, Add):
        return Add(*(contract(t, bound) for t in body.args))
    if (opened := flattened(body, bound)) is not None:
        return contract(*opened)
    for factor in factors(body):
        if isinstance(factor, Delta):
            for index, other in (factor.args, factor.args[::-1]):
                if index in bound and index not in free_indices(other):
                    rest = Mul(*_without(factors(body), factor))
                    kept = tuple(i for i in bound if i != index)
                    return contract(substitute(rest, {index: other}), kept)
    return pull_out(body, bound)


def flattened(body: Expr, bound: tuple[Index, ...]) -> tuple[Expr, tuple[Index, ...]] | None:
    """Σ_s f_s Σ_r δ(j, w[s,r]) g_r = Σ_sr δ(j, w[s,r]) f_s g_r, as (body, bound): no array over both s and j.

    None where no inner sum has such a δ on an outer index.
    """
    for factor in factors(body):
        if isinstance(factor, Reduce) and factor.reducer == "sum":
            if free_indices(split_gathers(factor.body)[0]) & frozenset(bound):
                others = Mul(*_without(factors(body), factor))
                return others * factor.body, (*bound, *factor.indices)
    return None


def max_over(body: Expr, bound: tuple[Index, ...]) -> Expr:
    """max_c (a + f_c) = a + max_c f_c: the terms that lack every bound index stand outside, an absent index goes."""
    inside = Add(*(t for t in summands(body) if free_indices(t) & frozenset(bound)))
    used = [i for i in bound if i in free_indices(inside)]
    return body - inside + Reduce("maximum", inside, *used) if used else body


def _without(items: tuple[Expr, ...], item: Expr) -> list[Expr]:
    out = list(items)
    out.remove(item)
    return out


def pull_out(body: Expr, bound: tuple[Index, ...]) -> Expr:
    """Σ_bound body for a product: the factors that lack every bound index stand outside, an absent index counts."""
    if body == 0:
        return body
    used = tuple(i for i in bound if i in free_indices(body))
    absent = Mul(*(size_of(i) for i in bound if i not in used))
    inside: list[Expr] = []
    outside: list[Expr] = [absent]
    live = frozenset(used)
    for factor in factors(body):
        (inside if free_indices(factor) & live else outside).append(factor)
    core = Mul(*inside)
    if isinstance(core, Add):
        number, core = split_number(core)
        outside.append(number)
    if isinstance(core, Reduce) and core.reducer == "sum" and used:
        core, used = core.body, (*used, *core.indices)
    return Mul(*outside) * sum_over(core, used)


def factor_common(expr: Expr) -> Expr:
    """a b + a c = a (b + c): the common factors of all terms, signs and numbers included, stand before the sum."""
    terms = summands(expr)
    if len(terms) < 2:
        return expr
    tables = [_powers(t) for t in terms]
    shared = [b for b in tables[0] if all(b in t for t in tables)]
    outside: Expr = Integer(1)
    for base in shared:
        exponents = [t[base] for t in tables]
        if all(e.is_Number for e in exponents):
            # a common denominator goes out as the largest power, a common numerator as the smallest
            if all(e > 0 for e in exponents):
                outside *= Pow(base, min(exponents))
            elif all(e < 0 for e in exponents):
                outside *= Pow(base, max(exponents))
        elif all(e == exponents[0] for e in exponents):
            outside *= Pow(base, exponents[0])
    if outside == 1:  # SymPy distributes a bare number at once: the printers factor it instead
        return expr
    number = common_number(terms)
    return outside * number * Add(*(t / (outside * number) for t in terms))


def _powers(term: Expr) -> dict[Expr, Expr]:
    """base -> exponent of every factor that is no number."""
    return {b: e for b, e in map(base_exponent, factors(term)) if not b.is_Number}


def common_number(terms: tuple[Expr, ...]) -> Expr:
    """The number that all terms share up to sign, negative if every term is: 2 of 2a − 2b, −1 of −a − b."""
    coefficients = [t.as_coeff_Mul()[0] for t in terms]
    size = abs(coefficients[0])
    if not all(c.is_Rational and abs(c) == size for c in coefficients):
        size = Integer(1)
    return -size if all(c.is_negative for c in coefficients) else size


def split_number(expr: Expr) -> tuple[Expr, Expr]:
    """(c, f) with expr = c f, where the terms of a sum share the number c."""
    if not isinstance(expr, Add):
        return Integer(1), expr
    number = common_number(expr.args)
    return number, Add(*(t / number for t in expr.args))


def tidy_sums(expr: Expr) -> Expr:
    """Σ_i (…) everywhere in an expression: constant factors outside, common factors before the terms."""

    def visit(node: Basic) -> Basic | None:
        if isinstance(node, Reduce) and node.reducer == "sum":
            if flattened(node.body, node.indices) is not None:
                return contract(node.body, node.indices)
            return pull_out(factor_common(node.body), node.indices)
        return None

    found: Expr = transform(expr, visit)
    return found


def is_contraction(term: Expr) -> bool:
    """Whether a product has more axes than any of its factors: summed at once, it needs no array of them all."""
    axes = free_indices(term)
    return all(free_indices(f) != axes for f in factors(term))


def merge_sums(expr: Expr) -> Expr:
    """c Σ_i f_i + c Σ_j g_j = c Σ_i (f_i + g_i): sums over the same ranges under one sign, contractions apart."""
    terms = summands(expr)
    if len(terms) < 2:
        return expr
    groups: dict[object, list[tuple[Reduce, Expr]]] = {}
    rest: list[Expr] = []
    for term in terms:
        sums = [f for f in factors(term) if isinstance(f, Reduce) and f.reducer == "sum"]
        if len(sums) != 1 or is_contraction(sums[0].body):
            rest.append(term)
            continue
        outer = Mul(*_without(factors(term), sums[0]))
        coefficient, monomial = outer.as_coeff_Mul()
        ranges = tuple((i.lower, i.upper) for i in sums[0].indices)
        groups.setdefault((monomial, ranges), []).append((sums[0], coefficient))
    for (monomial, _), members in groups.items():  # type: ignore[misc]
        first = members[0][0]
        body = Add(*(c * _rename(r, first.indices) for r, c in members))
        rest.append(monomial * pull_out(factor_common(body), first.indices))
    return Add(*rest)


def _rename(node: Reduce, indices: tuple[Index, ...]) -> Expr:
    return substitute(node.body, dict(zip(node.indices, indices)))


def contraction(expr: Basic) -> tuple[str, str]:
    """(rule, reason) of what `contract` does in an expression."""
    if any(isinstance(n, Delta) for n in walk(expr)):
        return "contract δ", "Σ_i δ_ij f_i = f_j"
    return "constant factors before sums", "Σ_i a f_i = a Σ_i f_i"


def distribute(expr: Expr, contracted: bool = True) -> Expr:
    """Products over sums, everywhere outside functions, then Σ over the terms: the fully expanded form.

    Unless `contracted`, the sums of single terms stay as they are.
    """
    body = expand_mul(expr, deep=False)
    out = []
    for term in summands(body):
        sums = [f for f in factors(term) if isinstance(f, Reduce) and f.reducer == "sum"]
        if len(sums) == 1:
            outer = Mul(*_without(factors(term), sums[0]))
            inner, indices = distribute(sums[0].body, contracted), sums[0].indices
            each = [sum_over(t, indices) for t in summands(inner)]
            out.append(
                outer * contract(inner, indices) if contracted else Add(*(outer * e for e in each))
            )
        else:
            out.append(term)
    return Add(*out)
