# Digest of what follows, as symbp wrote it: cdfdac87adfcad09
"""lenet: a loss, its gradients and a step of training, in NumPy alone.

    scaled[s,c,y,x] = data[s,c,y,x] / 256
    conv1[s,m,p,q] = b1[m] + Σ_{c,u,v} W1[m,c,u,v] scaled[s,c,p + u,q + v]
    pool1[s,m,f,g] = max_{w,z} conv1[s,m,2 f + w,2 g + z]
    conv2[s,o,k,r] = b2[o] + Σ_{m,u,v} W2[o,m,u,v] pool1[s,m,k + u,r + v]
    pool2[s,o,d,e] = max_{w,z} conv2[s,o,2 d + w,2 e + z]
    ip1[s,h] = b3[h] + Σ_{o,d,e} W3[h,o,d,e] pool2[s,o,d,e]
    relu1[s,h] = max(0, ip1[s,h])
    ip2[s,i] = b4[i] + Σ_h W4[i,h] relu1[s,h]
    prob[s,i] = exp(ip2[s,i]) / Σ_i' exp(ip2[s,i'])
    loss = −(1 / n) Σ_s log(prob[s,label[s]])

Use:

    params = init(np.random.default_rng(0))
    loss, grads = value_and_grad(params, data, label)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PARAMETERS = {
    "W1": ("20", "1", "5", "5"),
    "b1": ("20",),
    "W2": ("50", "20", "5", "5"),
    "b2": ("50",),
    "W3": ("500", "50", "4", "4"),
    "b3": ("500",),
    "W4": ("10", "500"),
    "b4": ("10",),
}
INPUTS = {"data": ("n", "1", "28", "28"), "label": ("n",)}


def init(rng, *, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    W1 = _shaped("W1", _init_xavier(rng, (20, 1, 5, 5), dtype), (20, 1, 5, 5))
    b1 = np.zeros(20)
    W2 = _shaped("W2", _init_xavier(rng, (50, 20, 5, 5), dtype), (50, 20, 5, 5))
    b2 = np.zeros(50)
    W3 = _shaped("W3", _init_xavier(rng, (500, 50, 4, 4), dtype), (500, 50, 4, 4))
    b3 = np.zeros(500)
    W4 = _shaped("W4", _init_xavier(rng, (10, 500), dtype), (10, 500))
    b4 = np.zeros(10)
    params = {
        "W1": W1,
        "b1": b1,
        "W2": W2,
        "b2": b2,
        "W3": W3,
        "b3": b3,
        "W4": W4,
        "b4": b4,
    }
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, data, label):
    """The loss, and the cache that backward reads.

    data: (n, 1, 28, 28)
    label: (n,), integers
    """
    arrays = _arrays(params, data=data, label=label)
    W1, b1, W2, b2, W3, b3, W4, b4, data, label = arrays.values()
    n = data.shape[0]
    _check_shapes(
        arrays,
        W1=(20, 1, 5, 5),
        b1=(20,),
        W2=(50, 20, 5, 5),
        b2=(50,),
        W3=(500, 50, 4, 4),
        b3=(500,),
        W4=(10, 500),
        b4=(10,),
        data=(n, 1, 28, 28),
        label=(n,),
    )
    _check_gather("label", label, "prob", 1, 10)

    # scaled[s,c,y,x] = data[s,c,y,x] / 256  (n, 1, 28, 28)
    scaled = 0.00390625 * data
    # sum_W1_scaled[s,m,p,q] = Σ_{c,u,v} W1[m,c,u,v] scaled[s,c,p + u,q + v]
    #     (n, 20, 24, 24)
    sum_W1_scaled = np.tensordot(
        sliding_window_view(scaled, (5, 5), axis=(2, 3)),
        W1,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv1[s,m,p,q] = b1[m] + Σ_{c,u,v} W1[m,c,u,v] scaled[s,c,p + u,q + v]
    #     (n, 20, 24, 24)
    conv1 = sum_W1_scaled + b1[:, None, None]
    # pool1[s,m,f,g] = max_{w,z} conv1[s,m,2 f + w,2 g + z]  (n, 20, 12, 12)
    pool1 = conv1.reshape(n, 20, 12, 2, 12, 2).max(axis=(3, 5))
    # sum_W2_pool1[s,o,k,r] = Σ_{m,u,v} W2[o,m,u,v] pool1[s,m,k + u,r + v]
    #     (n, 50, 8, 8)
    sum_W2_pool1 = np.tensordot(
        sliding_window_view(pool1, (5, 5), axis=(2, 3)), W2, axes=([1, 4, 5], [1, 2, 3])
    ).transpose(0, 3, 1, 2)
    # conv2[s,o,k,r] = b2[o] + Σ_{m,u,v} W2[o,m,u,v] pool1[s,m,k + u,r + v]
    #     (n, 50, 8, 8)
    conv2 = sum_W2_pool1 + b2[:, None, None]
    # pool2[s,o,d,e] = max_{w,z} conv2[s,o,2 d + w,2 e + z]  (n, 50, 4, 4)
    pool2 = conv2.reshape(n, 50, 4, 2, 4, 2).max(axis=(3, 5))
    # ip1[s,h] = b3[h] + Σ_{o,d,e} W3[h,o,d,e] pool2[s,o,d,e]  (n, 500)
    ip1 = np.tensordot(pool2, W3, axes=([1, 2, 3], [1, 2, 3])) + b3
    # relu1[s,h] = max(0, ip1[s,h])  (n, 500)
    relu1 = np.maximum(ip1, 0)
    # ip2[s,i] = b4[i] + Σ_h W4[i,h] relu1[s,h]  (n, 10)
    ip2 = relu1 @ W4.T + b4
    # max_ip2[s] = max_i ip2[s,i]  (n,)
    max_ip2 = ip2.max(axis=1)
    # exp_ip2[s,i] = exp(ip2[s,i] − max_ip2[s])  (n, 10)
    exp_ip2 = np.exp(ip2 - max_ip2[:, None])
    # sum_exp_ip2[s] = Σ_i exp_ip2[s,i]  (n,)
    sum_exp_ip2 = exp_ip2.sum(axis=1)
    # prob[s,i] = exp(ip2[s,i]) / Σ_i' exp(ip2[s,i'])  (n, 10)
    prob = exp_ip2 / sum_exp_ip2[:, None]
    # loss = −(1 / n) Σ_s log(prob[s,label[s]])
    loss = -(ip2[np.arange(n), label] - max_ip2 - np.log(sum_exp_ip2)).sum() / n

    cache = (label, scaled, conv1, pool1, conv2, pool2, relu1, prob, n)
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters.

    Entries that tie for a maximum or minimum share its gradient equally.
    """
    W2 = _array("W2", params["W2"])
    W3 = _array("W3", params["W3"])
    W4 = _array("W4", params["W4"])
    label, scaled, conv1, pool1, conv2, pool2, relu1, prob, n = cache

    # ∂L/∂ip2[s,i] = (prob[s,i] − δ_{i,label[s]}) / n  (n, 10)
    dip2 = prob / n
    dip2[np.arange(n), label] -= 1 / n
    # ∂L/∂ip1[s,h] = [relu1[s,h] > 0] Σ_i ∂L/∂ip2[s,i] W4[i,h]  (n, 500)
    dip1 = (dip2 @ W4) * (relu1 > 0)
    # ∂L/∂pool2[s,o,d,e] = Σ_h ∂L/∂ip1[s,h] W3[h,o,d,e]  (n, 50, 4, 4)
    dpool2 = np.tensordot(dip1, W3, axes=([1], [0]))
    # ties_conv2[s,o,d,w,e,z] = [conv2[s,o,2 d + w,2 e + z] = max_{w',w''} conv2[s,o,2 d
    #     + w',2 e + w'']]  (n, 50, 4, 2, 4, 2)
    ties_conv2 = (
        conv2.reshape(n, 50, 4, 2, 4, 2) == pool2[:, :, :, None, :, None]
    ).astype(conv2.dtype)
    # dconv2_part[s,o,d,e] = ∂L/∂pool2[s,o,d,e] / Σ_{w,z} ties_conv2[s,o,d,w,e,z]
    #     (n, 50, 4, 4)
    dconv2_part = dpool2 / ties_conv2.sum(axis=(3, 5))
    # ∂L/∂conv2[s,o,k,r] = Σ_{d,e,w,z} δ_{2 d + w,k} δ_{2 e + z,r} [conv2[s,o,2 d
    #     + w,2 e + z] = pool2[s,o,d,e]] ∂L/∂pool2[s,o,d,e] / Σ_{w',w''} [conv2[s,o,2 d
    #     + w',2 e + w''] = pool2[s,o,d,e]]  (n, 50, 8, 8)
    dconv2 = (dconv2_part[:, :, :, None, :, None] * ties_conv2).reshape(n, 50, 8, 8)
    # ∂L/∂pool1[s,m,f,g] = Σ_{u,v,o,k,r} δ_{f,k + u} δ_{g,r
    #     + v} ∂L/∂conv2[s,o,k,r] W2[o,m,u,v]  (n, 20, 12, 12)
    dpool1 = np.zeros((n, 20, 12, 12), dtype=W2.dtype)
    for u in range(5):
        for v in range(5):
            dpool1[:, :, u : 8 + u, v : 8 + v] += np.tensordot(
                dconv2, W2[:, :, u, v], axes=([1], [0])
            ).transpose(0, 3, 1, 2)
    # ties_conv1[s,m,f,w,g,z] = [conv1[s,m,2 f + w,2 g + z] = max_{w',w''} conv1[s,m,2 f
    #     + w',2 g + w'']]  (n, 20, 12, 2, 12, 2)
    ties_conv1 = (
        conv1.reshape(n, 20, 12, 2, 12, 2) == pool1[:, :, :, None, :, None]
    ).astype(conv1.dtype)
    # dconv1_part[s,m,f,g] = ∂L/∂pool1[s,m,f,g] / Σ_{w,z} ties_conv1[s,m,f,w,g,z]
    #     (n, 20, 12, 12)
    dconv1_part = dpool1 / ties_conv1.sum(axis=(3, 5))
    # ∂L/∂conv1[s,m,p,q] = Σ_{f,g,w,z} δ_{2 f + w,p} δ_{2 g + z,q} [conv1[s,m,2 f
    #     + w,2 g + z] = pool1[s,m,f,g]] ∂L/∂pool1[s,m,f,g] / Σ_{w',w''} [conv1[s,m,2 f
    #     + w',2 g + w''] = pool1[s,m,f,g]]  (n, 20, 24, 24)
    dconv1 = (dconv1_part[:, :, :, None, :, None] * ties_conv1).reshape(n, 20, 24, 24)
    # ∂L/∂W1[m,c,u,v] = Σ_{s,p,q} ∂L/∂conv1[s,m,p,q] scaled[s,c,p + u,q + v]
    #     (20, 1, 5, 5)
    dW1 = np.tensordot(
        dconv1,
        sliding_window_view(scaled, (5, 5), axis=(2, 3)),
        axes=([0, 2, 3], [0, 2, 3]),
    )
    # ∂L/∂b1[m] = Σ_{s,p,q} ∂L/∂conv1[s,m,p,q]  (20,)
    db1 = dconv1.sum(axis=(0, 2, 3))
    # ∂L/∂W2[o,m,u,v] = Σ_{s,k,r} ∂L/∂conv2[s,o,k,r] pool1[s,m,k + u,r + v]
    #     (50, 20, 5, 5)
    dW2 = np.tensordot(
        dconv2,
        sliding_window_view(pool1, (5, 5), axis=(2, 3)),
        axes=([0, 2, 3], [0, 2, 3]),
    )
    # ∂L/∂b2[o] = Σ_{s,k,r} ∂L/∂conv2[s,o,k,r]  (50,)
    db2 = dconv2.sum(axis=(0, 2, 3))
    # ∂L/∂W3[h,o,d,e] = Σ_s ∂L/∂ip1[s,h] pool2[s,o,d,e]  (500, 50, 4, 4)
    dW3 = np.tensordot(dip1, pool2, axes=([0], [0]))
    # ∂L/∂b3[h] = Σ_s ∂L/∂ip1[s,h]  (500,)
    db3 = dip1.sum(axis=0)
    # ∂L/∂W4[i,h] = Σ_s ∂L/∂ip2[s,i] relu1[s,h]  (10, 500)
    dW4 = dip2.T @ relu1
    # ∂L/∂b4[i] = Σ_s ∂L/∂ip2[s,i]  (10,)
    db4 = dip2.sum(axis=0)

    return {
        "W1": dW1,
        "b1": db1,
        "W2": dW2,
        "b2": db2,
        "W3": dW3,
        "b3": db3,
        "W4": dW4,
        "b4": db4,
    }


