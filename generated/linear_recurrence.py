# Digest of what follows, as symbp wrote it: 52578cd8ee8cc5e8
"""linear_recurrence: a loss, its gradients and a step of training, in NumPy alone.

    y[−1] = y0
    y[t] = p y[t − 1] + q y[t − 2] + r x[t]
    loss = (1 / T) Σ_t (y[t] − target[t])²

Use:

    params = init(np.random.default_rng(0))
    loss, grads = value_and_grad(params, x, target)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"p": (), "q": (), "r": (), "y0": ()}
INPUTS = {"x": ("T",), "target": ("T",)}


def init(rng, *, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    p = np.zeros(())
    q = np.zeros(())
    r = np.zeros(())
    y0 = np.zeros(())
    params = {"p": p, "q": q, "r": r, "y0": y0}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, target):
    """The loss, and the cache that backward reads.

    x: (T,)
    target: (T,)
    """
    arrays = _arrays(params, x=x, target=target)
    p, q, r, y0, x, target = arrays.values()
    T = x.shape[0]
    _check_shapes(arrays, target=(T,))

    y_all = np.empty((T + 2,), dtype=x.dtype)
    y_before, y_before_2, y = y_all[1:-1], y_all[:-2], y_all[2:]
    y_before[0] = y0
    y_before_2[:2] = y0
    for t in range(T):
        # y[t] = p y[t − 1] + q y[t − 2] + r x[t]
        y[t] = p * y_before[t] + q * y_before_2[t] + r * x[t]
    # loss = (1 / T) Σ_t (y[t] − target[t])²
    loss = ((y - target) ** 2).sum() / T

    cache = (x, target, y, y_before, y_before_2, T)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    p = _array("p", params["p"])
    q = _array("q", params["q"])
    x, target, y, y_before, y_before_2, T = cache

    # dy_given[t] = (y[t] − target[t]) / T  (T,)
    dy_given = (y - target) / T
    dy = np.empty((T,), dtype=p.dtype)
    dy_before_2_all = np.zeros((T + 2,), dtype=p.dtype)
    dy_after_2, dy_before_2 = dy_before_2_all[2:], dy_before_2_all[:-2]
    dy_before = np.asarray(0, dtype=p.dtype)
    for t in reversed(range(T)):
        # ∂L/∂y[t] = ∂L/∂y_before[t + 1] + ∂L/∂y_before_2[t + 2] + 2 (y[t] − target[t])
        #     / T
        dy[t] = 2 * dy_given[t] + dy_before + dy_after_2[t]
        # ∂L/∂y_before_2[t] = q ∂L/∂y[t]
        dy_before_2[t] = q * dy[t]
        # ∂L/∂y_before[t] = p ∂L/∂y[t]
        dy_before = p * dy[t]
    # ∂L/∂p = Σ_t ∂L/∂y[t] y[t − 1]
    dp = dy @ y_before
    # ∂L/∂q = Σ_t ∂L/∂y[t] y[t − 2]
    dq = dy @ y_before_2
    # ∂L/∂r = Σ_t ∂L/∂y[t] x[t]
    dr = dy @ x
    # ∂L/∂y0 = ∂L/∂y_before[0] + Σ_t [t < 2] ∂L/∂y_before_2[t]
    dy0 = dy_before + (dy_before_2 * (np.arange(T) < 2)).sum()

    return {
        "p": np.array(dp),
        "q": np.array(dq),
        "r": np.array(dr),
        "y0": np.array(dy0),
    }


def value_and_grad(params, x, target):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, target)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (T,)
    """
    arrays = _arrays(params, x=x)
    p, q, r, y0, x = arrays.values()
    T = x.shape[0]

    y_all = np.empty((T + 2,), dtype=x.dtype)
    y_before, y_before_2, y = y_all[1:-1], y_all[:-2], y_all[2:]
    y_before[0] = y0
    y_before_2[:2] = y0
    for t in range(T):
        # y[t] = p y[t − 1] + q y[t − 2] + r x[t]
        y[t] = p * y_before[t] + q * y_before_2[t] + r * x[t]

    return y.copy()


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
