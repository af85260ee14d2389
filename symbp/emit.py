"""Emission: the finished strings of a `Module` arranged as a standalone NumPy module.

What is decided here is what each function takes (the inputs, constants and sizes that its body reads), how its sizes
are found, and which results must be copied. The text itself stands in `templates/numpy/`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jinja2
from sympy import Expr

from symbp.errors import CompilerError, ModelError
from symbp.initial import initial_code, initial_function
from symbp.ir.module import Body, Line, Module
from symbp.ir.network import Declaration
from symbp.layout import (
    LINE_WIDTH,
    call,
    comment,
    display,
    fill,
    indented,
    pieces,
    statement,
    unpack,
)
from symbp.results import Results, assignments
from symbp.shapes import Plan, plan_sizes, tuple_code

LOCALS = frozenset({"adjoints", "arrays", "cache", "dtype", "np", "outputs", "params", "rng"})
"""Names that the emitted functions use beside the model's own."""


def emit(module: Module, version: str) -> str:
    """The source of the module. `version` is symbp's own, stated in the docstring.

    Raises `ModelError` for a name that the module needs itself and for an `init=` function that cannot be emitted.
    """
    _check_names(module)
    forward = _signature(module, module.forward, module.cache, complete=True)
    predict = None if module.predict is None else _signature(module, module.predict)
    text = _environment().get_template("module.py.jinja").render(
        name=module.name,
        version=version,
        is_layer=module.loss is None,
        ambiguous=sorted({"l", "I", "O"} & set(_variables(module))),
        equations=[line for e in module.equations for line in fill(pieces(e), LINE_WIDTH, "    ", " " * 8)],
        usage=indented(_usage(module, forward)),
        parameters=_table("PARAMETERS", module.parameters),
        inputs=_table("INPUTS", module.inputs),
        init=_init(module),
        forward=_forward(module, forward),
        backward=_backward(module),
        value_and_grad=_value_and_grad(forward),
        predict=None if predict is None else _predict(module, predict),
        step=_step(module),
        checks=_checks(module, [s for s in (forward, predict) if s is not None]),
        helpers=module.helpers,
    )
    return _checked(text, module.name)


# The templates


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Templates of the package where it is installed, else of the checkout around it."""
    installed = resources.files("symbp") / "_templates"
    root: Traversable = installed if installed.is_dir() else Path(__file__).parent.parent / "templates"

    def load(name: str) -> str:
        return root.joinpath("numpy", *name.split("/")).read_text(encoding="utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Python source; every name in it is an identifier
    )


def _variables(module: Module) -> Iterable[str]:
    """Every name that the module's own strings bring into the text."""
    for declaration in (*module.parameters, *module.inputs, *module.constants):
        yield declaration.name
    yield from module.sizes
    for body in (module.forward, module.backward, module.predict):
        yield from assignments(body) if body is not None else ()
    for _, seed in module.seeds:
        yield seed


def _check_names(module: Module) -> None:
    for name in _variables(module):
        if not name.isidentifier():
            raise CompilerError(f"module {module.name}: {name!r} is no identifier")
        if name in LOCALS or name in _adjoint_facts(module):
            raise ModelError(f"{name}: the emitted module needs this name for itself; choose another")


