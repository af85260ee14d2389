"""The signature of an emitted NumPy function, and the head of its body.

A function takes the inputs, constants and sizes that its body reads. Its head makes arrays of them, finds the sizes
and checks every shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Expr

from symbp.ir.module import Body, Gather, Module, Place
from symbp.ir.network import Declaration
from symbp.layout import call, statement, unpack
from symbp.shapes import Plan, plan_sizes, size_code, tuple_code


def shape_text(shape: Sequence[Expr]) -> str:
    """A shape as the documentation of a module states it."""
    return tuple_code(map(str, shape)) if shape else "a scalar"


@dataclass(frozen=True)
class Signature:
    """What a function takes beside `params`, and how its sizes are found."""

    reads: frozenset[str]  # names that its body and its checks read
    inputs: tuple[Declaration, ...]
    constants: tuple[Declaration, ...]
    noise: tuple[Declaration, ...]
    plan: Plan
    places: tuple[Place, ...]  # to be checked
    gathers: tuple[Gather, ...]  # to be checked
    batch: tuple[str, ...]  # sizes that may be 0

    def parameters(self) -> list[str]:
        """As they stand in a def."""
        keywords = [
            c.name if c.default is None else f"{c.name}={float(c.default)!r}"
            for c in self.constants
        ]
        keywords += self.plan.open
        keywords += [f"{d.name}=None" for d in self.noise] + ["rng=None"] * bool(self.noise)
        return ["params", *(i.name for i in self.inputs), *(["*", *keywords] if keywords else [])]

    def arguments(self) -> list[str]:
        """As they stand in a call that hands on the function's own."""
        keywords = [c.name for c in self.constants] + list(self.plan.open)
        keywords += [d.name for d in self.noise] + ["rng"] * bool(self.noise)
        return ["params", *(i.name for i in self.inputs), *(f"{k}={k}" for k in keywords)]

    def describe(self) -> list[str]:
        """A line of the docstring for each argument."""
        lines = []
        for i in self.inputs:
            line = f"{i.name}: {shape_text(i.shape)}"
            if i.sums_to_one is not None:
                line += f", sums to 1 over axis {i.indices.index(i.sums_to_one)}"
            lines.append(f"{line}, integers" if i.integer else line)
        lines += [f"{c.name}: a number" for c in self.constants]
        lines += [f"{size}: a size, which no array determines" for size in self.plan.open]
        lines += [f"{d.name}: {shape_text(d.shape)}, drawn from rng if absent" for d in self.noise]
        return lines + ["rng: a numpy.random.Generator"] * bool(self.noise)

    def usage(self) -> list[str]:
        """As they stand in an example, which leaves constants and noise to the module."""
        keywords = [f"{k}={k}" for k in self.plan.open]
        keywords += ["rng=np.random.default_rng(1)"] * bool(self.noise)
        return ["params", *(i.name for i in self.inputs), *keywords]


def signature_of(
    module: Module, body: Body, more: Sequence[str] = (), complete: bool = False
) -> Signature:
    """What a function with this body takes, if it also needs the names in `more`.

    Where `complete`, inputs that the body does not read are taken too if they determine a size that stays open.
    """
    sizes = {s.name for p in body.places for s in p.position.free_symbols | p.size.free_symbols}
    sizes |= {s.name for g in body.gathers for s in g.size.free_symbols}
    reads = frozenset((*body.reads, *more, *sizes, *(g.places for g in body.gathers)))
    noise = tuple(d for d in module.noise if d.name in reads)
    for d in noise:
        numbers = (n for n in d.parameters.values() if isinstance(n, str))
        reads |= {*numbers, *(s.name for size in d.shape for s in size.free_symbols)}
    inputs = [i for i in module.inputs if i.name in reads]
    plan = _plan(module, inputs, reads)
    for extra in module.inputs if complete else ():
        if extra in inputs or not plan.open:
            continue
        wider = [i for i in module.inputs if i in inputs or i is extra]
        better = _plan(module, wider, reads)
        if set(better.open) < set(plan.open):
            inputs, plan = wider, better
    constants = tuple(c for c in module.constants if c.name in reads)
    axes = {str(size) for d in (*module.parameters, *inputs) for size in d.shape}
    return Signature(
        reads=reads,
        inputs=tuple(inputs),
        constants=constants,
        noise=noise,
        plan=plan,
        places=body.places,
        gathers=body.gathers,
        batch=tuple(size for size in body.batch if size in axes),
    )


