"""The adjoints, from the loss back: the chain rule, every path, every collapse, and the code of the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sympy import Basic, Expr

from symbp.costs import cost, cost_as_written
from symbp.explain.author import Author, listed
from symbp.explain.repeats import WORTH, Repeats
from symbp.ir.nodes import Entry, Index, Reduce, substitute, tensors_of, transform
from symbp.ir.program import Adjoint, Partial
from symbp.naming import fresh_index, standard_names
from symbp.pages.blocks import Block, Code, Display, Prose, Row, Section


def adjoints(author: Author, brief: bool) -> tuple[Section, ...]:
    """A section for each adjoint; in brief, one for all."""
    partials = {(p.output, p.input): p for p in author.adjoint.partials}
    repeats = Repeats()
    found: list[Section] = []
    for a in author.adjoint.adjoints:
        if a.expr == 0 and a.tensor not in author.adjoint.wrt:
            continue
        title = author.write.inline(author.tensor(a.name, a.indices))
        local = [partials[path, a.tensor] for path in a.paths]
        blocks = tuple(_result(author, a) if brief else _derived(author, a, local, repeats))
        found.append(Section(title, blocks, f"adj-{a.tensor}", 2))
    if not found:
        return ()
    if not brief:
        end = "loss" if author.program.loss else "outputs"
        return (Section(f"Adjoints, from the {end} back", (), "adjoints"), *found)
    rows = [row for s in found for b in s.blocks if isinstance(b, Display) for row in b.rows]
    rest = [b for s in found for b in s.blocks if not isinstance(b, Display)]
    return (Section("Adjoints", (Display(tuple(rows)), *rest), "adjoints"),)


def _result(author: Author, a: Adjoint) -> Iterator[Block]:
    yield Display((Row(author.tensor(a.name, a.indices), author.formula(a.expr)),))
    yield from _beginning(author, a)


def _derived(
    author: Author, a: Adjoint, partials: Sequence[Partial], repeats: Repeats
) -> Iterator[Block]:
    yield from _paths(author, a)
    left = author.tensor(a.name, a.indices)
    rule = _chain_rule(author, a, partials)
    rows = list(author.chained("" if rule else left, a.chain, a.steps, a.expr, derived=True))
    rows = list(_priced(author, a, rows))
    forms = (a.chain, *(step.after for step in a.steps))
    if len(rows) > WORTH and (earlier := repeats.earlier(left, forms)) is not None:
        rows = [replace(rows[-1], note=f"as {author.write.inline(earlier)}")]
    why = author.told("chain rule", "∂L/∂z = Σ ∂L/∂y ∂y/∂z over all y that read z")
    first = [Row(left, rule, why, checked=author.view.checked > 0)] if rule else []
    yield Display((*first, *rows, *_of_next_step(author, a), *author.aside(a.name)))
    yield from _beginning(author, a)
    if code := author.view.code.get(a.name):
        yield Code(code)


def _priced(author: Author, a: Adjoint, rows: Sequence[Row]) -> Iterator[Row]:
    """The chain rule as it stands costs what all its sums do; from then on, what the formula is computed by."""
    forms = [a.chain, *(step.after for step in a.steps)]
    costs = [cost_as_written(a.indices, a.chain, author.shared)]
    costs += [cost(a.indices, form, author.shared, of=a.tensor) for form in forms[1:]]
    found = {author.formula(form): c for form, c in zip(forms, costs)}
    shown = None
    for row in rows:
        now = found.get(row.right)
        same = now is None or shown is not None and now.order == shown.order
        yield row if same or now is None else replace(row, cost=author.price(now))
        shown = now or shown


def _paths(author: Author, a: Adjoint) -> Iterator[Block]:
    """Which equations a tensor feeds, where it is not just one: the terms of its total derivative."""
    fed = [author.own(path) for path in a.paths]
    for shift in author.program.shifts:
        read = author.own(shift.name)
        back = shift.by < 0
        if shift.source == a.tensor and shift.name in author.names:
            fed.append(f"the {'next' if back else 'previous'} step, as {read}")
        if tensors_of(shift.outside) == (a.tensor,):
            fed.append(f"the {'first' if back else 'last'} step, as {read}")
    if not fed:
        yield Prose(f"{author.own(a.tensor)} feeds nothing that leads to {author.write.scalar}.")
    elif len(fed) > 1 or len(a.paths) == 0:
        end = "." if len(fed) == 1 else ": the total derivative has one term for each path."
        yield Prose(f"{author.own(a.tensor)} feeds {listed(fed)}{end}")


def _of_next_step(author: Author, a: Adjoint) -> Iterator[Row]:
    """The adjoint of a state as a recurrence: what the next step adds in terms of that step's own adjoints."""
    if a.tensor not in {s.source for s in author.program.shifts}:
        return
    found = {b.name: b for b in author.adjoint.shifts}
    adds = {x.name: x for x in author.adjoint.adjoints}

    def visit(node: Basic) -> Basic | None:
        if not isinstance(node, Entry) or node.tensor not in found:
            return None
        shift = found[node.tensor]
        added = adds.get(shift.source)
        if added is None:
            return None
        places = dict(zip(added.indices, node.indices))
        at = node.indices[shift.axis] + shift.by
        return substitute(added.expr, {**places, added.indices[shift.axis]: at})

    after = transform(a.expr, visit)
    if after != a.expr:
        yield Row("", author.formula(standard_names(after, a.indices, author.program.indices)))


