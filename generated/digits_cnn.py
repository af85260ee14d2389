# Digest of what follows, as symbp wrote it: 8f1fd578709138f4
"""digits_cnn: a loss, its gradients and a step of training, in NumPy alone.

    conv1_padded[s,c,y2,x2] = {image[s,c,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2 − 1
        < 2 H and x2 − 1 < 2 W; 0 otherwise}
    conv1[s,a,y,x] = b1[a] + Σ_{c,u,v} W1[a,c,u,v] conv1_padded[s,c,u + y,v + x]
    h1[s,a,y,x] = max(0, conv1[s,a,y,x])
    conv2_padded[s,a,y2,x2] = {h1[s,a,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2 − 1
        < 2 H and x2 − 1 < 2 W; 0 otherwise}
    conv2[s,b,y,x] = b2[b] + Σ_{a,u,v} W2[b,a,u,v] conv2_padded[s,a,u + y,v + x]
    h2[s,b,y,x] = max(0, conv2[s,b,y,x])
    pool[s,b,p,q] = max_{w,z} h2[s,b,2 p + w,2 q + z]
    drop[s,b,p,q] = drop_mask[s,b,p,q] pool[s,b,p,q] / keep
    z[s,i] = b3[i] + Σ_{b,p,q} W3[i,b,p,q] drop[s,b,p,q]
    prob[s,i] = exp(z[s,i]) / Σ_i' exp(z[s,i'])
    loss = −(1 / n) Σ_s log(prob[s,label[s]])

Use:

    params = init(np.random.default_rng(0), H=H, W=W, A=A, B=B, k=k)
    loss, grads = value_and_grad(params, image, label, rng=np.random.default_rng(1))
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PARAMETERS = {
    "W1": ("A", "1", "3", "3"),
    "b1": ("A",),
    "W2": ("B", "A", "3", "3"),
    "b2": ("B",),
    "W3": ("k", "B", "H", "W"),
    "b3": ("k",),
}
INPUTS = {"image": ("n", "1", "2*H", "2*W"), "label": ("n",)}


def init(rng, *, H, W, A, B, k, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W1 = rng.normal(0, np.sqrt(2 / 9), (A, 1, 3, 3))
    b1 = np.zeros(A)
    W2 = rng.normal(0, np.sqrt(2 / (9 * A)), (B, A, 3, 3))
    b2 = np.zeros(B)
    W3 = rng.normal(0, np.sqrt(1 / (B * H * W)), (k, B, H, W))
    b3 = np.zeros(k)
    params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2, "W3": W3, "b3": b3}
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, image, label, *, keep=0.5, drop_mask=None, rng=None):
    """The loss, and the cache that backward reads.

    image: (n, 1, 2*H, 2*W)
    label: (n,), integers
    keep: a number
    drop_mask: (n, B, H, W), drawn from rng if absent
    rng: a numpy.random.Generator
    """
    arrays = _arrays(params, image=image, label=label)
    W1, b1, W2, b2, W3, b3, image, label = arrays.values()
    A = W1.shape[0]
    B = W2.shape[0]
    k = W3.shape[0]
    H = W3.shape[2]
    W = W3.shape[3]
    n = image.shape[0]
    _check_shapes(
        arrays,
        W1=(A, 1, 3, 3),
        b1=(A,),
        W2=(B, A, 3, 3),
        b2=(B,),
        W3=(k, B, H, W),
        b3=(k,),
        image=(n, 1, 2 * H, 2 * W),
        label=(n,),
    )
    _check_gather("label", label, "prob", 1, k)
    keep = _number("keep", keep)
    drop_mask = _bernoulli("drop_mask", drop_mask, rng, keep, (n, B, H, W), W1.dtype)

    # conv1_padded[s,c,y2,x2] = {image[s,c,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2
    #     − 1 < 2 H and x2 − 1 < 2 W; 0 otherwise}  (n, 1, 2*H + 2, 2*W + 2)
    conv1_padded = np.zeros((n, 1, 2 * (1 + H), 2 * (1 + W)), dtype=image.dtype)
    conv1_padded[:, :, 1 : 1 + 2 * H, 1 : 1 + 2 * W] = image
    # sum_W1_conv1_padded[s,a,y,x] = Σ_{c,u,v} W1[a,c,u,v] conv1_padded[s,c,u + y,v + x]
    #     (n, A, 2*H, 2*W)
    sum_W1_conv1_padded = np.tensordot(
        sliding_window_view(conv1_padded, (3, 3), axis=(2, 3)),
        W1,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv1[s,a,y,x] = b1[a] + Σ_{c,u,v} W1[a,c,u,v] conv1_padded[s,c,u + y,v + x]
    #     (n, A, 2*H, 2*W)
    conv1 = sum_W1_conv1_padded + b1[:, None, None]
    # h1[s,a,y,x] = max(0, conv1[s,a,y,x])  (n, A, 2*H, 2*W)
    h1 = np.maximum(conv1, 0)
    # conv2_padded[s,a,y2,x2] = {h1[s,a,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2 − 1
    #     < 2 H and x2 − 1 < 2 W; 0 otherwise}  (n, A, 2*H + 2, 2*W + 2)
    conv2_padded = np.zeros((n, A, 2 * (1 + H), 2 * (1 + W)), dtype=h1.dtype)
    conv2_padded[:, :, 1 : 1 + 2 * H, 1 : 1 + 2 * W] = h1
    # sum_W2_conv2_padded[s,b,y,x] = Σ_{a,u,v} W2[b,a,u,v] conv2_padded[s,a,u + y,v + x]
    #     (n, B, 2*H, 2*W)
    sum_W2_conv2_padded = np.tensordot(
        sliding_window_view(conv2_padded, (3, 3), axis=(2, 3)),
        W2,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv2[s,b,y,x] = b2[b] + Σ_{a,u,v} W2[b,a,u,v] conv2_padded[s,a,u + y,v + x]
    #     (n, B, 2*H, 2*W)
    conv2 = sum_W2_conv2_padded + b2[:, None, None]
    # h2[s,b,y,x] = max(0, conv2[s,b,y,x])  (n, B, 2*H, 2*W)
    h2 = np.maximum(conv2, 0)
    # pool[s,b,p,q] = max_{w,z} h2[s,b,2 p + w,2 q + z]  (n, B, H, W)
    pool = h2.reshape(n, B, H, 2, W, 2).max(axis=(3, 5))
    # drop[s,b,p,q] = drop_mask[s,b,p,q] pool[s,b,p,q] / keep  (n, B, H, W)
    drop = drop_mask * pool / keep
    # z[s,i] = b3[i] + Σ_{b,p,q} W3[i,b,p,q] drop[s,b,p,q]  (n, k)
    z = np.tensordot(drop, W3, axes=([1, 2, 3], [1, 2, 3])) + b3
    # max_z[s] = max_i z[s,i]  (n,)
    max_z = z.max(axis=1)
    # exp_z[s,i] = exp(z[s,i] − max_z[s])  (n, k)
    exp_z = np.exp(z - max_z[:, None])
    # sum_exp_z[s] = Σ_i exp_z[s,i]  (n,)
    sum_exp_z = exp_z.sum(axis=1)
    # prob[s,i] = exp(z[s,i]) / Σ_i' exp(z[s,i'])  (n, k)
    prob = exp_z / sum_exp_z[:, None]
    # loss = −(1 / n) Σ_s log(prob[s,label[s]])
    loss = -(z[np.arange(n), label] - max_z - np.log(sum_exp_z)).sum() / n

    cache = (
        label,
        keep,
        conv1_padded,
        h1,
        conv2_padded,
        h2,
        pool,
        drop_mask,
        drop,
        prob,
        A,
        B,
        H,
        W,
        n,
    )
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters.

    Entries that tie for a maximum or minimum share its gradient equally.
    """
    W2 = _array("W2", params["W2"])
    W3 = _array("W3", params["W3"])
    (
        label,
        keep,
        conv1_padded,
        h1,
        conv2_padded,
        h2,
        pool,
        drop_mask,
        drop,
        prob,
        A,
        B,
        H,
        W,
        n,
    ) = cache

    # ∂L/∂z[s,i] = (prob[s,i] − δ_{i,label[s]}) / n  (n, k)
    dz = prob / n
    dz[np.arange(n), label] -= 1 / n
    # ties_h2[s,b,p,w,q,z] = [h2[s,b,2 p + w,2 q + z] = max_{w',w''} h2[s,b,2 p + w',2 q
    #     + w'']]  (n, B, H, 2, W, 2)
    ties_h2 = (h2.reshape(n, B, H, 2, W, 2) == pool[:, :, :, None, :, None]).astype(
        h2.dtype
    )
    # dh2_part[s,b,p,q] = drop_mask[s,b,p,q] (Σ_i ∂L/∂z[s,i] W3[i,b,p,q])
    #     / Σ_{w,z} ties_h2[s,b,p,w,q,z]  (n, B, H, W)
    dh2_part = (
        drop_mask * np.tensordot(dz, W3, axes=([1], [0])) / ties_h2.sum(axis=(3, 5))
    )
    # ∂L/∂h2[s,b,y,x] = (1 / keep) Σ_{p,q,w,z} δ_{2 p + w,y} δ_{2 q + z,x} [h2[s,b,2 p
    #     + w,2 q + z] = pool[s,b,p,q]] drop_mask[s,b,p,q] (Σ_i ∂L/∂z[s,i] W3[i,b,p,q])
    #     / Σ_{w',w''} [h2[s,b,2 p + w',2 q + w''] = pool[s,b,p,q]]  (n, B, 2*H, 2*W)
    dh2 = ((dh2_part / keep)[:, :, :, None, :, None] * ties_h2).reshape(
        n, B, 2 * H, 2 * W
    )
    # ∂L/∂conv2[s,b,y,x] = [h2[s,b,y,x] > 0] ∂L/∂h2[s,b,y,x]  (n, B, 2*H, 2*W)
    dconv2 = dh2 * (h2 > 0)
    # ∂L/∂conv2_padded[s,a,y2,x2] = Σ_{y,x,u,v,b} δ_{u + y,y2} δ_{v
    #     + x,x2} ∂L/∂conv2[s,b,y,x] W2[b,a,u,v]  (n, A, 2*H + 2, 2*W + 2)
    dconv2_padded = np.zeros((n, A, 2 * (1 + H), 2 * (1 + W)), dtype=W2.dtype)
    for u in range(3):
        for v in range(3):
            dconv2_padded[:, :, u : u + 2 * H, v : v + 2 * W] += np.tensordot(
                dconv2, W2[:, :, u, v], axes=([1], [0])
            ).transpose(0, 3, 1, 2)
    # ∂L/∂conv1[s,a,y,x] = [h1[s,a,y,x] > 0] ∂L/∂conv2_padded[s,a,y + 1,x + 1]
    #     (n, A, 2*H, 2*W)
    dconv1 = dconv2_padded[:, :, 1 : 1 + 2 * H, 1 : 1 + 2 * W] * (h1 > 0)
    # ∂L/∂W1[a,c,u,v] = Σ_{s,y,x} ∂L/∂conv1[s,a,y,x] conv1_padded[s,c,u + y,v + x]
    #     (A, 1, 3, 3)
    dW1 = np.tensordot(
        dconv1,
        sliding_window_view(conv1_padded, (3, 3), axis=(2, 3)),
        axes=([0, 2, 3], [0, 2, 3]),
    )
    # ∂L/∂b1[a] = Σ_{s,y,x} ∂L/∂conv1[s,a,y,x]  (A,)
    db1 = dconv1.sum(axis=(0, 2, 3))
    # ∂L/∂W2[b,a,u,v] = Σ_{s,y,x} ∂L/∂conv2[s,b,y,x] conv2_padded[s,a,u + y,v + x]
    #     (B, A, 3, 3)
    dW2 = np.tensordot(
        dconv2,
        sliding_window_view(conv2_padded, (3, 3), axis=(2, 3)),
        axes=([0, 2, 3], [0, 2, 3]),
    )
    # ∂L/∂b2[b] = Σ_{s,y,x} ∂L/∂conv2[s,b,y,x]  (B,)
    db2 = dconv2.sum(axis=(0, 2, 3))
    # ∂L/∂W3[i,b,p,q] = Σ_s ∂L/∂z[s,i] drop[s,b,p,q]  (k, B, H, W)
    dW3 = np.tensordot(dz, drop, axes=([0], [0]))
    # ∂L/∂b3[i] = Σ_s ∂L/∂z[s,i]  (k,)
    db3 = dz.sum(axis=0)

    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