def _plan(module: Module, inputs: Sequence[Declaration], reads: frozenset[str]) -> Plan:
    shapes = {d.name: d.shape for d in (*module.parameters, *inputs)}
    return plan_sizes(shapes, [s for s in module.sizes if s in reads], module.sizes)


def head_of(module: Module, signature: Signature) -> list[str]:
    """The first lines of forward and predict: arrays, sizes, checks, constants."""
    names = [*(p.name for p in module.parameters), *(i.name for i in signature.inputs)]
    used = used_arrays(module, signature)
    sizes = size_lines(signature)
    keeps = "arrays = " if used or signature.plan.checks or signature.plan.solves else ""
    inputs = names[len(module.parameters) :]
    lines = call(
        f"{keeps}_arrays(",
        ["params", *(f'"{size}"' for size in signature.batch), *(f"{i}={i}" for i in inputs)],
    )
    return [*lines, *unpack_arrays(used, names), *sizes, *value_lines(module, signature)]


def used_arrays(module: Module, signature: Signature) -> list[str]:
    """The parameters and inputs that the function reads, if only to learn a size."""
    names = [*(p.name for p in module.parameters), *(i.name for i in signature.inputs)]
    summed = {i.name for i in signature.inputs if i.sums_to_one is not None}
    wanted = signature.reads | signature.plan.tensors | _dtyped(module, signature) | summed
    return [name for name in names if name in wanted]


def size_lines(signature: Signature) -> list[str]:
    """The sizes, and a check of every shape."""
    plan = signature.plan
    lines = [f'{size} = _size("{size}", {size})' for size in plan.open]
    for code in plan.statements:
        lines += statement(code)
    if plan.checks:
        lines += call("_check_shapes(", ["arrays", *(f"{t}={shape}" for t, shape in plan.checks)])
    return lines


def value_lines(module: Module, signature: Signature) -> list[str]:
    """Checks of places and of what arrays hold, constants, and noise."""
    lines: list[str] = []
    for place in signature.places:
        lines += _check_place(place)
    for gather in signature.gathers:
        lines += _check_gather(gather)
    for i in signature.inputs:
        if i.sums_to_one is not None:
            axis = i.indices.index(i.sums_to_one)
            lines += statement(f'_check_sums_to_one("{i.name}", {i.name}, axis={axis})')
    lines += [f'{c.name} = _number("{c.name}", {c.name})' for c in signature.constants]
    for d in signature.noise:
        lines += statement(_noise(d, *_dtyped(module, signature)))
    return lines


def _dtyped(module: Module, signature: Signature) -> frozenset[str]:
    """The tensor that noise takes its type from; none where there is no noise."""
    names = [d.name for d in (*module.parameters, *signature.inputs) if not d.integer]
    read = [name for name in names if name in signature.reads]
    return frozenset((read or names)[:1]) if signature.noise else frozenset()


def _noise(noise: Declaration, like: str) -> str:
    """Noise as it is given, or drawn."""
    numbers = ", ".join(n if isinstance(n, str) else repr(n) for n in noise.parameters.values())
    shape = tuple_code(map(size_code, noise.shape))
    return f'{noise.name} = _{noise.law}("{noise.name}", {noise.name}, rng, {numbers}, {shape}, {like}.dtype)'


def _check_place(place: Place) -> list[str]:
    """The check of a place, which names it as NumPy does: W[:, d - 2]."""
    position = size_code(place.position)
    entry = f"{place.tensor}[{', '.join([*[':'] * place.axis, position])}]"
    return call("_check_place(", [f'"{entry}"', str(place.axis), position, size_code(place.size)])


def _check_gather(gather: Gather) -> list[str]:
    size = size_code(gather.size)
    arguments = [f'"{gather.places}"', gather.places, f'"{gather.tensor}"', str(gather.axis), size]
    return call("_check_gather(", arguments)


def unpack_arrays(used: Sequence[str], names: Sequence[str]) -> list[str]:
    """The arrays that a function uses, of all that it checks, as variables."""
    if len(used) == len(names):
        return unpack(used, "arrays.values()") if used else []
    return [f'{name} = arrays["{name}"]' for name in used]
