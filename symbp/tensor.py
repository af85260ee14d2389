"""A tensor of a network, as a user writes it in formulas."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from sympy import Basic, Expr, Indexed, IndexedBase, Symbol

from symbp.ir.network import Declaration
from symbp.ir.nodes import Index
from symbp.notation import enclose, latex, lhs_latex
from symbp.pages.mathml import mathml
from symbp.validate import (
    check_entry,
    model_error,
)


def _unary(operation: Callable[[Any], Any]) -> Callable[[Tensor], Any]:
    return lambda tensor: operation(tensor._sympy_())


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    return lambda tensor, other: operation(tensor._sympy_(), other)


def _reflected(operation: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    return lambda tensor, other: operation(other, tensor._sympy_())


class Tensor:
    """A tensor of a network. `W[a, j]` is one entry of it, a SymPy expression.

    A scalar stands for itself in a formula. A tensor with axes does not: to use it without its
    indices is an error that names it.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        assumption = {"integer": True} if declaration.integer else {"real": True}
        symbol = Symbol(declaration.name, **assumption)
        self.atom: Basic = symbol
        if declaration.indices:
            self.atom = IndexedBase(symbol, shape=declaration.shape)

    @property
    def name(self) -> str:
        """The name it was declared with."""
        return self.declaration.name

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The size of each axis, an expression in the size symbols."""
        return self.declaration.shape

    @property
    def indices(self) -> tuple[Index, ...]:
        """The index of each axis, as it was declared."""
        return self.declaration.indices

    def __getitem__(self, key: Any) -> Expr:
        """The entry at these indices, one for each axis; `b[()]` is the scalar b itself."""
        places = key if isinstance(key, tuple) else (key,)
        scalars = [p.atom for p in places if isinstance(p, Tensor) and _is_integer_scalar(p)]
        entry = check_entry(self.name, self.shape, places, scalars)
        return Indexed(self.atom, *entry) if entry else self.atom

    def _sympy_(self) -> Expr:
        """What SymPy takes a scalar for. Raises `ModelError` for a tensor with axes."""
        if self.declaration.indices:
            raise model_error(f"tensor {self.name} stands without its indices; write {self!r}")
        return self.atom

    def __iter__(self) -> NoReturn:
        raise model_error(f"tensor {self.name} cannot be unpacked or iterated; write {self.name}")

    def __repr__(self) -> str:
        inner = ", ".join(map(str, self.declaration.indices))
        return f"{self.name}[{inner}]" if inner else self.name

    def _repr_latex_(self) -> str:
        """What a notebook shows: the tensor with its indices, and its shape."""
        return f"${self._latex()}$"

    def _repr_html_(self) -> str:
        return mathml(self._latex())

    def _latex(self) -> str:
        entry = lhs_latex(self.name, self.indices)
        numbers = r"\mathbb{Z}" if self.declaration.integer else r"\mathbb{R}"
        if not self.indices:
            return rf"{entry} \in {numbers}"
        sizes = [
            f"({latex(s)})" if s.is_Add and len(self.shape) > 1 else latex(s) for s in self.shape
        ]
        product = r" \times ".join(sizes)
        return rf"{enclose('(', entry, ')')} \in {numbers}^{{{product}}}"

    __neg__ = _unary(operator.neg)
    __pos__ = _unary(operator.pos)
    __abs__ = _unary(operator.abs)
    __add__, __radd__ = _binary(operator.add), _reflected(operator.add)
    __sub__, __rsub__ = _binary(operator.sub), _reflected(operator.sub)
    __mul__, __rmul__ = _binary(operator.mul), _reflected(operator.mul)
    __matmul__, __rmatmul__ = _binary(operator.matmul), _reflected(operator.matmul)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _reflected(operator.truediv)
    __floordiv__, __rfloordiv__ = _binary(operator.floordiv), _reflected(operator.floordiv)
    __mod__, __rmod__ = _binary(operator.mod), _reflected(operator.mod)
    __pow__, __rpow__ = _binary(operator.pow), _reflected(operator.pow)
    __lt__, __le__ = _binary(operator.lt), _binary(operator.le)
    __gt__, __ge__ = _binary(operator.gt), _binary(operator.ge)


def _is_integer_scalar(tensor: Tensor) -> bool:
    return tensor.declaration.integer and not tensor.declaration.indices
