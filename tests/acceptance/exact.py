"""NumPy formulas over mpmath numbers: a naive definition, evaluated with digits enough to be exact.

Arrays hold mpmath floats (dtype object), so that sums, products and `@` are NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

exp, log, sqrt = (np.frompyfunc(f, 1, 1) for f in (mpmath.exp, mpmath.log, mpmath.sqrt))
sin, cos, erf = (np.frompyfunc(f, 1, 1) for f in (mpmath.sin, mpmath.cos, mpmath.erf))
tanh, sinh, cosh = (np.frompyfunc(f, 1, 1) for f in (mpmath.tanh, mpmath.sinh, mpmath.cosh))
_number = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
pi = mpmath.pi


def array(a: Any) -> Any:
    """The floats of an array, exactly."""
    return np.asarray(_number(np.asarray(a)), dtype=object)


def gradient(f: Callable[[Any], Any], x: Any) -> Any:
    """∂f/∂x of a scalar f by central differences: right to two thirds of the digits."""
    h = mpmath.mpf(10) ** (-mpmath.mp.dps // 3)
    slopes = np.empty(np.shape(x), dtype=object)
    for position in np.ndindex(slopes.shape):
        step = np.zeros(slopes.shape, dtype=object)
        step[position] = h
        slopes[position] = (f(x + step) - f(x - step)) / (2 * h)
    return slopes


def floats(a: Any) -> Any:
    """Rounded to float64."""
    return np.asarray(a, dtype=object).astype(np.float64)
