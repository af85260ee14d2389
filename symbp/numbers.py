"""The kinds of number that `evaluate` computes with: NumPy's, and multiprecision ones in object arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle
from random import Random
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Expr

Array = NDArray[Any]
Functions = Mapping[str, Callable[..., Any]]

_TRANSCENDENTAL = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh")


@dataclass(frozen=True)
class Numbers:
    """A kind of number: how its arrays are made, and what functions and arithmetic do to them."""

    array: Callable[[ArrayLike], Array]  # from real data
    number: Callable[[Expr], Any]  # from a finite SymPy number
    real: Callable[[Array], Array]  # what comparisons look at
    functions: Functions  # by SymPy's name
    add: Any = np.add  # a ufunc, for it reduces too
    multiply: Any = np.multiply
    power: Any = np.power


def _erf(x: Array) -> Array:
    """The error function of real, longdouble or barely complex arguments, as a complex step makes them."""
    if np.iscomplexobj(x):
        # erf(a + ib) = erf(a) + ib 2/√π exp(−a²) + O(b²), and b² is far below rounding.
        slope = 2 / math.sqrt(math.pi) * np.exp(-x.real * x.real)
        return np.asarray(_erf(x.real) + 1j * (x.imag * slope))
    if x.dtype == np.float64:
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))
    import mpmath  # type: ignore[import-untyped]  # for longdouble alone

    with mpmath.mp.workdps(25):
        erf = np.vectorize(lambda v: str(mpmath.erf(mpmath.mpf(str(v)))), otypes=[object])
        return np.asarray(erf(x), x.dtype)


_NUMPY_FUNCTIONS: Functions = {
    **{name: getattr(np, name) for name in _TRANSCENDENTAL},
    "erf": _erf,
    "floor": lambda x: np.floor(x.real),
    "ceiling": lambda x: np.ceil(x.real),
}


def numpy_numbers(dtype: type[np.inexact[Any]]) -> Numbers:
    """The numbers of a NumPy dtype, real or complex. Comparisons of complex numbers look at the real part."""
    scalar: Any = np.longdouble if dtype is np.longdouble else np.float64

    def number(expr: Expr) -> Any:
        if expr.is_Rational:
            return scalar(expr.p) / scalar(expr.q)
        return scalar(float(expr) if expr.is_Float else str(expr.evalf(25)))  # or π and such

    return Numbers(lambda data: np.asarray(data, dtype), number, np.real, _NUMPY_FUNCTIONS)


def _multiply_complex(a: Array, b: Array) -> Array:
    """The product, where −∞ without an imaginary part times a real number is no NaN."""
    product = np.asarray(a * b)
    if np.isfinite(product).all():
        return product
    return np.where((a.imag == 0) & (b.imag == 0), a.real * b.real + 0j, product)


FLOAT64 = numpy_numbers(np.float64)
LONGDOUBLE = numpy_numbers(np.longdouble)
COMPLEX128 = replace(numpy_numbers(np.complex128), multiply=_multiply_complex)


@lru_cache(maxsize=16)
def _context(digits: int) -> Any:
    """mpmath with a precision of its own."""
    import mpmath  # only extreme inputs need it

    context = mpmath.mp.clone()
    context.dps = digits + 2  # noise is in the last of `digits`
    return context


@lru_cache(maxsize=16)
def _noise(digits: int) -> list[Any]:
    """Random numbers that differ from 1 by a few units of the last digit; a prime number of them, to be cycled."""
    mpf, draw = _context(digits).mpf, Random(0).uniform
    return [1 + draw(-5, 5) * mpf(10) ** -digits for _ in range(997)]


class Multiprecision:
    """Real numbers of `digits` decimal digits and practically unlimited exponents.

    `gap` is the largest difference of two summands' magnitudes so far, in digits: where it comes near `digits`, a
    summand was lost. With `noise`, every sum is off by a random few units of its last digit, so that a result that
    depends on what was lost is another each time. What has no real value (log(−1), 1/0) is NaN, and so is what would
    cost too much: most functions of numbers beyond 2⁶⁴.
    """

    def __init__(self, digits: int, noise: bool = False) -> None:
        self.digits = digits
        self._gap = 0  # in bits
        self._context = context = _context(digits)
        self._noise = cycle(_noise(digits)) if noise else None
        functions = {name: self._elementwise(getattr(context, name)) for name in ("log", "floor")}
        functions["ceiling"] = self._elementwise(context.ceil)
        for name in ("exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf"):
            functions[name] = self._elementwise(self._bounded(name))
        convert = np.frompyfunc(context.mpf, 1, 1)
        self.numbers = Numbers(
            array=lambda data: np.asarray(convert(data), object),
            number=self._number,
            real=lambda x: x,
            functions=functions,
            add=np.frompyfunc(self._add, 2, 1, identity=context.zero),
            power=self._elementwise(self._power, arity=2),
        )

    def _number(self, expr: Expr) -> Any:
        mpf = self._context.mpf
        if expr.is_Rational:
            return mpf(int(expr.p)) / int(expr.q)
        return mpf(float(expr)) if expr.is_Float else mpf(str(expr.evalf(self.digits + 5)))

    @property
    def gap(self) -> float:
        return self._gap * math.log10(2)

    def _add(self, a: Any, b: Any) -> Any:
        # mag(a) is exponent + bits; what has no bits is 0 or not finite
        (_, some, exponent, bits), (_, others, other, more) = a._mpf_, b._mpf_
        if some and others:
            gap = abs(exponent + bits - other - more)
            if gap > self._gap:
                self._gap = gap
        return a + b if self._noise is None else (a + b) * next(self._noise)

    def _power(self, base: Any, exponent: Any) -> Any:
        if not base or abs(exponent) * abs(self._context.mag(base)) < 2**64:
            return base**exponent
        return self._context.nan

    def _bounded(self, name: str) -> Callable[[Any], Any]:
        """A function whose cost grows with its argument's magnitude: beyond 2⁶⁴ a limit, or given up."""
        context, function = self._context, getattr(self._context, name)

        def bounded(x: Any) -> Any:
            if context.mag(x) <= 64:
                return function(x)
            if name in ("tanh", "erf"):
                return context.sign(x)
            if name != "exp":
                return context.nan
            return context.inf if x > 0 else context.zero

        return bounded

    def _elementwise(self, function: Callable[..., Any], arity: int = 1) -> Any:
        """A function on object arrays, NaN where it has no real value."""
        context = self._context

        def guarded(*args: Any) -> Any:
            try:
                result = function(*args)
            except (ZeroDivisionError, ValueError, OverflowError):
                return context.nan
            return result if isinstance(result, context.mpf) else context.nan

        return np.frompyfunc(guarded, arity, 1)
