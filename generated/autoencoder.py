# Digest of what follows, as symbp wrote it: a823301fec6e3bab
"""autoencoder: a loss, its gradients and a step of training, in NumPy alone.

    z[s,a] = b[a] + Σ_j W[a,j] x[s,j]
    h[s,a] = tanh(z[s,a])
    r[s,j] = c[j] + Σ_a W[a,j] h[s,a]
    loss = (1 / n) Σ_{s,j} (r[s,j] − x[s,j])²

Use:

    params = init(np.random.default_rng(0), d=d, m=m)
    loss, grads = value_and_grad(params, x)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"W": ("m", "d"), "b": ("m",), "c": ("d",)}
INPUTS = {"x": ("n", "d")}


def init(rng, *, d, m, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W = rng.normal(0, np.sqrt(1 / d), (m, d))
    b = np.zeros(m)
    c = np.zeros(d)
    params = {"W": W, "b": b, "c": c}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x):
    """The loss, and the cache that backward reads.

    x: (n, d)
    """
    arrays = _arrays(params, x=x)
    W, b, c, x = arrays.values()
    m, d = W.shape
    n = x.shape[0]
    _check_shapes(arrays, b=(m,), c=(d,), x=(n, d))

    # z[s,a] = b[a] + Σ_j W[a,j] x[s,j]  (n, m)
    z = x @ W.T + b
    # h[s,a] = tanh(z[s,a])  (n, m)
    h = np.tanh(z)
    # r[s,j] = c[j] + Σ_a W[a,j] h[s,a]  (n, d)
    r = h @ W + c
    # loss = (1 / n) Σ_{s,j} (r[s,j] − x[s,j])²
    loss = ((r - x) ** 2).sum() / n

    cache = (x, h, r, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    W = _array("W", params["W"])
    x, h, r, n = cache

    # ∂L/∂r[s,j] = 2 (r[s,j] − x[s,j]) / n  (n, d)
    dr = 2 / n * (r - x)
    # ∂L/∂z[s,a] = (1 − h[s,a]²) Σ_j ∂L/∂r[s,j] W[a,j]  (n, m)
    dz = (1 - h**2) * (dr @ W.T)
    # ∂L/∂W[a,j] = (Σ_s ∂L/∂r[s,j] h[s,a]) + Σ_s ∂L/∂z[s,a] x[s,j]  (m, d)
    dW = h.T @ dr + dz.T @ x
    # ∂L/∂b[a] = Σ_s ∂L/∂z[s,a]  (m,)
    db = dz.sum(axis=0)
    # ∂L/∂c[j] = Σ_s ∂L/∂r[s,j]  (d,)
    dc = dr.sum(axis=0)

    return {"W": dW, "b": db, "c": dc}


def value_and_grad(params, x):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x)
    return loss, backward(params, cache)


def predict(params, x):
    """The output r.

    x: (n, d)
    """
    arrays = _arrays(params, "n", x=x)
    W, b, c, x = arrays.values()
    m, d = W.shape
    n = x.shape[0]
    _check_shapes(arrays, b=(m,), c=(d,), x=(n, d))

    # z[s,a] = b[a] + Σ_j W[a,j] x[s,j]  (n, m)
    z = x @ W.T + b
    # h[s,a] = tanh(z[s,a])  (n, m)
    h = np.tanh(z)
    # r[s,j] = c[j] + Σ_a W[a,j] h[s,a]  (n, d)
    r = h @ W + c

    return r


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