def value_and_grad(params, image, label, *, keep=0.5, drop_mask=None, rng=None):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, image, label, keep=keep, drop_mask=drop_mask, rng=rng)
    return loss, backward(params, cache)


def predict(params, image):
    """The output prob.

    image: (n, 1, 2*H, 2*W)
    """
    arrays = _arrays(params, "n", image=image)
    W1, b1, W2, b2, W3, b3, image = arrays.values()
    A = W1.shape[0]
    B = W2.shape[0]
    k = W3.shape[0]
    H = W3.shape[2]
    W = W3.shape[3]
    n = image.shape[0]
    _check_shapes(
        arrays,
        W1=(A, 1, 3, 3),
        b1=(A,),
        W2=(B, A, 3, 3),
        b2=(B,),
        W3=(k, B, H, W),
        b3=(k,),
        image=(n, 1, 2 * H, 2 * W),
    )

    # conv1_padded[s,c,y2,x2] = {image[s,c,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2
    #     − 1 < 2 H and x2 − 1 < 2 W; 0 otherwise}  (n, 1, 2*H + 2, 2*W + 2)
    conv1_padded = np.zeros((n, 1, 2 * (1 + H), 2 * (1 + W)), dtype=image.dtype)
    conv1_padded[:, :, 1 : 1 + 2 * H, 1 : 1 + 2 * W] = image
    # sum_W1_conv1_padded[s,a,y,x] = Σ_{c,u,v} W1[a,c,u,v] conv1_padded[s,c,u + y,v + x]
    #     (n, A, 2*H, 2*W)
    sum_W1_conv1_padded = np.tensordot(
        sliding_window_view(conv1_padded, (3, 3), axis=(2, 3)),
        W1,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv1[s,a,y,x] = b1[a] + Σ_{c,u,v} W1[a,c,u,v] conv1_padded[s,c,u + y,v + x]
    #     (n, A, 2*H, 2*W)
    conv1 = sum_W1_conv1_padded + b1[:, None, None]
    # h1[s,a,y,x] = max(0, conv1[s,a,y,x])  (n, A, 2*H, 2*W)
    h1 = np.maximum(conv1, 0)
    # conv2_padded[s,a,y2,x2] = {h1[s,a,y2 − 1,x2 − 1] if x2 ≥ 1 and y2 ≥ 1 and y2 − 1
    #     < 2 H and x2 − 1 < 2 W; 0 otherwise}  (n, A, 2*H + 2, 2*W + 2)
    conv2_padded = np.zeros((n, A, 2 * (1 + H), 2 * (1 + W)), dtype=h1.dtype)
    conv2_padded[:, :, 1 : 1 + 2 * H, 1 : 1 + 2 * W] = h1
    # sum_W2_conv2_padded[s,b,y,x] = Σ_{a,u,v} W2[b,a,u,v] conv2_padded[s,a,u + y,v + x]
    #     (n, B, 2*H, 2*W)
    sum_W2_conv2_padded = np.tensordot(
        sliding_window_view(conv2_padded, (3, 3), axis=(2, 3)),
        W2,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv2[s,b,y,x] = b2[b] + Σ_{a,u,v} W2[b,a,u,v] conv2_padded[s,a,u + y,v + x]
    #     (n, B, 2*H, 2*W)
    conv2 = sum_W2_conv2_padded + b2[:, None, None]
    # h2[s,b,y,x] = max(0, conv2[s,b,y,x])  (n, B, 2*H, 2*W)
    h2 = np.maximum(conv2, 0)
    # pool[s,b,p,q] = max_{w,z} h2[s,b,2 p + w,2 q + z]  (n, B, H, W)
    pool = h2.reshape(n, B, H, 2, W, 2).max(axis=(3, 5))
    # z[s,i] = b3[i] + Σ_{b,p,q} W3[i,b,p,q] pool[s,b,p,q]  (n, k)
    z = np.tensordot(pool, W3, axes=([1, 2, 3], [1, 2, 3])) + b3
    # exp_z[s,i] = exp(z[s,i] − max_i' z[s,i'])  (n, k)
    exp_z = np.exp(z - z.max(axis=1, keepdims=True))
    # prob[s,i] = exp(z[s,i]) / Σ_i' exp(z[s,i'])  (n, k)
    prob = exp_z / exp_z.sum(axis=1, keepdims=True)

    return prob


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


# Checks at entry

_AXES = PARAMETERS | INPUTS
_INTEGERS = ("label",)


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


def _number(name, value):
    """A constant that is given by keyword."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: must be a number, got {value!r}") from None


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


def _bernoulli(name, value, rng, p, shape, dtype):
    """Noise as it is given; else drawn: 1 with probability p, and 0 elsewhere."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: needs a probability p from 0 to 1, got {p}")
    if value is None:
        value = (_generator(name, rng).random(shape) < p).astype(dtype)
    return _noise(name, value, shape, dtype)


def _generator(name, rng):
    """The generator that noise is drawn from."""
    if rng is None:
        raise ValueError(f"{name}: is drawn, so forward needs rng=… or {name}=…")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: must be a Generator of numpy, got {type(rng).__name__}")
    return rng


def _noise(name, value, shape, dtype):
    """Noise as an array of this shape and type."""
    array = _array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name}: must have shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: must be {dtype} as all are, got {array.dtype}")
    return array