def _checked(text: str, name: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise CompilerError(f"module {name}, line {error.lineno}: {error.msg}") from error
    return text


# What a function takes, and how it begins


@dataclass(frozen=True)
class _Signature:
    """What a function takes beside `params`, and how its sizes are found."""

    reads: frozenset[str]  # names that its body reads
    inputs: tuple[Declaration, ...]
    constants: tuple[Declaration, ...]
    plan: Plan

    def parameters(self) -> list[str]:
        """As they stand in a def."""
        keywords = [c.name if c.default is None else f"{c.name}={float(c.default)!r}" for c in self.constants]
        keywords += self.plan.open
        return ["params", *(i.name for i in self.inputs), *(["*", *keywords] if keywords else [])]

    def arguments(self) -> list[str]:
        """As they stand in a call that hands on the function's own."""
        keywords = [c.name for c in self.constants] + list(self.plan.open)
        return ["params", *(i.name for i in self.inputs), *(f"{k}={k}" for k in keywords)]

    def describe(self) -> list[str]:
        """A line of the docstring for each argument."""
        lines = []
        for i in self.inputs:
            remarks = [f"sums to 1 over axis {i.indices.index(i.sums_to_one)}"] if i.sums_to_one is not None else []
            remarks += ["integers"] if i.integer else []
            lines.append(", ".join([f"{i.name}: {_shape_text(i.shape)}", *remarks]))
        lines += [f"{c.name}: a number" for c in self.constants]
        return lines + [f"{size}: a size, which no array determines" for size in self.plan.open]


def _signature(module: Module, body: Body, more: Sequence[str] = (), complete: bool = False) -> _Signature:
    """What a function with this body takes, if it also needs the names in `more`.

    Where `complete`, inputs that the body does not read are taken too if they determine a size that stays open.
    """
    reads = frozenset((*body.reads, *more))
    inputs = [i for i in module.inputs if i.name in reads]
    plan = _plan(module, inputs, reads)
    for extra in module.inputs if complete else ():
        if extra in inputs or not plan.open:
            continue
        wider = [i for i in module.inputs if i in inputs or i is extra]
        better = _plan(module, wider, reads)
        if set(better.open) < set(plan.open):
            inputs, plan = wider, better
    return _Signature(reads, tuple(inputs), tuple(c for c in module.constants if c.name in reads), plan)


def _plan(module: Module, inputs: Sequence[Declaration], reads: frozenset[str]) -> Plan:
    shapes = {d.name: d.shape for d in (*module.parameters, *inputs)}
    return plan_sizes(shapes, [s for s in module.sizes if s in reads], module.sizes)


def _head(module: Module, signature: _Signature) -> list[str]:
    """The first lines of forward and predict: arrays, sizes, checks, constants."""
    plan = signature.plan
    inputs = [i.name for i in signature.inputs]
    names = [*(p.name for p in module.parameters), *inputs]
    summed = [i for i in signature.inputs if i.sums_to_one is not None]
    used = [n for n in names if n in signature.reads | plan.tensors | {i.name for i in summed}]
    keeps = "arrays = " if used or plan.checks or plan.solves else ""
    lines = call(f"{keeps}_arrays(", ["params", *(f"{i}={i}" for i in inputs)])
    lines += _unpack_arrays(used, names)
    lines += [f'{size} = _size("{size}", {size})' for size in plan.open]
    for code in plan.statements:
        lines += statement(code)
    if plan.checks:
        lines += call("_check_shapes(", ["arrays", *(f"{t}={shape}" for t, shape in plan.checks)])
    for i in summed:
        axis = i.indices.index(i.sums_to_one)
        lines += statement(f'_check_sums_to_one("{i.name}", {i.name}, axis={axis})')
    return lines + [f"{c.name} = float({c.name})" for c in signature.constants]


def _unpack_arrays(used: Sequence[str], names: Sequence[str]) -> list[str]:
    """The arrays that a function uses, of all that it checks, as variables."""
    if len(used) == len(names):
        return unpack(used, "arrays.values()") if used else []
    return [f'{name} = arrays["{name}"]' for name in used]


# The functions


def _function(head: list[str], summary: str, details: Sequence[str], body: Sequence[str]) -> str:
    """A whole function as text."""
    lines = [*head, f'    """{summary}']
    lines += ["", *indented(details), '    """'] if details else []
    if not details:
        lines[-1] += '"""'
    return "\n".join([*lines, *indented(body)])


def _define(name: str, parameters: Sequence[str]) -> list[str]:
    return call(f"def {name}(", parameters, "):", LINE_WIDTH)


def _code(body: Body) -> list[str]:
    """The steps of a body, each under its formula."""
    lines: list[str] = []
    for step in body.lines:
        lines += _step_lines(step)
    return lines


def _step_lines(step: Line) -> list[str]:
    lines = comment(step.formula, step.shape if step.shape != "()" else "") if step.formula else []
    for code in step.code:
        lines += statement(code)
    return lines


def _paragraphs(*parts: Sequence[str]) -> list[str]:
    """Parts with an empty line between them."""
    lines: list[str] = []
    for part in parts:
        if part:
            lines += ["", *part] if lines else part
    return lines


def _init(module: Module) -> dict[str, Any]:
    sizes = {s.name for p in module.parameters for size in p.shape for s in size.free_symbols}
    lines: list[str] = []
    for p in module.parameters:
        lines += statement(f"{p.name} = {initial_code(p)}")
    lines += display("params = {", [f'"{p.name}": {p.name}' for p in module.parameters], "}")
    return {
        "define": _define("init", ["rng", "*", *(s for s in module.sizes if s in sizes), "dtype=np.float64"]),
        "body": indented(lines),
        "functions": [f for f in map(initial_function, module.parameters) if f is not None],
    }


def _returned(module: Module, body: Body) -> tuple[list[str], str]:
    """The outputs as a function gives them back: lines before, and the expression."""
    results = Results(body)
    if len(module.outputs) == 1:
        return [], results.code(module.outputs[0][1])
    return display("outputs = {", [f'"{n}": {results.code(v)}' for n, v in module.outputs], "}"), "outputs"


def _forward(module: Module, signature: _Signature) -> str:
    cached = [*module.cache, *_adjoint_facts(module).values()]
    end = display("cache = (", cached, ")")
    if module.loss is None:
        before, value = _returned(module, module.forward)
        what = "The output" if len(module.outputs) == 1 else "A dict of the outputs"
    else:
        before, value = [], Results(module.forward).code(module.loss)
        what = "The loss"
    body = _paragraphs(_head(module, signature), _code(module.forward), [*before, *end, f"return {value}, cache"])
    summary = f"{what}, and the cache that backward reads."
    return _function(_define("forward", signature.parameters()), summary, signature.describe(), body)


def _adjoint_facts(module: Module) -> Mapping[str, str]:
    """What the cache holds of a layer's outputs, to check their adjoints by: name in backward -> value in forward."""
    facts: dict[str, str] = {}
    for output, seed in module.seeds:
        if seed in module.backward.reads:
            variable = dict(module.outputs)[output]
            facts.setdefault("dtype", f"{variable}.dtype")
            facts[f"{output}_shape"] = f"{variable}.shape"
    return facts


def _backward(module: Module) -> str:
    reads = set(module.backward.reads)
    head = [f'{p.name} = np.asarray(params["{p.name}"])' for p in module.parameters if p.name in reads]
    facts = list(_adjoint_facts(module))
    if module.cache or facts:
        head += unpack([*module.cache, *facts], "cache")
    for output, seed, value in _seeds(module):
        if seed in reads:
            label = value.replace('"', "'")
            head += statement(f'{seed} = _adjoint("{label}", {value}, {output}_shape, dtype)')
    results = Results(module.backward)
    ranks = {d.name: len(d.indices) for d in (*module.parameters, *module.inputs)}
    items = [f'"{name}": {results.code(variable, ranks.get(name) == 0)}' for name, variable in module.gradients]
    body = _paragraphs(head, _code(module.backward), display("return {", items, "}"))
    summary, details = _backward_text(module)
    return _function(_define("backward", ["params", "cache", *_seed_arguments(module)]), summary, details, body)


def _seeds(module: Module) -> list[tuple[str, str, str]]:
    """(output, variable of its adjoint, what the caller of backward gives for it)."""
    if len(module.seeds) == 1:
        return [(output, seed, seed) for output, seed in module.seeds]
    return [(output, seed, f'adjoints["{output}"]') for output, seed in module.seeds]


def _seed_arguments(module: Module) -> list[str]:
    """What backward takes of a layer's adjoints: the one, or a dict of them all, by output."""
    return [seed for _, seed in module.seeds] if len(module.seeds) < 2 else ["adjoints"]


def _backward_text(module: Module) -> tuple[str, list[str]]:
    """What the docstring of backward says."""
    names = [name for name, _ in module.gradients]
    parameters = [p.name for p in module.parameters]
    if module.loss is not None:
        of = "every parameter" if names == parameters else ", ".join(names)
        return f"Gradients of the loss in {of}, each shaped as what it belongs to.", []
    details = [
        f"{value}: {_shape_text(shape)}, ∂L/∂{output} of any loss L"
        for (output, _, value), shape in zip(_seeds(module), module.seed_shapes, strict=True)
    ]
    return "The vector-Jacobian product: the adjoints of the outputs pulled back to what they depend on.", details


def _value_and_grad(signature: _Signature) -> str:
    body = [*call("loss, cache = forward(", signature.arguments()), "return loss, backward(params, cache)"]
    define = _define("value_and_grad", signature.parameters())
    return _function(define, "The loss and its gradients, from what forward takes.", [], body)


def _predict(module: Module, signature: _Signature) -> str:
    assert module.predict is not None
    before, value = _returned(module, module.predict)
    names = [name for name, _ in module.outputs]
    summary = f"The output {names[0]}." if len(names) == 1 else f"A dict of the outputs {', '.join(names)}."
    body = _paragraphs(_head(module, signature), _code(module.predict), [*before, f"return {value}"])
    return _function(_define("predict", signature.parameters()), summary, signature.describe(), body)


def _step(module: Module) -> str:
    """The names that `step` runs over."""
    graded = {name for name, _ in module.gradients}
    names = [p.name for p in module.parameters if p.name in graded]
    if len(names) == len(module.parameters):
        return "PARAMETERS"
    return tuple_code(f'"{name}"' for name in names)


# Tables, documentation, checks


def _shape_text(shape: Sequence[Expr]) -> str:
    return tuple_code(map(str, shape)) if shape else "a scalar"


def _table(name: str, declarations: Sequence[Declaration]) -> list[str]:
    rows = [f'"{d.name}": {tuple_code(f"{chr(34)}{size}{chr(34)}" for size in d.shape)}' for d in declarations]
    return display(f"{name} = {{", rows, "}", LINE_WIDTH)


def _usage(module: Module, forward: _Signature) -> list[str]:
    sizes = [s for s in module.sizes if any(s in map(str, e.free_symbols) for p in module.parameters for e in p.shape)]
    init = call("params = init(", ["np.random.default_rng(0)", *(f"{s}={s}" for s in sizes)])
    if module.loss is None:
        output = module.outputs[0][0] if len(module.outputs) == 1 else "outputs"
        run = call(f"{output}, cache = forward(", forward.arguments())
        return [*init, *run, *call("grads = backward(", ["params", "cache", *_seed_arguments(module)])]
    run = call("loss, grads = value_and_grad(", forward.arguments())
    return [*init, *run, "step(params, grads, learning_rate=0.1)"]


def _checks(module: Module, signatures: Sequence[_Signature]) -> dict[str, Any]:
    """Which of the checks the module calls."""
    return {
        "integers": tuple_code(f'"{i.name}"' for i in module.inputs if i.integer),
        "has_integers": any(i.integer for i in module.inputs),
        "shapes": any(s.plan.checks for s in signatures),
        "solve": any(s.plan.solves for s in signatures),
        "size": any(s.plan.open for s in signatures),
        "sums_to_one": any(i.sums_to_one is not None for s in signatures for i in s.inputs),
        "adjoint": bool(_adjoint_facts(module)),
        "shaped": any(callable(p.init) for p in module.parameters),
    }
