"""Σ over a product of two arrays as a matrix product, where one fits."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from symbp.ir.nodes import Index
from symbp.targets.code import (
    ATOM,
    MATMUL,
    MUL,
    Code,
    multiply,
    reduce_axes,
    transpose,
    union,
)  # fmt: skip


def contract(operands: Sequence[Code], bound: frozenset[Index], frame: Sequence[Index]) -> Code:
    """Σ_bound Π operands. Sums come nested in pairs; a third operand shares the axes of one of the two."""
    if len(operands) == 2 and len(operands[0].axes) == 1 and operands[0].axes == operands[1].axes:
        return pair(operands[0], operands[1], bound, frame)
    merged = sorted(_alone(_merged(operands, frame), bound), key=lambda c: len(c.axes))
    while len(merged) > 2:
        small, *others = merged
        home = next((c for c in others if set(small.axes) <= set(c.axes)), others[0])
        rest = [c for c in others if c is not home]
        merged = sorted([multiply((small, home), (), frame), *rest], key=lambda c: len(c.axes))
    code = pair(merged[0], merged[1], bound, frame) if len(merged) == 2 else merged[0]
    left_over = [i for i in code.axes if i in bound]
    return reduce_axes(code, "sum", left_over) if left_over else code


def _merged(operands: Sequence[Code], frame: Sequence[Index]) -> list[Code]:
    """Operands over the same axes multiplied into one."""
    groups: dict[frozenset[Index], list[Code]] = {}
    for code in operands:
        groups.setdefault(frozenset(code.axes), []).append(code)
    return [
        g[0] if len(g) == 1 and g[0].kind == "float" else product(g, frame) for g in groups.values()
    ]


def product(codes: Sequence[Code], frame: Sequence[Index]) -> Code:
    """Π in the layout of the operand that has every axis: nothing is transposed before it is summed."""
    whole = max((c.axes for c in codes), key=len)
    every = {i for c in codes for i in c.axes}
    return multiply(codes, (), whole if set(whole) == every else frame)


def _alone(operands: list[Code], bound: frozenset[Index]) -> list[Code]:
    """A bound index that one operand alone has is summed there first."""
    if len(operands) == 1:
        return operands
    out = []
    for k, code in enumerate(operands):
        elsewhere = {i for m, c in enumerate(operands) if m != k for i in c.axes}
        own = [i for i in code.axes if i in bound and i not in elsewhere]
        out.append(reduce_axes(code, "sum", own) if own else code)
    return out


def pair(a: Code, b: Code, done: frozenset[Index], frame: Sequence[Index]) -> Code:
    """Σ_done a · b: a matrix product where the shared axes allow one, else a product and a sum, else einsum."""
    shared = set(a.axes) & set(b.axes)
    summed = [i for i in frame if i in shared and i in done]
    if not summed:
        return multiply((a, b), (), frame)
    batch = [i for i in frame if i in shared and i not in done]
    only_a = [i for i in frame if i in a.axes and i not in shared]
    only_b = [i for i in frame if i in b.axes and i not in shared]
    if not only_a and not only_b and not batch and len(summed) == 1:
        return Code(f"{a.at(MUL + 1)} @ {b.at(MUL + 1)}", MATMUL, ())
    if (not only_a and not only_b) or (batch and not (only_a and only_b)):
        # one operand has every axis already: a product and a sum build nothing larger
        return reduce_axes(product((a, b), frame), "sum", summed)
    if not batch:
        return _matmul(a, b, only_a, only_b, summed, frame)
    if len(summed) == len(only_a) == len(only_b) == 1:
        if frame.index(only_b[0]) < frame.index(only_a[0]):
            a, b, only_a, only_b = b, a, only_b, only_a
        left = transpose(a, (*batch, *only_a, *summed))
        right = transpose(b, (*batch, *summed, *only_b))
        return Code(f"{left.at(MUL + 1)} @ {right.at(MUL + 1)}", MATMUL, (*batch, *only_a, *only_b))
    return _einsum(a, b, union((a, b), [i for i in frame if i not in summed]))


def _matmul(
    a: Code,
    b: Code,
    only_a: list[Index],
    only_b: list[Index],
    summed: list[Index],
    frame: Sequence[Index],
) -> Code:
    """No shared axis survives: a @ b where one axis is summed, else tensordot."""
    first = [*only_a, *only_b]
    if min(first, key=frame.index) in only_b:
        a, b, only_a, only_b = b, a, only_b, only_a
    k = summed[0]
    if len(summed) == 1 and len(b.axes) <= 2:
        if len(a.axes) <= 2:
            left = transpose(a, (*only_a, k))
        elif a.axes[-1] == k:
            left = a
        else:
            return _tensordot(a, b, summed)
        right = transpose(b, (k, *only_b))
        axes = (*(i for i in left.axes if i != k), *only_b)
        return Code(f"{left.at(MUL + 1)} @ {right.at(MUL + 1)}", MATMUL, axes)
    return _tensordot(a, b, summed)


def _tensordot(a: Code, b: Code, summed: list[Index]) -> Code:
    left = ", ".join(str(a.axes.index(i)) for i in summed)
    right = ", ".join(str(b.axes.index(i)) for i in summed)
    axes = tuple(i for i in (*a.axes, *b.axes) if i not in summed)
    return Code(f"np.tensordot({a.text}, {b.text}, axes=([{left}], [{right}]))", ATOM, axes)


def _einsum(a: Code, b: Code, result: tuple[Index, ...]) -> Code:
    letters = _letters([*a.axes, *b.axes])
    spell = ["".join(letters[i] for i in axes) for axes in (a.axes, b.axes, result)]
    return Code(f'np.einsum("{spell[0]},{spell[1]}->{spell[2]}", {a.text}, {b.text})', ATOM, result)


def _letters(indices: Sequence[Index]) -> dict[Index, str]:
    """A letter for each index: its own where that is one, and free."""
    found: dict[Index, str] = {}
    for index in dict.fromkeys(indices):
        own = index.name if len(index.name) == 1 and index.name in ascii_lowercase else ""
        used = set(found.values())
        found[index] = (
            own if own and own not in used else next(c for c in ascii_lowercase if c not in used)
        )
    return found
