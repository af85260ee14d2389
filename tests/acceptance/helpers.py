"""What the acceptance tests share: run an emitted module, differentiate a NumPy function.

The emitted code always runs with warnings as errors, on arrays that may not be written to.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from symbp import Network, derive

Array = Any  # of floats, or of mpmath numbers
Arrays = Mapping[str, Array]


def load(net: Network, wrt: Sequence[str] | None = None) -> ModuleType:
    """The emitted module of a network; `wrt` as in `derive`."""
    module: ModuleType = (derive(net) if wrt is None else derive(net, wrt=list(wrt))).load()
    return module


def frozen(arrays: Arrays, dtype: DTypeLike = np.float64) -> dict[str, Array]:
    """Read-only copies in one dtype: code that writes to its arguments fails."""
    copies = {name: np.array(a, dtype=dtype) for name, a in arrays.items()}
    for copy in copies.values():
        copy.setflags(write=False)
    return copies


def run(
    module: ModuleType, arrays: Arrays, adjoint: Any = None, **constants: Any
) -> tuple[Any, dict[str, Array]]:
    """(loss, gradients); of a layer, given its adjoint, (outputs, vector-Jacobian products)."""
    params = {name: arrays[name] for name in module.PARAMETERS}
    taken = inspect.signature(module.forward).parameters
    inputs = {name: arrays[name] for name in module.INPUTS if name in taken}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, cache = module.forward(params, **inputs, **constants)
        if adjoint is None:
            return value, module.backward(params, cache)
        return value, module.backward(params, cache, adjoint)


def central_difference(
    f: Callable[..., Array], arrays: Arrays, name: str, h: float = 1e-6
) -> Array:
    """The Jacobian of f(**arrays) in one argument, in float64: the axes of f, then those of it."""
    at = np.array(arrays[name], dtype=np.float64)
    columns = []
    for position in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[position] += h
        down[position] -= h
        rise = np.asarray(f(**{**arrays, name: up})) - np.asarray(f(**{**arrays, name: down}))
        columns.append(rise / (2 * h))
    return np.stack(columns, axis=-1).reshape(columns[0].shape + at.shape)


def vjp(jacobian: Array, adjoint: Array) -> Array:
    """Σ over the axes of f: adjoint times Jacobian."""
    return np.tensordot(adjoint, jacobian, axes=np.ndim(adjoint))


def assert_close(
    got: ArrayLike, want: ArrayLike, rtol: float, floor: float = 0.0, what: str = ""
) -> None:
    """Same shape, finite, and the largest error at most rtol × the larger of `floor` and max |want|."""
    got, want = np.asarray(got, dtype=np.float64), np.asarray(want, dtype=np.float64)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, not {want.shape}"
    error = float(np.max(np.abs(got - want), initial=0.0))
    bound = rtol * float(np.max(np.abs(want), initial=floor))
    assert np.all(np.isfinite(got)), f"{what}: {got} is not finite, want {want}"
    assert error <= bound, f"{what}: {got}, not {want}: error {error:.2e}"
