# Digest of what follows, as symbp wrote it: 1ac8952ef2111bfb
"""lstm: a loss, its gradients and a step of training, in NumPy alone.

    z[s,t,q,a] = W[q,a,x[s,t]] + b[q,a] + Σ_b U[q,a,b] h[s,t − 1,b]
    i[s,t,a] = 1 / (1 + exp(−z[s,t,0,a]))
    f[s,t,a] = 1 / (1 + exp(−z[s,t,1,a]))
    g[s,t,a] = tanh(z[s,t,2,a])
    o[s,t,a] = 1 / (1 + exp(−z[s,t,3,a]))
    c[s,−1,a] = c0[s,a]
    c[s,t,a] = c[s,t − 1,a] f[s,t,a] + g[s,t,a] i[s,t,a]
    r[s,t,a] = tanh(c[s,t,a])
    h[s,−1,a] = h0[s,a]
    h[s,t,a] = o[s,t,a] r[s,t,a]
    logits[s,t,v] = e[v] + Σ_a V[v,a] h[s,t,a]
    y[s,t,v] = exp(logits[s,t,v]) / Σ_v' exp(logits[s,t,v'])
    state[s,a] = h[s,T − 1,a]
    cell[s,a] = c[s,T − 1,a]
    loss = −(1 / (T n)) Σ_{s,t} log(y[s,t,target[s,t]])

Use:

    params = init(np.random.default_rng(0), u=u, k=k)
    loss, grads = value_and_grad(params, x, target, h0, c0)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "W": ("4", "u", "k"),
    "U": ("4", "u", "u"),
    "b": ("4", "u"),
    "V": ("k", "u"),
    "e": ("k",),
}
INPUTS = {"x": ("n", "T"), "target": ("n", "T"), "h0": ("n", "u"), "c0": ("n", "u")}


def init(rng, *, u, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W = _shaped("W", _init_uniform(rng, (4, u, k), dtype), (4, u, k))
    U = _shaped("U", _init_uniform(rng, (4, u, u), dtype), (4, u, u))
    b = np.zeros((4, u))
    V = rng.normal(0, np.sqrt(1 / u), (k, u))
    e = np.zeros(k)
    params = {"W": W, "U": U, "b": b, "V": V, "e": e}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, target, h0, c0):
    """The loss, and the cache that backward reads.

    x: (n, T), integers
    target: (n, T), integers
    h0: (n, u)
    c0: (n, u)
    """
    arrays = _arrays(params, x=x, target=target, h0=h0, c0=c0)
    W, U, b, V, e, x, target, h0, c0 = arrays.values()
    u = W.shape[1]
    k = W.shape[2]
    n, T = x.shape
    _check_shapes(
        arrays,
        W=(4, u, k),
        U=(4, u, u),
        b=(4, u),
        V=(k, u),
        e=(k,),
        target=(n, T),
        h0=(n, u),
        c0=(n, u),
    )
    _check_gather("x", x, "W", 2, k)
    _check_gather("target", target, "y", 2, k)

    # z_given[s,t,q,a] = W[q,a,x[s,t]] + b[q,a]  (n, T, 4, u)
    z_given = W[:, :, x].transpose(2, 3, 0, 1) + b
    h_all = np.empty((n, T + 1, u), dtype=h0.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    o = np.empty((n, T, u), dtype=h0.dtype)
    r = np.empty((n, T, u), dtype=h0.dtype)
    c_all = np.empty((n, T + 1, u), dtype=h0.dtype)
    c_before, c = c_all[:, :-1], c_all[:, 1:]
    f = np.empty((n, T, u), dtype=h0.dtype)
    g = np.empty((n, T, u), dtype=h0.dtype)
    i = np.empty((n, T, u), dtype=h0.dtype)
    h_before[:, 0] = h0
    c_before[:, 0] = c0
    for t in range(T):
        # z[s,t,q,a] = W[q,a,x[s,t]] + b[q,a] + Σ_b U[q,a,b] h[s,t − 1,b]  (n, 4, u)
        z = z_given[:, t] + np.tensordot(h_before[:, t], U, axes=([1], [2]))
        # i[s,t,a] = 1 / (1 + exp(−z[s,t,0,a]))  (n, u)
        i[:, t] = np.exp(np.minimum(z[:, 0], 0)) / (1 + np.exp(-np.abs(z[:, 0])))
        # f[s,t,a] = 1 / (1 + exp(−z[s,t,1,a]))  (n, u)
        f[:, t] = np.exp(np.minimum(z[:, 1], 0)) / (1 + np.exp(-np.abs(z[:, 1])))
        # g[s,t,a] = tanh(z[s,t,2,a])  (n, u)
        g[:, t] = np.tanh(z[:, 2])
        # o[s,t,a] = 1 / (1 + exp(−z[s,t,3,a]))  (n, u)
        o[:, t] = np.exp(np.minimum(z[:, 3], 0)) / (1 + np.exp(-np.abs(z[:, 3])))
        # c[s,t,a] = c[s,t − 1,a] f[s,t,a] + g[s,t,a] i[s,t,a]  (n, u)
        c[:, t] = c_before[:, t] * f[:, t] + g[:, t] * i[:, t]
        # r[s,t,a] = tanh(c[s,t,a])  (n, u)
        r[:, t] = np.tanh(c[:, t])
        # h[s,t,a] = o[s,t,a] r[s,t,a]  (n, u)
        h[:, t] = o[:, t] * r[:, t]
    # logits[s,t,v] = e[v] + Σ_a V[v,a] h[s,t,a]  (n, T, k)
    logits = h @ V.T + e
    # max_logits[s,t] = max_v logits[s,t,v]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,v] = exp(logits[s,t,v] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_v exp_logits[s,t,v]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,v] = exp(logits[s,t,v]) / Σ_v' exp(logits[s,t,v'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]
    # loss = −(1 / (T n)) Σ_{s,t} log(y[s,t,target[s,t]])
    loss = -(
        logits[np.arange(n)[:, None], np.arange(T), target]
        - max_logits
        - np.log(sum_exp_logits)
    ).sum() / (T * n)

    cache = (x, target, h, i, f, g, o, r, y, h_before, c_before, T, k, n, u)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    U = _array("U", params["U"])
    V = _array("V", params["V"])
    x, target, h, i, f, g, o, r, y, h_before, c_before, T, k, n, u = cache

    # ∂L/∂logits[s,t,v] = (y[s,t,v] − δ_{target[s,t],v}) / (T n)  (n, T, k)
    dlogits = y / (T * n)
    dlogits[np.arange(n)[:, None], np.arange(T), target] -= 1 / (T * n)
    # dh_given[s,t,a] = Σ_v ∂L/∂logits[s,t,v] V[v,a]  (n, T, u)
    dh_given = dlogits @ V
    # dc_given[s,t,a] = o[s,t,a] (1 − r[s,t,a]²)  (n, T, u)
    dc_given = o * (1 - r**2)
    # dz_given[s,t,a] = 1 − g[s,t,a]²  (n, T, u)
    dz_given = 1 - g**2
    # dz_given_2[s,t,a] = f[s,t,a] (1 − f[s,t,a])  (n, T, u)
    dz_given_2 = f * (1 - f)
    # dz_given_3[s,t,a] = i[s,t,a] (1 − i[s,t,a])  (n, T, u)
    dz_given_3 = i * (1 - i)
    # dz_given_4[s,t,a] = o[s,t,a] (1 − o[s,t,a])  (n, T, u)
    dz_given_4 = o * (1 - o)
    dz = np.empty((n, T, 4, u), dtype=U.dtype)
    dh_before = np.zeros((n, u), dtype=U.dtype)
    dc_before = np.zeros((n, u), dtype=U.dtype)
    for t in reversed(range(T)):
        # ∂L/∂h[s,t,a] = ∂L/∂h_before[s,t + 1,a] + Σ_v ∂L/∂logits[s,t,v] V[v,a]  (n, u)
        dh = dh_before + dh_given[:, t]
        # ∂L/∂c[s,t,a] = ∂L/∂c_before[s,t + 1,a] + ∂L/∂h[s,t,a] o[s,t,a] (1 − r[s,t,a]²)
        #     (n, u)
        dc = dh * dc_given[:, t] + dc_before
        # ∂L/∂o[s,t,a] = ∂L/∂h[s,t,a] r[s,t,a]  (n, u)
        do = dh * r[:, t]
        # ∂L/∂g[s,t,a] = ∂L/∂c[s,t,a] i[s,t,a]  (n, u)
        dg = dc * i[:, t]
        # ∂L/∂f[s,t,a] = ∂L/∂c[s,t,a] c[s,t − 1,a]  (n, u)
        df = dc * c_before[:, t]
        # ∂L/∂i[s,t,a] = ∂L/∂c[s,t,a] g[s,t,a]  (n, u)
        di = dc * g[:, t]
        # ∂L/∂z[s,t,q,a] = δ_{0,q} ∂L/∂i[s,t,a] i[s,t,a] (1 − i[s,t,a])
        #     + δ_{1,q} ∂L/∂f[s,t,a] f[s,t,a] (1 − f[s,t,a]) + δ_{2,q} ∂L/∂g[s,t,a] (1
        #     − g[s,t,a]²) + δ_{3,q} ∂L/∂o[s,t,a] o[s,t,a] (1 − o[s,t,a])  (n, 4, u)
        dz[:, t, 0] = di * dz_given_3[:, t]
        dz[:, t, 1] = df * dz_given_2[:, t]
        dz[:, t, 2] = dg * dz_given[:, t]
        dz[:, t, 3] = do * dz_given_4[:, t]
        # ∂L/∂h_before[s,t,a] = Σ_{q,b} ∂L/∂z[s,t,q,b] U[q,b,a]  (n, u)
        dh_before = np.tensordot(dz[:, t], U, axes=([1, 2], [0, 1]))
        # ∂L/∂c_before[s,t,a] = ∂L/∂c[s,t,a] f[s,t,a]  (n, u)
        dc_before = dc * f[:, t]
    # ∂L/∂W[q,a,v] = Σ_{s,t} δ_{v,x[s,t]} ∂L/∂z[s,t,q,a]  (4, u, k)
    dW = _scatter_add((k, 4, u), (x,), dz).transpose(1, 2, 0)
    # ∂L/∂U[q,a,b] = Σ_{s,t} ∂L/∂z[s,t,q,a] h[s,t − 1,b]  (4, u, u)
    dU = np.tensordot(dz, h_before, axes=([0, 1], [0, 1]))
    # ∂L/∂b[q,a] = Σ_{s,t} ∂L/∂z[s,t,q,a]  (4, u)
    db = dz.sum(axis=(0, 1))
    # ∂L/∂V[v,a] = Σ_{s,t} ∂L/∂logits[s,t,v] h[s,t,a]  (k, u)
    dV = np.tensordot(dlogits, h, axes=([0, 1], [0, 1]))
    # ∂L/∂e[v] = Σ_{s,t} ∂L/∂logits[s,t,v]  (k,)
    de = dlogits.sum(axis=(0, 1))

    return {"W": dW.copy(), "U": dU, "b": db, "V": dV, "e": de}


def value_and_grad(params, x, target, h0, c0):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, target, h0, c0)
    return loss, backward(params, cache)


def predict(params, x, h0, c0):
    """A dict of the outputs.

    x: (n, T), integers
    h0: (n, u)
    c0: (n, u)
    """
    arrays = _arrays(params, "n", x=x, h0=h0, c0=c0)
    W, U, b, V, e, x, h0, c0 = arrays.values()
    u = W.shape[1]
    k = W.shape[2]
    n, T = x.shape
    _check_shapes(
        arrays,
        W=(4, u, k),
        U=(4, u, u),
        b=(4, u),
        V=(k, u),
        e=(k,),
        h0=(n, u),
        c0=(n, u),
    )
    _check_gather("x", x, "W", 2, k)

    # z_given[s,t,q,a] = W[q,a,x[s,t]] + b[q,a]  (n, T, 4, u)
    z_given = W[:, :, x].transpose(2, 3, 0, 1) + b
    h_all = np.empty((n, T + 1, u), dtype=h0.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    h_before[:, 0] = h0
    c = c0
    for t in range(T):
        # z[s,t,q,a] = W[q,a,x[s,t]] + b[q,a] + Σ_b U[q,a,b] h[s,t − 1,b]  (n, 4, u)
        z = z_given[:, t] + np.tensordot(h_before[:, t], U, axes=([1], [2]))
        # i[s,t,a] = 1 / (1 + exp(−z[s,t,0,a]))  (n, u)
        i = np.exp(np.minimum(z[:, 0], 0)) / (1 + np.exp(-np.abs(z[:, 0])))
        # f[s,t,a] = 1 / (1 + exp(−z[s,t,1,a]))  (n, u)
        f = np.exp(np.minimum(z[:, 1], 0)) / (1 + np.exp(-np.abs(z[:, 1])))
        # g[s,t,a] = tanh(z[s,t,2,a])  (n, u)
        g = np.tanh(z[:, 2])
        # o[s,t,a] = 1 / (1 + exp(−z[s,t,3,a]))  (n, u)
        o = np.exp(np.minimum(z[:, 3], 0)) / (1 + np.exp(-np.abs(z[:, 3])))
        # c[s,t,a] = c[s,t − 1,a] f[s,t,a] + g[s,t,a] i[s,t,a]  (n, u)
        c = c * f + g * i
        # r[s,t,a] = tanh(c[s,t,a])  (n, u)
        r = np.tanh(c)
        # h[s,t,a] = o[s,t,a] r[s,t,a]  (n, u)
        h[:, t] = o * r
    # h_last[s,a] = h[s,T − 1,a]  (n, u)
    h_last = h[:, T - 1]
    # c_last[s,a] = c[s,T − 1,a]  (n, u)
    c_last = c
    # logits[s,t,v] = e[v] + Σ_a V[v,a] h[s,t,a]  (n, T, k)
    logits = h @ V.T + e
    # max_logits[s,t] = max_v logits[s,t,v]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,v] = exp(logits[s,t,v] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_v exp_logits[s,t,v]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,v] = exp(logits[s,t,v]) / Σ_v' exp(logits[s,t,v'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]
    # state[s,a] = h[s,T − 1,a]  (n, u)
    state = h_last
    # cell[s,a] = c[s,T − 1,a]  (n, u)
    cell = c_last

    outputs = {"y": y, "state": state.copy(), "cell": cell.copy()}
    return outputs


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


def _init_uniform(rng, shape, dtype):
    """As PyTorch has it: within ±1/√u."""
    limit = 1 / np.sqrt(shape[1])
    return rng.uniform(-limit, limit, shape)


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


def _shaped(name, value, shape):
    """A fresh parameter from its own function, whose shape is checked."""
    if np.shape(value) != shape:
        raise ValueError(f"{name}: init must give shape {shape}, got {np.shape(value)}")
    return value