def _beginning(author: Author, a: Adjoint) -> Iterator[Block]:
    """Where the recurrence of an adjoint begins."""
    for shift in author.adjoint.shifts:
        if shift.source == a.name:
            when = "after the last" if shift.by > 0 else "before the first"
            left = author.write.inline(author.tensor(a.name, a.indices))
            yield Prose(f"{left} is {author.symbol(shift.outside)} {when} step.")


def _chain_rule(author: Author, a: Adjoint, partials: Sequence[Partial]) -> str:
    """Σ over paths of Σ_I ∂L/∂y[I] ∂y[I]/∂z[J], the partials not yet put in."""
    write, program = author.write, author.program
    plain: list[str] = []
    sums: list[str] = []
    for p in partials:
        if p.output == program.loss:
            plain.append(author.partial(p, (), a.indices))
            continue
        summed, at = _apart(author, p, a)
        above = author.tensor(author.names[p.output], at)
        term = write.sum(summed, (above, author.partial(p, at, a.indices)))
        (sums if summed else plain).append(term)
    for shift in program.shifts:
        if shift.source == a.tensor and shift.name in author.names and partials:
            names = author.names[shift.name]
            back = next(b for b in author.adjoint.shifts if b.source == names)
            plain.append(author.tensor(back.name, a.indices))
    if partials and a.tensor in author.adjoint.seeds:
        plain.append(author.tensor(author.adjoint.seeds[a.tensor], a.indices))
    return " + ".join([*plain, *map(write.brackets, sums[:-1]), *sums[-1:]])


def _apart(author: Author, p: Partial, a: Adjoint) -> tuple[tuple[Index, ...], tuple[Expr, ...]]:
    """What the chain rule sums over, and the places of y, as differentiation names them."""
    pool = author.program.indices
    at = dict(zip(p.input_indices, a.indices))
    met = {i: at[j] for j, i in p.diagonal.items()}
    places: dict[Index, Index] = {}
    for i in p.output_indices:
        taken = {*a.indices, *p.output_indices, *places.values()}
        places[i] = met.get(i) or (fresh_index(i, taken, pool) if i in a.indices else i)
    summed = tuple(places[i] for i in p.output_indices if i not in met)
    if not summed:
        return (), tuple(places.values())
    body = Reduce("sum", Entry("output", *places.values()), *summed)
    named = standard_names(body, a.indices, pool)
    return named.indices, named.body.indices
