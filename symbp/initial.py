"""Initial values of parameters, as the code of the emitted `init`.

Axis 0 of a parameter counts what it gives and the axes after it what it sums over: fan-out is the size of axis 0,
fan-in the product of the others (1 where there are none).
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import symtable
import textwrap
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

import numpy as np
from sympy import Integer, prod

from symbp.errors import ModelError
from symbp.ir.network import Declaration
from symbp.shapes import size_code, tuple_code


def initial_code(parameter: Declaration, functions: Mapping[str, str]) -> str:
    """An expression in `rng`, `dtype` and the sizes for fresh values of a parameter, in float64 or any other dtype.

    `functions` gives the names of `init=` functions, as `function_names` does.
    "normal" has mean 0 and variance 1/fan-in, "he" 2/fan-in and "glorot" 2/(fan-in + fan-out).
    """
    shape, init = parameter.shape, parameter.init
    sizes = size_code(shape[0]) if len(shape) == 1 else tuple_code(map(size_code, shape))
    fan_in, fan_out = prod(shape[1:], start=Integer(1)), shape[0] if shape else Integer(1)
    variance = {"normal": (1, fan_in), "he": (2, fan_in), "glorot": (2, fan_in + fan_out)}
    if init is None:
        init = "zeros" if len(shape) < 2 else "normal"
    if init in ("zeros", "ones"):
        return f"np.{init}({sizes})"
    if isinstance(init, str):
        numerator, size = variance[init]
        divisor = size_code(size)
        if not divisor.isalnum() and not divisor.isidentifier():
            divisor = f"({divisor})"
        return f"rng.normal(0, np.sqrt({numerator} / {divisor}), {sizes})"
    if callable(init):
        shape_code = tuple_code(map(size_code, shape))
        return f'_shaped("{parameter.name}", {functions[parameter.name]}(rng, {shape_code}, dtype), {shape_code})'
    return f"np.full({sizes}, {float(init)!r})"


def function_names(parameters: Iterable[Declaration]) -> dict[str, str]:
    """parameter -> `_init_<name>` of its `init=` function: one for all that have it, told apart where names meet."""
    own = [p for p in parameters if callable(p.init)]
    names: dict[int, str] = {}
    for p in own:
        name = f"_init_{getattr(p.init, '__name__', p.name)}"
        names.setdefault(id(p.init), f"{name}_{p.name}" if name in names.values() else name)
    return {p.name: names[id(p.init)] for p in own}


def initial_function(parameter: Declaration, called: str) -> str:
    """The source of a parameter's own `init=` function, under the name `called`.

    Raises `ModelError` where the function cannot stand alone in a module: it must be a plain `def` that reads nothing
    but its arguments, builtins and `np`.
    """
    function = parameter.init

    def refusal(reason: str) -> ModelError:
        return ModelError(
            f"param {parameter.name}: its init function cannot be emitted: {reason}",
            parameter.where,
        )

    if not isinstance(function, FunctionType) or not function.__name__.isidentifier():
        raise refusal("it is no plain function; write a def")
    if function.__closure__:
        raise refusal(f"it reads {function.__code__.co_freevars[0]} from the function around it")
    source = _source(function)
    if source is None:
        raise refusal("its source is not available")
    (definition,) = ast.parse(source).body
    if not isinstance(definition, ast.FunctionDef) or definition.decorator_list:
        raise refusal("it is decorated or no plain def")
    if any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(definition)):
        raise refusal("it imports; use np, which the module imports")
    for name in sorted(_outside_names(source)):
        if name == "np" and function.__globals__.get("np") is np:
            continue
        if not hasattr(builtins, name) or name in function.__globals__:
            raise refusal(f"it reads {name}, which the module does not have")
    return re.sub(rf"\bdef\s+{definition.name}\b", f"def {called}", source, count=1).rstrip()


def _source(function: Callable[..., Any]) -> str | None:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return None


def _outside_names(source: str) -> set[str]:
    """The names that a function definition takes from its module, in its defaults and annotations too."""
    top = symtable.symtable(source, "<init>", "exec")
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        names |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
        tables.extend(table.get_children())
    return names
