"""ctc: a loss, its gradients and a step of training, in NumPy alone.

    alpha_initial[s,i] = δ_{0,i}
    logits[s,t,c] = b[c] + Σ_j W[c,j] x[s,t,j]
    y[s,t,c] = exp(logits[s,t,c]) / Σ_c' exp(logits[s,t,c'])
    alpha[s,−1,i] = alpha_initial[s,i]
    alpha[s,t,i] = y[s,t,path[s,i]] (alpha[s,t − 1,i] + (Σ_i'' δ_{i,1 + i''} alpha[s,t
        − 1,i'']) + Σ_i' δ_{i,2 + i'} alpha[s,t − 1,i'] {1 if path[s,i'
        + 2] ≠ path[s,i']; 0 otherwise})
    ends[s] = Σ_i {alpha[s,last[s],i] if i ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise}
    loss = −(1 / n) Σ_s log(ends[s])

Use:

    params = init(np.random.default_rng(0), d=d, k=k)
    loss, grads = value_and_grad(params, x, path, last, end)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"W": ("k", "d"), "b": ("k",)}
INPUTS = {"x": ("n", "T", "d"), "path": ("n", "2*U + 1"), "last": ("n",), "end": ("n",)}


def init(rng, *, d, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W = rng.normal(0, np.sqrt(1 / d), (k, d))
    b = np.zeros(k)
    params = {"W": W, "b": b}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, path, last, end):
    """The loss, and the cache that backward reads.

    x: (n, T, d)
    path: (n, 2*U + 1), integers
    last: (n,), integers
    end: (n,), integers
    """
    arrays = _arrays(params, x=x, path=path, last=last, end=end)
    W, b, x, path, last, end = arrays.values()
    k, d = W.shape
    n = x.shape[0]
    T = x.shape[1]
    U = _solve(arrays, "U", path.shape[1] - 1, 2, ("path", 1))
    _check_shapes(arrays, b=(k,), x=(n, T, d), path=(n, 2 * U + 1), last=(n,), end=(n,))
    _check_gather("path", path, "y", 2, k)
    _check_gather("last", last, "alpha", 1, T)

    # alpha_initial[s,i] = δ_{0,i}  (n, 2*U + 1)
    alpha_initial = np.zeros((n, 1 + 2 * U), dtype=x.dtype)
    alpha_initial[:, 0] = 1
    # logits[s,t,c] = b[c] + Σ_j W[c,j] x[s,t,j]  (n, T, k)
    logits = x @ W.T + b
    # exp_logits[s,t,c] = exp(logits[s,t,c] − max_c' logits[s,t,c'])  (n, T, k)
    exp_logits = np.exp(logits - logits.max(axis=2, keepdims=True))
    # y[s,t,c] = exp(logits[s,t,c]) / Σ_c' exp(logits[s,t,c'])  (n, T, k)
    y = exp_logits / exp_logits.sum(axis=2, keepdims=True)
    # alpha_step_part_given[s,i'] = {1 if path[s,i' + 2] ≠ path[s,i']; 0 otherwise}
    #     (n, 2*U - 1)
    alpha_step_part_given = (path[:, 2 : 1 + 2 * U] != path[:, : 2 * U - 1]).astype(
        x.dtype
    )
    # alpha_step_given[s,t,i] = y[s,t,path[s,i]]  (n, T, 2*U + 1)
    alpha_step_given = y[np.arange(n)[:, None], :, path].swapaxes(-1, -2)
    alpha_step_part = np.empty((n, T, 2 * U + 1), dtype=x.dtype)
    alpha_all = np.empty((n, T + 1, 2 * U + 1), dtype=x.dtype)
    alpha_before, alpha = alpha_all[:, :-1], alpha_all[:, 1:]
    alpha_size = np.empty((n, T), dtype=x.dtype)
    alpha_before[:, 0] = alpha_initial
    for t in range(T):
        # alpha_step_part[s,t,i] = alpha_before[s,t,i] + (Σ_i'' δ_{i,1
        #     + i''} alpha_before[s,t,i'']) + Σ_i' δ_{i,2
        #     + i'} alpha_before[s,t,i'] {1 if path[s,i' + 2] ≠ path[s,i']; 0 otherwise}
        #     (n, 2*U + 1)
        step_value = alpha_before[:, t].copy()
        step_value[:, 1 : 1 + 2 * U] += alpha_before[:, :, : 2 * U][:, t]
        step_value[:, 2 : 1 + 2 * U] += (
            alpha_step_part_given * alpha_before[:, :, : 2 * U - 1][:, t]
        )
        alpha_step_part[:, t] = step_value
        # alpha_step[s,t,i] = y[s,t,path[s,i]] (alpha[s,t − 1,i] + (Σ_i'' δ_{i,1
        #     + i''} alpha[s,t − 1,i'']) + Σ_i' δ_{i,2 + i'} alpha[s,t
        #     − 1,i'] {1 if path[s,i' + 2] ≠ path[s,i']; 0 otherwise})  (n, 2*U + 1)
        alpha_step = alpha_step_given[:, t] * alpha_step_part[:, t]
        # alpha_size[s,t] = Σ_i alpha_step[s,t,i]  (n,)
        alpha_size[:, t] = alpha_step.sum(axis=1)
        # alpha[s,t,i] = alpha_step[s,t,i] / alpha_size[s,t]  (n, 2*U + 1)
        alpha[:, t] = alpha_step / alpha_size[:, t][:, None]
    # log_alpha_size_given[s,t] = log(alpha_size[s,t])  (n, T)
    log_alpha_size_given = np.log(alpha_size)
    log_alpha_size_all = np.zeros((n, T + 1), dtype=x.dtype)
    log_alpha_size_before, log_alpha_size = log_alpha_size_all[
        :, :-1
    ], log_alpha_size_all[:, 1:]
    for t_at in range(T):
        # log_alpha_size[s,t] = log_alpha_size[s,t − 1] + log(alpha_size[s,t])  (n,)
        log_alpha_size[:, t_at] = (
            log_alpha_size_before[:, t_at] + log_alpha_size_given[:, t_at]
        )
    # ends[s] = Σ_i {alpha[s,last[s],i] if i ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise}
    #     (n,)
    ends = np.where(
        (np.arange(1 + 2 * U) <= end[:, None]) & (
            np.arange(1 + 2 * U) >= (end + -1)[:, None]
        ),
        alpha[np.arange(n), last],
        0,
    ).sum(axis=1)
    loss = -(log_alpha_size[np.arange(n), last] + np.log(ends)).sum() / n

    cache = (
        x,
        path,
        last,
        end,
        y,
        ends,
        alpha_size,
        alpha_step_part_given,
        alpha_step_part,
        alpha_step_given,
        T,
        U,
        k,
        n,
    )
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    (
        x,
        path,
        last,
        end,
        y,
        ends,
        alpha_size,
        alpha_step_part_given,
        alpha_step_part,
        alpha_step_given,
        T,
        U,
        k,
        n,
    ) = cache

    # dalpha_before_given[s,t,i] = δ_{last[s],t} {1 if i ≥ end[s] − 1 and i
    #     ≤ end[s]; 0 otherwise} / (n ends[s])  (n, T, 2*U + 1)
    dalpha_before_given = np.zeros((n, T, 1 + 2 * U), dtype=ends.dtype)
    dalpha_before_given[np.arange(n), last] = (
        (np.arange(1 + 2 * U) <= end[:, None]) & (
            np.arange(1 + 2 * U) >= (end + -1)[:, None]
        )
    ).astype(ends.dtype) / (n * ends[:, None])
    # dalpha_before_given_2[s,t,i''] = δ_{last[s],t} {1 if 1 + i'' ≥ end[s] − 1 and 1
    #     + i'' ≤ end[s]; 0 otherwise} / (n ends[s])  (n, T, 2*U)
    dalpha_before_given_2 = np.zeros((n, T, 2 * U), dtype=ends.dtype)
    dalpha_before_given_2[np.arange(n), last] = (
        (1 + np.arange(2 * U) <= end[:, None]) & (
            1 + np.arange(2 * U) >= (end + -1)[:, None]
        )
    ).astype(ends.dtype) / (n * ends[:, None])
    # dalpha_before_given_3[s,t,i''] = y[s,t,path[s,i'' + 1]]  (n, T, 2*U)
    dalpha_before_given_3 = y[
        np.arange(n)[:, None], :, path[:, 1 : 1 + 2 * U]
    ].swapaxes(-1, -2)
    # dalpha_before_given_4[s,t,i''] = δ_{last[s],t} {1 if 2 + i'' ≥ end[s] − 1 and 2
    #     + i'' ≤ end[s]; 0 otherwise} / (n ends[s])  (n, T, 2*U - 1)
    dalpha_before_given_4 = np.zeros((n, T, 2 * U - 1), dtype=ends.dtype)
    dalpha_before_given_4[np.arange(n), last] = (
        (np.arange(2 * U - 1) + 2 <= end[:, None]) & (
            np.arange(2 * U - 1) + 2 >= (end + -1)[:, None]
        )
    ).astype(ends.dtype) / (n * ends[:, None])
    # dalpha_before_given_5[s,t,i''] = y[s,t,path[s,i'' + 2]]  (n, T, 2*U - 1)
    dalpha_before_given_5 = y[
        np.arange(n)[:, None], :, path[:, 2 : 1 + 2 * U]
    ].swapaxes(-1, -2)
    dalpha_before_all = np.zeros((n, T + 1, 2 * U + 1), dtype=x.dtype)
    dalpha_after, dalpha_before = dalpha_before_all[:, 1:], dalpha_before_all[:, :-1]
    for t in reversed(range(T)):
        # dalpha_before_part[s,t,i]
        #     = Σ_i'' δ_i''i dalpha_before_given_3[s,t,i''] (dalpha_after[s,t,i'' + 1]
        #     − dalpha_before_given_2[s,t,i''])  (n, 2*U + 1)
        dalpha_before_part = np.zeros((n, 1 + 2 * U), dtype=dalpha_before_given_2.dtype)
        dalpha_before_part[:, : 2 * U] = dalpha_before_given_3[:, t] * (
            dalpha_after[:, :, 1 : 1 + 2 * U][:, t] - dalpha_before_given_2[:, t]
        )
        # dalpha_before_part_2[s,t,i]
        #     = Σ_i'' δ_i''i alpha_step_part_given[s,i''] dalpha_before_given_5[s,t,i'']
        #     (dalpha_after[s,t,i'' + 2] − dalpha_before_given_4[s,t,i''])  (n, 2*U + 1)
        dalpha_before_part_2 = np.zeros(
            (n, 1 + 2 * U), dtype=dalpha_before_given_4.dtype
        )
        dalpha_before_part_2[:, : 2 * U - 1] = (
            alpha_step_part_given
            * dalpha_before_given_5[:, t]
            * (dalpha_after[:, :, 2 : 1 + 2 * U][:, t] - dalpha_before_given_4[:, t])
        )
        # ∂L/∂alpha_before[s,t,i] = (y[s,t,path[s,i]] (∂L/∂alpha_before[s,t + 1,i]
        #     − δ_{last[s],t} {1 if i ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise}
        #     / (n ends[s])) + (Σ_i'' δ_i''i y[s,t,path[s,i''
        #     + 1]] (∂L/∂alpha_before[s,t + 1,i'' + 1] − δ_{last[s],t} {1 if 1 + i''
        #     ≥ end[s] − 1 and 1 + i'' ≤ end[s]; 0 otherwise} / (n ends[s])))
        #     + Σ_i'' δ_i''i y[s,t,path[s,i'' + 2]] (∂L/∂alpha_before[s,t + 1,i'' + 2]
        #     − δ_{last[s],t} {1 if 2 + i'' ≥ end[s] − 1 and 2 + i''
        #     ≤ end[s]; 0 otherwise} / (n ends[s])) {1 if path[s,i''
        #     + 2] ≠ path[s,i'']; 0 otherwise}) / alpha_size[s,t]  (n, 2*U + 1)
        dalpha_before[:, t] = (
            alpha_step_given[:, t] * (dalpha_after[:, t] - dalpha_before_given[:, t])
            + dalpha_before_part
            + dalpha_before_part_2
        ) / alpha_size[:, t][:, None]
    # ∂L/∂alpha_step[s,t,i] = (∂L/∂alpha_before[s,t + 1,i] − δ_{last[s],t} {1 if i
    #     ≥ end[s] − 1 and i ≤ end[s]; 0 otherwise} / (n ends[s])) / alpha_size[s,t]
    #     (n, T, 2*U + 1)
    dalpha_step = dalpha_after / alpha_size[:, :, None]
    dalpha_step[np.arange(n), last] -= (
        (np.arange(1 + 2 * U) <= end[:, None]) & (
            np.arange(1 + 2 * U) >= (end + -1)[:, None]
        )
    ).astype(alpha_size.dtype) / (
        n * ends[:, None] * alpha_size[np.arange(n), last][:, None]
    )
    # ∂L/∂y[s,t,c] = Σ_i δ_{c,path[s,i]} ∂L/∂alpha_step[s,t,i] (alpha[s,t − 1,i]
    #     + (Σ_i'' δ_{i,1 + i''} alpha[s,t − 1,i'']) + Σ_i' δ_{i,2 + i'} alpha[s,t
    #     − 1,i'] {1 if path[s,i' + 2] ≠ path[s,i']; 0 otherwise})  (n, T, k)
    dy = _scatter_add(
        (n, k, T),
        (np.arange(n)[:, None], path),
        alpha_step_part.swapaxes(-1, -2) * dalpha_step.swapaxes(-1, -2),
    ).swapaxes(-1, -2)
    # ∂L/∂logits[s,t,c] = y[s,t,c] (∂L/∂y[s,t,c] − Σ_c' ∂L/∂y[s,t,c'] y[s,t,c'])
    #     (n, T, k)
    dlogits = y * (dy - (dy * y).sum(axis=2, keepdims=True))
    # ∂L/∂W[c,j] = Σ_{s,t} ∂L/∂logits[s,t,c] x[s,t,j]  (k, d)
    dW = np.tensordot(dlogits, x, axes=([0, 1], [0, 1]))
    # ∂L/∂b[c] = Σ_{s,t} ∂L/∂logits[s,t,c]  (k,)
    db = dlogits.sum(axis=(0, 1))

    return {"W": dW, "b": db}


def value_and_grad(params, x, path, last, end):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, path, last, end)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (n, T, d)
    """
    arrays = _arrays(params, x=x)
    W, b, x = arrays.values()
    k, d = W.shape
    n = x.shape[0]
    T = x.shape[1]
    _check_shapes(arrays, b=(k,), x=(n, T, d))

    # logits[s,t,c] = b[c] + Σ_j W[c,j] x[s,t,j]  (n, T, k)
    logits = x @ W.T + b
    # exp_logits[s,t,c] = exp(logits[s,t,c] − max_c' logits[s,t,c'])  (n, T, k)
    exp_logits = np.exp(logits - logits.max(axis=2, keepdims=True))
    # y[s,t,c] = exp(logits[s,t,c]) / Σ_c' exp(logits[s,t,c'])  (n, T, k)
    y = exp_logits / exp_logits.sum(axis=2, keepdims=True)

    return y


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


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
    if length <= 32:
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
    """Parameters, then inputs, by name: arrays of the declared ranks, of one float type."""
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
        if name in _INTEGERS:
            if array.dtype.kind not in "iu":
                raise TypeError(f"{name}: must hold integers, got {array.dtype}")
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
    try:
        array = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{name}: {error}") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _solve(arrays, size, numerator, denominator, *axes):
    """The size numerator / denominator, as these axes of the arrays determine it."""
    if denominator and numerator % denominator == 0 <= numerator // denominator:
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
