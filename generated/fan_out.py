# Digest of what follows, as symbp wrote it: f8cf84fd901cd911
"""fan_out: a loss, its gradients and a step of training, in NumPy alone.

    x = t²
    y = sin(t)
    f = x² + x y
    loss = f

Use:

    params = init(np.random.default_rng(0))
    loss, grads = value_and_grad(params)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"t": ()}
INPUTS = {}


def init(rng, *, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    t = np.zeros(())
    params = {"t": t}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params):
    """The loss, and the cache that backward reads."""
    arrays = _arrays(params)
    (t,) = arrays.values()

    # x = t²
    x = t**2
    # y = sin(t)
    y = np.sin(t)
    # f = x² + x y
    f = x**2 + x * y
    # loss = f
    loss = f

    cache = (x, y)
    return loss.copy(), cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    t = _array("t", params["t"])
    x, y = cache

    # ∂L/∂t = 2 t (2 x + y) + x cos(t)
    dt = x * np.cos(t) + 2 * t * (2 * x + y)

    return {"t": np.array(dt)}


def value_and_grad(params):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params)
    return loss, backward(params, cache)


def predict(params):
    """The output f."""
    arrays = _arrays(params)
    (t,) = arrays.values()

    # x = t²
    x = t**2
    # y = sin(t)
    y = np.sin(t)
    # f = x² + x y
    f = x**2 + x * y

    return f


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


# Checks at entry

_AXES = PARAMETERS | INPUTS


def _arrays(params, /, **inputs):
    """Parameters, then inputs, by name: arrays of the declared ranks, of one float type.

    No axis is empty.
    """
    for name in [*PARAMETERS, *params]:
        if name not in params:
            raise KeyError(f"params: {name} is missing")
        if name not in PARAMETERS:
            raise KeyError(f"params: {name} is unknown")
    arrays = {name: _array(name, params[name]) for name in PARAMETERS}
    arrays |= {name: _array(name, value) for name, value in inputs.items()}
    floats = {}
    for name, array in arrays.items():
        if array.ndim != len(_AXES[name]):
            axes = ", ".join(_AXES[name])
            raise ValueError(f"{name}: needs axes ({axes}), got shape {array.shape}")
        for axis, (size, got) in enumerate(zip(_AXES[name], array.shape)):
            if got == 0:
                raise ValueError(f"{name}: axis {axis}, of size {size}, is empty")
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"{name}: must be float32 or float64, got {array.dtype}")
        floats[name] = array.dtype
        first = next(iter(floats))
        if array.dtype != floats[first]:
            raise TypeError(f"{name}: is {array.dtype}, but {first} is {floats[first]}")
    return arrays


def _array(name, value):
    """The value as an array in native byte order; the same object where it is one."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: must not be masked; fill its gaps first")
    try:
        array = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{name}: {error}") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)
