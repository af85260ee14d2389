# Digest of what follows, as symbp wrote it: 34a985c81639e152
"""transformer: a loss, its gradients and a step of training, in NumPy alone.

    words[b,t,c] = wte[token[b,t],c]
    x[b,t,c] = words[b,t,c] + wpe[t,c]
    ln1_centred[b,t,c] = x[b,t,c] − (1 / C) Σ_c' x[b,t,c']
    ln1_hat[b,t,c] = ln1_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln1_centred[b,t,c']²)
    ln1[b,t,c] = ln1_hat[b,t,c] ln1w[c] + ln1b[c]
    q[b,h,t,e] = bq[h,e] + Σ_c Wq[h,e,c] ln1[b,t,c]
    k[b,h,t,e] = bk[h,e] + Σ_c Wk[h,e,c] ln1[b,t,c]
    v[b,h,t,e] = bv[h,e] + Σ_c Wv[h,e,c] ln1[b,t,c]
    preatt[b,h,t,u] = (1 / √(d)) Σ_e k[b,h,u,e] q[b,h,t,e]
    masked[b,h,t,u] = {preatt[b,h,t,u] if t ≥ u; −∞ otherwise}
    att[b,h,t,u] = exp(masked[b,h,t,u]) / Σ_u' exp(masked[b,h,t,u'])
    atty[b,h,t,e] = Σ_u att[b,h,t,u] v[b,h,u,e]
    x2[b,t,c] = bo[c] + x[b,t,c] + Σ_{h,e} Wo[c,h,e] atty[b,h,t,e]
    ln2_centred[b,t,c] = x2[b,t,c] − (1 / C) Σ_c' x2[b,t,c']
    ln2_hat[b,t,c] = ln2_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln2_centred[b,t,c']²)
    ln2[b,t,c] = ln2_hat[b,t,c] ln2w[c] + ln2b[c]
    fch[b,t,f] = b1[f] + Σ_c W1[f,c] ln2[b,t,c]
    gelu_cubic[b,t,f] = √(2) (fch[b,t,f] + 0.044715 fch[b,t,f]³) / √(π)
    gelu_tanh[b,t,f] = tanh(gelu_cubic[b,t,f])
    gelu[b,t,f] = fch[b,t,f] (1 + gelu_tanh[b,t,f]) / 2
    x3[b,t,c] = b2[c] + x2[b,t,c] + Σ_f W2[c,f] gelu[b,t,f]
    lnf_centred[b,t,c] = x3[b,t,c] − (1 / C) Σ_c' x3[b,t,c']
    lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' lnf_centred[b,t,c']²)
    lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]
    logits[b,t,w] = Σ_c lnf[b,t,c] wte[w,c]
    y[b,t,w] = exp(logits[b,t,w]) / Σ_w' exp(logits[b,t,w'])
    loss = −(1 / (B T)) Σ_{b,t} log(y[b,t,target[b,t]])

Use:

    params = init(np.random.default_rng(0), T=T, V=V, C=C, H=H, d=d)
    loss, grads = value_and_grad(params, token, target)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "wte": ("V", "C"),
    "wpe": ("T", "C"),
    "ln1w": ("C",),
    "ln1b": ("C",),
    "Wq": ("H", "d", "C"),
    "bq": ("H", "d"),
    "Wk": ("H", "d", "C"),
    "bk": ("H", "d"),
    "Wv": ("H", "d", "C"),
    "bv": ("H", "d"),
    "Wo": ("C", "H", "d"),
    "bo": ("C",),
    "ln2w": ("C",),
    "ln2b": ("C",),
    "W1": ("4*C", "C"),
    "b1": ("4*C",),
    "W2": ("C", "4*C"),
    "b2": ("C",),
    "lnfw": ("C",),
    "lnfb": ("C",),
}
INPUTS = {"token": ("B", "T"), "target": ("B", "T")}


def init(rng, *, T, V, C, H, d, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    wte = rng.normal(0, np.sqrt(1 / C), (V, C))
    wpe = rng.normal(0, np.sqrt(1 / C), (T, C))
    ln1w = np.ones(C)
    ln1b = np.zeros(C)
    Wq = rng.normal(0, np.sqrt(1 / (C * d)), (H, d, C))
    bq = rng.normal(0, np.sqrt(1 / d), (H, d))
    Wk = rng.normal(0, np.sqrt(1 / (C * d)), (H, d, C))
    bk = rng.normal(0, np.sqrt(1 / d), (H, d))
    Wv = rng.normal(0, np.sqrt(1 / (C * d)), (H, d, C))
    bv = rng.normal(0, np.sqrt(1 / d), (H, d))
    Wo = rng.normal(0, np.sqrt(1 / (H * d)), (C, H, d))
    bo = np.zeros(C)
    ln2w = np.ones(C)
    ln2b = np.zeros(C)
    W1 = rng.normal(0, np.sqrt(1 / C), (4 * C, C))
    b1 = np.zeros(4 * C)
    W2 = rng.normal(0, np.sqrt(1 / (4 * C)), (C, 4 * C))
    b2 = np.zeros(C)
    lnfw = np.ones(C)
    lnfb = np.zeros(C)
    params = {
        "wte": wte,
        "wpe": wpe,
        "ln1w": ln1w,
        "ln1b": ln1b,
        "Wq": Wq,
        "bq": bq,
        "Wk": Wk,
        "bk": bk,
        "Wv": Wv,
        "bv": bv,
        "Wo": Wo,
        "bo": bo,
        "ln2w": ln2w,
        "ln2b": ln2b,
        "W1": W1,
        "b1": b1,
        "W2": W2,
        "b2": b2,
        "lnfw": lnfw,
        "lnfb": lnfb,
    }
    return {name: np.array(value, dtype) for name, value in params.items()}


def forward(params, token, target):
    """The loss, and the cache that backward reads.

    token: (B, T), integers
    target: (B, T), integers
    """
    arrays = _arrays(params, token=token, target=target)
    (
        wte,
        wpe,
        ln1w,
        ln1b,
        Wq,
        bq,
        Wk,
        bk,
        Wv,
        bv,
        Wo,
        bo,
        ln2w,
        ln2b,
        W1,
        b1,
        W2,
        b2,
        lnfw,
        lnfb,
        token,
        target,
    ) = arrays.values()
    V, C = wte.shape
    T = wpe.shape[0]
    H = Wq.shape[0]
    d = Wq.shape[1]
    B = token.shape[0]
    _check_shapes(
        arrays,
        wpe=(T, C),
        ln1w=(C,),
        ln1b=(C,),
        Wq=(H, d, C),
        bq=(H, d),
        Wk=(H, d, C),
        bk=(H, d),
        Wv=(H, d, C),
        bv=(H, d),
        Wo=(C, H, d),
        bo=(C,),
        ln2w=(C,),
        ln2b=(C,),
        W1=(4 * C, C),
        b1=(4 * C,),
        W2=(C, 4 * C),
        b2=(C,),
        lnfw=(C,),
        lnfb=(C,),
        token=(B, T),
        target=(B, T),
    )
    _check_gather("token", token, "wte", 0, V)
    _check_gather("target", target, "y", 2, V)

    # words[b,t,c] = wte[token[b,t],c]  (B, T, C)
    words = wte[token]
    # x[b,t,c] = words[b,t,c] + wpe[t,c]  (B, T, C)
    x = words + wpe
    # ln1_centred[b,t,c] = x[b,t,c] − (1 / C) Σ_c' x[b,t,c']  (B, T, C)
    ln1_centred = x - x.sum(axis=2, keepdims=True) / C
    # ln1_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c ln1_centred[b,t,c]²)  (B, T)
    ln1_hat_part = 1 / np.sqrt((ln1_centred**2).sum(axis=2) / C + 1e-05)
    # ln1_hat[b,t,c] = ln1_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln1_centred[b,t,c']²)
    #     (B, T, C)
    ln1_hat = ln1_hat_part[:, :, None] * ln1_centred
    # ln1[b,t,c] = ln1_hat[b,t,c] ln1w[c] + ln1b[c]  (B, T, C)
    ln1 = ln1w * ln1_hat + ln1b
    # q[b,h,t,e] = bq[h,e] + Σ_c Wq[h,e,c] ln1[b,t,c]  (B, H, T, d)
    q = np.tensordot(ln1, Wq, axes=([2], [2])).transpose(0, 2, 1, 3) + bq[:, None, :]
    # k[b,h,t,e] = bk[h,e] + Σ_c Wk[h,e,c] ln1[b,t,c]  (B, H, T, d)
    k = np.tensordot(ln1, Wk, axes=([2], [2])).transpose(0, 2, 1, 3) + bk[:, None, :]
    # v[b,h,t,e] = bv[h,e] + Σ_c Wv[h,e,c] ln1[b,t,c]  (B, H, T, d)
    v = np.tensordot(ln1, Wv, axes=([2], [2])).transpose(0, 2, 1, 3) + bv[:, None, :]
    # preatt[b,h,t,u] = (1 / √(d)) Σ_e k[b,h,u,e] q[b,h,t,e]  (B, H, T, T)
    preatt = (q @ k.swapaxes(-1, -2)) / d**0.5
    # mask[t,u] = [t ≥ u]  (T, T)
    mask = np.arange(T)[:, None] >= np.arange(T)
    # masked[b,h,t,u] = {preatt[b,h,t,u] if t ≥ u; −∞ otherwise}  (B, H, T, T)
    masked = np.where(mask, preatt, -np.inf)
    # exp_masked[b,h,t,u] = exp(masked[b,h,t,u] − max_t' masked[b,h,t,t'])  (B, H, T, T)
    exp_masked = np.exp(masked - masked.max(axis=3, keepdims=True))
    # att[b,h,t,u] = exp(masked[b,h,t,u]) / Σ_u' exp(masked[b,h,t,u'])  (B, H, T, T)
    att = exp_masked / exp_masked.sum(axis=3, keepdims=True)
    # atty[b,h,t,e] = Σ_u att[b,h,t,u] v[b,h,u,e]  (B, H, T, d)
    atty = att @ v
    # x2[b,t,c] = bo[c] + x[b,t,c] + Σ_{h,e} Wo[c,h,e] atty[b,h,t,e]  (B, T, C)
    x2 = x + np.tensordot(atty, Wo, axes=([1, 3], [1, 2])) + bo
    # ln2_centred[b,t,c] = x2[b,t,c] − (1 / C) Σ_c' x2[b,t,c']  (B, T, C)
    ln2_centred = x2 - x2.sum(axis=2, keepdims=True) / C
    # ln2_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c ln2_centred[b,t,c]²)  (B, T)
    ln2_hat_part = 1 / np.sqrt((ln2_centred**2).sum(axis=2) / C + 1e-05)
    # ln2_hat[b,t,c] = ln2_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln2_centred[b,t,c']²)
    #     (B, T, C)
    ln2_hat = ln2_hat_part[:, :, None] * ln2_centred
    # ln2[b,t,c] = ln2_hat[b,t,c] ln2w[c] + ln2b[c]  (B, T, C)
    ln2 = ln2w * ln2_hat + ln2b
    # fch[b,t,f] = b1[f] + Σ_c W1[f,c] ln2[b,t,c]  (B, T, 4*C)
    fch = ln2 @ W1.T + b1
    # gelu_cubic[b,t,f] = √(2) (fch[b,t,f] + 0.044715 fch[b,t,f]³) / √(π)  (B, T, 4*C)
    gelu_cubic = (2 / np.pi) ** 0.5 * (0.044715 * fch * fch * fch + fch)
    # gelu_tanh[b,t,f] = tanh(gelu_cubic[b,t,f])  (B, T, 4*C)
    gelu_tanh = np.tanh(gelu_cubic)
    # gelu[b,t,f] = fch[b,t,f] (1 + gelu_tanh[b,t,f]) / 2  (B, T, 4*C)
    gelu = fch * (1 + gelu_tanh) / 2
    # x3[b,t,c] = b2[c] + x2[b,t,c] + Σ_f W2[c,f] gelu[b,t,f]  (B, T, C)
    x3 = x2 + gelu @ W2.T + b2
    # lnf_centred[b,t,c] = x3[b,t,c] − (1 / C) Σ_c' x3[b,t,c']  (B, T, C)
    lnf_centred = x3 - x3.sum(axis=2, keepdims=True) / C
    # lnf_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c lnf_centred[b,t,c]²)  (B, T)
    lnf_hat_part = 1 / np.sqrt((lnf_centred**2).sum(axis=2) / C + 1e-05)
    # lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' lnf_centred[b,t,c']²)
    #     (B, T, C)
    lnf_hat = lnf_hat_part[:, :, None] * lnf_centred
    # lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]  (B, T, C)
    lnf = lnfw * lnf_hat + lnfb
    # logits[b,t,w] = Σ_c lnf[b,t,c] wte[w,c]  (B, T, V)
    logits = lnf @ wte.T
    # max_logits[b,t] = max_w logits[b,t,w]  (B, T)
    max_logits = logits.max(axis=2)
    # exp_logits[b,t,w] = exp(logits[b,t,w] − max_logits[b,t])  (B, T, V)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[b,t] = Σ_w exp_logits[b,t,w]  (B, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[b,t,w] = exp(logits[b,t,w]) / Σ_w' exp(logits[b,t,w'])  (B, T, V)
    y = exp_logits / sum_exp_logits[:, :, None]
    # loss = −(1 / (B T)) Σ_{b,t} log(y[b,t,target[b,t]])
    loss = -(
        logits[np.arange(B)[:, None], np.arange(T), target]
        - max_logits
        - np.log(sum_exp_logits)
    ).sum() / (B * T)

    cache = (
        token,
        target,
        ln1_hat,
        ln1,
        q,
        k,
        v,
        att,
        atty,
        ln2_hat,
        ln2,
        fch,
        gelu_tanh,
        gelu,
        lnf_hat,
        lnf,
        y,
        ln1_hat_part,
        mask,
        ln2_hat_part,
        lnf_hat_part,
        B,
        C,
        T,
        V,
        d,
    )
    return loss, cache


def backward(params, cache):
    """Gradients of the loss in every parameter, shaped as the parameters."""
    wte = _array("wte", params["wte"])
    ln1w = _array("ln1w", params["ln1w"])
    Wq = _array("Wq", params["Wq"])
    Wk = _array("Wk", params["Wk"])
    Wv = _array("Wv", params["Wv"])
    Wo = _array("Wo", params["Wo"])
    ln2w = _array("ln2w", params["ln2w"])
    W1 = _array("W1", params["W1"])
    W2 = _array("W2", params["W2"])
    lnfw = _array("lnfw", params["lnfw"])
    (
        token,
        target,
        ln1_hat,
        ln1,
        q,
        k,
        v,
        att,
        atty,
        ln2_hat,
        ln2,
        fch,
        gelu_tanh,
        gelu,
        lnf_hat,
        lnf,
        y,
        ln1_hat_part,
        mask,
        ln2_hat_part,
        lnf_hat_part,
        B,
        C,
        T,
        V,
        d,
    ) = cache

    # ∂L/∂logits[b,t,w] = (y[b,t,w] − δ_{target[b,t],w}) / (B T)  (B, T, V)
    dlogits = y / (B * T)
    dlogits[np.arange(B)[:, None], np.arange(T), target] -= 1 / (B * T)
    # ∂L/∂lnf[b,t,c] = Σ_w ∂L/∂logits[b,t,w] wte[w,c]  (B, T, C)
    dlnf = dlogits @ wte
    # ∂L/∂lnf_hat[b,t,c] = ∂L/∂lnf[b,t,c] lnfw[c]  (B, T, C)
    dlnf_hat = lnfw * dlnf
    # ∂L/∂x3[b,t,c] = (∂L/∂lnf_hat[b,t,c] − (lnf_hat[b,t,c]
    #     / C) (Σ_c' ∂L/∂lnf_hat[b,t,c'] lnf_hat[b,t,c']) − (1
    #     / C) Σ_c' ∂L/∂lnf_hat[b,t,c']) / √(1e−05 + (1 / C) Σ_c' lnf_centred[b,t,c']²)
    #     (B, T, C)
    dx3 = lnf_hat_part[:, :, None] * (
        dlnf_hat
        - (dlnf_hat * lnf_hat).sum(axis=2, keepdims=True) / C * lnf_hat
        - dlnf_hat.sum(axis=2, keepdims=True) / C
    )
    # dfch_part[b,t,f] = √(2) fch[b,t,f] (1 + 0.134145 fch[b,t,f]²) (1
    #     − gelu_tanh[b,t,f]²) / √(π)  (B, T, 4*C)
    dfch_part = (2 / np.pi) ** 0.5 * fch * (1 - gelu_tanh**2) * (1 + 0.134145 * fch**2)
    # ∂L/∂fch[b,t,f] = ((1 + gelu_tanh[b,t,f] + √(2) fch[b,t,f] (1
    #     + 0.134145 fch[b,t,f]²) (1 − gelu_tanh[b,t,f]²) / √(π))
    #     / 2) Σ_c ∂L/∂x3[b,t,c] W2[c,f]  (B, T, 4*C)
    dfch = (1 + dfch_part + gelu_tanh) * (dx3 @ W2) / 2
    # ∂L/∂ln2[b,t,c] = Σ_f ∂L/∂fch[b,t,f] W1[f,c]  (B, T, C)
    dln2 = dfch @ W1
    # ∂L/∂ln2_hat[b,t,c] = ∂L/∂ln2[b,t,c] ln2w[c]  (B, T, C)
    dln2_hat = ln2w * dln2
    # ∂L/∂ln2_centred[b,t,c] = (∂L/∂ln2_hat[b,t,c] − (ln2_hat[b,t,c]
    #     / C) Σ_c' ∂L/∂ln2_hat[b,t,c'] ln2_hat[b,t,c']) / √(1e−05 + (1
    #     / C) Σ_c' ln2_centred[b,t,c']²)  (B, T, C)
    dln2_centred = ln2_hat_part[:, :, None] * (
        dln2_hat - (dln2_hat * ln2_hat).sum(axis=2, keepdims=True) / C * ln2_hat
    )
    # ∂L/∂x2[b,t,c] = ∂L/∂ln2_centred[b,t,c] + ∂L/∂x3[b,t,c] − (1
    #     / C) Σ_c' ∂L/∂ln2_centred[b,t,c']  (B, T, C)
    dx2 = dln2_centred + dx3 - dln2_centred.sum(axis=2, keepdims=True) / C
    # ∂L/∂atty[b,h,t,e] = Σ_c ∂L/∂x2[b,t,c] Wo[c,h,e]  (B, H, T, d)
    datty = np.tensordot(dx2, Wo, axes=([2], [0])).transpose(0, 2, 1, 3)
    # ∂L/∂att[b,h,t,u] = Σ_e ∂L/∂atty[b,h,t,e] v[b,h,u,e]  (B, H, T, T)
    datt = datty @ v.swapaxes(-1, -2)
    # ∂L/∂preatt[b,h,t,u] = att[b,h,t,u] (∂L/∂att[b,h,t,u]
    #     − Σ_t' ∂L/∂att[b,h,t,t'] att[b,h,t,t']) [t ≥ u]  (B, H, T, T)
    dpreatt = att * (datt - (att * datt).sum(axis=3, keepdims=True)) * mask
    # ∂L/∂v[b,h,t,e] = Σ_u ∂L/∂atty[b,h,u,e] att[b,h,u,t]  (B, H, T, d)
    dv = att.swapaxes(-1, -2) @ datty
    # ∂L/∂k[b,h,t,e] = (1 / √(d)) Σ_u ∂L/∂preatt[b,h,u,t] q[b,h,u,e]  (B, H, T, d)
    dk = (dpreatt.swapaxes(-1, -2) @ q) / d**0.5
    # ∂L/∂q[b,h,t,e] = (1 / √(d)) Σ_u ∂L/∂preatt[b,h,t,u] k[b,h,u,e]  (B, H, T, d)
    dq = (dpreatt @ k) / d**0.5
    # ∂L/∂ln1[b,t,c] = (Σ_{h,e} ∂L/∂k[b,h,t,e] Wk[h,e,c])
    #     + (Σ_{h,e} ∂L/∂q[b,h,t,e] Wq[h,e,c]) + Σ_{h,e} ∂L/∂v[b,h,t,e] Wv[h,e,c]
    #     (B, T, C)
    dln1 = (
        np.tensordot(dk, Wk, axes=([1, 3], [0, 1]))
        + np.tensordot(dq, Wq, axes=([1, 3], [0, 1]))
        + np.tensordot(dv, Wv, axes=([1, 3], [0, 1]))
    )
    # ∂L/∂ln1_hat[b,t,c] = ∂L/∂ln1[b,t,c] ln1w[c]  (B, T, C)
    dln1_hat = ln1w * dln1
    # ∂L/∂ln1_centred[b,t,c] = (∂L/∂ln1_hat[b,t,c] − (ln1_hat[b,t,c]
    #     / C) Σ_c' ∂L/∂ln1_hat[b,t,c'] ln1_hat[b,t,c']) / √(1e−05 + (1
    #     / C) Σ_c' ln1_centred[b,t,c']²)  (B, T, C)
    dln1_centred = ln1_hat_part[:, :, None] * (
        dln1_hat - (dln1_hat * ln1_hat).sum(axis=2, keepdims=True) / C * ln1_hat
    )
    # ∂L/∂x[b,t,c] = ∂L/∂ln1_centred[b,t,c] + ∂L/∂x2[b,t,c] − (1
    #     / C) Σ_c' ∂L/∂ln1_centred[b,t,c']  (B, T, C)
    dx = dln1_centred + dx2 - dln1_centred.sum(axis=2, keepdims=True) / C
    # ∂L/∂wte[w,c] = (Σ_{b,t} δ_{token[b,t],w} ∂L/∂x[b,t,c])
    #     + Σ_{b,t} ∂L/∂logits[b,t,w] lnf[b,t,c]  (V, C)
    dwte = _scatter_add((V, C), (token,), dx) + np.tensordot(
        dlogits, lnf, axes=([0, 1], [0, 1])
    )
    # ∂L/∂wpe[t,c] = Σ_b ∂L/∂x[b,t,c]  (T, C)
    dwpe = dx.sum(axis=0)
    # ∂L/∂ln1w[c] = Σ_{b,t} ∂L/∂ln1[b,t,c] ln1_hat[b,t,c]  (C,)
    dln1w = (dln1 * ln1_hat).sum(axis=(0, 1))
    # ∂L/∂ln1b[c] = Σ_{b,t} ∂L/∂ln1[b,t,c]  (C,)
    dln1b = dln1.sum(axis=(0, 1))
    # ∂L/∂Wq[h,e,c] = Σ_{b,t} ∂L/∂q[b,h,t,e] ln1[b,t,c]  (H, d, C)
    dWq = np.tensordot(dq, ln1, axes=([0, 2], [0, 1]))
    # ∂L/∂bq[h,e] = Σ_{b,t} ∂L/∂q[b,h,t,e]  (H, d)
    dbq = dq.sum(axis=(0, 2))
    # ∂L/∂Wk[h,e,c] = Σ_{b,t} ∂L/∂k[b,h,t,e] ln1[b,t,c]  (H, d, C)
    dWk = np.tensordot(dk, ln1, axes=([0, 2], [0, 1]))
    # ∂L/∂bk[h,e] = Σ_{b,t} ∂L/∂k[b,h,t,e]  (H, d)
    dbk = dk.sum(axis=(0, 2))
    # ∂L/∂Wv[h,e,c] = Σ_{b,t} ∂L/∂v[b,h,t,e] ln1[b,t,c]  (H, d, C)
    dWv = np.tensordot(dv, ln1, axes=([0, 2], [0, 1]))
    # ∂L/∂bv[h,e] = Σ_{b,t} ∂L/∂v[b,h,t,e]  (H, d)
    dbv = dv.sum(axis=(0, 2))
    # ∂L/∂Wo[c,h,e] = Σ_{b,t} ∂L/∂x2[b,t,c] atty[b,h,t,e]  (C, H, d)
    dWo = np.tensordot(dx2, atty, axes=([0, 1], [0, 2]))
    # ∂L/∂bo[c] = Σ_{b,t} ∂L/∂x2[b,t,c]  (C,)
    dbo = dx2.sum(axis=(0, 1))
    # ∂L/∂ln2w[c] = Σ_{b,t} ∂L/∂ln2[b,t,c] ln2_hat[b,t,c]  (C,)
    dln2w = (dln2 * ln2_hat).sum(axis=(0, 1))
    # ∂L/∂ln2b[c] = Σ_{b,t} ∂L/∂ln2[b,t,c]  (C,)
    dln2b = dln2.sum(axis=(0, 1))
    # ∂L/∂W1[f,c] = Σ_{b,t} ∂L/∂fch[b,t,f] ln2[b,t,c]  (4*C, C)
    dW1 = np.tensordot(dfch, ln2, axes=([0, 1], [0, 1]))
    # ∂L/∂b1[f] = Σ_{b,t} ∂L/∂fch[b,t,f]  (4*C,)
    db1 = dfch.sum(axis=(0, 1))
    # ∂L/∂W2[c,f] = Σ_{b,t} ∂L/∂x3[b,t,c] gelu[b,t,f]  (C, 4*C)
    dW2 = np.tensordot(dx3, gelu, axes=([0, 1], [0, 1]))
    # ∂L/∂b2[c] = Σ_{b,t} ∂L/∂x3[b,t,c]  (C,)
    db2 = dx3.sum(axis=(0, 1))
    # ∂L/∂lnfw[c] = Σ_{b,t} ∂L/∂lnf[b,t,c] lnf_hat[b,t,c]  (C,)
    dlnfw = (dlnf * lnf_hat).sum(axis=(0, 1))
    # ∂L/∂lnfb[c] = Σ_{b,t} ∂L/∂lnf[b,t,c]  (C,)
    dlnfb = dlnf.sum(axis=(0, 1))

    return {
        "wte": dwte,
        "wpe": dwpe,
        "ln1w": dln1w,
        "ln1b": dln1b,
        "Wq": dWq,
        "bq": dbq,
        "Wk": dWk,
        "bk": dbk,
        "Wv": dWv,
        "bv": dbv,
        "Wo": dWo,
        "bo": dbo,
        "ln2w": dln2w,
        "ln2b": dln2b,
        "W1": dW1,
        "b1": db1,
        "W2": dW2,
        "b2": db2,
        "lnfw": dlnfw,
        "lnfb": dlnfb,
    }


def value_and_grad(params, token, target):
    """The loss and its gradients, from what forward takes."""
    loss, cache = forward(params, token, target)
    return loss, backward(params, cache)


def predict(params, token):
    """The output y.

    token: (B, T), integers
    """
    arrays = _arrays(params, "B", token=token)
    (
        wte,
        wpe,
        ln1w,
        ln1b,
        Wq,
        bq,
        Wk,
        bk,
        Wv,
        bv,
        Wo,
        bo,
        ln2w,
        ln2b,
        W1,
        b1,
        W2,
        b2,
        lnfw,
        lnfb,
        token,
    ) = arrays.values()
    V, C = wte.shape
    T = wpe.shape[0]
    H = Wq.shape[0]
    d = Wq.shape[1]
    B = token.shape[0]
    _check_shapes(
        arrays,
        wpe=(T, C),
        ln1w=(C,),
        ln1b=(C,),
        Wq=(H, d, C),
        bq=(H, d),
        Wk=(H, d, C),
        bk=(H, d),
        Wv=(H, d, C),
        bv=(H, d),
        Wo=(C, H, d),
        bo=(C,),
        ln2w=(C,),
        ln2b=(C,),
        W1=(4 * C, C),
        b1=(4 * C,),
        W2=(C, 4 * C),
        b2=(C,),
        lnfw=(C,),
        lnfb=(C,),
        token=(B, T),
    )
    _check_gather("token", token, "wte", 0, V)

    # words[b,t,c] = wte[token[b,t],c]  (B, T, C)
    words = wte[token]
    # x[b,t,c] = words[b,t,c] + wpe[t,c]  (B, T, C)
    x = words + wpe
    # ln1_centred[b,t,c] = x[b,t,c] − (1 / C) Σ_c' x[b,t,c']  (B, T, C)
    ln1_centred = x - x.sum(axis=2, keepdims=True) / C
    # ln1_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c ln1_centred[b,t,c]²)  (B, T)
    ln1_hat_part = 1 / np.sqrt((ln1_centred**2).sum(axis=2) / C + 1e-05)
    # ln1_hat[b,t,c] = ln1_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln1_centred[b,t,c']²)
    #     (B, T, C)
    ln1_hat = ln1_hat_part[:, :, None] * ln1_centred
    # ln1[b,t,c] = ln1_hat[b,t,c] ln1w[c] + ln1b[c]  (B, T, C)
    ln1 = ln1w * ln1_hat + ln1b
    # q[b,h,t,e] = bq[h,e] + Σ_c Wq[h,e,c] ln1[b,t,c]  (B, H, T, d)
    q = np.tensordot(ln1, Wq, axes=([2], [2])).transpose(0, 2, 1, 3) + bq[:, None, :]
    # k[b,h,t,e] = bk[h,e] + Σ_c Wk[h,e,c] ln1[b,t,c]  (B, H, T, d)
    k = np.tensordot(ln1, Wk, axes=([2], [2])).transpose(0, 2, 1, 3) + bk[:, None, :]
    # v[b,h,t,e] = bv[h,e] + Σ_c Wv[h,e,c] ln1[b,t,c]  (B, H, T, d)
    v = np.tensordot(ln1, Wv, axes=([2], [2])).transpose(0, 2, 1, 3) + bv[:, None, :]
    # preatt[b,h,t,u] = (1 / √(d)) Σ_e k[b,h,u,e] q[b,h,t,e]  (B, H, T, T)
    preatt = (q @ k.swapaxes(-1, -2)) / d**0.5
    # mask[t,u] = [t ≥ u]  (T, T)
    mask = np.arange(T)[:, None] >= np.arange(T)
    # masked[b,h,t,u] = {preatt[b,h,t,u] if t ≥ u; −∞ otherwise}  (B, H, T, T)
    masked = np.where(mask, preatt, -np.inf)
    # exp_masked[b,h,t,u] = exp(masked[b,h,t,u] − max_t' masked[b,h,t,t'])  (B, H, T, T)
    exp_masked = np.exp(masked - masked.max(axis=3, keepdims=True))
    # att[b,h,t,u] = exp(masked[b,h,t,u]) / Σ_u' exp(masked[b,h,t,u'])  (B, H, T, T)
    att = exp_masked / exp_masked.sum(axis=3, keepdims=True)
    # atty[b,h,t,e] = Σ_u att[b,h,t,u] v[b,h,u,e]  (B, H, T, d)
    atty = att @ v
    # x2[b,t,c] = bo[c] + x[b,t,c] + Σ_{h,e} Wo[c,h,e] atty[b,h,t,e]  (B, T, C)
    x2 = x + np.tensordot(atty, Wo, axes=([1, 3], [1, 2])) + bo
    # ln2_centred[b,t,c] = x2[b,t,c] − (1 / C) Σ_c' x2[b,t,c']  (B, T, C)
    ln2_centred = x2 - x2.sum(axis=2, keepdims=True) / C
    # ln2_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c ln2_centred[b,t,c]²)  (B, T)
    ln2_hat_part = 1 / np.sqrt((ln2_centred**2).sum(axis=2) / C + 1e-05)
    # ln2_hat[b,t,c] = ln2_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' ln2_centred[b,t,c']²)
    #     (B, T, C)
    ln2_hat = ln2_hat_part[:, :, None] * ln2_centred
    # ln2[b,t,c] = ln2_hat[b,t,c] ln2w[c] + ln2b[c]  (B, T, C)
    ln2 = ln2w * ln2_hat + ln2b
    # fch[b,t,f] = b1[f] + Σ_c W1[f,c] ln2[b,t,c]  (B, T, 4*C)
    fch = ln2 @ W1.T + b1
    # gelu_cubic[b,t,f] = √(2) (fch[b,t,f] + 0.044715 fch[b,t,f]³) / √(π)  (B, T, 4*C)
    gelu_cubic = (2 / np.pi) ** 0.5 * (0.044715 * fch * fch * fch + fch)
    # gelu_tanh[b,t,f] = tanh(gelu_cubic[b,t,f])  (B, T, 4*C)
    gelu_tanh = np.tanh(gelu_cubic)
    # gelu[b,t,f] = fch[b,t,f] (1 + gelu_tanh[b,t,f]) / 2  (B, T, 4*C)
    gelu = fch * (1 + gelu_tanh) / 2
    # x3[b,t,c] = b2[c] + x2[b,t,c] + Σ_f W2[c,f] gelu[b,t,f]  (B, T, C)
    x3 = x2 + gelu @ W2.T + b2
    # lnf_centred[b,t,c] = x3[b,t,c] − (1 / C) Σ_c' x3[b,t,c']  (B, T, C)
    lnf_centred = x3 - x3.sum(axis=2, keepdims=True) / C
    # lnf_hat_part[b,t] = 1 / √(1e−05 + (1 / C) Σ_c lnf_centred[b,t,c]²)  (B, T)
    lnf_hat_part = 1 / np.sqrt((lnf_centred**2).sum(axis=2) / C + 1e-05)
    # lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1 / C) Σ_c' lnf_centred[b,t,c']²)
    #     (B, T, C)
    lnf_hat = lnf_hat_part[:, :, None] * lnf_centred
    # lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]  (B, T, C)
    lnf = lnfw * lnf_hat + lnfb
    # logits[b,t,w] = Σ_c lnf[b,t,c] wte[w,c]  (B, T, V)
    logits = lnf @ wte.T
    # max_logits[b,t] = max_w logits[b,t,w]  (B, T)
    max_logits = logits.max(axis=2)
    # exp_logits[b,t,w] = exp(logits[b,t,w] − max_logits[b,t])  (B, T, V)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[b,t] = Σ_w exp_logits[b,t,w]  (B, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[b,t,w] = exp(logits[b,t,w]) / Σ_w' exp(logits[b,t,w'])  (B, T, V)
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
_INTEGERS = ("token", "target")


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
