# Digest of what follows, as symbp wrote it: 591b9ad354f6c479
"""softmax_regression: a loss, its gradients and a step of training, in NumPy alone.

    z[s,i] = b[i] + Σ_j W[i,j] x[s,j]
    y[s,i] = exp(z[s,i]) / Σ_c exp(z[s,c])
    loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i])

Use:

    params = init(np.random.default_rng(0), d=d, k=k)
    loss, grads = value_and_grad(params, x, t)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"W": ("k", "d"), "b": ("k",)}
INPUTS = {"x": ("n", "d"), "t": ("n", "k")}


def init(rng, *, d, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W = rng.normal(0, np.sqrt(1 / d), (k, d))
    b = np.zeros(k)
    params = {"W": W, "b": b}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t):
    """The loss, and the cache that backward reads.

    x: (n, d)
    t: (n, k), sums to 1 over axis 1
    """
    arrays = _arrays(params, x=x, t=t)
    W, b, x, t = arrays.values()
    k, d = W.shape
    n = x.shape[0]
    _check_shapes(arrays, b=(k,), x=(n, d), t=(n, k))
    _check_sums_to_one("t", t, axis=1)

    # z[s,i] = b[i] + Σ_j W[i,j] x[s,j]  (n, k)
    z = x @ W.T + b
    # max_z[s] = max_i z[s,i]  (n,)
    max_z = z.max(axis=1)
    # exp_z[s,i] = exp(z[s,i] − max_z[s])  (n, k)
    exp_z = np.exp(z - max_z[:, None])
    # sum_exp_z[s] = Σ_i exp_z[s,i]  (n,)
    sum_exp_z = exp_z.sum(axis=1)
    # y[s,i] = exp(z[s,i]) / Σ_c exp(z[s,c])  (n, k)
    y = exp_z / sum_exp_z[:, None]
    # loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i])
    loss = -(t * (z - max_z[:, None] - np.log(sum_exp_z)[:, None])).sum() / n

    cache = (x, t, y, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    x, t, y, n = cache

    # ∂L/∂z[s,i] = (y[s,i] − t[s,i]) / n  (n, k)
    dz = (y - t) / n
    # ∂L/∂W[i,j] = Σ_s ∂L/∂z[s,i] x[s,j]  (k, d)
    dW = dz.T @ x
    # ∂L/∂b[i] = Σ_s ∂L/∂z[s,i]  (k,)
    db = dz.sum(axis=0)

    return {"W": dW, "b": db}


def value_and_grad(params, x, t):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (n, d)
    """
    arrays = _arrays(params, "n", x=x)
    W, b, x = arrays.values()
    k, d = W.shape
    n = x.shape[0]
    _check_shapes(arrays, b=(k,), x=(n, d))

    # z[s,i] = b[i] + Σ_j W[i,j] x[s,j]  (n, k)
    z = x @ W.T + b
    # max_z[s] = max_i z[s,i]  (n,)
    max_z = z.max(axis=1)
    # exp_z[s,i] = exp(z[s,i] − max_z[s])  (n, k)
    exp_z = np.exp(z - max_z[:, None])
    # sum_exp_z[s] = Σ_i exp_z[s,i]  (n,)
    sum_exp_z = exp_z.sum(axis=1)
    # y[s,i] = exp(z[s,i]) / Σ_c exp(z[s,c])  (n, k)
    y = exp_z / sum_exp_z[:, None]

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


def _check_sums_to_one(name, array, axis):
    """The array sums to 1 over this axis, within rounding; NaN is let through."""
    error = np.abs(array.sum(axis=axis) - 1)
    if np.any(error > (1e-4 if array.dtype == np.float32 else 1e-6)):
        worst = np.nanmax(error)
        raise ValueError(f"{name}: must sum to 1 over axis {axis}, is off by {worst}")
