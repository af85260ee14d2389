# Digest of what follows, as symbp wrote it: 99f1e3055899e6ea
"""ctc: a loss, its gradients and a step of training, in NumPy alone.

    alpha_initial[s,i] = δ_{0,i}
    reached[s,t,i] = alpha[s,t − 1,i] + {alpha[s,t − 1,i − 1] if i ≥ 1; 0 otherwise}
        + {alpha[s,t − 1,i − 2] [path[s,i] ≠ path[s,i − 2]] if i ≥ 2; 0 otherwise}
    alpha[s,−1,i] = alpha_initial[s,i]
    alpha[s,t,i] = reached[s,t,i] y[s,t,path[s,i]]
    final[s,i] = alpha[s,last[s],i]
    ends[s] = Σ_i {final[s,i] if i ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise}
    loss = −(1 / n) Σ_s log(ends[s])

Use:

    params = init(np.random.default_rng(0), n=n, T=T, k=k)
    loss, grads = value_and_grad(params, path, last, end)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"y": ("n", "T", "k")}
INPUTS = {"path": ("n", "2*U + 1"), "last": ("n",), "end": ("n",)}


def init(rng, *, n, T, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    y = _shaped("y", _init_even(rng, (n, T, k), dtype), (n, T, k))
    params = {"y": y}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, path, last, end):
    """The loss, and the cache that backward reads.

    path: (n, 2*U + 1), integers
    last: (n,), integers
    end: (n,), integers
    """
    arrays = _arrays(params, path=path, last=last, end=end)
    y, path, last, end = arrays.values()
    n, T, k = y.shape
    U = _solve(arrays, "U", path.shape[1] - 1, 2, ("path", 1))
    _check_shapes(arrays, path=(n, 2 * U + 1), last=(n,), end=(n,))
    _check_gather("path", path, "y", 2, k)
    _check_gather("last", last, "alpha", 1, T)

    # alpha_initial[s,i] = δ_{0,i}  (n, 2*U + 1)
    alpha_initial = np.zeros((n, 1 + 2 * U), dtype=y.dtype)
    alpha_initial[:, 0] = 1
    # reached_given[s,i'] = [path[s,i' + 2] ≠ path[s,i']]  (n, 2*U - 1)
    reached_given = (path[:, 2 : 1 + 2 * U] != path[:, : 2 * U - 1]).astype(y.dtype)
    reached = np.empty((n, T, 2 * U + 1), dtype=y.dtype)
    alpha_all = np.empty((n, T + 1, 2 * U + 1), dtype=y.dtype)
    alpha_before, alpha = alpha_all[:, :-1], alpha_all[:, 1:]
    alpha_size = np.empty((n, T), dtype=y.dtype)
    log_alpha_size_given = np.empty((n, T), dtype=y.dtype)
    alpha_before[:, 0] = alpha_initial
    for t in range(T):
        # reached[s,t,i] = alpha[s,t − 1,i] + {alpha[s,t − 1,i − 1] if i
        #     ≥ 1; 0 otherwise} + {alpha[s,t − 1,i − 2] [path[s,i] ≠ path[s,i − 2]] if i
        #     ≥ 2; 0 otherwise}  (n, 2*U + 1)
        reached[:, t] = alpha_before[:, t]
        reached[:, t, 1 : 1 + 2 * U] += alpha_before[:, t, : 2 * U]
        reached[:, t, 2 : 1 + 2 * U] += reached_given * alpha_before[:, t, : 2 * U - 1]
        # alpha_step[s,t,i] = reached[s,t,i] y[s,t,path[s,i]]  (n, 2*U + 1)
        alpha_step = reached[:, t] * y[np.arange(n)[:, None], t, path]
        # alpha_size[s,t] = Σ_i |alpha_step[s,t,i]|  (n,)
        alpha_size[:, t] = np.abs(alpha_step).sum(axis=1)
        # alpha[s,t,i] = alpha_step[s,t,i] / alpha_size[s,t]  (n, 2*U + 1)
        alpha[:, t] = alpha_step / alpha_size[:, t][:, None]
        # log_alpha_size_given[s,t] = log(alpha_size[s,t])  (n,)
        log_alpha_size_given[:, t] = np.log(alpha_size[:, t])
    log_alpha_size_all = np.zeros((n, T + 1), dtype=y.dtype)
    log_alpha_size_before = log_alpha_size_all[:, :-1]
    log_alpha_size = log_alpha_size_all[:, 1:]
    for t_at in range(T):
        # log_alpha_size[s,t] = log_alpha_size[s,t − 1] + log(alpha_size[s,t])  (n,)
        log_alpha_size[:, t_at] = (
            log_alpha_size_before[:, t_at] + log_alpha_size_given[:, t_at]
        )
    # final[s,i] = alpha[s,last[s],i]  (n, 2*U + 1)
    final = alpha[np.arange(n), last]
    # ends[s] = Σ_i {final[s,i] if i ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise}  (n,)
    ends = np.where(
        (np.arange(1 + 2 * U) <= end[:, None])
        & (np.arange(1 + 2 * U) >= (end - 1)[:, None]),
        final,
        0,
    ).sum(axis=1)
    # loss = −(1 / n) Σ_s (log_alpha_size[s,last[s]] + log(ends[s]))
    loss = -(log_alpha_size[np.arange(n), last] + np.log(ends)).sum() / n

    cache = (path, last, end, reached, ends, alpha_size, reached_given, T, U, k, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    y = _array("y", params["y"])
    path, last, end, reached, ends, alpha_size, reached_given, T, U, k, n = cache

    # ∂L/∂final[s,i] = −[i ≥ end[s] − 1 and i ≤ end[s]] / (n ends[s])  (n, 2*U + 1)
    dfinal = -(
        (np.arange(1 + 2 * U) <= end[:, None])
        & (np.arange(1 + 2 * U) >= (end - 1)[:, None])
    ).astype(ends.dtype) / (n * ends[:, None])
    dy = np.empty((n, T, k), dtype=y.dtype)
    dalpha_before = np.zeros((n, 1 + 2 * U), dtype=y.dtype)
    for t in reversed(range(T)):
        # dalpha_step_given[s,t,i] = δ_{last[s],t} ∂L/∂final[s,i]  (n, 2*U + 1)
        dalpha_step_given = dfinal * (last == t)[:, None]
        # ∂L/∂alpha_step[s,t,i] = (δ_{last[s],t} ∂L/∂final[s,i] + ∂L/∂alpha_before[s,t
        #     + 1,i]) / alpha_size[s,t]  (n, 2*U + 1)
        dalpha_step = (dalpha_before + dalpha_step_given) / alpha_size[:, t][:, None]
        # ∂L/∂y[s,t,c] = Σ_i δ_{c,path[s,i]} ∂L/∂alpha_step[s,t,i] reached[s,t,i]
        #     (n, k)
        dy[:, t] = _scatter_add(
            (n, k), (np.arange(n)[:, None], path), dalpha_step * reached[:, t]
        )
        # ∂L/∂alpha_before[s,t,i] = ∂L/∂alpha_step[s,t,i] y[s,t,path[s,i]]
        #     + (Σ_i'' δ_i''i ∂L/∂alpha_step[s,t,i'' + 1] y[s,t,path[s,i'' + 1]])
        #     + Σ_i'' δ_i''i ∂L/∂alpha_step[s,t,i'' + 2] y[s,t,path[s,i''
        #     + 2]] [path[s,i'' + 2] ≠ path[s,i'']]  (n, 2*U + 1)
        dalpha_before = dalpha_step * y[np.arange(n)[:, None], t, path]
        dalpha_before[:, : 2 * U] += (
            dalpha_step[:, 1 : 1 + 2 * U]
            * y[np.arange(n)[:, None], t, path[:, 1 : 1 + 2 * U]]
        )
        dalpha_before[:, : 2 * U - 1] += (
            dalpha_step[:, 2 : 1 + 2 * U]
            * reached_given
            * y[np.arange(n)[:, None], t, path[:, 2 : 1 + 2 * U]]
        )

    return {"y": dy}


def value_and_grad(params, path, last, end):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, path, last, end)
    return loss, backward(params, cache)


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


def _init_even(rng, shape, dtype):
    return np.full(shape, 1 / shape[-1])


def _scatter_add(shape, places, values):
    """Zeros with values added at places on the first axes, repeated places too."""
    place, length, rest = np.zeros((), np.intp), 1, shape[len(places) :]
    for size, axis in zip(shape, places):
        place, length = place * size + axis.astype(np.intp), length * size
    width = int(np.prod(rest))
    values = np.broadcast_to(values, (*place.shape, *rest)).reshape(place.size, width)
    place, total = place.ravel(), np.zeros((length, width), values.dtype)
    # The fastest of five ways, measured for 32 to 4096 rows of 1 to 768 numbers that
    # are added to 27 to 50000 rows. Into few rows: a product with a one-hot matrix. Wide
    # rows: one by one. Narrow rows into not many more: bincount, which makes an array as
    # large as the result. Else np.add.at. To sort them first, for np.add.reduceat, is at
    # best some 1.4 times as fast.
    # A product with zeros would spread NaN and infinity to all rows.
    if length <= 32 and np.isfinite(values).all():
        total = (np.arange(length)[:, None] == place).astype(values.dtype) @ values
    elif length <= 4 * len(place) and width < 384:
        column = place[:, None] * width + np.arange(width)
        sums = np.bincount(column.ravel(), values.ravel(), total.size)
        total += sums.reshape(total.shape)
    elif width < 96:
        np.add.at(total, place, values)
    else:
        for row, value in zip(place, values):
            total[row] += value
    return total.reshape(shape)


# Checks at entry

_AXES = PARAMETERS | INPUTS
_INTEGERS = ("path", "last", "end")


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


def _solve(arrays, size, numerator, denominator, *axes):
    """The size numerator / denominator, as these axes of the arrays determine it."""
    if denominator and numerator % denominator == 0 < numerator // denominator:
        return numerator // denominator
    found = [
        f"{name}: axis {axis} must have size {_AXES[name][axis]}, got {got}"
        for name, axis, got in ((n, a, arrays[n].shape[a]) for n, a in axes)
    ]
    raise ValueError(f"{'; '.join(found)}: no whole {size} fits")


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


def _shaped(name, value, shape):
    """A fresh parameter from its own function, whose shape is checked."""
    if np.shape(value) != shape:
        raise ValueError(f"{name}: init must give shape {shape}, got {np.shape(value)}")
    return value
