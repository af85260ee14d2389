"""The language: sizes, indices, tensors, and the `Network` that collects them. SymPy does the rest.

Everything is checked at the statement that says it, so that a mistake is reported where it stands.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import replace
from typing import Any, NoReturn

from sympy import Basic, Expr, Idx, IndexedBase, Symbol

from symbp.errors import ModelError
from symbp.expressions import ExpressionCheck, check_value
from symbp.ir.network import Declaration, Declared, Equation, Init, Kind, Law
from symbp.ir.nodes import Index
from symbp.recurrence import arranged
from symbp.tensor import Tensor
from symbp.validate import (
    caller,
    check_axes,
    check_identifier,
    check_index,
    check_network_name,
    check_size,
    check_variable,
    model_error,
    not_yet,
    show,
)

INITS = ("zeros", "ones", "normal", "glorot", "he")
"""The initial values that `init=` knows by name."""

LAWS: dict[str, dict[str, float | None]] = {
    "bernoulli": {"p": None},
    "normal": {"mean": 0, "std": 1},
}
"""The laws of noise, each with its parameters and their defaults."""


def sizes(names: str) -> Any:
    """Symbolic sizes: positive integer SymPy symbols.

    One name gives one symbol, several ("n d h") a tuple of them.
    """
    given = [check_variable("size", name) for name in _names("sizes", names)]
    symbols = tuple(Symbol(name, integer=True, positive=True) for name in given)
    return symbols[0] if len(symbols) == 1 else symbols


def indices(names: str, size: Any) -> Any:
    """Indices over 0…size−1: SymPy `Idx`. One name gives one index, several ("i c") a tuple.

    `size` is a positive integer or an integer expression of sizes.
    """
    given = [check_identifier("index", name) for name in _names("indices", names)]
    length = check_size(f"index {given[0]}", size)
    found = tuple(Idx(Symbol(name, integer=True), length) for name in given)
    return found[0] if len(found) == 1 else found


def _names(function: str, names: object) -> list[str]:
    """The names in a string, between blanks or commas: at least one, and none twice."""
    given = names.replace(",", " ").split() if isinstance(names, str) else []
    if not given:
        raise model_error(f"{function}: {show(names)} names nothing; write {function}('n d', …)")
    for name in given:
        if given.count(name) > 1:
            raise model_error(f"{function}: {name} is named twice in {show(names)}")
    return given


class Network:
    """A network written as equations.

    Each method raises `ModelError`, naming tensor and index, where the model is wrong; the network
    is then as it was before the call.
    """

    def __init__(self, name: str) -> None:
        """`name` is an identifier: the emitted module is named after it."""
        self.name = check_network_name(name)
        self._where = caller()
        self._declarations: dict[str, Declaration] = {}
        self._atoms: dict[Basic, str] = {}  # the SymPy object of each tensor -> its name
        self._equations: list[Equation] = []
        self._loss: Equation | None = None
        self._outputs: list[str] = []
        self._indices: dict[Index, None] = {}
        self._sizes: set[str] = set()

    def param(self, name: str, *indices: Index, init: Init = None) -> Tensor:
        """A trained tensor with one axis for each index; without any a scalar.

        `init` is "zeros", "ones", "normal", "glorot", "he", a number, or a function
        `(rng, shape, dtype) -> array`.
        """
        return self._declare(name, "param", indices, init=_initial(name, init))

    def input(
        self,
        name: str,
        *indices: Index,
        integer: bool = False,
        sums_to_one: Index | None = None,
    ) -> Tensor:
        """Data with one axis for each index.

        `sums_to_one=i` states that it sums to 1 over i, which is one of its own indices.
        """
        if sums_to_one is not None:
            subject = f"input {show(name)}: sums_to_one={show(sums_to_one)}"
            if not isinstance(sums_to_one, Idx) or sums_to_one not in indices:
                raise model_error(f"{subject} is none of its own indices")
            if integer:
                raise model_error(f"{subject} is not for an integer input")
        return self._declare(name, "input", indices, integer=bool(integer), sums_to_one=sums_to_one)

    def constant(self, name: str, default: float) -> Tensor:
        """A scalar hyper-parameter: a keyword argument of the emitted functions."""
        number = as_number(f"constant {show(name)}: default", default)
        return self._declare(name, "constant", (), default=number)

    def define(self, name: str | Tensor, indices: Index | tuple[Index, ...], expr: Any) -> Tensor:
        """The equation name[indices] = expr, and the tensor that it defines; or that of a recurrent tensor.

        `indices` is one index or a tuple of them, () for a scalar. They are all that may be free
        in `expr`, which reads tensors declared before it.
        """
        axes = _axes(indices)
        if isinstance(name, Tensor):
            declaration = self._recurrent(name, axes)
        else:
            declaration = self._declaration(name, "defined", axes)
        left = repr(Tensor(declaration))
        value = check_value(left, expr)
        check = self._free(left, axes, value, axes)
        tensor = name if isinstance(name, Tensor) else self._add(declaration, check)
        self._meet(check)
        self._equations.append(Equation(declaration.name, axes, value, caller()))
        return tensor

    def recurrent(
        self, name: str, indices: Index | tuple[Index, ...], over: Index, initial: Any = 0
    ) -> Tensor:
        """A tensor that refers to itself at another step of the index `over`; `define(tensor, …)` gives its equation.

        `initial`, an expression in the other indices, stands for every entry before the first step (of t − 1), or after
        the last (of t + 1).
        """
        axes = _axes(indices)
        declaration = self._declaration(name, "defined", axes)
        left = repr(Tensor(declaration))
        if over not in axes:
            raise model_error(f"recurrent {left}: over={show(over)} is none of its indices")
        value = check_value(f"{left}: initial", initial)
        check = self._free(f"{left}: initial", axes, value, tuple(i for i in axes if i != over))
        return self._add(replace(declaration, over=over, initial=value), check)

    def _free(
        self, subject: str, axes: tuple[Index, ...], value: Expr, allowed: tuple[Index, ...]
    ) -> ExpressionCheck:
        """The check of an expression in which no other indices may be free."""
        check = self._check(subject, axes)
        extra = check.free(value) - frozenset(allowed)
        if extra and allowed != axes:
            raise model_error(
                f"{subject} needs no index of its steps, but {_are(extra)} free in it"
            )
        if extra:
            raise model_error(f"{subject}: {_are(extra)} free on the right but not on the left")
        return check

    def _recurrent(self, tensor: Tensor, axes: tuple[Index, ...]) -> Declaration:
        """The declaration of a recurrent tensor that has no equation yet."""
        name = self._atoms.get(tensor.atom)
        if name is None or self._declarations[name].over is None:
            raise model_error(
                f"define: {tensor!r} is no recurrent tensor of network {self.name}; give a name"
            )
        declaration = self._declarations[name]
        first = next((eq.where for eq in self._equations if eq.name == name), None)
        if first:
            raise model_error(f"{name} is defined twice, first at {first}")
        if axes != declaration.indices:
            raise model_error(
                f"{tensor!r} is defined with other indices, ({', '.join(map(str, axes))})"
            )
        return declaration

    def output(self, *tensors: Tensor) -> None:
        """The defined tensors that `predict` returns; of a layer, what `forward` returns."""
        if not tensors:
            raise model_error("output: no tensor is given")
        names = [self._output(tensor) for tensor in tensors]
        for name in names:
            if name in self._outputs or names.count(name) > 1:
                raise model_error(f"output {name} is declared twice")
        self._outputs += names

    def loss(self, expr: Any) -> None:
        """The scalar to differentiate. Without a loss the network is a layer."""
        if self._loss is not None:
            raise model_error(f"the loss is declared twice, first at {self._loss.where}")
        check, value = self._check("loss"), check_value("loss", expr)
        free = check.free(value)
        if free:
            raise model_error(f"the loss is no scalar: {_are(free)} free; sum over it")
        if value.atoms(Symbol, IndexedBase).isdisjoint(self._atoms):
            raise model_error(
                f"the loss is {show(value)}, which reads no tensor; indices are compared by Eq, not =="
            )
        self._meet(check)
        self._loss = Equation("loss", (), value, caller())

    def random(self, name: str, *indices: Index, law: Law = "bernoulli", **numbers: Any) -> Tensor:
        """Noise with one axis for each index, drawn afresh wherever the loss is computed.

        `law="bernoulli", p=…`: 1 with probability p, else 0. `law="normal", mean=0, std=1`. p, mean and std are numbers
        or constants of the network. Where the output is predicted, the mean stands in for it.
        """
        subject = f"random {show(name)}"
        if not isinstance(law, str) or law not in LAWS:
            raise model_error(f"{subject}: law={show(law)} is unknown; known are {', '.join(LAWS)}")
        extra = [key for key in numbers if key not in LAWS[law]]
        if extra:
            raise model_error(
                f"{subject}: a {law} law takes {', '.join(LAWS[law])}, not {extra[0]}"
            )
        given = {key: value for key, value in {**LAWS[law], **numbers}.items() if value is not None}
        if len(given) < len(LAWS[law]):
            raise model_error(f"{subject}: a bernoulli law needs p=…, the probability of a 1")
        found = {key: self._of_law(f"{subject}: {key}", key, v) for key, v in given.items()}
        return self._declare(name, "random", indices, law=law, parameters=found)

    def _of_law(self, subject: str, key: str, value: Any) -> float | str:
        """A parameter of a law: a number in its range, or the name of a constant whose default is."""
        name = self._atoms.get(value.atom) if isinstance(value, Tensor) else None
        if isinstance(value, Tensor) and (
            name is None or self._declarations[name].kind != "constant"
        ):
            raise model_error(
                f"{subject}={value.name} is neither a number nor a constant of {self.name}"
            )
        if isinstance(value, Expr) and not value.is_number:
            raise model_error(f"{subject}={show(value)} is neither a number nor one constant")
        default = None if name is None else self._declarations[name].default
        number = as_number(subject, value if default is None else default)
        if key == "p" and not 0 <= number <= 1:
            raise model_error(f"{subject}={number:g} is no probability")
        if key == "std" and number < 0:
            raise model_error(f"{subject}={number:g} is negative")
        return number if name is None else name

    def expect(self, *expectations: Any, **how: Any) -> NoReturn:
        """A statement about values. Raises `ModelError`: not supported yet."""
        raise not_yet("expect")

    def declared(self) -> Declared:
        """The whole network. Raises `ModelError` where it has neither a loss nor an output."""
        if self._loss is None and not self._outputs:
            raise ModelError(f"network {self.name} has neither a loss nor an output", self._where)
        defined = {eq.name for eq in self._equations}
        for d in self._declarations.values():
            if d.kind == "defined" and d.name not in defined:
                raise ModelError(f"recurrent {Tensor(d)!r} has no equation; define it", d.where)
        equations, order = arranged(self._equations, self._declarations)
        return Declared(
            name=self.name,
            declarations=dict(self._declarations),
            equations=equations,
            loss=self._loss,
            outputs=tuple(self._outputs),
            indices=tuple(self._indices),
            order=order,
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the equations so far."""
        from symbp.notebook import network_html

        return network_html(self.name, self._written(), self._declarations.values())

    def _repr_latex_(self) -> str:
        from symbp.notebook import network_latex

        return network_latex(self._written(), self._declarations.values())

    def _written(self) -> list[Equation]:
        return [*self._equations, *([self._loss] if self._loss else [])]

    def _declaration(
        self, name: str, kind: Kind, indices: tuple[Any, ...], **more: Any
    ) -> Declaration:
        """The record of a new name, checked. The network does not know it yet."""
        check_variable("tensor" if kind == "defined" else kind, name)
        if name in self._declarations:
            first = self._declarations[name].where
            raise model_error(f"{name} is declared twice, first at {first}")
        if name in self._sizes:
            raise model_error(f"{name} is the name of a size; give the tensor another")
        return Declaration(name, kind, check_axes(name, indices), caller(), **more)

    def _declare(self, name: str, kind: Kind, indices: tuple[Any, ...], **more: Any) -> Tensor:
        declaration = self._declaration(name, kind, indices, **more)
        return self._add(declaration, self._check(name, declaration.indices))

    def _check(self, subject: str, axes: tuple[Index, ...] = ()) -> ExpressionCheck:
        """A check against all that is declared so far, which has met the axes of a left side."""
        check = ExpressionCheck(subject, self._declarations, self._atoms)
        for axis in axes:
            check.free(axis)
        return check

    def _add(self, declaration: Declaration, check: ExpressionCheck) -> Tensor:
        tensor = Tensor(declaration)
        self._meet(check, declaration.name)
        self._declarations[declaration.name] = declaration
        self._atoms[tensor.atom] = declaration.name
        return tensor

    def _meet(self, check: ExpressionCheck, name: str | None = None) -> None:
        """Take up the sizes and indices of a statement, which declares `name`."""
        names = {size.name for size in check.sizes}
        for clash in sorted(n for n in names if n == name or n in self._declarations):
            raise model_error(f"{check.subject}: {clash} names a size and a tensor; rename one")
        self._sizes |= names
        self._indices.update(check.indices)

    def _output(self, tensor: object) -> str:
        """The name of an output: a tensor that this network defines."""
        if not isinstance(tensor, Tensor):
            raise model_error(
                f"output {show(tensor)} is no tensor; give what define gave back, as in output(y)"
            )
        if self._atoms.get(tensor.atom) != tensor.name:
            raise model_error(f"output {tensor.name} is no tensor of network {self.name}")
        kind = self._declarations[tensor.name].kind
        if kind != "defined":
            raise model_error(f"output {tensor.name} is of kind {kind}; define what it gives")
        return tensor.name


def _axes(indices: object) -> tuple[Any, ...]:
    return tuple(indices) if isinstance(indices, (tuple, list)) else (indices,)


def _are(free: frozenset[Index]) -> str:
    """Free indices as a subject; with their sizes, which may be all in which two differ."""
    texts = sorted(f"{i} (over {check_index(i)})" for i in free)
    return f"index {texts[0]} is" if len(texts) == 1 else f"indices {', '.join(texts)} are"


def as_number(subject: str, value: object) -> float:
    """A finite real number of Python, NumPy or SymPy, as a float. Raises `ModelError` that begins with the subject."""
    number = math.nan
    complex_ = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
    if not (complex_ or isinstance(value, (bool, str, bytes))):
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass  # reported below, as what is not finite
    if not math.isfinite(number):
        raise model_error(f"{subject} {show(value)} is no finite real number")
    return number


def _initial(name: object, init: Init) -> Init:
    """`init=` of a parameter: a known name, a function, or a number."""
    if isinstance(init, str) and init not in INITS:
        known = ", ".join(INITS)
        raise model_error(f"param {show(name)}: init={init!r} is unknown; known are {known}")
    if init is None or isinstance(init, str) or callable(init):
        return init
    return as_number(f"param {show(name)}: init", init)
