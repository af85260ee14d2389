# Digest of what follows, as symbp wrote it: fd6571295a8ecfc4
"""tagger: a loss, its gradients and a step of training, in NumPy alone.

    valid[s,t] = [t < length[s]]
    x[s,t,j] = E[word[s,t],j]
    zf[s,t,a] = bf[a] + (Σ_b Uf[a,b] f[s,t − 1,b]) + Σ_j Wf[a,j] x[s,t,j]
    f[s,−1,a] = 0
    f[s,t,a] = tanh(zf[s,t,a])
    zg[s,t,a] = bg[a] + (Σ_b Ug[a,b] g[s,t + 1,b]) + Σ_j Wg[a,j] x[s,t,j]
    g[s,T,a] = 0
    g[s,t,a] = valid[s,t] tanh(zg[s,t,a])
    logits[s,t,i] = e[i] + (Σ_a Vf[i,a] f[s,t,a]) + Σ_b Vg[i,b] g[s,t,b]
    y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])
    loss = −(Σ_{s',t} valid[s',t] log(y[s',t,tag[s',t]])) / Σ_s length[s]

Use:

    params = init(np.random.default_rng(0), v=v, d=d, u=u, k=k)
    loss, grads = value_and_grad(params, word, tag, length)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "E": ("v", "d"),
    "Wf": ("u", "d"),
    "Uf": ("u", "u"),
    "bf": ("u",),
    "Wg": ("u", "d"),
    "Ug": ("u", "u"),
    "bg": ("u",),
    "Vf": ("k", "u"),
    "Vg": ("k", "u"),
    "e": ("k",),
}
INPUTS = {"word": ("n", "T"), "tag": ("n", "T"), "length": ("n",)}


def init(rng, *, v, d, u, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    E = rng.normal(0, np.sqrt(1 / d), (v, d))
    Wf = rng.normal(0, np.sqrt(1 / d), (u, d))
    Uf = rng.normal(0, np.sqrt(1 / u), (u, u))
    bf = np.zeros(u)
    Wg = rng.normal(0, np.sqrt(1 / d), (u, d))
    Ug = rng.normal(0, np.sqrt(1 / u), (u, u))
    bg = np.zeros(u)
    Vf = rng.normal(0, np.sqrt(1 / u), (k, u))
    Vg = rng.normal(0, np.sqrt(1 / u), (k, u))
    e = np.zeros(k)
    params = {
        "E": E,
        "Wf": Wf,
        "Uf": Uf,
        "bf": bf,
        "Wg": Wg,
        "Ug": Ug,
        "bg": bg,
        "Vf": Vf,
        "Vg": Vg,
        "e": e,
    }
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, word, tag, length):
    """The loss, and the cache that backward reads.

    word: (n, T), integers
    tag: (n, T), integers
    length: (n,), integers
    """
    arrays = _arrays(params, word=word, tag=tag, length=length)
    E, Wf, Uf, bf, Wg, Ug, bg, Vf, Vg, e, word, tag, length = arrays.values()
    v, d = E.shape
    u = Wf.shape[0]
    k = Vf.shape[0]
    n, T = word.shape
    _check_shapes(
        arrays,
        Wf=(u, d),
        Uf=(u, u),
        bf=(u,),
        Wg=(u, d),
        Ug=(u, u),
        bg=(u,),
        Vf=(k, u),
        Vg=(k, u),
        e=(k,),
        tag=(n, T),
        length=(n,),
    )
    _check_gather("word", word, "E", 0, v)
    _check_gather("tag", tag, "logits", 2, k)

    # valid[s,t] = [t < length[s]]  (n, T)
    valid = (np.arange(T) < length[:, None]).astype(E.dtype)
    # x[s,t,j] = E[word[s,t],j]  (n, T, d)
    x = E[word]
    # zf_given[s,t,a] = bf[a] + Σ_j Wf[a,j] x[s,t,j]  (n, T, u)
    zf_given = x @ Wf.T + bf
    f_all = np.zeros((n, T + 1, u), dtype=E.dtype)
    f_before, f = f_all[:, :-1], f_all[:, 1:]
    for t in range(T):
        # zf[s,t,a] = bf[a] + (Σ_b Uf[a,b] f[s,t − 1,b]) + Σ_j Wf[a,j] x[s,t,j]  (n, u)
        zf = zf_given[:, t] + f_before[:, t] @ Uf.T
        # f[s,t,a] = tanh(zf[s,t,a])  (n, u)
        f[:, t] = np.tanh(zf)
    # zg_given[s,t,a] = bg[a] + Σ_j Wg[a,j] x[s,t,j]  (n, T, u)
    zg_given = x @ Wg.T + bg
    g_all = np.zeros((n, T + 1, u), dtype=E.dtype)
    g_after, g = g_all[:, 1:], g_all[:, :-1]
    tanh_zg = np.empty((n, T, u), dtype=E.dtype)
    for t_at in reversed(range(T)):
        # zg[s,t,a] = bg[a] + (Σ_b Ug[a,b] g[s,t + 1,b]) + Σ_j Wg[a,j] x[s,t,j]  (n, u)
        zg = zg_given[:, t_at] + g_after[:, t_at] @ Ug.T
        # tanh_zg[s,t,a] = tanh(zg[s,t,a])  (n, u)
        tanh_zg[:, t_at] = np.tanh(zg)
        # g[s,t,a] = valid[s,t] tanh(zg[s,t,a])  (n, u)
        g[:, t_at] = valid[:, t_at][:, None] * tanh_zg[:, t_at]
    # logits[s,t,i] = e[i] + (Σ_a Vf[i,a] f[s,t,a]) + Σ_b Vg[i,b] g[s,t,b]  (n, T, k)
    logits = f @ Vf.T + g @ Vg.T + e
    # max_logits[s,t] = max_i logits[s,t,i]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,i] = exp(logits[s,t,i] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_i exp_logits[s,t,i]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]
    # inverse_sum_length = 1 / Σ_s length[s]
    inverse_sum_length = 1 / length.astype(E.dtype).sum()
    # loss_part[s,t] = logits[s,t,tag[s,t]] − max_logits[s,t] − log(sum_exp_logits[s,t])
    #     (n, T)
    loss_part = (
        logits[np.arange(n)[:, None], np.arange(T), tag]
        - max_logits
        - np.log(sum_exp_logits)
    )
    # loss = −(Σ_{s',t} valid[s',t] log(y[s',t,tag[s',t]])) / Σ_s length[s]
    loss = -inverse_sum_length * (loss_part * valid).sum()

    cache = (
        word,
        tag,
        valid,
        x,
        f,
        g,
        y,
        f_before,
        g_after,
        tanh_zg,
        inverse_sum_length,
        T,
        d,
        n,
        u,
        v,
    )
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    Wf = _array("Wf", params["Wf"])
    Uf = _array("Uf", params["Uf"])
    Wg = _array("Wg", params["Wg"])
    Ug = _array("Ug", params["Ug"])
    Vf = _array("Vf", params["Vf"])
    Vg = _array("Vg", params["Vg"])
    (
        word,
        tag,
        valid,
        x,
        f,
        g,
        y,
        f_before,
        g_after,
        tanh_zg,
        inverse_sum_length,
        T,
        d,
        n,
        u,
        v,
    ) = cache

    # ∂L/∂logits[s,t,i] = valid[s,t] (y[s,t,i] − δ_{i,tag[s,t]}) / Σ_s' length[s']
    #     (n, T, k)
    dlogits = inverse_sum_length * valid[:, :, None] * y
    dlogits[np.arange(n)[:, None], np.arange(T), tag] -= inverse_sum_length * valid
    # dzg_given[s,t,a] = Σ_i ∂L/∂logits[s,t,i] Vg[i,a]  (n, T, u)
    dzg_given = dlogits @ Vg
    # dzg_given_2[s,t,a] = valid[s,t] (1 − tanh_zg[s,t,a]²)  (n, T, u)
    dzg_given_2 = valid[:, :, None] * (1 - tanh_zg**2)
    dzg = np.empty((n, T, u), dtype=Wf.dtype)
    dg_after = np.zeros((n, u), dtype=Wf.dtype)
    for t in range(T):
        # ∂L/∂zg[s,t,a] = valid[s,t] (1 − tanh(zg[s,t,a])²) (∂L/∂g_after[s,t − 1,a]
        #     + Σ_i ∂L/∂logits[s,t,i] Vg[i,a])  (n, u)
        dzg[:, t] = dzg_given_2[:, t] * (dg_after + dzg_given[:, t])
        # ∂L/∂g_after[s,t,a] = Σ_b ∂L/∂zg[s,t,b] Ug[b,a]  (n, u)
        dg_after = dzg[:, t] @ Ug
    # dzf_given[s,t,a] = 1 − f[s,t,a]²  (n, T, u)
    dzf_given = 1 - f**2
    # dzf_given_2[s,t,a] = Σ_i ∂L/∂logits[s,t,i] Vf[i,a]  (n, T, u)
    dzf_given_2 = dlogits @ Vf
    dzf = np.empty((n, T, u), dtype=Wf.dtype)
    df_before = np.zeros((n, u), dtype=Wf.dtype)
    for t_at in reversed(range(T)):
        # ∂L/∂zf[s,t,a] = (1 − f[s,t,a]²) (∂L/∂f_before[s,t + 1,a]
        #     + Σ_i ∂L/∂logits[s,t,i] Vf[i,a])  (n, u)
        dzf[:, t_at] = dzf_given[:, t_at] * (df_before + dzf_given_2[:, t_at])
        # ∂L/∂f_before[s,t,a] = Σ_b ∂L/∂zf[s,t,b] Uf[b,a]  (n, u)
        df_before = dzf[:, t_at] @ Uf
    # ∂L/∂x[s,t,j] = (Σ_a ∂L/∂zf[s,t,a] Wf[a,j]) + Σ_a ∂L/∂zg[s,t,a] Wg[a,j]  (n, T, d)
    dx = dzf @ Wf + dzg @ Wg
    # ∂L/∂E[w,j] = Σ_{s,t} δ_{w,word[s,t]} ∂L/∂x[s,t,j]  (v, d)
    dE = _scatter_add((v, d), (word,), dx)
    # ∂L/∂Wf[a,j] = Σ_{s,t} ∂L/∂zf[s,t,a] x[s,t,j]  (u, d)
    dWf = np.tensordot(dzf, x, axes=([0, 1], [0, 1]))
    # ∂L/∂Uf[a,b] = Σ_{s,t} ∂L/∂zf[s,t,a] f[s,t − 1,b]  (u, u)
    dUf = np.tensordot(dzf, f_before, axes=([0, 1], [0, 1]))
    # ∂L/∂bf[a] = Σ_{s,t} ∂L/∂zf[s,t,a]  (u,)
    dbf = dzf.sum(axis=(0, 1))
    # ∂L/∂Wg[a,j] = Σ_{s,t} ∂L/∂zg[s,t,a] x[s,t,j]  (u, d)
    dWg = np.tensordot(dzg, x, axes=([0, 1], [0, 1]))
    # ∂L/∂Ug[a,b] = Σ_{s,t} ∂L/∂zg[s,t,a] g[s,t + 1,b]  (u, u)
    dUg = np.tensordot(dzg, g_after, axes=([0, 1], [0, 1]))
    # ∂L/∂bg[a] = Σ_{s,t} ∂L/∂zg[s,t,a]  (u,)
    dbg = dzg.sum(axis=(0, 1))
    # ∂L/∂Vf[i,a] = Σ_{s,t} ∂L/∂logits[s,t,i] f[s,t,a]  (k, u)
    dVf = np.tensordot(dlogits, f, axes=([0, 1], [0, 1]))
    # ∂L/∂Vg[i,a] = Σ_{s,t} ∂L/∂logits[s,t,i] g[s,t,a]  (k, u)
    dVg = np.tensordot(dlogits, g, axes=([0, 1], [0, 1]))
    # ∂L/∂e[i] = Σ_{s,t} ∂L/∂logits[s,t,i]  (k,)
    de = dlogits.sum(axis=(0, 1))

    return {
        "E": dE,
        "Wf": dWf,
        "Uf": dUf,
        "bf": dbf,
        "Wg": dWg,
        "Ug": dUg,
        "bg": dbg,
        "Vf": dVf,
        "Vg": dVg,
        "e": de,
    }


def value_and_grad(params, word, tag, length):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, word, tag, length)
    return loss, backward(params, cache)


def predict(params, word, length):
    """The output y.

    word: (n, T), integers
    length: (n,), integers
    """
    arrays = _arrays(params, "n", word=word, length=length)
    E, Wf, Uf, bf, Wg, Ug, bg, Vf, Vg, e, word, length = arrays.values()
    v, d = E.shape
    u = Wf.shape[0]
    k = Vf.shape[0]
    n, T = word.shape
    _check_shapes(
        arrays,
        Wf=(u, d),
        Uf=(u, u),
        bf=(u,),
        Wg=(u, d),
        Ug=(u, u),
        bg=(u,),
        Vf=(k, u),
        Vg=(k, u),
        e=(k,),
        length=(n,),
    )
    _check_gather("word", word, "E", 0, v)

    # valid[s,t] = [t < length[s]]  (n, T)
    valid = (np.arange(T) < length[:, None]).astype(E.dtype)
    # x[s,t,j] = E[word[s,t],j]  (n, T, d)
    x = E[word]
    # zf_given[s,t,a] = bf[a] + Σ_j Wf[a,j] x[s,t,j]  (n, T, u)
    zf_given = x @ Wf.T + bf
    f_all = np.zeros((n, T + 1, u), dtype=E.dtype)
    f_before, f = f_all[:, :-1], f_all[:, 1:]
    for t in range(T):
        # zf[s,t,a] = bf[a] + (Σ_b Uf[a,b] f[s,t − 1,b]) + Σ_j Wf[a,j] x[s,t,j]  (n, u)
        zf = zf_given[:, t] + f_before[:, t] @ Uf.T
        # f[s,t,a] = tanh(zf[s,t,a])  (n, u)
        f[:, t] = np.tanh(zf)
    # zg_given[s,t,a] = bg[a] + Σ_j Wg[a,j] x[s,t,j]  (n, T, u)
    zg_given = x @ Wg.T + bg
    g_all = np.zeros((n, T + 1, u), dtype=E.dtype)
    g_after, g = g_all[:, 1:], g_all[:, :-1]
    for t_at in reversed(range(T)):
        # zg[s,t,a] = bg[a] + (Σ_b Ug[a,b] g[s,t + 1,b]) + Σ_j Wg[a,j] x[s,t,j]  (n, u)
        zg = zg_given[:, t_at] + g_after[:, t_at] @ Ug.T
        # tanh_zg[s,t,a] = tanh(zg[s,t,a])  (n, u)
        tanh_zg = np.tanh(zg)
        # g[s,t,a] = valid[s,t] tanh(zg[s,t,a])  (n, u)
        g[:, t_at] = tanh_zg * valid[:, t_at][:, None]
    # logits[s,t,i] = e[i] + (Σ_a Vf[i,a] f[s,t,a]) + Σ_b Vg[i,b] g[s,t,b]  (n, T, k)
    logits = f @ Vf.T + g @ Vg.T + e
    # max_logits[s,t] = max_i logits[s,t,i]  (n, T)
    max_logits = logits.max(axis=2)
    # exp_logits[s,t,i] = exp(logits[s,t,i] − max_logits[s,t])  (n, T, k)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[s,t] = Σ_i exp_logits[s,t,i]  (n, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[s,t,i] = exp(logits[s,t,i]) / Σ_i' exp(logits[s,t,i'])  (n, T, k)
    y = exp_logits / sum_exp_logits[:, :, None]

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
_INTEGERS = ("word", "tag", "length")


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
