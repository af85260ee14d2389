"""The functions of an emitted module in the fast style that make arrays to write to, and hand them on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from symbp.ir.module import Body, Module, code_of
from symbp.layout import (
    BODY_WIDTH,
    call,
    definition,
    display,
    function,
    indented,
    statement,
    unpack,
)
from symbp.targets.signature import Signature, size_lines, used_arrays, value_lines
from symbp.targets.signature import unpack_arrays as unpacked

LOCALS = frozenset({"made", "sizes", "workspace"})
"""Names that the fast style uses beside those of any module."""

ARGUMENT = "workspace: what workspace(…) made; the results then lie in it until the next call"


def with_workspace(parameters: Sequence[str]) -> list[str]:
    """The parameters of a function that can be given a workspace."""
    star = [] if "*" in parameters else ["*"]
    return [*parameters, *star, "workspace=None"]


def sizes_of(module: Module) -> list[str]:
    """The sizes that arrays to write to are made of."""
    bodies = [b.arrays for b in (module.forward, module.backward) if b.arrays is not None]
    used = named(line for a in bodies for line in a.lines)
    return [size for size in module.sizes if size in used]


def forward_head(module: Module, signature: Signature) -> list[str]:
    """The first lines of forward: arguments, sizes, and the arrays that it writes to."""
    inputs = ", ".join(f'"{i.name}": {i.name}' for i in signature.inputs)
    more = [f"{size}={size}" for size in signature.plan.open]
    writes = _made(module.forward, "made")
    left = f"arrays, sizes, {'made' if writes else '_'} = _begin("
    begin = call(left, ["workspace", "params", f"{{{inputs}}}", *more])
    names = [p.name for p in module.parameters] + [i.name for i in signature.inputs]
    used = [
        n for n in used_arrays(module, signature) if n in signature.reads or _checked(n, signature)
    ]
    lines, values = [*begin, *unpacked(used, names)], value_lines(module, signature)
    read = named([*code_of(module.forward.lines), *values]) - {*signature.plan.open}
    return [*lines, *_sizes(module, read), *writes, *values]


def _sizes(module: Module, read: Collection[str]) -> list[str]:
    """The sizes that a body reads."""
    sizes = [size for size in module.sizes if size in read]
    found = ", ".join(f'sizes["{size}"]' for size in sizes)
    line = f"{', '.join(sizes)} = {found}"
    if len(line) <= BODY_WIDTH:
        return [line] if sizes else []
    return [f'{size} = sizes["{size}"]' for size in sizes]


def named(lines: Iterable[str]) -> set[str]:
    """The words that stand in these lines."""
    return {name for line in lines for name in re.findall(r"[^\W\d]\w*", line)}


def _checked(name: str, signature: Signature) -> bool:
    """Whether the values of an input are checked at each call."""
    return any(i.name == name and i.sums_to_one is not None for i in signature.inputs)


def sizes_in_backward(module: Module) -> str:
    """The variable for the sizes that the cache ends with; _ where backward needs none."""
    return "sizes" if backward_head(module) else "_"


def backward_head(module: Module) -> list[str]:
    """The lines of backward that name the sizes, and the arrays it writes to."""
    made = "_backward_arrays(**sizes) if workspace is None else workspace.fitting(sizes)"
    sizes = _sizes(module, named(code_of(module.backward.lines)))
    return [*sizes, *_made(module.backward, made)]


def _made(body: Body, value: str) -> list[str]:
    names = body.arrays.names if body.arrays is not None else ()
    return unpack(names, value) if names else []


def workspace_texts(module: Module, signature: Signature) -> dict[str, Any]:
    """What the template of workspaces needs."""
    inputs = [i.name for i in signature.inputs]
    given = ", ".join(f'"{name}": {name}' for name in inputs)
    more = [f"{size}={size}" for size in signature.plan.open]
    parameters = ["params", *inputs, *(["*", *signature.plan.open] if signature.plan.open else [])]
    return {
        "define": definition("workspace", parameters),
        "more": bool(signature.plan.open),
        "begin": indented(
            call("return _Workspace(*_entry(", ["params", f"{{{given}}}", *more], "))")
        ),
        "entry": _entry(module, signature),
        "forward": _maker(module, module.forward, "forward"),
        "backward": _maker(module, module.backward, "backward"),
    }


def _entry(module: Module, signature: Signature) -> str:
    """The function that checks the arguments and finds the sizes."""
    plan = signature.plan
    names = [p.name for p in module.parameters] + [i.name for i in signature.inputs]
    used = [n for n in names if n in plan.tensors]
    floats = [d.name for d in (*module.parameters, *signature.inputs) if not d.integer]
    sizes = [s for s in module.sizes if s in signature.reads or s in sizes_of(module)]
    batch = [f'"{size}"' for size in signature.batch]
    lines = [
        *call("arrays = _arrays(", ["params", *batch, "**inputs"]),
        *unpacked(used, names),
        *size_lines(signature),
    ]
    items = [*(f'"{size}": {size}' for size in sizes), f'"dtype": arrays["{floats[0]}"].dtype']
    lines += display("sizes = {", items, "}")
    open_ = ["*", *plan.open] if plan.open else []
    define = definition("_entry", ["params", "inputs", *open_])
    summary = "Parameters and inputs as arrays, once they are checked, and their sizes."
    return function(define, summary, [], [*lines, "return arrays, sizes"])


def _maker(module: Module, body: Body, name: str) -> str:
    """The function that makes the arrays that another writes to."""
    made = body.arrays
    assert made is not None
    lines = [line for code in made.lines for line in statement(code)]
    own = sizes_of(module)
    known = [size for size in own if size in named(made.lines)]
    define = definition(f"_{name}_arrays", [*known, "dtype", "**others"])
    summary = f"What {name} writes to: values that are not needed at one time share an array."
    return function(define, summary, [], [*lines, *display("return (", made.names, ")")])