def value_and_grad(params, data, label):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, data, label)
    return loss, backward(params, cache)


def predict(params, data):
    """The output prob.

    data: (n, 1, 28, 28)
    """
    arrays = _arrays(params, "n", data=data)
    W1, b1, W2, b2, W3, b3, W4, b4, data = arrays.values()
    n = data.shape[0]
    _check_shapes(
        arrays,
        W1=(20, 1, 5, 5),
        b1=(20,),
        W2=(50, 20, 5, 5),
        b2=(50,),
        W3=(500, 50, 4, 4),
        b3=(500,),
        W4=(10, 500),
        b4=(10,),
        data=(n, 1, 28, 28),
    )

    # scaled[s,c,y,x] = data[s,c,y,x] / 256  (n, 1, 28, 28)
    scaled = 0.00390625 * data
    # sum_W1_scaled[s,m,p,q] = Σ_{c,u,v} W1[m,c,u,v] scaled[s,c,p + u,q + v]
    #     (n, 20, 24, 24)
    sum_W1_scaled = np.tensordot(
        sliding_window_view(scaled, (5, 5), axis=(2, 3)),
        W1,
        axes=([1, 4, 5], [1, 2, 3]),
    ).transpose(0, 3, 1, 2)
    # conv1[s,m,p,q] = b1[m] + Σ_{c,u,v} W1[m,c,u,v] scaled[s,c,p + u,q + v]
    #     (n, 20, 24, 24)
    conv1 = sum_W1_scaled + b1[:, None, None]
    # pool1[s,m,f,g] = max_{w,z} conv1[s,m,2 f + w,2 g + z]  (n, 20, 12, 12)
    pool1 = conv1.reshape(n, 20, 12, 2, 12, 2).max(axis=(3, 5))
    # sum_W2_pool1[s,o,k,r] = Σ_{m,u,v} W2[o,m,u,v] pool1[s,m,k + u,r + v]
    #     (n, 50, 8, 8)
    sum_W2_pool1 = np.tensordot(
        sliding_window_view(pool1, (5, 5), axis=(2, 3)), W2, axes=([1, 4, 5], [1, 2, 3])
    ).transpose(0, 3, 1, 2)
    # conv2[s,o,k,r] = b2[o] + Σ_{m,u,v} W2[o,m,u,v] pool1[s,m,k + u,r + v]
    #     (n, 50, 8, 8)
    conv2 = sum_W2_pool1 + b2[:, None, None]
    # pool2[s,o,d,e] = max_{w,z} conv2[s,o,2 d + w,2 e + z]  (n, 50, 4, 4)
    pool2 = conv2.reshape(n, 50, 4, 2, 4, 2).max(axis=(3, 5))
    # ip1[s,h] = b3[h] + Σ_{o,d,e} W3[h,o,d,e] pool2[s,o,d,e]  (n, 500)
    ip1 = np.tensordot(pool2, W3, axes=([1, 2, 3], [1, 2, 3])) + b3
    # relu1[s,h] = max(0, ip1[s,h])  (n, 500)
    relu1 = np.maximum(ip1, 0)
    # ip2[s,i] = b4[i] + Σ_h W4[i,h] relu1[s,h]  (n, 10)
    ip2 = relu1 @ W4.T + b4
    # max_ip2[s] = max_i ip2[s,i]  (n,)
    max_ip2 = ip2.max(axis=1)
    # exp_ip2[s,i] = exp(ip2[s,i] − max_ip2[s])  (n, 10)
    exp_ip2 = np.exp(ip2 - max_ip2[:, None])
    # sum_exp_ip2[s] = Σ_i exp_ip2[s,i]  (n,)
    sum_exp_ip2 = exp_ip2.sum(axis=1)
    # prob[s,i] = exp(ip2[s,i]) / Σ_i' exp(ip2[s,i'])  (n, 10)
    prob = exp_ip2 / sum_exp_ip2[:, None]

    return prob


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


def _init_xavier(rng, shape, dtype):
    limit = np.sqrt(3 / np.prod(shape[1:]))
    return rng.uniform(-limit, limit, shape)


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
