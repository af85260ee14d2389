"""Quotients and logarithms of sums of exponentials, shifted so that nothing overflows and no log meets a false 0.

    shift     Σ_c exp a_c           = exp(m) Σ_c exp(a_c − m)          with m = max_c a_c
    pair      exp a + exp b         = exp(max(a, b)) (1 + exp(−|a − b|))
    log       log(exp(a) f)         = a + log f
              log(exp a + exp b)    = logaddexp(a, b)

They apply to any quotient with such a sum below the line and to the logarithm of any product of such sums, because
these can overflow where the value itself does not; softmax, sigmoid and softplus are instances, not names known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sympy import (
    Abs,
    Add,
    Basic,
    Expr,
    Idx,
    Integer,
    Mul,
    Pow,
    S,
    cosh,
    exp,
    expand_mul,
    log,
    sinh,
)

from symbp.ir.functions import Largest, LogAddExp, Smallest
from symbp.ir.nodes import (
    Cases,
    Entry,
    Index,
    Reduce,
    Slope,
    base_exponent,
    factors,
    free_indices,
    rebuild,
    sum_over,
    summands,
    walk,
)
from symbp.ir.slots import is_leaf
from symbp.naming import alpha
from symbp.rewrite import max_over
from symbp.rules.outputs import rational

Expose = Callable[
    [Expr], Expr
]  # an expression with the definitions of some of its entries put in their place


@dataclass(frozen=True)
class Exponential:
    """Σ_bound coefficient · exp(exponent)."""

    coefficient: Expr
    exponent: Expr
    bound: tuple[Index, ...] = ()


@dataclass(frozen=True)
class Product:
    """exp(exponent) · Π sums ** powers · rest."""

    exponent: Expr
    sums: tuple[tuple[tuple[Exponential, ...], Expr], ...]
    rest: Expr


def exponentials(expr: Expr) -> tuple[Exponential, ...] | None:
    """The terms of a sum of exponentials, a constant being c · exp 0; None where no exponential stands in it."""
    found: list[Exponential] = []
    for term in summands(_as_exponentials(expr)):
        parts = _exponential_term(term)
        if parts is None or any(has_exponential(e.coefficient) for e in parts):
            return None
        found += parts
    terms = _collected(found)
    return None if all(t.exponent == 0 for t in terms) or _widens(terms) else terms


def _exponential_term(term: Expr) -> list[Exponential] | None:
    """c exp(a) Σ_b exp(…) as the terms of one sum; None where that sum would have more axes than Σ_b has."""
    coefficient: Expr = S.One
    exponent: Expr = S.Zero
    inner: tuple[Exponential, ...] = (Exponential(S.One, S.Zero),)
    axes: frozenset[Index] | None = None
    for factor in factors(term):
        own = exponent_of(factor)
        if own is not None:
            exponent += own
            continue
        is_sum = isinstance(factor, Reduce) and factor.reducer == "sum" and axes is None
        terms = exponentials(factor.body) if is_sum else None
        if terms is None:
            coefficient *= factor
            continue
        axes = free_indices(factor)
        inner = tuple(replace(t, bound=(*factor.indices, *t.bound)) for t in terms)
    if axes is not None and not free_indices(exponent) <= axes:
        return None
    return [Exponential(coefficient * t.coefficient, exponent + t.exponent, t.bound) for t in inner]


def _widens(terms: tuple[Exponential, ...]) -> bool:
    """Whether one shift for all terms would give a sum over an index axes that it has not: Σ_c exp z_c + exp z_i."""
    peak = frozenset().union(*(free_indices(t.exponent) - frozenset(t.bound) for t in terms))
    return any(t.bound and not peak <= free_indices(t.coefficient * exp(t.exponent)) for t in terms)


def _collected(terms: list[Exponential]) -> tuple[Exponential, ...]:
    """a exp u + b exp u = (a + b) exp u."""
    table: dict[tuple[Expr, tuple[Index, ...]], Expr] = {}
    for t in terms:
        table[t.exponent, t.bound] = table.get((t.exponent, t.bound), S.Zero) + t.coefficient
    return tuple(Exponential(c, u, bound) for (u, bound), c in table.items())


def _as_exponentials(expr: Expr) -> Expr:
    """cosh and sinh by their definitions, where they stand as terms or factors of the expression."""
    if isinstance(expr, (cosh, sinh)):
        u = expr.args[0]
        return (exp(u) + exp(-u)) / 2 if isinstance(expr, cosh) else (exp(u) - exp(-u)) / 2
    if isinstance(expr, (Add, Mul)) and any(isinstance(n, (cosh, sinh)) for n in walk(expr)):
        opened = expr.func(*(_as_exponentials(a) for a in expr.args))
        return opened.expand() if isinstance(opened, Mul) else opened
    return expr


def product(expr: Expr) -> Product:
    """A product taken apart into exponentials, powers of sums of exponentials, and the rest."""
    exponent: Expr = S.Zero
    rest: Expr = S.One
    sums = []
    for factor in factors(expr):
        base, power = base_exponent(factor)
        own = exponent_of(factor)
        found = exponentials(base) if own is None else None
        if own is not None:
            exponent += own
        elif found is None or not power.is_number:
            rest *= factor
        elif len(found) == 1 and not found[0].bound:
            exponent += found[0].exponent * power
            rest *= found[0].coefficient ** power
        else:
            sums.append((found, power))
    return Product(exponent, tuple(sums), rest)


def shift(terms: tuple[Exponential, ...]) -> tuple[Expr, Expr]:
    """(m, Σ c exp(a − m)): the sum is exp(m) times the second, which neither overflows nor vanishes."""
    if len(terms) == 2 and not any(t.bound for t in terms):
        a, b = terms
        apart = Abs(a.exponent - b.exponent)
        peak = (a.exponent + b.exponent + apart) / 2
        if a.coefficient == b.coefficient:
            return peak, a.coefficient * (1 + exp(-apart))
        return peak, Add(*(t.coefficient * exp(tidy_exponent(t.exponent - peak)) for t in terms))
    peaks = [max_over(t.exponent, t.bound) for t in terms]
    peak = peaks[0] if len(peaks) == 1 else Largest(*dict.fromkeys(peaks))
    shifted = [sum_over(t.coefficient * exp(t.exponent - peak), t.bound) for t in terms]
    return peak, Add(*shifted)


def is_pair(terms: tuple[Exponential, ...]) -> bool:
    """c exp a + c exp b, no index bound."""
    return (
        len(terms) == 2
        and not any(t.bound for t in terms)
        and terms[0].coefficient == terms[1].coefficient
    )


def stable(expr: Expr, expose: Expose) -> Expr:
    """The expression with every such quotient and logarithm in it shifted."""
    if is_leaf(expr) and not isinstance(expr, Reduce) or not expr.args:
        return expr
    if isinstance(expr, log):
        found = log_of_product(expr.args[0], expose)
        if found is not None:
            return found
    if isinstance(expr, (Mul, Pow)):
        flat = one_fraction(expr)
        if is_quotient(flat) and not has_exponential(product(flat).rest):
            return _quotient(product(expose(flat)), expose)
        if is_quotient(expr):
            opened = _opened(expr)
            if opened != expr:
                return stable(opened, expose)
            return _quotient(product(expose(expr)), expose)
        gathered = _gathered(expr, expose)
        if gathered != expr:
            return stable(gathered, expose)
    return rebuild(expr, [stable(a, expose) for a in expr.args])


def _opened(expr: Expr) -> Expr:
    """(a + b) / s as a / s + b / s where a term is made of exponentials and no quotient: each is shifted by itself."""
    own = factors(expr)
    for k, factor in enumerate(own):
        bare = isinstance(factor, Add) and exponentials(factor) is None
        if bare and any(has_exponential(t) and not is_quotient(t) for t in factor.args):
            return Add(*(Mul(*own[:k], t, *own[k + 1 :]) for t in factor.args))
    return expr


def _gathered(expr: Expr, expose: Expose) -> Expr:
    """p_i Σ_s e_si / d_s = Σ_s p_i e_si / d_s where p is itself made of exponentials: the three shift together."""
    own = factors(expr)
    for k, factor in enumerate(own):
        rest = (*own[:k], *own[k + 1 :])
        if isinstance(factor, Cases) and _divides(factor):
            moved = [f for f in rest if _joins(f, factor, expose)]
            if moved:
                values = [Mul(*moved, value) for value in (*factor.args[:-1:2], factor.otherwise)]
                pairs = [part for pair in zip(values, factor.args[1::2]) for part in pair]
                return Mul(*(f for f in rest if f not in moved), Cases(*pairs, values[-1]))
        if isinstance(factor, Reduce) and factor.reducer == "sum" and _divides(factor.body):
            body = factor.body
            moved = [f for f in rest if _joins(f, body, expose)]
            if moved:
                inner = Reduce(factor.args[0], Mul(*moved, body), *factor.indices)
                return Mul(*(f for f in rest if f not in moved), inner)
        if isinstance(factor, Add):
            terms = [Mul(*rest, t) for t in factor.args]
            joins = any(exponent_of(f) is not None for f in rest)
            if joins and any(map(is_quotient, factor.args)):
                return Add(*terms)
            if any(_gathered(t, expose) != t for t in terms):
                return Add(*terms)
    return expr


def _divides(expr: Expr) -> bool:
    """Whether an expression, or one of its branches, is a product that divides by a sum of exponentials."""
    cases = [f for f in factors(expr) if isinstance(f, Cases)]
    values = [v for c in cases for v in (*c.args[:-1:2], c.otherwise)]
    return is_quotient(expr) or any(map(_divides, values))


def _joins(factor: Expr, body: Expr, expose: Expose) -> bool:
    """Whether a factor before a sum is an exponential, or a value made of them."""
    if isinstance(factor, Entry):
        return bool(expose(factor * body) != factor * expose(body))
    return exponent_of(factor) is not None


def exponent_of(factor: Expr) -> Expr | None:
    """a of exp(a), and a log 2 of 2**a; None of anything else."""
    if isinstance(factor, exp):
        return factor.args[0]
    if (
        isinstance(factor, Pow)
        and factor.base.is_positive
        and factor.base.is_number
        and not factor.exp.is_number
    ):
        return factor.exp * log(factor.base)
    return None


def is_quotient(expr: Expr) -> bool:
    """Whether an expression is a product that divides by a sum of exponentials."""
    return any(power.could_extract_minus_sign() for _, power in product(expr).sums)


def is_inverse(expr: Expr) -> bool:
    """Whether an expression is a positive number or size over sums of exponentials: 1 / Σ_c exp z_c."""
    parts = product(expr)
    below = all(power.could_extract_minus_sign() for _, power in parts.sums)
    return below and parts.exponent == 0 and is_pure(expr)


def is_pure(expr: Expr) -> bool:
    """Whether an expression is a product of sums of exponentials and nothing else: positive, and free to underflow."""
    parts = product(expr)
    terms = [t for terms, _ in parts.sums for t in terms]
    something = bool(terms) or parts.exponent != 0
    return something and is_positive(parts.rest) and all(is_positive(t.coefficient) for t in terms)


def _quotient(parts: Product, expose: Expose) -> Expr:
    exponent, below = parts.exponent, S.One
    for terms, power in parts.sums:
        peak, rest = shift(terms)
        exponent += power * peak
        below *= rest**power
    return _rest(parts.rest, expose) * exp(tidy_exponent(exponent)) * below


def _rest(expr: Expr, expose: Expose) -> Expr:
    return Mul(*(stable(f, expose) for f in factors(expr)))


def tidy_exponent(exponent: Expr) -> Expr:
    """(u − |u|) / 2 = min(0, u) and (u + |u|) / 2 = max(0, u), where |u| may be written c |v|."""
    opened = expand_mul(exponent)
    for term in summands(opened):
        kernel = next((f for f in factors(term) if isinstance(f, Abs)), None)
        if kernel is None:
            continue
        scale, linear = 2 * term / kernel, expand_mul(2 * (opened - term))
        inside = expand_mul(scale * kernel.args[0])
        if linear in (inside, expand_mul(-inside)) and (scale.is_positive or scale.is_negative):
            return (Largest if scale.is_positive else Smallest)(Integer(0), linear)
    return opened


def log_of_product(arg: Expr, expose: Expose) -> Expr | None:
    """log of a product of sums of exponentials, term by term; None where the argument is no such product.

    Where the argument reads a value that is itself such a product and may underflow (log y of a softmax y), its
    definition is put in its place, so that the log is taken of what the value was computed from.
    """
    opened = expose(arg)
    parts = product(one_fraction(opened))
    if parts.exponent == 0 and not parts.sums or has_exponential(parts.rest):
        return None
    if opened != arg and not has_exponential(arg) and not may_vanish(parts):
        return None
    positive = [(t, p) for t, p in parts.sums if all(is_positive(e.coefficient) for e in t)]
    others = [(t, p) for t, p in parts.sums if (t, p) not in positive]
    if others and (len(parts.sums) > 1 or parts.rest != 1 or others[0][1] != 1):
        return None
    total, absorbed = parts.exponent, S.Zero
    for terms, power in (*positive, *others):
        value, total = _log_sum(terms, power, total)
        absorbed += value
    tail = log(stable(parts.rest, expose)) if parts.rest != 1 else S.Zero
    return stable(total, expose) + absorbed + tail


def _log_sum(terms: tuple[Exponential, ...], power: Expr, beside: Expr) -> tuple[Expr, Expr]:
    """power · log Σ exp a, and what then remains of the term that stands beside it.

    −logaddexp(a, b) + c is −logaddexp(a − c, b − c): taken inside where that leaves a 0, nothing cancels.
    """
    if is_pair(terms):
        a, b = (t.exponent for t in terms)
        if power == -1 and beside != 0 and 0 in (a - beside, b - beside):
            a, b, beside = a - beside, b - beside, S.Zero
        first, second = sorted((a, b), key=lambda e: (e != 0, str(e)))
        return power * (LogAddExp(first, second) + log(terms[0].coefficient)), beside
    peak, rest = shift(terms)
    return power * (peak + log(rest)), beside


def one_fraction(expr: Expr) -> Expr:
    """1 − 1/(1 + exp(−z)) as exp(−z)/(1 + exp(−z)): a product wherever the expression is one."""
    sums = [b for b in (base_exponent(f)[0] for f in factors(expr)) if isinstance(b, Add)]
    if any(is_quotient(term) for s in sums for term in s.args):
        return rational(expr)
    return expr


def may_vanish(parts: Product) -> bool:
    """Whether the product can underflow or overflow: its exponents above and below the line are not the same."""

    def reach(sign: int) -> list[Expr]:
        return sorted(
            (
                alpha(sum_over(exp(t.exponent), t.bound))
                for ts, p in parts.sums
                if p * sign > 0
                for t in ts
            ),
            key=str,
        )

    return parts.exponent != 0 or reach(1) != reach(-1)


def is_positive(expr: Expr) -> bool:
    """Provably positive: numbers, sizes, and products of them."""
    return bool(expr.is_positive)


def has_exponential(expr: Basic) -> bool:
    """Whether an exponential stands in an expression, sums and arguments included; not in what a slope compares."""
    if isinstance(expr, (Slope, Idx)):
        return False
    if isinstance(expr, (exp, cosh, sinh)) or exponent_of(expr):
        return True
    return any(map(has_exponential, expr.args))
