# Digest of what follows, as symbp wrote it: de992efee97211e4
"""rnn: a loss, its gradients and a step of training, in NumPy alone.

    z[s,t,a] = Wxh[a,x[s,t]] + bh[a] + Σ_b Whh[a,b] h[s,t − 1,b]
    h[s,−1,a] = h0[s,a]
    h[s,t,a] = tanh(z[s,t,a])
    logits[s,t,i] = by[i] + Σ_a Why[i,a] h[s,t,a]
    y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])
    state[s,a] = h[s,T − 1,a]
    loss = −(1 / (T n)) Σ_{s,t} log(y[s,t,target[s,t]])

Use:

    params = init(np.random.default_rng(0), u=u, k=k)
    loss, grads = value_and_grad(params, x, target, h0)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "Wxh": ("u", "k"),
    "Whh": ("u", "u"),
    "bh": ("u",),
    "Why": ("k", "u"),
    "by": ("k",),
}
INPUTS = {"x": ("n", "T"), "target": ("n", "T"), "h0": ("n", "u")}


def init(rng, *, u, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    Wxh = rng.normal(0, np.sqrt(1 / k), (u, k))
    Whh = rng.normal(0, np.sqrt(1 / u), (u, u))
    bh = np.zeros(u)
    Why = rng.normal(0, np.sqrt(1 / u), (k, u))
    by = np.zeros(k)
    params = {"Wxh": Wxh, "Whh": Whh, "bh": bh, "Why": Why, "by": by}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, target, h0):
    """The loss, and the cache that backward reads.

    x: (n, T), integers
    target: (n, T), integers
    h0: (n, u)
    """
    arrays = _arrays(params, x=x, target=target, h0=h0)
    Wxh, Whh, bh, Why, by, x, target, h0 = arrays.values()
    u, k = Wxh.shape
    n, T = x.shape
    _check_shapes(
        arrays, Whh=(u, u), bh=(u,), Why=(k, u), by=(k,), target=(n, T), h0=(n, u)
    )
    _check_gather("x", x, "Wxh", 1, k)
    _check_gather("target", target, "y", 2, k)

    # z_given[s,t,a] = Wxh[a,x[s,t]] + bh[a]  (n, T, u)
    z_given = Wxh[:, x].transpose(1, 2, 0) + bh
    h_all = np.empty((n, T + 1, u), dtype=h0.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    h_before[:, 0] = h0
    for t in range(T):
        # z[s,t,a] = Wxh[a,x[s,t]] + bh[a] + Σ_b Whh[a,b] h[s,t − 1,b]  (n, u)
        z = z_given[:, t] + h_before[:, t] @ Whh.T
        # h[s,t,a] = tanh(z[s,t,a])  (n, u)
        h[:, t] = np.tanh(z)
    # logits[s,t,i] = by[i] + Σ_a Why[i,a] h[s,t,a]  (n, T, k)
    logits = h @ Why.T + by
    # max_logits[s,t] = max_i logits[s,t,i]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,i] = exp(logits[s,t,i] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_i exp_logits[s,t,i]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]
    # loss = −(1 / (T n)) Σ_{s,t} log(y[s,t,target[s,t]])
    loss = -(
        logits[np.arange(n)[:, None], np.arange(T), target]
        - max_logits
        - np.log(sum_exp_logits)
    ).sum() / (T * n)

    cache = (x, target, h, y, h_before, T, k, n, u)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    Whh = _array("Whh", params["Whh"])
    Why = _array("Why", params["Why"])
    x, target, h, y, h_before, T, k, n, u = cache

    # ∂L/∂logits[s,t,i] = (y[s,t,i] − δ_{i,target[s,t]}) / (T n)  (n, T, k)
    dlogits = y / (T * n)
    dlogits[np.arange(n)[:, None], np.arange(T), target] -= 1 / (T * n)
    # dz_given[s,t,a] = 1 − h[s,t,a]²  (n, T, u)
    dz_given = 1 - h**2
    # dz_given_2[s,t,a] = Σ_i ∂L/∂logits[s,t,i] Why[i,a]  (n, T, u)
    dz_given_2 = dlogits @ Why
    dz = np.empty((n, T, u), dtype=Whh.dtype)
    dh_before = np.zeros((n, u), dtype=Whh.dtype)
    for t in reversed(range(T)):
        # ∂L/∂z[s,t,a] = (1 − h[s,t,a]²) (∂L/∂h_before[s,t + 1,a]
        #     + Σ_i ∂L/∂logits[s,t,i] Why[i,a])  (n, u)
        dz[:, t] = dz_given[:, t] * (dh_before + dz_given_2[:, t])
        # ∂L/∂h_before[s,t,a] = Σ_b ∂L/∂z[s,t,b] Whh[b,a]  (n, u)
        dh_before = dz[:, t] @ Whh
    # ∂L/∂Wxh[a,i] = Σ_{s,t} δ_{i,x[s,t]} ∂L/∂z[s,t,a]  (u, k)
    dWxh = _scatter_add((k, u), (x,), dz).T
    # ∂L/∂Whh[a,b] = Σ_{s,t} ∂L/∂z[s,t,a] h[s,t − 1,b]  (u, u)
    dWhh = np.tensordot(dz, h_before, axes=([0, 1], [0, 1]))
    # ∂L/∂bh[a] = Σ_{s,t} ∂L/∂z[s,t,a]  (u,)
    dbh = dz.sum(axis=(0, 1))
    # ∂L/∂Why[i,a] = Σ_{s,t} ∂L/∂logits[s,t,i] h[s,t,a]  (k, u)
    dWhy = np.tensordot(dlogits, h, axes=([0, 1], [0, 1]))
    # ∂L/∂by[i] = Σ_{s,t} ∂L/∂logits[s,t,i]  (k,)
    dby = dlogits.sum(axis=(0, 1))

    return {"Wxh": dWxh.copy(), "Whh": dWhh, "bh": dbh, "Why": dWhy, "by": dby}


def value_and_grad(params, x, target, h0):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, target, h0)
    return loss, backward(params, cache)


def predict(params, x, h0):
    """A dict of the outputs.

    x: (n, T), integers
    h0: (n, u)
    """
    arrays = _arrays(params, "n", x=x, h0=h0)
    Wxh, Whh, bh, Why, by, x, h0 = arrays.values()
    u, k = Wxh.shape
    n, T = x.shape
    _check_shapes(arrays, Whh=(u, u), bh=(u,), Why=(k, u), by=(k,), h0=(n, u))
    _check_gather("x", x, "Wxh", 1, k)

    # z_given[s,t,a] = Wxh[a,x[s,t]] + bh[a]  (n, T, u)
    z_given = Wxh[:, x].transpose(1, 2, 0) + bh
    h_all = np.empty((n, T + 1, u), dtype=h0.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    h_before[:, 0] = h0
    for t in range(T):
        # z[s,t,a] = Wxh[a,x[s,t]] + bh[a] + Σ_b Whh[a,b] h[s,t − 1,b]  (n, u)
        z = z_given[:, t] + h_before[:, t] @ Whh.T
        # h[s,t,a] = tanh(z[s,t,a])  (n, u)
        h[:, t] = np.tanh(z)
    # h_last[s,a] = h[s,T − 1,a]  (n, u)
    h_last = h[:, T - 1]
    # logits[s,t,i] = by[i] + Σ_a Why[i,a] h[s,t,a]  (n, T, k)
    logits = h @ Why.T + by
    # max_logits[s,t] = max_i logits[s,t,i]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,i] = exp(logits[s,t,i] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_i exp_logits[s,t,i]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]
    # state[s,a] = h[s,T − 1,a]  (n, u)
    state = h_last

    outputs = {"y": y, "state": state.copy()}
    return outputs


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
_INTEGERS = ("x", "target")


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
