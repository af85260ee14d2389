"""The chain rule. SymPy differentiates the scalar function that an equation is of the entries it reads; what stands
around it are the identities of index notation, and no function has a rule of its own here:

    linearity         ∂(Σ_c f)/∂z = Σ_c ∂f/∂z
    a maximum         ∂(max_c f)/∂z = Σ_c w_c ∂f/∂z with w_c = [f_c = m] / Σ_c' [f_c' = m] (`Slope`) and m = max_c f
    a product         ∂(Π_c f)/∂z = Σ_c w_c ∂f/∂z with w_c = Π_{c'≠c} f_c', which no factor of 0 makes undefined
    an entry          ∂z[e]/∂z[j] = δ(e, j), for each axis
    chain rule        ∂L/∂z[j] = Σ_i ∂L/∂y[i] ∂y[i]/∂z[j]
    total derivative  one such term for every equation y that reads z
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import (
    Add,
    Basic,
    Expr,
    Ge,
    Lt,
    Mul,
    S,
)  # fmt: skip

from symbp.derivative import terms_of
from symbp.ir.network import Equation
from symbp.ir.nodes import (
    Delta,
    Entry,
    Index,
    Iverson,
    Reduce,
    size_of,
    substitute,
    sum_over,
    tensors_of,
    walk,
)
from symbp.ir.program import Adjoint, AdjointProgram, Partial, Program, Shift, reached
from symbp.ir.trace import Rate, Total, steps_along
from symbp.naming import bound_indices, fresh_index, standard_names, unify
from symbp.rewrite import contract, factor_common
from symbp.rules.outputs import in_terms_of_output
from symbp.validate import RESERVED


def differentiate(program: Program, wrt: tuple[str, ...]) -> AdjointProgram:
    """The adjoint of every tensor between `wrt` and the loss (or a layer's outputs), in reverse order."""
    names = _adjoint_names(program)
    goal = program.outputs if program.loss is None else (program.loss,)
    seeds = {o: names[o] for o in program.outputs} if program.loss is None else {}
    active = reached(goal, program.equations, program.shifts)
    needed = _needed(program, wrt)
    readers: dict[str, list[Equation]] = {}
    for eq in program.equations:
        for tensor in tensors_of(eq.expr) if eq.name in active - program.fixed else ():
            readers.setdefault(tensor, []).append(eq)
    shifts = [s for s in program.shifts if s.name in active & needed]
    back = {s.name: _shifted_back(s, names, _taken(program)) for s in shifts}
    ends: dict[str, str] = {}  # the tensor of a last step -> that of all steps
    for s in shifts:
        end = program.ends.get(s.source)
        if end in active and _leads_to(program, end, s):
            ends[end] = s.source
            back[s.name] = replace(back[s.name], outside=Entry(names[end], *s.rest))
    partials: dict[tuple[str, str], Partial] = {}
    adjoints: list[Adjoint] = []
    for tensor in _reverse_order(program, wrt):
        if tensor not in needed or tensor == program.loss:
            continue
        read = [eq for eq in readers.get(tensor, ()) if ends.get(eq.name) != tensor]
        found = [partial(program, eq, tensor) for eq in read]
        partials |= {(p.output, p.input): p for p in found}
        steps = [x for s in shifts for x in _through_shift(s, tensor, back[s.name], program)]
        if tensor in seeds and not (found or steps):
            continue
        adjoints.append(_adjoint(program, tensor, found, names, seeds, steps))
        names = {**names, tensor: adjoints[-1].name}
    return AdjointProgram(
        program, tuple(partials.values()), tuple(adjoints), wrt, seeds, tuple(back.values())
    )


def _leads_to(program: Program, end: str, shift: Shift) -> bool:
    """Whether the adjoint of a last step is what the adjoint of this shift is after that step."""
    last = next(eq.expr.indices[shift.axis] for eq in program.equations if eq.name == end)
    return abs(shift.by) == 1 and last == (size_of(shift.over) - 1 if shift.by < 0 else 0)


def _shifted_back(shift: Shift, names: dict[str, str], taken: set[str]) -> Shift:
    """The adjoint of what is read at t − 1, at t + 1: what the step after adds to an adjoint, and 0 after the last."""
    stem = f"{names[shift.source]}_{'after' if shift.by < 0 else 'before'}"
    stem += f"_{abs(shift.by)}" * (abs(shift.by) > 1)
    taken = taken.union(names.values())
    name = next(n for n in (stem + "_" * k for k in range(99)) if n not in taken)
    names[name] = name
    return replace(shift, name=name, source=names[shift.name], by=-shift.by, outside=S.Zero)


def _through_shift(shift: Shift, tensor: str, back: Shift, program: Program) -> list[Expr]:
    """What a shift adds to the adjoint of a tensor.

    ∂L/∂h[t] gains the adjoint of what step t + 1 reads of it; what stands before the first step, the adjoints of all
    reads there: Σ_{t < k} of a read k steps before.
    """
    found: list[Expr] = []
    indices = program.indices_of(tensor)
    if tensor == shift.source:
        found.append(Entry(back.name, *indices))
    if tensors_of(shift.outside) == (tensor,):
        own = dict(zip(shift.outside.indices, indices))
        steps, k = size_of(shift.over), abs(shift.by)
        first = S.Zero if shift.by < 0 else steps - 1
        places = [own.get(i, first) for i in shift.indices]
        if k == 1:
            found.append(Entry(back.source, *places))
        else:
            t = fresh_index(shift.over, set(indices), program.indices)
            outside = Lt(t, k) if shift.by < 0 else Ge(t, steps - k)
            read = Entry(back.source, *(own.get(i, t) for i in shift.indices))
            found.append(Reduce("sum", Iverson(outside) * read, t))
    return found


def _taken(program: Program) -> set[str]:
    """The names that no adjoint can have."""
    return set(program.declarations) | program.sizes() | RESERVED


def _adjoint_names(program: Program) -> dict[str, str]:
    """d + name, with underscores behind it where the user's own names, or the module's, take that."""
    taken, names = _taken(program), {}
    for tensor in program.declarations:
        name = "d" + tensor
        while name in taken:
            name += "_"
        names[tensor] = name
        taken.add(name)
    return names


def _needed(program: Program, wrt: tuple[str, ...]) -> set[str]:
    """`wrt` and every tensor that depends on one of them: the adjoints of others are never asked for."""
    feeds: dict[str, list[str]] = {}
    for eq in program.equations:
        for tensor in tensors_of(eq.expr):
            feeds.setdefault(tensor, []).append(eq.name)
    for shift in program.shifts:
        for tensor in (shift.source, *tensors_of(shift.outside)):
            feeds.setdefault(tensor, []).append(shift.name)
    found: set[str] = set()
    waiting = list(wrt)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in program.fixed:
            found.add(name)
            waiting += feeds.get(name, ())
    return found


def _reverse_order(program: Program, wrt: tuple[str, ...]) -> list[str]:
    """Every tensor after those that read it, a shift after the equations that read it in their own step."""
    order: dict[str, None] = {}
    shifts = {s.name for s in program.shifts}
    for eq in program.equations:
        order |= dict.fromkeys(t for t in tensors_of(eq.expr) if t in shifts)
        order[eq.name] = None
    return [*reversed(order), *(w for w in wrt if w not in order)]


def _adjoint(
    program: Program,
    tensor: str,
    found: list[Partial],
    names: Mapping[str, str],
    seeds: Mapping[str, str],
    steps: list[Expr],
) -> Adjoint:
    indices = program.indices_of(tensor)
    forms = rule, short, chain, opened, total = [[*steps] for _ in range(5)]
    for p in found:
        # ∂y[I]/∂z[J] with J the indices of z, and I those of y: some of J, or renamed out of their way
        at = dict(zip(p.input_indices, indices))
        met = {i: at[j] for j, i in p.diagonal.items()}
        others = tuple(i for i in p.output_indices if i not in met)
        apart = _apart(others, {*indices, *p.input_indices}, program.indices)
        places = {**at, **apart, **met}
        summed = tuple(apart.get(i, i) for i in others)
        above = substitute(_upstream(program, p, names), places)
        rate = Rate(Entry(p.output, *p.output_indices), Entry(tensor, *p.input_indices))
        rule.append(_over_all(program, p, names, rate, indices))
        short.append(sum_over(above * substitute(rate, places), summed))
        chain.append(sum_over(above * substitute(p.expr, places), summed))
        for delta, coefficient in p.terms:
            product = above * substitute(delta * coefficient, places)
            opened.append(sum_over(product, summed))
            total.append(contract(product, summed))
    if tensor in seeds:
        for form in forms:
            form.append(Entry(seeds[tensor], *indices))
    pool = program.indices
    written, diagonal, before, products, after = (
        Add(*(standard_names(term, indices, pool) for term in form)) for form in forms
    )
    subject = f"∂L/∂{tensor}"
    origin = (
        ("chain rule", "∂L/∂z_j = Σ_i ∂L/∂y_i ∂y_i/∂z_j, for each y that reads z", written),
        ("diagonal", "∂y_i/∂z_j is 0 unless the indices that both have agree", diagonal),
        ("local partials", "each as derived from its equation", before),
    )
    collapse = (
        ("multiply out", "a (b + c) = a b + a c", products),
        (*_contraction(products), after),
    )
    paths = tuple(p.output for p in found)
    # of an output that other equations read, the given adjoint is only one term
    name = names[tensor] + "_total" * (tensor in seeds)
    whole = Total(Entry(tensor, *indices))
    return Adjoint(
        tensor,
        name,
        indices,
        paths,
        before,
        after,
        steps_along(subject, before, collapse, "differentiate", indices),
        steps_along(subject, whole, origin, "differentiate", indices),
    )


def _over_all(
    program: Program, p: Partial, names: Mapping[str, str], rate: Expr, indices: tuple[Index, ...]
) -> Expr:
    """Σ_I ∂L/∂y[I] ∂y[I]/∂z[J] over all places I of y."""
    apart = _apart(p.output_indices, {*indices, *p.input_indices}, program.indices)
    above = substitute(_upstream(program, p, names), apart)
    at = {**dict(zip(p.input_indices, indices)), **apart}
    return sum_over(above * substitute(rate, at), tuple(apart.get(i, i) for i in p.output_indices))


def _contraction(expr: Expr) -> tuple[str, str]:
    """(rule, reason) of what `contract` does."""
    if any(isinstance(n, Delta) for n in walk(expr)):
        return "contract δ", "Σ_i δ_ij f_i = f_j"
    return "constant factors before sums", "Σ_i a f_i = a Σ_i f_i"


def _apart(
    indices: tuple[Index, ...], taken: set[Index], pool: tuple[Index, ...]
) -> dict[Basic, Expr]:
    names: dict[Basic, Expr] = {}
    used = set(taken) | set(indices)
    for index in indices:
        if index in taken:
            names[index] = fresh_index(index, used, pool)
            used.add(names[index])
    return names


def _upstream(program: Program, p: Partial, names: Mapping[str, str]) -> Expr:
    """∂L/∂y at y's indices; 1 for the loss itself."""
    if p.output == program.loss:
        return S.One
    return Entry(names[p.output], *p.output_indices)


def partial(program: Program, eq: Equation, tensor: str) -> Partial:
    """∂y[I]/∂z[J] of one equation: all axes of y, then indices of their own for all axes of z."""
    taken = set(eq.indices) | bound_indices(eq.expr)
    fresh: list[Index] = []
    for index in program.indices_of(tensor):
        fresh.append(fresh_index(index, taken | set(fresh), program.indices))
    derived: list[Expr] = []
    plain: list[Expr] = []
    contracted: dict[Expr, Expr] = {}
    for term in terms_of(eq.expr):
        if term.entry.tensor == tensor:
            deltas = Mul(*(Delta(e, j) for e, j in zip(term.entry.indices, fresh)))
            derived.append(sum_over(term.coefficient * deltas, term.bound))
            plain.append(contract(term.coefficient * deltas, term.bound))
            for product in Add.make_args(contract(term.short * deltas, term.bound)):
                _collect(contracted, product)
    whole, *coefficients = unify((eq.expr, *contracted.values()))
    unified = replace(eq, expr=whole)
    terms = {d: in_terms_of_output(unified, c) for d, c in zip(contracted, coefficients) if c != 0}
    final = _apart(program.indices_of(tensor), set(eq.indices), program.indices)
    axes = tuple(final.get(i, i) for i in program.indices_of(tensor))
    names = dict(zip(fresh, axes))

    def named(expr: Expr) -> Expr:
        return standard_names(substitute(expr, names), (*eq.indices, *axes), program.indices)

    raw, short = Add(*map(named, derived)), named(factor_common(_joined(terms)))
    subject, free = f"∂{eq.name}/∂{tensor}", (*eq.indices, *axes)
    rate = Rate(Entry(eq.name, *eq.indices), Entry(tensor, *axes))
    origin = (("differentiate", "sums, products and functions; ∂z_i/∂z_j = δ_ij", raw),)
    chain = (
        (*_contraction(raw), Add(*map(named, plain))),
        ("cancel", "exp(a) exp(−a) = 1", named(_joined(contracted))),
        (
            f"in terms of {eq.name}",
            "a forward value in place of what it was computed from",
            named(_joined(terms)),
        ),
        ("collect", "a b + a c = a (b + c)", short),
    )
    return Partial(
        eq.name,
        tensor,
        eq.indices,
        axes,
        raw,
        short,
        tuple((substitute(d, names), named(c)) for d, c in terms.items()),
        steps_along(subject, raw, chain, "differentiate", free),
        steps_along(subject, rate, origin, "differentiate", free),
    )


def _collect(table: dict[Expr, Expr], product: Expr) -> None:
    """Add a product to the coefficient of its δ."""
    deltas = Mul(*(f for f in Mul.make_args(product) if isinstance(f, Delta)))
    rest = Mul(*(f for f in Mul.make_args(product) if not isinstance(f, Delta)))
    table[deltas] = table.get(deltas, S.Zero) + rest


def _joined(terms: Mapping[Expr, Expr]) -> Expr:
    return Add(*(d * c for d, c in terms.items()))
