"""Emission: the finished strings of a `Module` arranged as a standalone NumPy module.

What is decided here is what each function takes (the inputs, constants and sizes that its body reads), how its sizes
are found, and which results must be copied. The text itself stands in `templates/numpy/`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jinja2

from symbp.errors import CompilerError, ModelError
from symbp.initial import function_names, initial_code, initial_function
from symbp.ir.module import Body, Module
from symbp.ir.network import Declaration
from symbp.layout import (
    BODY_WIDTH,
    LINE_WIDTH,
    call,
    definition,
    display,
    formula_lines,
    function,
    indented,
    paragraphs,
    statement,
    step_lines,
    unpack,
)
from symbp.results import Results, assignments, needed
from symbp.shapes import tuple_code
from symbp.targets.signature import Signature, head_of, shape_text, signature_of
from symbp.targets.step import update_texts
from symbp.targets.workspace import (
    ARGUMENT,
    backward_head,
    forward_head,
    sizes_in_backward,
    sizes_of,
    with_workspace,
    workspace_texts,
)
from symbp.targets.workspace import LOCALS as FAST_LOCALS

LOCALS = frozenset({"adjoints", "arrays", "cache", "dtype", "np", "outputs", "params", "rng"})
"""Names that the emitted functions use beside the model's own."""

TIES = "Entries that tie for a maximum or minimum share its gradient equally."
"""What the docstring of backward says where that can happen."""


def emit(module: Module, version: str) -> str:
    """The source of the module. `version` is symbp's own, stated in the docstring.

    Raises `ModelError` for a name that the module needs itself and for an `init=` function that cannot be emitted.
    """
    _check_names(module)
    module = module if is_fast(module) else needed(module)
    more = (*module.cache, *(sizes_of(module)))
    forward = signature_of(module, module.forward, more, complete=True)
    predict = None if module.predict is None else signature_of(module, module.predict)
    equations = [formula_lines(e, LINE_WIDTH, "    ", " " * 8) for e in module.equations]
    template = _environment().get_template("module.py.jinja")
    text = template.render(
        name=module.name,
        version=version,
        is_layer=module.loss is None,
        ambiguous=sorted({"l", "I", "O"} & set(_variables(module))),
        equations=[line for lines in equations for line in lines],
        usage=indented(_usage(module, forward)),
        parameters=_table("PARAMETERS", module.parameters),
        inputs=_table("INPUTS", module.inputs),
        init=_init(module),
        forward=_forward(module, forward),
        backward=_backward(module),
        value_and_grad=_value_and_grad(module, forward),
        workspace=workspace_texts(module, forward) if is_fast(module) else None,
        predict=_predict(module, predict),
        step=_step(module),
        update=None if module.update is None else update_texts(module.update),
        checks=_checks(module, [s for s in (forward, predict) if s is not None]),
        helpers=sorted({*module.helpers, *(module.update.code.helpers if module.update else ())}),
    )
    return _checked(text, module.name)


