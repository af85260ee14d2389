# Digest of what follows, as symbp wrote it: a1630c95b7239492
"""mlp: a loss, its gradients and a step of training, in NumPy alone.

    z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]
    h1[s,a] = max(0, z1[s,a])
    z2[s,i] = b2[i] + Σ_a W2[i,a] h1[s,a]
    y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c])
    loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i])

Use:

    params = init(np.random.default_rng(0), d=d, k=k, h=h)
    loss, grads = value_and_grad(params, x, t)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"W1": ("h", "d"), "b1": ("h",), "W2": ("k", "h"), "b2": ("k",)}
INPUTS = {"x": ("n", "d"), "t": ("n", "k")}


def init(rng, *, d, k, h, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W1 = rng.normal(0, np.sqrt(1 / d), (h, d))
    b1 = np.zeros(h)
    W2 = rng.normal(0, np.sqrt(1 / h), (k, h))
    b2 = np.zeros(k)
    params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t):
    """The loss, and the cache that backward reads.

    x: (n, d)
    t: (n, k), sums to 1 over axis 1
    """
    arrays = _arrays(params, x=x, t=t)
    W1, b1, W2, b2, x, t = arrays.values()
    h, d = W1.shape
    k = W2.shape[0]
    n = x.shape[0]
    _check_shapes(arrays, b1=(h,), W2=(k, h), b2=(k,), x=(n, d), t=(n, k))
    _check_sums_to_one("t", t, axis=1)

    # z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]  (n, h)
    z1 = x @ W1.T + b1
    # h1[s,a] = max(0, z1[s,a])  (n, h)
    h1 = np.maximum(z1, 0)
    # z2[s,i] = b2[i] + Σ_a W2[i,a] h1[s,a]  (n, k)
    z2 = h1 @ W2.T + b2
    # max_z2[s] = max_i z2[s,i]  (n,)
    max_z2 = z2.max(axis=1)
    # exp_z2[s,i] = exp(z2[s,i] − max_z2[s])  (n, k)
    exp_z2 = np.exp(z2 - max_z2[:, None])
    # sum_exp_z2[s] = Σ_i exp_z2[s,i]  (n,)
    sum_exp_z2 = exp_z2.sum(axis=1)
    # y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c])  (n, k)
    y = exp_z2 / sum_exp_z2[:, None]
    # loss = −(1 / n) Σ_{s,i} t[s,i] log(y[s,i])
    loss = -(t * (z2 - max_z2[:, None] - np.log(sum_exp_z2)[:, None])).sum() / n

    cache = (x, t, h1, y, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    W2 = _array("W2", params["W2"])
    x, t, h1, y, n = cache

    # ∂L/∂z2[s,i] = (y[s,i] − t[s,i]) / n  (n, k)
    dz2 = (y - t) / n
    # ∂L/∂z1[s,a] = [h1[s,a] > 0] Σ_i ∂L/∂z2[s,i] W2[i,a]  (n, h)
    dz1 = (dz2 @ W2) * (h1 > 0)
    # ∂L/∂W1[a,j] = Σ_s ∂L/∂z1[s,a] x[s,j]  (h, d)
    dW1 = dz1.T @ x
    # ∂L/∂b1[a] = Σ_s ∂L/∂z1[s,a]  (h,)
    db1 = dz1.sum(axis=0)
    # ∂L/∂W2[i,a] = Σ_s ∂L/∂z2[s,i] h1[s,a]  (k, h)
    dW2 = dz2.T @ h1
    # ∂L/∂b2[i] = Σ_s ∂L/∂z2[s,i]  (k,)
    db2 = dz2.sum(axis=0)

    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def value_and_grad(params, x, t):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (n, d)
    """
    arrays = _arrays(params, "n", x=x)
    W1, b1, W2, b2, x = arrays.values()
    h, d = W1.shape
    k = W2.shape[0]
    n = x.shape[0]
    _check_shapes(arrays, b1=(h,), W2=(k, h), b2=(k,), x=(n, d))

    # z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]  (n, h)
    z1 = x @ W1.T + b1
    # h1[s,a] = max(0, z1[s,a])  (n, h)
    h1 = np.maximum(z1, 0)
    # z2[s,i] = b2[i] + Σ_a W2[i,a] h1[s,a]  (n, k)
    z2 = h1 @ W2.T + b2
    # max_z2[s] = max_i z2[s,i]  (n,)
    max_z2 = z2.max(axis=1)
    # exp_z2[s,i] = exp(z2[s,i] − max_z2[s])  (n, k)
    exp_z2 = np.exp(z2 - max_z2[:, None])
    # sum_exp_z2[s] = Σ_i exp_z2[s,i]  (n,)
    sum_exp_z2 = exp_z2.sum(axis=1)
    # y[s,i] = exp(z2[s,i]) / Σ_c exp(z2[s,c])  (n, k)
    y = exp_z2 / sum_exp_z2[:, None]

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
