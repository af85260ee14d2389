# Digest of what follows, as symbp wrote it: 175137a1a7b5e609
"""logistic_regression: a loss, its gradients and a step of training, in NumPy alone.

    z[s] = b + Σ_j w[j] x[s,j]
    y[s] = 1 / (1 + exp(−z[s]))
    loss = −(1 / n) Σ_s (t[s] log(y[s]) + (1 − t[s]) log(1 − y[s]))

Use:

    params = init(np.random.default_rng(0), d=d)
    loss, grads = value_and_grad(params, x, t)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"w": ("d",), "b": ()}
INPUTS = {"x": ("n", "d"), "t": ("n",)}


def init(rng, *, d, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    w = np.zeros(d)
    b = np.zeros(())
    params = {"w": w, "b": b}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t):
    """The loss, and the cache that backward reads.

    x: (n, d)
    t: (n,)
    """
    arrays = _arrays(params, x=x, t=t)
    w, b, x, t = arrays.values()
    d = w.shape[0]
    n = x.shape[0]
    _check_shapes(arrays, x=(n, d), t=(n,))

    # z[s] = b + Σ_j w[j] x[s,j]  (n,)
    z = x @ w + b
    # y[s] = 1 / (1 + exp(−z[s]))  (n,)
    y = np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))
    # loss = −(1 / n) Σ_s (t[s] log(y[s]) + (1 − t[s]) log(1 − y[s]))
    loss = (np.logaddexp(0, z) * (1 - t) + t * np.logaddexp(0, -z)).sum() / n

    cache = (x, t, y, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    x, t, y, n = cache

    # ∂L/∂z[s] = (y[s] − t[s]) / n  (n,)
    dz = (y - t) / n
    # ∂L/∂w[j] = Σ_s ∂L/∂z[s] x[s,j]  (d,)
    dw = x.T @ dz
    # ∂L/∂b = Σ_s ∂L/∂z[s]
    db = dz.sum()

    return {"w": dw, "b": np.array(db)}


def value_and_grad(params, x, t):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (n, d)
    """
    arrays = _arrays(params, "n", x=x)
    w, b, x = arrays.values()
    d = w.shape[0]
    n = x.shape[0]
    _check_shapes(arrays, x=(n, d))

    # z[s] = b + Σ_j w[j] x[s,j]  (n,)
    z = x @ w + b
    # y[s] = 1 / (1 + exp(−z[s]))  (n,)
    y = np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))

    return y


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


# Checks at entry

_AXES = PARAMETERS | INPUTS


def _arrays(params, /, *batch, **inputs):
    """Parameters, then inputs, by name: arrays of the declared ranks, of one float type.

    No axis is empty, but for those of the sizes in batch.
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
            if got == 0 and size not in batch:
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


def _check_shapes(arrays, /, **shapes):
    """Each array has its shape; else an error names the axis and where its size is from."""
    for name, shape in shapes.items():
        for axis, (expected, got) in enumerate(zip(shape, arrays[name].shape)):
            if got != expected:
                text = _AXES[name][axis]
                first = next(other for other in arrays if text in _AXES[other])
                value = "" if text == str(expected) else f" = {expected}"
                source = "" if first == name else f" (from {first})"
                raise ValueError(
                    f"{name}: axis {axis} must have size {text}{value}{source}, got {got}"
                )