# The templates


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Templates of the package where it is installed, else of the checkout around it."""
    installed = resources.files("symbp") / "_templates"
    root: Traversable = (
        installed if installed.is_dir() else Path(__file__).parent.parent / "templates"
    )

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
    for declaration in (*module.parameters, *module.inputs, *module.constants, *module.noise):
        yield declaration.name
    yield from module.sizes
    for body in (module.forward, module.backward, module.predict):
        yield from assignments(body) if body is not None else ()
    for _, seed in module.seeds:
        yield seed


def is_fast(module: Module) -> bool:
    """Whether the module writes to arrays that are made before."""
    return module.forward.arrays is not None


def _check_names(module: Module) -> None:
    locals_ = LOCALS | FAST_LOCALS if is_fast(module) else LOCALS
    for name in _variables(module):
        if not name.isidentifier():
            raise CompilerError(f"module {module.name}: {name!r} is no identifier")
        if name in locals_ or name in _adjoint_facts(module):
            raise ModelError(
                f"{name}: the emitted module needs this name for itself; choose another"
            )


def _checked(text: str, name: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise CompilerError(f"module {name}, line {error.lineno}: {error.msg}") from error
    return text


# The functions


def _code(body: Body) -> list[str]:
    """The steps of a body, each under its formula."""
    return [text for step in body.lines for text in step_lines(step, BODY_WIDTH)]


def _parameter_sizes(module: Module) -> list[str]:
    """The sizes that parameters need."""
    used = {s.name for p in module.parameters for size in p.shape for s in size.free_symbols}
    return [size for size in module.sizes if size in used]


def _init(module: Module) -> dict[str, Any]:
    names = function_names(module.parameters)
    owners = {names[p.name]: p for p in reversed(module.parameters) if p.name in names}
    functions = [initial_function(p, name) for name, p in reversed(owners.items())]
    lines: list[str] = []
    for p in module.parameters:
        lines += statement(f"{p.name} = {initial_code(p, names)}")
    lines += display("params = {", [f'"{p.name}": {p.name}' for p in module.parameters], "}")
    define = definition("init", ["rng", "*", *_parameter_sizes(module), "dtype=np.float64"])
    return {"define": define, "body": indented(lines), "functions": functions}


def _returned(module: Module, body: Body) -> tuple[list[str], str]:
    """The outputs as a function gives them back: lines before, and the expression."""
    results = _results(body)
    items = [(name, results.code(variable)) for name, variable in module.outputs]
    if len(items) == 1:
        return [], items[0][1]
    return display("outputs = {", [f'"{name}": {code}' for name, code in items], "}"), "outputs"


def _forward(module: Module, signature: Signature) -> str:
    if module.loss is None:
        before, value = _returned(module, module.forward)
        what = "The output" if len(module.outputs) == 1 else "A dict of the outputs"
    else:
        before, value = [], _results(module.forward).code(module.loss)
        what = "The loss"
    sizes = ["sizes"] * is_fast(module)
    cache = display("cache = (", [*module.cache, *_adjoint_facts(module).values(), *sizes], ")")
    end = [*before, *cache, f"return {value}, cache"]
    head = (forward_head if is_fast(module) else head_of)(module, signature)
    body = paragraphs(head, _code(module.forward), end)
    define = definition("forward", _parameters(module, signature.parameters()))
    summary = f"{what}, and the cache that backward reads."
    return function(define, summary, [*signature.describe(), *_argument(module)], body)


def _results(body: Body) -> Results:
    return Results(body, () if body.arrays is None else body.arrays.names)


def _parameters(module: Module, parameters: Sequence[str]) -> list[str]:
    """The parameters of a function, in the fast style with a workspace."""
    return with_workspace(parameters) if is_fast(module) else [*parameters]


def _argument(module: Module) -> list[str]:
    return [ARGUMENT] * is_fast(module)


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
    head = [
        f'{p.name} = _array("{p.name}", params["{p.name}"])'
        for p in module.parameters
        if p.name in reads
    ]
    facts = [*_adjoint_facts(module)]
    facts += [sizes_in_backward(module)] if is_fast(module) else []
    if module.cache or facts:
        head += unpack([*module.cache, *facts], "cache")
    head += backward_head(module) if is_fast(module) else []
    for output, seed, value in _seeds(module):
        if seed in reads:
            label = value.replace('"', "'")
            head += statement(f'{seed} = _adjoint("{label}", {value}, {output}_shape, dtype)')
    results = _results(module.backward)
    ranks = {d.name: len(d.indices) for d in (*module.parameters, *module.inputs)}
    items = [
        f'"{name}": {results.code(variable, scalar=ranks.get(name, 0) == 0)}'
        for name, variable in module.gradients
    ]
    body = paragraphs(head, _code(module.backward), display("return {", items, "}"))
    parameters = ["params", "cache", *_seed_arguments(module)]
    define = definition("backward", _parameters(module, parameters))
    summary, details = _backward_text(module)
    return function(define, summary, [*details, *_argument(module)], body)


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
    ties = [TIES] if module.ties else []
    if module.loss is None:
        given = zip(_seeds(module), module.seed_shapes, strict=True)
        details = [f"{v}: {shape_text(shape)}, ∂L/∂{y} of any loss L" for (y, _, v), shape in given]
        details += ["", *ties] if ties else []
        return "Gradients, given the adjoint of each output: a vector-Jacobian product.", details
    if [name for name, _ in module.gradients] == [p.name for p in module.parameters]:
        return "Gradients of the loss in every parameter, shaped as the parameters.", ties
    return "Gradients of the loss, each shaped as what it belongs to.", ties


def _value_and_grad(module: Module, signature: Signature) -> str:
    handed = ["workspace=workspace"] * is_fast(module)
    run = call("loss, cache = forward(", [*signature.arguments(), *handed])
    back = call("return loss, backward(", ["params", "cache", *handed])
    define = definition("value_and_grad", _parameters(module, signature.parameters()))
    summary = "The loss and its gradients, from what forward takes."
    return function(define, summary, [], [*run, *back])


def _predict(module: Module, signature: Signature | None) -> str | None:
    if module.predict is None or signature is None:
        return None
    before, value = _returned(module, module.predict)
    end = [*before, f"return {value}"]
    body = paragraphs(head_of(module, signature), _code(module.predict), end)
    define = definition("predict", signature.parameters())
    one = len(module.outputs) == 1
    summary = f"The output {module.outputs[0][0]}." if one else "A dict of the outputs."
    return function(define, summary, signature.describe(), body)


def _step(module: Module) -> str:
    """The names that `step` runs over."""
    graded = {name for name, _ in module.gradients}
    names = [p.name for p in module.parameters if p.name in graded]
    if len(names) == len(module.parameters):
        return "PARAMETERS"
    return tuple_code(f'"{name}"' for name in names)


# Tables, documentation, checks


def _table(name: str, declarations: Sequence[Declaration]) -> list[str]:
    rows = [
        f'"{d.name}": {tuple_code(f"{chr(34)}{size}{chr(34)}" for size in d.shape)}'
        for d in declarations
    ]
    return display(f"{name} = {{", rows, "}", LINE_WIDTH)


def _usage(module: Module, forward: Signature) -> list[str]:
    """How to call the module, in three lines."""
    sizes = [f"{size}={size}" for size in _parameter_sizes(module)]
    init = call("params = init(", ["np.random.default_rng(0)", *sizes])
    if module.loss is not None:
        run = call("loss, grads = value_and_grad(", forward.usage())
        if module.update is None:
            return [*init, *run, "step(params, grads, learning_rate=0.1)"]
        state = ["state = init_state(params)"]
        return [*init, *state, *run, "step(params, grads, state, learning_rate=0.01)"]
    output = module.outputs[0][0] if len(module.outputs) == 1 else "outputs"
    run = call(f"{output}, cache = forward(", forward.usage())
    back = call("grads = backward(", ["params", "cache", *_seed_arguments(module)])
    return [*init, *run, *back]


def _checks(module: Module, signatures: Sequence[Signature]) -> dict[str, Any]:
    """Which of the checks the module calls."""
    return {
        "integers": tuple_code(f'"{i.name}"' for i in module.inputs if i.integer),
        "has_integers": any(i.integer for i in module.inputs),
        "batch": any(s.batch for s in signatures),
        "shapes": any(s.plan.checks for s in signatures),
        "solve": any(s.plan.solves for s in signatures),
        "size": any(s.plan.open for s in signatures),
        "number": any(s.constants for s in signatures) or module.update is not None,
        "place": any(s.places for s in signatures),
        "gather": any(s.gathers for s in signatures),
        "sums_to_one": any(i.sums_to_one is not None for s in signatures for i in s.inputs),
        "laws": {d.law for s in signatures for d in s.noise},
        "adjoint": bool(_adjoint_facts(module)),
        "shaped": any(callable(p.init) for p in module.parameters),
    }
