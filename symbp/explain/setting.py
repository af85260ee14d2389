"""The section on notation: what the symbols mean, how kinks are settled, what indices run over, what is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sympy import Abs, Eq, Idx, Integer, Symbol, sign

from symbp.costs import big_o, cost, entries_of
from symbp.explain.author import Author, grouped
from symbp.explain.matrices import legend
from symbp.ir.functions import SafeInverse
from symbp.ir.network import Declaration
from symbp.ir.nodes import Cases, Delta, Entry, Index, Iverson, walk
from symbp.pages.blocks import Block, Prose, Table

KINDS: Mapping[str, str] = {
    "param": "parameter", "input": "input", "constant": "constant", "random": "noise",
}  # fmt: skip


def conventions(author: Author, brief: bool) -> Iterator[Block]:
    """What the document takes as known; in brief, there are no partials."""
    write, adjoint = author.write, author.adjoint
    if author.program.loss:
        words = [f"{write.scalar} is the loss.", write.legend]
    else:
        given = ", ".join(
            write.inline(author.tensor(seed, author.indices_of(o)))
            for o, seed in adjoint.seeds.items()
        )
        words = [f"{write.scalar} is any scalar computed from the outputs.", write.legend]
        words.append(f"Given: {given}.")
        words += _from_outside(author)
    words += _of_steps(author)
    forms = [] if brief else [f for p in adjoint.partials for f in (p.derived, p.expr)]
    nodes = [n for f in (*forms, *(a.expr for a in adjoint.adjoints)) for n in walk(f)]
    if any(isinstance(n, Delta) for n in nodes):
        i, j = Idx("i"), Idx("j")
        derivative = write.prose("∂z_i/∂z_j = δ_ij")
        words.append(f"{derivative} is 1 where {author.symbol(Eq(i, j))}, else 0.")
    if not brief and (example := _diagonal(author)):
        words.append(
            f"A partial that is 0 unless two indices agree is written where they do, as {example}: there is no sum "
            "over such an index in the chain rule."
        )
    kinks = any(isinstance(n, Iverson) for n in nodes)
    changed = [] if brief else [n for s in author.program.trace for n in walk(s.after)]
    brackets = any(isinstance(n, Iverson) for n in (*nodes, *changed))
    if brackets or any(isinstance(n, Cases) and n.is_indicator for n in nodes):
        condition = Symbol("P")
        bracket = author.symbol(Iverson(condition))
        words.append(f"{bracket} is 1 where {author.symbol(condition)} holds, else 0.")
    if kinks:
        words.append(
            "Where a constant and a variable tie, the derivative is that of the constant, 0; variables that tie share "
            "it equally."
        )
    if any(isinstance(n, (Abs, sign)) for n in nodes):
        words.append(f"The sign of 0 is {author.symbol(Integer(0))}.")
    if any(isinstance(n, SafeInverse) for n in nodes):
        a = Symbol("a")
        inverse, zero = author.symbol(SafeInverse(a)), author.symbol(Eq(a, 0))
        words.append(f"{inverse} is {author.symbol(1 / a)}, and 0 where {zero}.")
    if not brief and author.program.indices:
        big = write.inline(big_o(entries_of(author.program.indices[:1]), write))
        words.append(f"Costs such as {big} count operations{_rows(author)}.")
    if author.view.checked and not brief:
        words.append(
            f"All {author.view.checked} steps were checked, both sides at random places in 40 digits{write.mark}."
        )
    yield Prose(" ".join(words))
    if not brief and (signs := list(legend(author.forms.values(), write))):
        yield Prose(" ".join(signs))
    yield from _ranges(author, (n for n in (*nodes, *changed) if isinstance(n, Idx)))
    given_tensors = [d for d in author.program.declarations.values() if d.kind in KINDS]
    yield Table(("given", "is", "shape"), tuple(_declaration(author, d) for d in given_tensors))


def _of_steps(author: Author) -> Iterator[str]:
    """What the adjoints of reads at other steps are, and of those at the last."""
    for shift in author.program.shifts:
        if shift.name in author.names:
            part, read = Entry(author.names[shift.name], *shift.indices), author.own(shift.name)
            yield f"{author.symbol(part)} is what the read of {read} adds to an adjoint."
    for a in author.adjoint.adjoints:
        if a.tensor in author.program.ends.values() and a.expr != 0:
            last = author.symbol(Entry(a.name, *a.indices))
            yield f"{last} is the adjoint of the read {author.own(a.tensor)}."


def _from_outside(author: Author) -> Iterator[str]:
    """Of outputs that other equations read, the adjoint given is one term of the whole."""
    for output, seed in author.adjoint.seeds.items():
        whole = author.names.get(output, seed)
        if whole != seed:
            indices = author.indices_of(output)
            given, total = (author.symbol(Entry(name, *indices)) for name in (seed, whole))
            yield f"{given} is the part of {total} that comes from outside the network."


def _diagonal(author: Author) -> str:
    """The first partial that is written on a diagonal."""
    found = next((p for p in author.adjoint.partials if p.diagonal), None)
    return "" if found is None else author.write.inline(author.partial(found))


def _rows(author: Author) -> str:
    """What a row is, where a cost is given for one."""
    equations = [(eq.indices, eq.expr) for eq in author.program.equations]
    adjoints = [(a.indices, a.chain) for a in author.adjoint.adjoints]
    if not any(cost(*formula, author.shared).a_row for formula in (*equations, *adjoints)):
        return ""
    return "; a row is one value of the indices that all tensors but parameters share"


def _ranges(author: Author, read: Iterable[Index]) -> Iterator[Block]:
    """Indices over the same range together; a primed one, or one of those read, may stay within that."""
    whole = {(i.lower, i.upper) for i in author.program.indices}
    within = any((i.lower, i.upper) not in whole for i in read)
    ranges = []
    for (lower, upper), group in grouped(author.program.indices, lambda i: (i.lower, i.upper)):
        names = ", ".join(author.symbol(i) for i in group)
        ranges.append(f"{names} from {author.symbol(lower)} to {author.symbol(upper)}")
    part = ", or the part of it where a condition or a place holds" if within else ""
    if ranges:
        yield Prose(f"Indices run {'; '.join(ranges)}; a prime keeps the range{part}.")


def _declaration(author: Author, d: Declaration) -> tuple[str, str, str]:
    words = KINDS[d.kind] + " of integers" * d.integer
    if d.name in author.program.outputs:
        words += ", output"
    if d.default is not None:
        words += f", {d.default:g} by default"
    if d.law is not None:
        numbers = (
            f"{key} = {value:g}"
            if isinstance(value, float)
            else f"{key} = {author.write.inline(author.formula(Entry(value)))}"
            for key, value in d.parameters.items()
        )
        words += f", {d.law} with {' and '.join(numbers)}"
    if d.sums_to_one is not None:
        words += f", sums to 1 over {author.symbol(d.sums_to_one)}"
    return author.own(d.name), words, author.write.shape(d.shape)
