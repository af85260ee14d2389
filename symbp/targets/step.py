"""The functions `init_state` and `step` of an emitted module as finished text, for the templates."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from symbp.ir.module import Update
from symbp.layout import (
    BODY_WIDTH,
    LINE_WIDTH,
    definition,
    display,
    function,
    indented,
    paragraphs,
    step_lines,
)
from symbp.shapes import tuple_code

WITH_STATE = "Parameters and state are written to; gradients are not."


def update_texts(update: Update) -> dict[str, Any]:
    """What the templates need of an optimiser: its two functions, and the names that they check."""
    code = update.code
    begin = [f'"{name}": {value}' for name, value in code.numbers.items()]
    for name, value in code.arrays.items():
        like = "np.zeros_like(params[name])"
        like = like if float(value) == 0 else f"np.full_like(params[name], {value})"
        begin.append(f'"{name}": {{name: {like} for name in {update.variable}}}')
    state = display("return {", begin, "}")
    if code.arrays:
        state = ['_check_names("params", params)', *state]
    return {
        "names": display("OPTIMIZER = (", [f'"{name}"' for name in update.names], ")", LINE_WIDTH),
        "variable": update.variable,
        "trained": display(
            f"{update.variable} = (", [f'"{n}"' for n in update.over], ")", LINE_WIDTH
        ),
        "all": update.variable == "PARAMETERS",
        "init_state": "\n".join(indented(state)),
        "step": _step_function(update),
        "keys": tuple_code(f'"{name}"' for name in (*code.numbers, *code.arrays)),
        "arrays": tuple_code(f'"{name}"' for name in code.arrays),
        "has_state": bool(code.numbers or code.arrays),
        "has_arrays": bool(code.arrays),
    }


def _step_function(update: Update) -> str:
    """One step, with the hyper-parameters of its optimisers as keywords."""
    constants = update.code.constants
    given = [c.name for c in constants if c.default is None]
    keywords = [f"{c.name}={c.default!r}" for c in constants if c.default is not None]
    details = [line for text in update.texts for line in [*_wrapped(text), ""]]
    details += _wrapped(
        "w and g stand for a parameter and its gradient, p for an entry of any parameter, k for the step."
    )
    head = ["_check_step(params, grads, state)"]
    head += [f'{c.name} = _number("{c.name}", {c.name})' for c in constants]
    lines = [text for line in update.code.lines for text in step_lines(line, BODY_WIDTH)]
    arguments = ["params", "grads", "state", *given, *(["*", *keywords] if keywords else [])]
    body = paragraphs([*head, *update.code.head], lines)
    return function(
        definition("step", arguments), f"One step, in place. {WITH_STATE}", details, body
    )


def _wrapped(text: str) -> list[str]:
    """Paragraphs of a docstring, whatever stands in them, in lines of a function's body."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return [line for part in paragraphs for line in wrap(part, BODY_WIDTH)]
