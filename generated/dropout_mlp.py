# Digest of what follows, as symbp wrote it: c2cf90e3963bb5da
"""dropout_mlp: a loss, its gradients and a step of training, in NumPy alone.

    z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]
    h1[s,a] = max(0, z1[s,a])
    r1[s,a] = h1[s,a] r1_mask[s,a] / keep
    z2[s,i] = b2[i] + Σ_a W2[i,a] r1[s,a]
    y[s,i] = exp(z2[s,i]) / Σ_i' exp(z2[s,i'])
    loss = −(1 / n) Σ_s log(y[s,t[s]])

Use:

    params = init(np.random.default_rng(0), d=d, h=h, k=k)
    loss, grads = value_and_grad(params, x, t, rng=np.random.default_rng(1))
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"W1": ("h", "d"), "b1": ("h",), "W2": ("k", "h"), "b2": ("k",)}
INPUTS = {"x": ("n", "d"), "t": ("n",)}


def init(rng, *, d, h, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W1 = rng.normal(0, np.sqrt(2 / d), (h, d))
    b1 = np.zeros(h)
    W2 = rng.normal(0, np.sqrt(1 / h), (k, h))
    b2 = np.zeros(k)
    params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t, *, keep=0.5, r1_mask=None, rng=None):
    """The loss, and the cache that backward reads.

    x: (n, d)
    t: (n,), integers
    keep: a number
    r1_mask: (n, h), drawn from rng if absent
    rng: a numpy.random.Generator
    """
    arrays = _arrays(params, x=x, t=t)
    W1, b1, W2, b2, x, t = arrays.values()
    h, d = W1.shape
    k = W2.shape[0]
    n = x.shape[0]
    _check_shapes(arrays, b1=(h,), W2=(k, h), b2=(k,), x=(n, d), t=(n,))
    _check_gather("t", t, "y", 1, k)
    keep = _number("keep", keep)
    r1_mask = _bernoulli("r1_mask", r1_mask, rng, keep, (n, h), W1.dtype)

    # z1[s,a] = b1[a] + Σ_j W1[a,j] x[s,j]  (n, h)
    z1 = x @ W1.T + b1
    # h1[s,a] = max(0, z1[s,a])  (n, h)
    h1 = np.maximum(z1, 0)
    # r1[s,a] = h1[s,a] r1_mask[s,a] / keep  (n, h)
    r1 = h1 * r1_mask / keep
    # z2[s,i] = b2[i] + Σ_a W2[i,a] r1[s,a]  (n, k)
    z2 = r1 @ W2.T + b2
    # max_z2[s] = max_i z2[s,i]  (n,)
    max_z2 = z2.max(axis=1)
    # exp_z2[s,i] = exp(z2[s,i] − max_z2[s])  (n, k)
    exp_z2 = np.exp(z2 - max_z2[:, None])
    # sum_exp_z2[s] = Σ_i exp_z2[s,i]  (n,)
    sum_exp_z2 = exp_z2.sum(axis=1)
    # y[s,i] = exp(z2[s,i]) / Σ_i' exp(z2[s,i'])  (n, k)
    y = exp_z2 / sum_exp_z2[:, None]
    # loss = −(1 / n) Σ_s log(y[s,t[s]])
    loss = -(z2[np.arange(n), t] - max_z2 - np.log(sum_exp_z2)).sum() / n

    cache = (x, t, keep, h1, r1_mask, r1, y, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    W2 = _array("W2", params["W2"])
    x, t, keep, h1, r1_mask, r1, y, n = cache

    # ∂L/∂z2[s,i] = (y[s,i] − δ_{i,t[s]}) / n  (n, k)
    dz2 = y / n
    dz2[np.arange(n), t] -= 1 / n
    # ∂L/∂z1[s,a] = ([h1[s,a] > 0] r1_mask[s,a] / keep) Σ_i ∂L/∂z2[s,i] W2[i,a]  (n, h)
    dz1 = r1_mask * (dz2 @ W2) * (h1 > 0) / keep
    # ∂L/∂W1[a,j] = Σ_s ∂L/∂z1[s,a] x[s,j]  (h, d)
    dW1 = dz1.T @ x
    # ∂L/∂b1[a] = Σ_s ∂L/∂z1[s,a]  (h,)
    db1 = dz1.sum(axis=0)
    # ∂L/∂W2[i,a] = Σ_s ∂L/∂z2[s,i] r1[s,a]  (k, h)
    dW2 = dz2.T @ r1
    # ∂L/∂b2[i] = Σ_s ∂L/∂z2[s,i]  (k,)
    db2 = dz2.sum(axis=0)

    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def value_and_grad(params, x, t, *, keep=0.5, r1_mask=None, rng=None):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t, keep=keep, r1_mask=r1_mask, rng=rng)
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
    # exp_z2[s,i] = exp(z2[s,i] − max_i' z2[s,i'])  (n, k)
    exp_z2 = np.exp(z2 - z2.max(axis=1, keepdims=True))
    # y[s,i] = exp(z2[s,i]) / Σ_i' exp(z2[s,i'])  (n, k)
    y = exp_z2 / exp_z2.sum(axis=1, keepdims=True)

    return y


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


# Checks at entry

_AXES = PARAMETERS | INPUTS
_INTEGERS = ("t",)


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
        if name in _INTEGERS:
            if array.dtype.kind not in "iu" or array.dtype == np.uint64:
                raise TypeError(
                    f"{name}: must hold integers up to int64, got {array.dtype}"
                )
            arrays[name] = array.astype(np.int64, copy=False)
            continue
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


def _number(name, value):
    """A constant that is given by keyword."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: must be a number, got {value!r}") from None


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


def _check_gather(name, places, tensor, axis, size):
    """Every integer is on the axis; NumPy would count a negative one from its end."""
    wrong = places[(places < 0) | (places >= size)]
    if wrong.size:
        raise ValueError(
            f"{name}: holds {wrong[0]}, outside axis {axis} of {tensor}, of size {size}"
        )


def _bernoulli(name, value, rng, p, shape, dtype):
    """Noise as it is given; else drawn: 1 with probability p, and 0 elsewhere."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: needs a probability p from 0 to 1, got {p}")
    if value is None:
        value = (_generator(name, rng).random(shape) < p).astype(dtype)
    return _noise(name, value, shape, dtype)


def _generator(name, rng):
    """The generator that noise is drawn from."""
    if rng is None:
        raise ValueError(f"{name}: is drawn, so forward needs rng=… or {name}=…")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: must be a Generator of numpy, got {type(rng).__name__}")
    return rng


def _noise(name, value, shape, dtype):
    """Noise as an array of this shape and type."""
    array = _array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name}: must have shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: must be {dtype} as all are, got {array.dtype}")
    return array
