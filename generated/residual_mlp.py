# Digest of what follows, as symbp wrote it: 178de2fee88e6dde
# ruff: noqa: E741, RUF100
"""residual_mlp: a loss, its gradients and a step of training, in NumPy alone.

    X_initial[s,a] = Σ_j E[a,j] x[s,j]
    z[l,s,g] = b[l,g] + Σ_a W[l,g,a] X[l − 1,s,a]
    r[l,s,g] = max(0, z[l,s,g])
    X[−1,s,a] = X_initial[s,a]
    X[l,s,a] = X[l − 1,s,a] + c[l,a] + Σ_g V[l,a,g] r[l,s,g]
    top[s,a] = X[L − 1,s,a]
    logits[s,i] = e[i] + Σ_a F[i,a] top[s,a]
    y[s,i] = exp(logits[s,i]) / Σ_i' exp(logits[s,i'])
    loss = −(1 / n) Σ_s log(y[s,t[s]])

Use:

    params = init(np.random.default_rng(0), d=d, u=u, L=L, h=h, k=k)
    loss, grads = value_and_grad(params, x, t)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "E": ("u", "d"),
    "W": ("L", "h", "u"),
    "b": ("L", "h"),
    "V": ("L", "u", "h"),
    "c": ("L", "u"),
    "F": ("k", "u"),
    "e": ("k",),
}
INPUTS = {"x": ("n", "d"), "t": ("n",)}


def init(rng, *, d, u, L, h, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    E = rng.normal(0, np.sqrt(1 / d), (u, d))
    W = _shaped("W", _init_he(rng, (L, h, u), dtype), (L, h, u))
    b = np.zeros((L, h))
    V = _shaped("V", _init_small(rng, (L, u, h), dtype), (L, u, h))
    c = np.zeros((L, u))
    F = rng.normal(0, np.sqrt(1 / u), (k, u))
    e = np.zeros(k)
    params = {"E": E, "W": W, "b": b, "V": V, "c": c, "F": F, "e": e}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t):
    """The loss, and the cache that backward reads.

    x: (n, d)
    t: (n,), integers
    """
    arrays = _arrays(params, x=x, t=t)
    E, W, b, V, c, F, e, x, t = arrays.values()
    u, d = E.shape
    L = W.shape[0]
    h = W.shape[1]
    k = F.shape[0]
    n = x.shape[0]
    _check_shapes(
        arrays,
        W=(L, h, u),
        b=(L, h),
        V=(L, u, h),
        c=(L, u),
        F=(k, u),
        e=(k,),
        x=(n, d),
        t=(n,),
    )
    _check_gather("t", t, "y", 1, k)

    # X_initial[s,a] = Σ_j E[a,j] x[s,j]  (n, u)
    X_initial = x @ E.T
    X_all = np.empty((L + 1, n, u), dtype=x.dtype)
    X_before, X = X_all[:-1], X_all[1:]
    r = np.empty((L, n, h), dtype=x.dtype)
    X_before[0] = X_initial
    for l in range(L):
        # z[l,s,g] = b[l,g] + Σ_a W[l,g,a] X[l − 1,s,a]  (n, h)
        z = X_before[l] @ W[l].T + b[l]
        # r[l,s,g] = max(0, z[l,s,g])  (n, h)
        r[l] = np.maximum(z, 0)
        # X[l,s,a] = X[l − 1,s,a] + c[l,a] + Σ_g V[l,a,g] r[l,s,g]  (n, u)
        X[l] = X_before[l] + r[l] @ V[l].T + c[l]
    # X_last[s,a] = X[L − 1,s,a]  (n, u)
    X_last = X[L - 1]
    # top[s,a] = X[L − 1,s,a]  (n, u)
    top = X_last
    # logits[s,i] = e[i] + Σ_a F[i,a] top[s,a]  (n, k)
    logits = top @ F.T + e
    # max_logits[s] = max_i logits[s,i]  (n,)
    max_logits = logits.max(axis=1)
    # exp_logits[s,i] = exp(logits[s,i] − max_logits[s])  (n, k)
    exp_logits = np.exp(logits - max_logits[:, None])
    # sum_exp_logits[s] = Σ_i exp_logits[s,i]  (n,)
    sum_exp_logits = exp_logits.sum(axis=1)
    # y[s,i] = exp(logits[s,i]) / Σ_i' exp(logits[s,i'])  (n, k)
    y = exp_logits / sum_exp_logits[:, None]
    # loss = −(1 / n) Σ_s log(y[s,t[s]])
    loss = -(logits[np.arange(n), t] - max_logits - np.log(sum_exp_logits)).sum() / n

    cache = (x, t, r, top, y, X_before, L, h, n, u)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    W = _array("W", params["W"])
    V = _array("V", params["V"])
    F = _array("F", params["F"])
    x, t, r, top, y, X_before, L, h, n, u = cache

    # ∂L/∂logits[s,i] = (y[s,i] − δ_{i,t[s]}) / n  (n, k)
    dlogits = y / n
    dlogits[np.arange(n), t] -= 1 / n
    # ∂L/∂X_last[s,a] = Σ_i ∂L/∂logits[s,i] F[i,a]  (n, u)
    dX_last = dlogits @ F
    dW = np.empty((L, h, u), dtype=W.dtype)
    db = np.empty((L, h), dtype=W.dtype)
    dV = np.empty((L, u, h), dtype=W.dtype)
    dc = np.empty((L, u), dtype=W.dtype)
    dX_before = dX_last
    for l in reversed(range(L)):
        # ∂L/∂z[l,s,g] = [r[l,s,g] > 0] Σ_a ∂L/∂X_before[l + 1,s,a] V[l,a,g]  (n, h)
        dz = (dX_before @ V[l]) * (r[l] > 0)
        # ∂L/∂W[l,g,a] = Σ_s ∂L/∂z[l,s,g] X[l − 1,s,a]  (h, u)
        dW[l] = dz.T @ X_before[l]
        # ∂L/∂b[l,g] = Σ_s ∂L/∂z[l,s,g]  (h,)
        db[l] = dz.sum(axis=0)
        # ∂L/∂V[l,a,g] = Σ_s ∂L/∂X_before[l + 1,s,a] r[l,s,g]  (u, h)
        dV[l] = dX_before.T @ r[l]
        # ∂L/∂c[l,a] = Σ_s ∂L/∂X_before[l + 1,s,a]  (u,)
        dc[l] = dX_before.sum(axis=0)
        # ∂L/∂X_before[l,s,a] = ∂L/∂X_before[l + 1,s,a] + Σ_g ∂L/∂z[l,s,g] W[l,g,a]
        #     (n, u)
        dX_before = dX_before + dz @ W[l]
    # ∂L/∂E[a,j] = Σ_s ∂L/∂X_before[0,s,a] x[s,j]  (u, d)
    dE = dX_before.T @ x
    # ∂L/∂F[i,a] = Σ_s ∂L/∂logits[s,i] top[s,a]  (k, u)
    dF = dlogits.T @ top
    # ∂L/∂e[i] = Σ_s ∂L/∂logits[s,i]  (k,)
    de = dlogits.sum(axis=0)

    return {"E": dE, "W": dW, "b": db, "V": dV, "c": dc, "F": dF, "e": de}


def value_and_grad(params, x, t):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)


def predict(params, x):
    """The output y.

    x: (n, d)
    """
    arrays = _arrays(params, "n", x=x)
    E, W, b, V, c, F, e, x = arrays.values()
    u, d = E.shape
    L = W.shape[0]
    h = W.shape[1]
    k = F.shape[0]
    n = x.shape[0]
    _check_shapes(
        arrays, W=(L, h, u), b=(L, h), V=(L, u, h), c=(L, u), F=(k, u), e=(k,), x=(n, d)
    )

    # X_initial[s,a] = Σ_j E[a,j] x[s,j]  (n, u)
    X_initial = x @ E.T
    X = X_initial
    for l in range(L):
        # z[l,s,g] = b[l,g] + Σ_a W[l,g,a] X[l − 1,s,a]  (n, h)
        z = X @ W[l].T + b[l]
        # r[l,s,g] = max(0, z[l,s,g])  (n, h)
        r = np.maximum(z, 0)
        # X[l,s,a] = X[l − 1,s,a] + c[l,a] + Σ_g V[l,a,g] r[l,s,g]  (n, u)
        X = X + r @ V[l].T + c[l]
    # X_last[s,a] = X[L − 1,s,a]  (n, u)
    X_last = X
    # top[s,a] = X[L − 1,s,a]  (n, u)
    top = X_last
    # logits[s,i] = e[i] + Σ_a F[i,a] top[s,a]  (n, k)
    logits = top @ F.T + e
    # max_logits[s] = max_i logits[s,i]  (n,)
    max_logits = logits.max(axis=1)
    # exp_logits[s,i] = exp(logits[s,i] − max_logits[s])  (n, k)
    exp_logits = np.exp(logits - max_logits[:, None])
    # sum_exp_logits[s] = Σ_i exp_logits[s,i]  (n,)
    sum_exp_logits = exp_logits.sum(axis=1)
    # y[s,i] = exp(logits[s,i]) / Σ_i' exp(logits[s,i'])  (n, k)
    y = exp_logits / sum_exp_logits[:, None]

    return y


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


def _init_he(rng, shape, dtype):
    """He's normal law, layer by layer."""
    return rng.normal(0, np.sqrt(2 / shape[-1]), shape)


def _init_small(rng, shape, dtype):
    """Of what L layers add to one sum."""
    return rng.normal(0, 1 / np.sqrt(shape[0] * shape[-1]), shape)


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
