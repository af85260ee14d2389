# Digest of what follows, as symbp wrote it: fe189a677ff8cf5e
"""hmm: a loss, its gradients and a step of training, in NumPy alone.

    pi[i] = exp(Wpi[i]) / Σ_j exp(Wpi[j])
    A[i,j] = exp(WA[i,j]) / Σ_j' exp(WA[i,j'])
    B[i,v] = exp(WB[i,v]) / Σ_v' exp(WB[i,v'])
    prior[s,t,j] = δ_{0,t} pi[j] + Σ_i A[i,j] alpha[s,t − 1,i]
    alpha[s,−1,j] = 0
    alpha[s,t,j] = B[j,o[s,t]] prior[s,t,j]
    loss = −(1 / n) Σ_s log(Σ_j alpha[s,T − 1,j])

Use:

    params = init(np.random.default_rng(0), S=S, V=V)
    loss, grads = value_and_grad(params, o)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {"Wpi": ("S",), "WA": ("S", "S"), "WB": ("S", "V")}
INPUTS = {"o": ("n", "T")}


def init(rng, *, S, V, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    Wpi = np.zeros(S)
    WA = rng.normal(0, np.sqrt(1 / S), (S, S))
    WB = rng.normal(0, np.sqrt(1 / V), (S, V))
    params = {"Wpi": Wpi, "WA": WA, "WB": WB}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, o):
    """The loss, and the cache that backward reads.

    o: (n, T), integers
    """
    arrays = _arrays(params, o=o)
    Wpi, WA, WB, o = arrays.values()
    S = Wpi.shape[0]
    V = WB.shape[1]
    n, T = o.shape
    _check_shapes(arrays, WA=(S, S), WB=(S, V))
    _check_gather("o", o, "B", 1, V)

    # exp_Wpi[i] = exp(Wpi[i] − max_j Wpi[j])  (S,)
    exp_Wpi = np.exp(Wpi - Wpi.max())
    # pi[i] = exp(Wpi[i]) / Σ_j exp(Wpi[j])  (S,)
    pi = exp_Wpi / exp_Wpi.sum()
    # exp_WA[i,j] = exp(WA[i,j] − max_i' WA[i,i'])  (S, S)
    exp_WA = np.exp(WA - WA.max(axis=1, keepdims=True))
    # A[i,j] = exp(WA[i,j]) / Σ_j' exp(WA[i,j'])  (S, S)
    A = exp_WA / exp_WA.sum(axis=1, keepdims=True)
    # exp_WB[i,v] = exp(WB[i,v] − max_v' WB[i,v'])  (S, V)
    exp_WB = np.exp(WB - WB.max(axis=1, keepdims=True))
    # B[i,v] = exp(WB[i,v]) / Σ_v' exp(WB[i,v'])  (S, V)
    B = exp_WB / exp_WB.sum(axis=1, keepdims=True)
    # prior_given[t,i] = δ_{0,t} pi[i]  (T, S)
    prior_given = np.zeros((T, S), dtype=pi.dtype)
    prior_given[0] = pi
    # alpha_step_given[s,t,i] = B[i,o[s,t]]  (n, T, S)
    alpha_step_given = B[:, o].transpose(1, 2, 0)
    prior = np.empty((n, T, S), dtype=Wpi.dtype)
    alpha_all = np.zeros((n, T + 1, S), dtype=Wpi.dtype)
    alpha_before, alpha = alpha_all[:, :-1], alpha_all[:, 1:]
    alpha_size = np.empty((n, T), dtype=Wpi.dtype)
    for t in range(T):
        # prior[s,t,j] = δ_{0,t} pi[j] + Σ_i A[i,j] alpha[s,t − 1,i]  (n, S)
        prior[:, t] = alpha_before[:, t] @ A + prior_given[t]
        # alpha_step[s,t,j] = B[j,o[s,t]] prior[s,t,j]  (n, S)
        alpha_step = alpha_step_given[:, t] * prior[:, t]
        # alpha_size[s,t] = Σ_j alpha_step[s,t,j]  (n,)
        alpha_size[:, t] = alpha_step.sum(axis=1)
        # alpha[s,t,j] = alpha_step[s,t,j] / alpha_size[s,t]  (n, S)
        alpha[:, t] = alpha_step / alpha_size[:, t][:, None]
    # alpha_last[s,j] = alpha[s,T − 1,j]  (n, S)
    alpha_last = alpha[:, T - 1]
    # sum_alpha_last[s] = Σ_i alpha_last[s,i]  (n,)
    sum_alpha_last = alpha_last.sum(axis=1)
    # loss = −(1 / n) Σ_s (log(Σ_j alpha[s,T − 1,j]) + Σ_t log(alpha_size[s,t]))
    loss = -(np.log(alpha_size).sum(axis=1) + np.log(sum_alpha_last)).sum() / n

    cache = (
        o,
        pi,
        A,
        B,
        prior,
        alpha_before,
        alpha_size,
        alpha_step_given,
        sum_alpha_last,
        S,
        T,
        V,
        n,
    )
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    (
        o,
        pi,
        A,
        B,
        prior,
        alpha_before,
        alpha_size,
        alpha_step_given,
        sum_alpha_last,
        S,
        T,
        V,
        n,
    ) = cache

    # ∂L/∂alpha_last[s,j] = −1 / (n Σ_i alpha[s,T − 1,i])  (n, S)
    dalpha_last = np.broadcast_to((-1 / (n * sum_alpha_last))[:, None], (n, S)).copy()
    dalpha_step = np.empty((n, T, S), dtype=pi.dtype)
    dprior = np.empty((n, T, S), dtype=pi.dtype)
    dalpha_before = dalpha_last
    for t in reversed(range(T)):
        # ∂L/∂alpha_step[s,t,j] = ∂L/∂alpha_before[s,t + 1,j] / alpha_size[s,t]  (n, S)
        dalpha_step[:, t] = dalpha_before / alpha_size[:, t][:, None]
        # ∂L/∂prior[s,t,j] = ∂L/∂alpha_step[s,t,j] B[j,o[s,t]]  (n, S)
        dprior[:, t] = alpha_step_given[:, t] * dalpha_step[:, t]
        # ∂L/∂alpha_before[s,t,j] = Σ_i ∂L/∂prior[s,t,i] A[j,i]  (n, S)
        dalpha_before = dprior[:, t] @ A.T
    # ∂L/∂B[i,v] = Σ_{s,t} δ_{o[s,t],v} ∂L/∂alpha_step[s,t,i] prior[s,t,i]  (S, V)
    dB = _scatter_add((V, S), (o,), dalpha_step * prior).T
    # ∂L/∂A[i,j] = Σ_{s,t} ∂L/∂prior[s,t,j] alpha[s,t − 1,i]  (S, S)
    dA = np.tensordot(alpha_before, dprior, axes=([0, 1], [0, 1]))
    # ∂L/∂pi[i] = Σ_s ∂L/∂prior[s,0,i]  (S,)
    dpi = dprior[:, 0].sum(axis=0)
    # ∂L/∂Wpi[i] = pi[i] (∂L/∂pi[i] − Σ_j ∂L/∂pi[j] pi[j])  (S,)
    dWpi = pi * (dpi - dpi @ pi)
    # ∂L/∂WA[i,j] = A[i,j] (∂L/∂A[i,j] − Σ_i' ∂L/∂A[i,i'] A[i,i'])  (S, S)
    dWA = A * (dA - (A * dA).sum(axis=1, keepdims=True))
    # ∂L/∂WB[i,v] = B[i,v] (∂L/∂B[i,v] − Σ_v' ∂L/∂B[i,v'] B[i,v'])  (S, V)
    dWB = B * (dB - (B * dB).sum(axis=1, keepdims=True))

    return {"Wpi": dWpi, "WA": dWA, "WB": dWB}


def value_and_grad(params, o):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, o)
    return loss, backward(params, cache)


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
_INTEGERS = ("o",)


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
