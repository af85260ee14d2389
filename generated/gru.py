# Digest of what follows, as symbp wrote it: c87df9b6bde15e1d
"""gru: a loss, its gradients and a step of training, in NumPy alone.

    zr[s,t,a] = br[a] + (Σ_b Ur[a,b] h[s,t − 1,b]) + Σ_j Wr[a,j] x[s,t,j]
    r[s,t,a] = 1 / (1 + exp(−zr[s,t,a]))
    zz[s,t,a] = bz[a] + (Σ_b Uz[a,b] h[s,t − 1,b]) + Σ_j Wz[a,j] x[s,t,j]
    z[s,t,a] = 1 / (1 + exp(−zz[s,t,a]))
    p[s,t,a] = cm[a] + Σ_b Um[a,b] h[s,t − 1,b]
    zm[s,t,a] = bm[a] + p[s,t,a] r[s,t,a] + Σ_j Wm[a,j] x[s,t,j]
    m[s,t,a] = tanh(zm[s,t,a])
    h[s,−1,a] = 0
    h[s,t,a] = h[s,t − 1,a] z[s,t,a] + m[s,t,a] (1 − z[s,t,a])
    read[s,a] = h[s,last[s],a]
    logits[s,i] = e[i] + Σ_a V[i,a] read[s,a]
    y[s,i] = exp(logits[s,i]) / Σ_i' exp(logits[s,i'])
    loss = −(1 / n) Σ_s log(y[s,label[s]])

Use:

    params = init(np.random.default_rng(0), d=d, u=u, k=k)
    loss, grads = value_and_grad(params, x, label, last)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "Wr": ("u", "d"),
    "Ur": ("u", "u"),
    "br": ("u",),
    "Wz": ("u", "d"),
    "Uz": ("u", "u"),
    "bz": ("u",),
    "Wm": ("u", "d"),
    "bm": ("u",),
    "Um": ("u", "u"),
    "cm": ("u",),
    "V": ("k", "u"),
    "e": ("k",),
}
INPUTS = {"x": ("n", "T", "d"), "label": ("n",), "last": ("n",)}


def init(rng, *, d, u, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    Wr = rng.normal(0, np.sqrt(1 / d), (u, d))
    Ur = rng.normal(0, np.sqrt(1 / u), (u, u))
    br = np.zeros(u)
    Wz = rng.normal(0, np.sqrt(1 / d), (u, d))
    Uz = rng.normal(0, np.sqrt(1 / u), (u, u))
    bz = np.zeros(u)
    Wm = rng.normal(0, np.sqrt(1 / d), (u, d))
    bm = np.zeros(u)
    Um = rng.normal(0, np.sqrt(1 / u), (u, u))
    cm = np.zeros(u)
    V = rng.normal(0, np.sqrt(1 / u), (k, u))
    e = np.zeros(k)
    params = {
        "Wr": Wr,
        "Ur": Ur,
        "br": br,
        "Wz": Wz,
        "Uz": Uz,
        "bz": bz,
        "Wm": Wm,
        "bm": bm,
        "Um": Um,
        "cm": cm,
        "V": V,
        "e": e,
    }
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, label, last):
    """The loss, and the cache that backward reads.

    x: (n, T, d)
    label: (n,), integers
    last: (n,), integers
    """
    arrays = _arrays(params, x=x, label=label, last=last)
    Wr, Ur, br, Wz, Uz, bz, Wm, bm, Um, cm, V, e, x, label, last = arrays.values()
    u, d = Wr.shape
    k = V.shape[0]
    n = x.shape[0]
    T = x.shape[1]
    _check_shapes(
        arrays,
        Ur=(u, u),
        br=(u,),
        Wz=(u, d),
        Uz=(u, u),
        bz=(u,),
        Wm=(u, d),
        bm=(u,),
        Um=(u, u),
        cm=(u,),
        V=(k, u),
        e=(k,),
        x=(n, T, d),
        label=(n,),
        last=(n,),
    )
    _check_gather("last", last, "h", 1, T)
    _check_gather("label", label, "y", 1, k)

    # zr_given[s,t,a] = br[a] + Σ_j Wr[a,j] x[s,t,j]  (n, T, u)
    zr_given = x @ Wr.T + br
    # zz_given[s,t,a] = bz[a] + Σ_j Wz[a,j] x[s,t,j]  (n, T, u)
    zz_given = x @ Wz.T + bz
    # zm_given[s,t,a] = bm[a] + Σ_j Wm[a,j] x[s,t,j]  (n, T, u)
    zm_given = x @ Wm.T + bm
    p = np.empty((n, T, u), dtype=x.dtype)
    h_all = np.zeros((n, T + 1, u), dtype=x.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    z = np.empty((n, T, u), dtype=x.dtype)
    m = np.empty((n, T, u), dtype=x.dtype)
    r = np.empty((n, T, u), dtype=x.dtype)
    for t in range(T):
        # zr[s,t,a] = br[a] + (Σ_b Ur[a,b] h[s,t − 1,b]) + Σ_j Wr[a,j] x[s,t,j]  (n, u)
        zr = zr_given[:, t] + h_before[:, t] @ Ur.T
        # r[s,t,a] = 1 / (1 + exp(−zr[s,t,a]))  (n, u)
        r[:, t] = np.exp(np.minimum(zr, 0)) / (1 + np.exp(-np.abs(zr)))
        # zz[s,t,a] = bz[a] + (Σ_b Uz[a,b] h[s,t − 1,b]) + Σ_j Wz[a,j] x[s,t,j]  (n, u)
        zz = zz_given[:, t] + h_before[:, t] @ Uz.T
        # z[s,t,a] = 1 / (1 + exp(−zz[s,t,a]))  (n, u)
        z[:, t] = np.exp(np.minimum(zz, 0)) / (1 + np.exp(-np.abs(zz)))
        # p[s,t,a] = cm[a] + Σ_b Um[a,b] h[s,t − 1,b]  (n, u)
        p[:, t] = h_before[:, t] @ Um.T + cm
        # zm[s,t,a] = bm[a] + p[s,t,a] r[s,t,a] + Σ_j Wm[a,j] x[s,t,j]  (n, u)
        zm = p[:, t] * r[:, t] + zm_given[:, t]
        # m[s,t,a] = tanh(zm[s,t,a])  (n, u)
        m[:, t] = np.tanh(zm)
        # h[s,t,a] = h[s,t − 1,a] z[s,t,a] + m[s,t,a] (1 − z[s,t,a])  (n, u)
        h[:, t] = m[:, t] * (1 - z[:, t]) + h_before[:, t] * z[:, t]
    # read[s,a] = h[s,last[s],a]  (n, u)
    read = h[np.arange(n), last]
    # logits[s,i] = e[i] + Σ_a V[i,a] read[s,a]  (n, k)
    logits = read @ V.T + e
    # max_logits[s] = max_i logits[s,i]  (n,)
    max_logits = logits.max(axis=1)
    # exp_logits[s,i] = exp(logits[s,i] − max_logits[s])  (n, k)
    exp_logits = np.exp(logits - max_logits[:, None])
    # sum_exp_logits[s] = Σ_i exp_logits[s,i]  (n,)
    sum_exp_logits = exp_logits.sum(axis=1)
    # y[s,i] = exp(logits[s,i]) / Σ_i' exp(logits[s,i'])  (n, k)
    y = exp_logits / sum_exp_logits[:, None]
    # loss = −(1 / n) Σ_s log(y[s,label[s]])
    loss = (
        -(logits[np.arange(n), label] - max_logits - np.log(sum_exp_logits)).sum() / n
    )

    cache = (x, label, last, r, z, p, m, read, y, h_before, T, n, u)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    Ur = _array("Ur", params["Ur"])
    Uz = _array("Uz", params["Uz"])
    Um = _array("Um", params["Um"])
    V = _array("V", params["V"])
    x, label, last, r, z, p, m, read, y, h_before, T, n, u = cache

    # ∂L/∂logits[s,i] = (y[s,i] − δ_{i,label[s]}) / n  (n, k)
    dlogits = y / n
    dlogits[np.arange(n), label] -= 1 / n
    # ∂L/∂read[s,a] = Σ_i ∂L/∂logits[s,i] V[i,a]  (n, u)
    dread = dlogits @ V
    # dh_given[s,t,a] = δ_{last[s],t} ∂L/∂read[s,a]  (n, T, u)
    dh_given = np.zeros((n, T, u), dtype=dread.dtype)
    dh_given[np.arange(n), last] = dread
    # dzm_given[s,t,a] = (1 − m[s,t,a]²) (1 − z[s,t,a])  (n, T, u)
    dzm_given = (1 - m**2) * (1 - z)
    # dzz_given[s,t,a] = z[s,t,a] (1 − z[s,t,a]) (h_before[s,t,a] − m[s,t,a])  (n, T, u)
    dzz_given = z * (1 - z) * (h_before - m)
    # dzr_given[s,t,a] = p[s,t,a] r[s,t,a] (1 − r[s,t,a])  (n, T, u)
    dzr_given = p * r * (1 - r)
    dp = np.empty((n, T, u), dtype=Ur.dtype)
    dzr = np.empty((n, T, u), dtype=Ur.dtype)
    dzz = np.empty((n, T, u), dtype=Ur.dtype)
    dzm = np.empty((n, T, u), dtype=Ur.dtype)
    dh_before = np.zeros((n, u), dtype=Ur.dtype)
    for t in reversed(range(T)):
        # ∂L/∂h[s,t,a] = δ_{last[s],t} ∂L/∂read[s,a] + ∂L/∂h_before[s,t + 1,a]  (n, u)
        dh = dh_before + dh_given[:, t]
        # ∂L/∂zm[s,t,a] = ∂L/∂h[s,t,a] (1 − m[s,t,a]²) (1 − z[s,t,a])  (n, u)
        dzm[:, t] = dh * dzm_given[:, t]
        # ∂L/∂p[s,t,a] = ∂L/∂zm[s,t,a] r[s,t,a]  (n, u)
        dp[:, t] = dzm[:, t] * r[:, t]
        # ∂L/∂zz[s,t,a] = ∂L/∂h[s,t,a] z[s,t,a] (1 − z[s,t,a]) (h[s,t − 1,a] − m[s,t,a])
        #     (n, u)
        dzz[:, t] = dh * dzz_given[:, t]
        # ∂L/∂zr[s,t,a] = ∂L/∂zm[s,t,a] p[s,t,a] r[s,t,a] (1 − r[s,t,a])  (n, u)
        dzr[:, t] = dzm[:, t] * dzr_given[:, t]
        # ∂L/∂h_before[s,t,a] = ∂L/∂h[s,t,a] z[s,t,a] + (Σ_b ∂L/∂p[s,t,b] Um[b,a])
        #     + (Σ_b ∂L/∂zr[s,t,b] Ur[b,a]) + Σ_b ∂L/∂zz[s,t,b] Uz[b,a]  (n, u)
        dh_before = dh * z[:, t] + dp[:, t] @ Um + dzr[:, t] @ Ur + dzz[:, t] @ Uz
    # ∂L/∂Wr[a,j] = Σ_{s,t} ∂L/∂zr[s,t,a] x[s,t,j]  (u, d)
    dWr = np.tensordot(dzr, x, axes=([0, 1], [0, 1]))
    # ∂L/∂Ur[a,b] = Σ_{s,t} ∂L/∂zr[s,t,a] h[s,t − 1,b]  (u, u)
    dUr = np.tensordot(dzr, h_before, axes=([0, 1], [0, 1]))
    # ∂L/∂br[a] = Σ_{s,t} ∂L/∂zr[s,t,a]  (u,)
    dbr = dzr.sum(axis=(0, 1))
    # ∂L/∂Wz[a,j] = Σ_{s,t} ∂L/∂zz[s,t,a] x[s,t,j]  (u, d)
    dWz = np.tensordot(dzz, x, axes=([0, 1], [0, 1]))
    # ∂L/∂Uz[a,b] = Σ_{s,t} ∂L/∂zz[s,t,a] h[s,t − 1,b]  (u, u)
    dUz = np.tensordot(dzz, h_before, axes=([0, 1], [0, 1]))
    # ∂L/∂bz[a] = Σ_{s,t} ∂L/∂zz[s,t,a]  (u,)
    dbz = dzz.sum(axis=(0, 1))
    # ∂L/∂Wm[a,j] = Σ_{s,t} ∂L/∂zm[s,t,a] x[s,t,j]  (u, d)
    dWm = np.tensordot(dzm, x, axes=([0, 1], [0, 1]))
    # ∂L/∂bm[a] = Σ_{s,t} ∂L/∂zm[s,t,a]  (u,)
    dbm = dzm.sum(axis=(0, 1))
    # ∂L/∂Um[a,b] = Σ_{s,t} ∂L/∂p[s,t,a] h[s,t − 1,b]  (u, u)
    dUm = np.tensordot(dp, h_before, axes=([0, 1], [0, 1]))
    # ∂L/∂cm[a] = Σ_{s,t} ∂L/∂p[s,t,a]  (u,)
    dcm = dp.sum(axis=(0, 1))
    # ∂L/∂V[i,a] = Σ_s ∂L/∂logits[s,i] read[s,a]  (k, u)
    dV = dlogits.T @ read
    # ∂L/∂e[i] = Σ_s ∂L/∂logits[s,i]  (k,)
    de = dlogits.sum(axis=0)

    return {
        "Wr": dWr,
        "Ur": dUr,
        "br": dbr,
        "Wz": dWz,
        "Uz": dUz,
        "bz": dbz,
        "Wm": dWm,
        "bm": dbm,
        "Um": dUm,
        "cm": dcm,
        "V": dV,
        "e": de,
    }


def value_and_grad(params, x, label, last):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, label, last)
    return loss, backward(params, cache)


def predict(params, x, last):
    """The output y.

    x: (n, T, d)
    last: (n,), integers
    """
    arrays = _arrays(params, "n", x=x, last=last)
    Wr, Ur, br, Wz, Uz, bz, Wm, bm, Um, cm, V, e, x, last = arrays.values()
    u, d = Wr.shape
    k = V.shape[0]
    n = x.shape[0]
    T = x.shape[1]
    _check_shapes(
        arrays,
        Ur=(u, u),
        br=(u,),
        Wz=(u, d),
        Uz=(u, u),
        bz=(u,),
        Wm=(u, d),
        bm=(u,),
        Um=(u, u),
        cm=(u,),
        V=(k, u),
        e=(k,),
        x=(n, T, d),
        last=(n,),
    )
    _check_gather("last", last, "h", 1, T)

    # zr_given[s,t,a] = br[a] + Σ_j Wr[a,j] x[s,t,j]  (n, T, u)
    zr_given = x @ Wr.T + br
    # zz_given[s,t,a] = bz[a] + Σ_j Wz[a,j] x[s,t,j]  (n, T, u)
    zz_given = x @ Wz.T + bz
    # zm_given[s,t,a] = bm[a] + Σ_j Wm[a,j] x[s,t,j]  (n, T, u)
    zm_given = x @ Wm.T + bm
    h_all = np.zeros((n, T + 1, u), dtype=x.dtype)
    h_before, h = h_all[:, :-1], h_all[:, 1:]
    for t in range(T):
        # zr[s,t,a] = br[a] + (Σ_b Ur[a,b] h[s,t − 1,b]) + Σ_j Wr[a,j] x[s,t,j]  (n, u)
        zr = zr_given[:, t] + h_before[:, t] @ Ur.T
        # r[s,t,a] = 1 / (1 + exp(−zr[s,t,a]))  (n, u)
        r = np.exp(np.minimum(zr, 0)) / (1 + np.exp(-np.abs(zr)))
        # zz[s,t,a] = bz[a] + (Σ_b Uz[a,b] h[s,t − 1,b]) + Σ_j Wz[a,j] x[s,t,j]  (n, u)
        zz = zz_given[:, t] + h_before[:, t] @ Uz.T
        # z[s,t,a] = 1 / (1 + exp(−zz[s,t,a]))  (n, u)
        z = np.exp(np.minimum(zz, 0)) / (1 + np.exp(-np.abs(zz)))
        # p[s,t,a] = cm[a] + Σ_b Um[a,b] h[s,t − 1,b]  (n, u)
        p = h_before[:, t] @ Um.T + cm
        # zm[s,t,a] = bm[a] + p[s,t,a] r[s,t,a] + Σ_j Wm[a,j] x[s,t,j]  (n, u)
        zm = p * r + zm_given[:, t]
        # m[s,t,a] = tanh(zm[s,t,a])  (n, u)
        m = np.tanh(zm)
        # h[s,t,a] = h[s,t − 1,a] z[s,t,a] + m[s,t,a] (1 − z[s,t,a])  (n, u)
        h[:, t] = m * (1 - z) + z * h_before[:, t]
    # read[s,a] = h[s,last[s],a]  (n, u)
    read = h[np.arange(n), last]
    # logits[s,i] = e[i] + Σ_a V[i,a] read[s,a]  (n, k)
    logits = read @ V.T + e
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


# Checks at entry

_AXES = PARAMETERS | INPUTS
_INTEGERS = ("label", "last")


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
