# Digest of what follows, as symbp wrote it: 50398295e7499f93
"""character_mlp: a loss, its gradients and a step of training, in NumPy alone.

    emb[s,r,e] = C[x[s,r],e]
    embcat[s,m] = Σ_{r,e} δ_{d r + e,m} emb[s,r,e]
    hprebn[s,a] = b1[a] + Σ_m W1[a,m] embcat[s,m]
    bnmeani[a] = (1 / n) Σ_s hprebn[s,a]
    bndiff[s,a] = hprebn[s,a] − bnmeani[a]
    bndiff2[s,a] = bndiff[s,a]²
    bnvar[a] = (Σ_s bndiff2[s,a]) / (n − 1)
    bnvar_inv[a] = 1 / √(1e−05 + bnvar[a])
    bnraw[s,a] = bndiff[s,a] bnvar_inv[a]
    hpreact[s,a] = bnbias[a] + bngain[a] bnraw[s,a]
    h[s,a] = tanh(hpreact[s,a])
    logits[s,i] = b2[i] + Σ_a W2[i,a] h[s,a]
    logit_maxes[s] = max_i logits[s,i]
    norm_logits[s,i] = logits[s,i] − logit_maxes[s]
    counts[s,i] = exp(norm_logits[s,i])
    counts_sum[s] = Σ_i counts[s,i]
    counts_sum_inv[s] = 1 / counts_sum[s]
    probs[s,i] = counts[s,i] counts_sum_inv[s]
    logprobs[s,i] = log(probs[s,i])
    hpreact_y[s,a] = bnbias[a] + bngain[a] (hprebn[s,a] − bnmean_running[a]) / √(1e−05
        + bnvar_running[a])
    h_y[s,a] = tanh(hpreact_y[s,a])
    z_y[s,i] = b2[i] + Σ_a W2[i,a] h_y[s,a]
    y[s,i] = exp(z_y[s,i]) / Σ_v exp(z_y[s,v])
    loss = −(1 / n) Σ_s logprobs[s,t[s]]

Use:

    params = init(np.random.default_rng(0), k=k, d=d, u=u)
    loss, grads = value_and_grad(params, x, t)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "C": ("k", "d"),
    "W1": ("u", "3*d"),
    "b1": ("u",),
    "bngain": ("u",),
    "bnbias": ("u",),
    "W2": ("k", "u"),
    "b2": ("k",),
}
INPUTS = {
    "x": ("n", "3"),
    "t": ("n",),
    "bnmean_running": ("u",),
    "bnvar_running": ("u",),
}


def init(rng, *, k, d, u, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    C = rng.normal(0, np.sqrt(1 / d), (k, d))
    W1 = rng.normal(0, np.sqrt(1 / (3 * d)), (u, 3 * d))
    b1 = np.zeros(u)
    bngain = np.ones(u)
    bnbias = np.zeros(u)
    W2 = rng.normal(0, np.sqrt(1 / u), (k, u))
    b2 = np.zeros(k)
    params = {
        "C": C,
        "W1": W1,
        "b1": b1,
        "bngain": bngain,
        "bnbias": bnbias,
        "W2": W2,
        "b2": b2,
    }
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, x, t):
    """The loss, and the cache that backward reads.

    x: (n, 3), integers
    t: (n,), integers
    """
    arrays = _arrays(params, x=x, t=t)
    C, W1, b1, bngain, bnbias, W2, b2, x, t = arrays.values()
    k, d = C.shape
    u = W1.shape[0]
    n = x.shape[0]
    _check_shapes(
        arrays,
        W1=(u, 3 * d),
        b1=(u,),
        bngain=(u,),
        bnbias=(u,),
        W2=(k, u),
        b2=(k,),
        x=(n, 3),
        t=(n,),
    )
    _check_gather("x", x, "C", 0, k)
    _check_gather("t", t, "logprobs", 1, k)

    # emb[s,r,e] = C[x[s,r],e]  (n, 3, d)
    emb = C[x]
    # embcat[s,m] = Σ_{r,e} δ_{d r + e,m} emb[s,r,e]  (n, 3*d)
    embcat = emb.reshape(n, 3 * d)
    # hprebn[s,a] = b1[a] + Σ_m W1[a,m] embcat[s,m]  (n, u)
    hprebn = embcat @ W1.T + b1
    # bnmeani[a] = (1 / n) Σ_s hprebn[s,a]  (u,)
    bnmeani = hprebn.sum(axis=0) / n
    # bndiff[s,a] = hprebn[s,a] − bnmeani[a]  (n, u)
    bndiff = hprebn - bnmeani
    # bndiff2[s,a] = bndiff[s,a]²  (n, u)
    bndiff2 = bndiff**2
    # bnvar[a] = (Σ_s bndiff2[s,a]) / (n − 1)  (u,)
    bnvar = bndiff2.sum(axis=0) / (n - 1)
    # bnvar_inv[a] = 1 / √(1e−05 + bnvar[a])  (u,)
    bnvar_inv = 1 / np.sqrt(bnvar + 1e-05)
    # bnraw[s,a] = bndiff[s,a] bnvar_inv[a]  (n, u)
    bnraw = bnvar_inv * bndiff
    # hpreact[s,a] = bnbias[a] + bngain[a] bnraw[s,a]  (n, u)
    hpreact = bngain * bnraw + bnbias
    # h[s,a] = tanh(hpreact[s,a])  (n, u)
    h = np.tanh(hpreact)
    # logits[s,i] = b2[i] + Σ_a W2[i,a] h[s,a]  (n, k)
    logits = h @ W2.T + b2
    # logit_maxes[s] = max_i logits[s,i]  (n,)
    logit_maxes = logits.max(axis=1)
    # norm_logits[s,i] = logits[s,i] − logit_maxes[s]  (n, k)
    norm_logits = logits - logit_maxes[:, None]
    # exp_norm_logits[s,v] = exp(norm_logits[s,v])  (n, k)
    exp_norm_logits = np.exp(norm_logits)
    # sum_exp_norm_logits[s] = Σ_v exp_norm_logits[s,v]  (n,)
    sum_exp_norm_logits = exp_norm_logits.sum(axis=1)
    # probs[s,i] = counts[s,i] counts_sum_inv[s]  (n, k)
    probs = exp_norm_logits / sum_exp_norm_logits[:, None]
    # logprobs[s,i] = log(probs[s,i])  (n, k)
    logprobs = norm_logits - np.log(sum_exp_norm_logits)[:, None]
    # loss = −(1 / n) Σ_s logprobs[s,t[s]]
    loss = -logprobs[np.arange(n), t].sum() / n

    cache = (x, t, embcat, bnvar_inv, bnraw, h, probs, d, k, n, u)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    W1 = _array("W1", params["W1"])
    bngain = _array("bngain", params["bngain"])
    W2 = _array("W2", params["W2"])
    x, t, embcat, bnvar_inv, bnraw, h, probs, d, k, n, u = cache

    # ∂L/∂logits[s,i] = (probs[s,i] − δ_{i,t[s]}) / n  (n, k)
    dlogits = probs / n
    dlogits[np.arange(n), t] -= 1 / n
    # ∂L/∂hpreact[s,a] = (1 − h[s,a]²) Σ_v ∂L/∂logits[s,v] W2[v,a]  (n, u)
    dhpreact = (1 - h**2) * (dlogits @ W2)
    # sum_dhpreact[a] = Σ_s ∂L/∂hpreact[s,a]  (u,)
    sum_dhpreact = dhpreact.sum(axis=0)
    # sum_bnraw_dhpreact[a] = Σ_s ∂L/∂hpreact[s,a] bnraw[s,a]  (u,)
    sum_bnraw_dhpreact = (bnraw * dhpreact).sum(axis=0)
    # ∂L/∂hprebn[s,a] = bngain[a] bnvar_inv[a] (∂L/∂hpreact[s,a] − (1
    #     / n) (Σ_s' ∂L/∂hpreact[s',a])
    #     − bnraw[s,a] (Σ_s' ∂L/∂hpreact[s',a] bnraw[s',a]) / (n − 1))  (n, u)
    dhprebn = (
        bngain
        * bnvar_inv
        * (dhpreact - sum_bnraw_dhpreact / (n - 1) * bnraw - sum_dhpreact / n)
    )
    # ∂L/∂embcat[s,m] = Σ_a ∂L/∂hprebn[s,a] W1[a,m]  (n, 3*d)
    dembcat = dhprebn @ W1
    # ∂L/∂C[v,e] = Σ_{s,r} δ_{v,x[s,r]} ∂L/∂embcat[s,d r + e]  (k, d)
    dC = _scatter_add((k, d), (x,), dembcat.reshape(n, 3, d))
    # ∂L/∂W1[a,m] = Σ_s ∂L/∂hprebn[s,a] embcat[s,m]  (u, 3*d)
    dW1 = dhprebn.T @ embcat
    # ∂L/∂b1[a] = 0  (u,)
    db1 = np.zeros((u,), dtype=W1.dtype)
    # ∂L/∂bngain[a] = Σ_s ∂L/∂hpreact[s,a] bnraw[s,a]  (u,)
    dbngain = sum_bnraw_dhpreact.copy()
    # ∂L/∂bnbias[a] = Σ_s ∂L/∂hpreact[s,a]  (u,)
    dbnbias = sum_dhpreact.copy()
    # ∂L/∂W2[i,a] = Σ_s ∂L/∂logits[s,i] h[s,a]  (k, u)
    dW2 = dlogits.T @ h
    # ∂L/∂b2[i] = Σ_s ∂L/∂logits[s,i]  (k,)
    db2 = dlogits.sum(axis=0)

    return {
        "C": dC,
        "W1": dW1,
        "b1": db1,
        "bngain": dbngain,
        "bnbias": dbnbias,
        "W2": dW2,
        "b2": db2,
    }


def value_and_grad(params, x, t):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, x, t)
    return loss, backward(params, cache)


def predict(params, x, bnmean_running, bnvar_running):
    """The output y.

    x: (n, 3), integers
    bnmean_running: (u,)
    bnvar_running: (u,)
    """
    arrays = _arrays(
        params, "n", x=x, bnmean_running=bnmean_running, bnvar_running=bnvar_running
    )
    (
        C,
        W1,
        b1,
        bngain,
        bnbias,
        W2,
        b2,
        x,
        bnmean_running,
        bnvar_running,
    ) = arrays.values()
    k, d = C.shape
    u = W1.shape[0]
    n = x.shape[0]
    _check_shapes(
        arrays,
        W1=(u, 3 * d),
        b1=(u,),
        bngain=(u,),
        bnbias=(u,),
        W2=(k, u),
        b2=(k,),
        x=(n, 3),
        bnmean_running=(u,),
        bnvar_running=(u,),
    )
    _check_gather("x", x, "C", 0, k)

    # emb[s,r,e] = C[x[s,r],e]  (n, 3, d)
    emb = C[x]
    # embcat[s,m] = Σ_{r,e} δ_{d r + e,m} emb[s,r,e]  (n, 3*d)
    embcat = emb.reshape(n, 3 * d)
    # hprebn[s,a] = b1[a] + Σ_m W1[a,m] embcat[s,m]  (n, u)
    hprebn = embcat @ W1.T + b1
    # hpreact_y[s,a] = bnbias[a] + bngain[a] (hprebn[s,a] − bnmean_running[a]) / √(1e−05
    #     + bnvar_running[a])  (n, u)
    hpreact_y = (
        bngain / np.sqrt(bnvar_running + 1e-05) * (hprebn - bnmean_running) + bnbias
    )
    # h_y[s,a] = tanh(hpreact_y[s,a])  (n, u)
    h_y = np.tanh(hpreact_y)
    # z_y[s,i] = b2[i] + Σ_a W2[i,a] h_y[s,a]  (n, k)
    z_y = h_y @ W2.T + b2
    # exp_z_y[s,v] = exp(z_y[s,v] − max_i z_y[s,i])  (n, k)
    exp_z_y = np.exp(z_y - z_y.max(axis=1, keepdims=True))
    # y[s,i] = exp(z_y[s,i]) / Σ_v exp(z_y[s,v])  (n, k)
    y = exp_z_y / exp_z_y.sum(axis=1, keepdims=True)

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
_INTEGERS = ("x", "t")


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
