# Digest of what follows, as symbp wrote it: 2ca40b38b1932eaf
# ruff: noqa: E741, RUF100
"""gpt2: a loss, its gradients and a step of training, in NumPy alone.

    words[b,t,c] = wte[token[b,t],c]
    X_initial[b,t,c] = words[b,t,c] + wpe[t,c]
    ln1_centred[l,b,t,c] = X[l − 1,b,t,c] − (1 / (H d)) Σ_j X[l − 1,b,t,j]
    ln1_hat[l,b,t,c] = ln1_centred[l,b,t,c] / √(1e−05 + (1
        / (H d)) Σ_j ln1_centred[l,b,t,j]²)
    ln1[l,b,t,c] = ln1_hat[l,b,t,c] ln1w[l,c] + ln1b[l,c]
    q[l,b,h,t,e] = bq[l,h,e] + Σ_c Wq[l,h,e,c] ln1[l,b,t,c]
    k[l,b,h,t,e] = bk[l,h,e] + Σ_c Wk[l,h,e,c] ln1[l,b,t,c]
    v[l,b,h,t,e] = bv[l,h,e] + Σ_c Wv[l,h,e,c] ln1[l,b,t,c]
    att_scores[l,b,h,t,t2] = (1 / √(d)) Σ_e k[l,b,h,t2,e] q[l,b,h,t,e]
    att_masked[l,b,h,t,t2] = {att_scores[l,b,h,t,t2] if t ≥ t2; −∞ otherwise}
    att_weights[l,b,h,t,t2] = exp(att_masked[l,b,h,t,t2])
        / Σ_t2' exp(att_masked[l,b,h,t,t2'])
    att[l,b,h,t,e] = Σ_t2 att_weights[l,b,h,t,t2] v[l,b,h,t2,e]
    Y[l,b,t,c] = X[l − 1,b,t,c] + bo[l,c] + Σ_{h,e} Wo[l,c,h,e] att[l,b,h,t,e]
    ln2_centred[l,b,t,c] = Y[l,b,t,c] − (1 / (H d)) Σ_j Y[l,b,t,j]
    ln2_hat[l,b,t,c] = ln2_centred[l,b,t,c] / √(1e−05 + (1
        / (H d)) Σ_j ln2_centred[l,b,t,j]²)
    ln2[l,b,t,c] = ln2_hat[l,b,t,c] ln2w[l,c] + ln2b[l,c]
    fch[l,b,t,f] = b1[l,f] + Σ_c W1[l,f,c] ln2[l,b,t,c]
    gelu_cubic[l,b,t,f] = √(2) (fch[l,b,t,f] + 0.044715 fch[l,b,t,f]³) / √(π)
    gelu_tanh[l,b,t,f] = tanh(gelu_cubic[l,b,t,f])
    gelu[l,b,t,f] = fch[l,b,t,f] (1 + gelu_tanh[l,b,t,f]) / 2
    X[−1,b,t,c] = X_initial[b,t,c]
    X[l,b,t,c] = Y[l,b,t,c] + b2[l,c] + Σ_f W2[l,c,f] gelu[l,b,t,f]
    lnf_centred[b,t,c] = X[L − 1,b,t,c] − (1 / (H d)) Σ_j X[L − 1,b,t,j]
    lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1 / (H d)) Σ_j lnf_centred[b,t,j]²)
    lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]
    logits[b,t,v] = Σ_c lnf[b,t,c] wte[v,c]
    y[b,t,v] = exp(logits[b,t,v]) / Σ_v' exp(logits[b,t,v'])
    loss = −(1 / (B T)) Σ_{b,t} log(y[b,t,target[b,t]])

Use:

    params = init(np.random.default_rng(0), T=T, V=V, H=H, d=d, L=L)
    loss, grads = value_and_grad(params, token, target)
    step(params, grads, learning_rate=0.1)

Arrays are all float32 or all float64, and so are the results. Derived by symbp
0.1.0; edit freely, then `symbp verify`.
"""

import numpy as np

PARAMETERS = {
    "wte": ("V", "H*d"),
    "wpe": ("T", "H*d"),
    "ln1w": ("L", "H*d"),
    "ln1b": ("L", "H*d"),
    "Wq": ("L", "H", "d", "H*d"),
    "bq": ("L", "H", "d"),
    "Wk": ("L", "H", "d", "H*d"),
    "bk": ("L", "H", "d"),
    "Wv": ("L", "H", "d", "H*d"),
    "bv": ("L", "H", "d"),
    "Wo": ("L", "H*d", "H", "d"),
    "bo": ("L", "H*d"),
    "ln2w": ("L", "H*d"),
    "ln2b": ("L", "H*d"),
    "W1": ("L", "4*H*d", "H*d"),
    "b1": ("L", "4*H*d"),
    "W2": ("L", "H*d", "4*H*d"),
    "b2": ("L", "H*d"),
    "lnfw": ("H*d",),
    "lnfb": ("H*d",),
}
INPUTS = {"token": ("B", "T"), "target": ("B", "T")}


def init(rng, *, T, V, H, d, L, dtype=np.float64):
    """Fresh parameters; `rng` is a numpy.random.Generator."""
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    wte = _shaped("wte", _init_small(rng, (V, H * d), dtype), (V, H * d))
    wpe = _shaped("wpe", _init_small(rng, (T, H * d), dtype), (T, H * d))
    ln1w = np.ones((L, H * d))
    ln1b = np.zeros((L, H * d))
    Wq = _shaped("Wq", _init_small(rng, (L, H, d, H * d), dtype), (L, H, d, H * d))
    bq = np.zeros((L, H, d))
    Wk = _shaped("Wk", _init_small(rng, (L, H, d, H * d), dtype), (L, H, d, H * d))
    bk = np.zeros((L, H, d))
    Wv = _shaped("Wv", _init_small(rng, (L, H, d, H * d), dtype), (L, H, d, H * d))
    bv = np.zeros((L, H, d))
    Wo = _shaped("Wo", _init_smaller(rng, (L, H * d, H, d), dtype), (L, H * d, H, d))
    bo = np.zeros((L, H * d))
    ln2w = np.ones((L, H * d))
    ln2b = np.zeros((L, H * d))
    W1 = _shaped(
        "W1", _init_small(rng, (L, 4 * H * d, H * d), dtype), (L, 4 * H * d, H * d)
    )
    b1 = np.zeros((L, 4 * H * d))
    W2 = _shaped(
        "W2", _init_smaller(rng, (L, H * d, 4 * H * d), dtype), (L, H * d, 4 * H * d)
    )
    b2 = np.zeros((L, H * d))
    lnfw = np.ones(H * d)
    lnfb = np.zeros(H * d)
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
    V = wte.shape[0]
    T = wpe.shape[0]
    L = ln1w.shape[0]
    H = Wq.shape[1]
    d = Wq.shape[2]
    B = token.shape[0]
    _check_shapes(
        arrays,
        wte=(V, H * d),
        wpe=(T, H * d),
        ln1w=(L, H * d),
        ln1b=(L, H * d),
        Wq=(L, H, d, H * d),
        bq=(L, H, d),
        Wk=(L, H, d, H * d),
        bk=(L, H, d),
        Wv=(L, H, d, H * d),
        bv=(L, H, d),
        Wo=(L, H * d, H, d),
        bo=(L, H * d),
        ln2w=(L, H * d),
        ln2b=(L, H * d),
        W1=(L, 4 * H * d, H * d),
        b1=(L, 4 * H * d),
        W2=(L, H * d, 4 * H * d),
        b2=(L, H * d),
        lnfw=(H * d,),
        lnfb=(H * d,),
        token=(B, T),
        target=(B, T),
    )
    _check_gather("token", token, "wte", 0, V)
    _check_gather("target", target, "y", 2, V)

    # words[b,t,c] = wte[token[b,t],c]  (B, T, H*d)
    words = wte[token]
    # X_initial[b,t,c] = words[b,t,c] + wpe[t,c]  (B, T, H*d)
    X_initial = words + wpe
    # mask[t,t2] = [t ≥ t2]  (T, T)
    mask = np.arange(T)[:, None] >= np.arange(T)
    gelu = np.empty((L, B, T, 4 * H * d), dtype=wte.dtype)
    gelu_tanh = np.empty((L, B, T, 4 * H * d), dtype=wte.dtype)
    fch = np.empty((L, B, T, 4 * H * d), dtype=wte.dtype)
    ln2 = np.empty((L, B, T, H * d), dtype=wte.dtype)
    ln2_hat = np.empty((L, B, T, H * d), dtype=wte.dtype)
    ln2_hat_part = np.empty((L, B, T), dtype=wte.dtype)
    att = np.empty((L, B, H, T, d), dtype=wte.dtype)
    att_weights = np.empty((L, B, H, T, T), dtype=wte.dtype)
    v = np.empty((L, B, H, T, d), dtype=wte.dtype)
    ln1 = np.empty((L, B, T, H * d), dtype=wte.dtype)
    ln1_hat = np.empty((L, B, T, H * d), dtype=wte.dtype)
    q = np.empty((L, B, H, T, d), dtype=wte.dtype)
    k = np.empty((L, B, H, T, d), dtype=wte.dtype)
    ln1_hat_part = np.empty((L, B, T), dtype=wte.dtype)
    X = X_initial
    for l in range(L):
        # ln1_centred[l,b,t,c] = X[l − 1,b,t,c] − (1 / (H d)) Σ_j X[l − 1,b,t,j]
        #     (B, T, H*d)
        ln1_centred = X - X.sum(axis=2, keepdims=True) / (H * d)
        # ln1_hat_part[l,b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c ln1_centred[l,b,t,c]²)
        #     (B, T)
        ln1_hat_part[l] = 1 / np.sqrt((ln1_centred**2).sum(axis=2) / (H * d) + 1e-05)
        # ln1_hat[l,b,t,c] = ln1_centred[l,b,t,c] / √(1e−05 + (1
        #     / (H d)) Σ_j ln1_centred[l,b,t,j]²)  (B, T, H*d)
        ln1_hat[l] = ln1_centred * ln1_hat_part[l][:, :, None]
        # ln1[l,b,t,c] = ln1_hat[l,b,t,c] ln1w[l,c] + ln1b[l,c]  (B, T, H*d)
        ln1[l] = ln1w[l] * ln1_hat[l] + ln1b[l]
        # q[l,b,h,t,e] = bq[l,h,e] + Σ_c Wq[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        q[l] = (
            np.tensordot(ln1[l], Wq[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bq[l][:, None, :]
        )
        # k[l,b,h,t,e] = bk[l,h,e] + Σ_c Wk[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        k[l] = (
            np.tensordot(ln1[l], Wk[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bk[l][:, None, :]
        )
        # v[l,b,h,t,e] = bv[l,h,e] + Σ_c Wv[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        v[l] = (
            np.tensordot(ln1[l], Wv[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bv[l][:, None, :]
        )
        # att_scores[l,b,h,t,t2] = (1 / √(d)) Σ_e k[l,b,h,t2,e] q[l,b,h,t,e]
        #     (B, H, T, T)
        att_scores = (q[l] @ k[l].swapaxes(-1, -2)) / d**0.5
        # att_masked[l,b,h,t,t2] = {att_scores[l,b,h,t,t2] if t ≥ t2; −∞ otherwise}
        #     (B, H, T, T)
        att_masked = np.where(mask, att_scores, -np.inf)
        # exp_att_masked[l,b,h,t,t2] = exp(att_masked[l,b,h,t,t2]
        #     − max_t' att_masked[l,b,h,t,t'])  (B, H, T, T)
        exp_att_masked = np.exp(att_masked - att_masked.max(axis=3, keepdims=True))
        # att_weights[l,b,h,t,t2] = exp(att_masked[l,b,h,t,t2])
        #     / Σ_t2' exp(att_masked[l,b,h,t,t2'])  (B, H, T, T)
        att_weights[l] = exp_att_masked / exp_att_masked.sum(axis=3, keepdims=True)
        # att[l,b,h,t,e] = Σ_t2 att_weights[l,b,h,t,t2] v[l,b,h,t2,e]  (B, H, T, d)
        att[l] = att_weights[l] @ v[l]
        # Y[l,b,t,c] = X[l − 1,b,t,c] + bo[l,c] + Σ_{h,e} Wo[l,c,h,e] att[l,b,h,t,e]
        #     (B, T, H*d)
        Y = X + np.tensordot(att[l], Wo[l], axes=([1, 3], [1, 2])) + bo[l]
        # ln2_centred[l,b,t,c] = Y[l,b,t,c] − (1 / (H d)) Σ_j Y[l,b,t,j]  (B, T, H*d)
        ln2_centred = Y - Y.sum(axis=2, keepdims=True) / (H * d)
        # ln2_hat_part[l,b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c ln2_centred[l,b,t,c]²)
        #     (B, T)
        ln2_hat_part[l] = 1 / np.sqrt((ln2_centred**2).sum(axis=2) / (H * d) + 1e-05)
        # ln2_hat[l,b,t,c] = ln2_centred[l,b,t,c] / √(1e−05 + (1
        #     / (H d)) Σ_j ln2_centred[l,b,t,j]²)  (B, T, H*d)
        ln2_hat[l] = ln2_centred * ln2_hat_part[l][:, :, None]
        # ln2[l,b,t,c] = ln2_hat[l,b,t,c] ln2w[l,c] + ln2b[l,c]  (B, T, H*d)
        ln2[l] = ln2w[l] * ln2_hat[l] + ln2b[l]
        # fch[l,b,t,f] = b1[l,f] + Σ_c W1[l,f,c] ln2[l,b,t,c]  (B, T, 4*H*d)
        fch[l] = ln2[l] @ W1[l].T + b1[l]
        # gelu_cubic[l,b,t,f] = √(2) (fch[l,b,t,f] + 0.044715 fch[l,b,t,f]³) / √(π)
        #     (B, T, 4*H*d)
        gelu_cubic = (2 / np.pi) ** 0.5 * (0.044715 * fch[l] * fch[l] * fch[l] + fch[l])
        # gelu_tanh[l,b,t,f] = tanh(gelu_cubic[l,b,t,f])  (B, T, 4*H*d)
        gelu_tanh[l] = np.tanh(gelu_cubic)
        # gelu[l,b,t,f] = fch[l,b,t,f] (1 + gelu_tanh[l,b,t,f]) / 2  (B, T, 4*H*d)
        gelu[l] = fch[l] * (1 + gelu_tanh[l]) / 2
        # X[l,b,t,c] = Y[l,b,t,c] + b2[l,c] + Σ_f W2[l,c,f] gelu[l,b,t,f]  (B, T, H*d)
        X = Y + gelu[l] @ W2[l].T + b2[l]
    # X_last[b,t,c] = X[L − 1,b,t,c]  (B, T, H*d)
    X_last = X
    # lnf_centred[b,t,c] = X[L − 1,b,t,c] − (1 / (H d)) Σ_j X[L − 1,b,t,j]  (B, T, H*d)
    lnf_centred = X_last - X_last.sum(axis=2, keepdims=True) / (H * d)
    # lnf_hat_part[b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c lnf_centred[b,t,c]²)  (B, T)
    lnf_hat_part = 1 / np.sqrt((lnf_centred**2).sum(axis=2) / (H * d) + 1e-05)
    # lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1
    #     / (H d)) Σ_j lnf_centred[b,t,j]²)  (B, T, H*d)
    lnf_hat = lnf_hat_part[:, :, None] * lnf_centred
    # lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]  (B, T, H*d)
    lnf = lnfw * lnf_hat + lnfb
    # logits[b,t,v] = Σ_c lnf[b,t,c] wte[v,c]  (B, T, V)
    logits = lnf @ wte.T
    # max_logits[b,t] = max_v logits[b,t,v]  (B, T)
    max_logits = logits.max(axis=2)
    # exp_logits[b,t,v] = exp(logits[b,t,v] − max_logits[b,t])  (B, T, V)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[b,t] = Σ_v exp_logits[b,t,v]  (B, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[b,t,v] = exp(logits[b,t,v]) / Σ_v' exp(logits[b,t,v'])  (B, T, V)
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
        att_weights,
        att,
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
        H,
        L,
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
        att_weights,
        att,
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
        H,
        L,
        T,
        V,
        d,
    ) = cache

    # ∂L/∂logits[b,t,v] = (y[b,t,v] − δ_{target[b,t],v}) / (B T)  (B, T, V)
    dlogits = y / (B * T)
    dlogits[np.arange(B)[:, None], np.arange(T), target] -= 1 / (B * T)
    # ∂L/∂lnf[b,t,c] = Σ_v ∂L/∂logits[b,t,v] wte[v,c]  (B, T, H*d)
    dlnf = dlogits @ wte
    # ∂L/∂lnf_hat[b,t,c] = ∂L/∂lnf[b,t,c] lnfw[c]  (B, T, H*d)
    dlnf_hat = lnfw * dlnf
    # ∂L/∂X_last[b,t,c] = (∂L/∂lnf_hat[b,t,c] − (lnf_hat[b,t,c]
    #     / (H d)) (Σ_j ∂L/∂lnf_hat[b,t,j] lnf_hat[b,t,j]) − (1
    #     / (H d)) Σ_j ∂L/∂lnf_hat[b,t,j]) / √(1e−05 + (1
    #     / (H d)) Σ_j lnf_centred[b,t,j]²)  (B, T, H*d)
    dX_last = lnf_hat_part[:, :, None] * (
        dlnf_hat
        - (dlnf_hat * lnf_hat).sum(axis=2, keepdims=True) / (H * d) * lnf_hat
        - dlnf_hat.sum(axis=2, keepdims=True) / (H * d)
    )
    dln1w = np.empty((L, H * d), dtype=wte.dtype)
    dln1b = np.empty((L, H * d), dtype=wte.dtype)
    dWq = np.empty((L, H, d, H * d), dtype=wte.dtype)
    dbq = np.empty((L, H, d), dtype=wte.dtype)
    dWk = np.empty((L, H, d, H * d), dtype=wte.dtype)
    dbk = np.empty((L, H, d), dtype=wte.dtype)
    dWv = np.empty((L, H, d, H * d), dtype=wte.dtype)
    dbv = np.empty((L, H, d), dtype=wte.dtype)
    dWo = np.empty((L, H * d, H, d), dtype=wte.dtype)
    dbo = np.empty((L, H * d), dtype=wte.dtype)
    dln2w = np.empty((L, H * d), dtype=wte.dtype)
    dln2b = np.empty((L, H * d), dtype=wte.dtype)
    dW1 = np.empty((L, 4 * H * d, H * d), dtype=wte.dtype)
    db1 = np.empty((L, 4 * H * d), dtype=wte.dtype)
    dW2 = np.empty((L, H * d, 4 * H * d), dtype=wte.dtype)
    db2 = np.empty((L, H * d), dtype=wte.dtype)
    dX_before = dX_last
    for l in reversed(range(L)):
        # dfch_part[l,b,t,f] = √(2) fch[l,b,t,f] (1 + 0.134145 fch[l,b,t,f]²) (1
        #     − gelu_tanh[l,b,t,f]²) / (2 √(π))  (B, T, 4*H*d)
        dfch_part = (
            (1 / (2 * np.pi)) ** 0.5
            * fch[l]
            * (1 - gelu_tanh[l] ** 2)
            * (1 + 0.134145 * fch[l] ** 2)
        )
        # ∂L/∂fch[l,b,t,f] = ((1 + gelu_tanh[l,b,t,f] + √(2) fch[l,b,t,f] (1
        #     + 0.134145 fch[l,b,t,f]²) (1 − gelu_tanh[l,b,t,f]²) / √(π))
        #     / 2) Σ_c ∂L/∂X_before[l + 1,b,t,c] W2[l,c,f]  (B, T, 4*H*d)
        dfch = (gelu_tanh[l] / 2 + dfch_part + 1 / 2) * (dX_before @ W2[l])
        # ∂L/∂ln2[l,b,t,c] = Σ_f ∂L/∂fch[l,b,t,f] W1[l,f,c]  (B, T, H*d)
        dln2 = dfch @ W1[l]
        # ∂L/∂ln2_hat[l,b,t,c] = ∂L/∂ln2[l,b,t,c] ln2w[l,c]  (B, T, H*d)
        dln2_hat = ln2w[l] * dln2
        # ∂L/∂ln2_centred[l,b,t,c] = (∂L/∂ln2_hat[l,b,t,c] − (ln2_hat[l,b,t,c]
        #     / (H d)) Σ_j ∂L/∂ln2_hat[l,b,t,j] ln2_hat[l,b,t,j]) / √(1e−05 + (1
        #     / (H d)) Σ_j ln2_centred[l,b,t,j]²)  (B, T, H*d)
        dln2_centred = ln2_hat_part[l][:, :, None] * (
            dln2_hat
            - (dln2_hat * ln2_hat[l]).sum(axis=2, keepdims=True) / (H * d) * ln2_hat[l]
        )
        # ∂L/∂Y[l,b,t,c] = ∂L/∂X_before[l + 1,b,t,c] + ∂L/∂ln2_centred[l,b,t,c] − (1
        #     / (H d)) Σ_j ∂L/∂ln2_centred[l,b,t,j]  (B, T, H*d)
        dY = (
            dX_before + dln2_centred - dln2_centred.sum(axis=2, keepdims=True) / (H * d)
        )
        # ∂L/∂att[l,b,h,t,e] = Σ_c ∂L/∂Y[l,b,t,c] Wo[l,c,h,e]  (B, H, T, d)
        datt = np.tensordot(dY, Wo[l], axes=([2], [0])).transpose(0, 2, 1, 3)
        # ∂L/∂att_weights[l,b,h,t,t2] = Σ_e ∂L/∂att[l,b,h,t,e] v[l,b,h,t2,e]
        #     (B, H, T, T)
        datt_weights = datt @ v[l].swapaxes(-1, -2)
        # ∂L/∂att_scores[l,b,h,t,t2]
        #     = att_weights[l,b,h,t,t2] (∂L/∂att_weights[l,b,h,t,t2]
        #     − Σ_t' ∂L/∂att_weights[l,b,h,t,t'] att_weights[l,b,h,t,t']) [t ≥ t2]
        #     (B, H, T, T)
        datt_scores = (
            att_weights[l]
            * (
                datt_weights
                - (datt_weights * att_weights[l]).sum(axis=3, keepdims=True)
            )
            * mask
        )
        # ∂L/∂v[l,b,h,t,e] = Σ_t2 ∂L/∂att[l,b,h,t2,e] att_weights[l,b,h,t2,t]
        #     (B, H, T, d)
        dv = att_weights[l].swapaxes(-1, -2) @ datt
        # ∂L/∂k[l,b,h,t,e] = (1 / √(d)) Σ_t2 ∂L/∂att_scores[l,b,h,t2,t] q[l,b,h,t2,e]
        #     (B, H, T, d)
        dk = (datt_scores.swapaxes(-1, -2) @ q[l]) / d**0.5
        # ∂L/∂q[l,b,h,t,e] = (1 / √(d)) Σ_t2 ∂L/∂att_scores[l,b,h,t,t2] k[l,b,h,t2,e]
        #     (B, H, T, d)
        dq = (datt_scores @ k[l]) / d**0.5
        # ∂L/∂ln1[l,b,t,c] = (Σ_{h,e} ∂L/∂k[l,b,h,t,e] Wk[l,h,e,c])
        #     + (Σ_{h,e} ∂L/∂q[l,b,h,t,e] Wq[l,h,e,c])
        #     + Σ_{h,e} ∂L/∂v[l,b,h,t,e] Wv[l,h,e,c]  (B, T, H*d)
        dln1 = (
            np.tensordot(dk, Wk[l], axes=([1, 3], [0, 1]))
            + np.tensordot(dq, Wq[l], axes=([1, 3], [0, 1]))
            + np.tensordot(dv, Wv[l], axes=([1, 3], [0, 1]))
        )
        # ∂L/∂ln1_hat[l,b,t,c] = ∂L/∂ln1[l,b,t,c] ln1w[l,c]  (B, T, H*d)
        dln1_hat = ln1w[l] * dln1
        # ∂L/∂ln1_centred[l,b,t,c] = (∂L/∂ln1_hat[l,b,t,c] − (ln1_hat[l,b,t,c]
        #     / (H d)) Σ_j ∂L/∂ln1_hat[l,b,t,j] ln1_hat[l,b,t,j]) / √(1e−05 + (1
        #     / (H d)) Σ_j ln1_centred[l,b,t,j]²)  (B, T, H*d)
        dln1_centred = ln1_hat_part[l][:, :, None] * (
            dln1_hat
            - (dln1_hat * ln1_hat[l]).sum(axis=2, keepdims=True) / (H * d) * ln1_hat[l]
        )
        # ∂L/∂ln1w[l,c] = Σ_{b,t} ∂L/∂ln1[l,b,t,c] ln1_hat[l,b,t,c]  (H*d,)
        dln1w[l] = (dln1 * ln1_hat[l]).sum(axis=(0, 1))
        # ∂L/∂ln1b[l,c] = Σ_{b,t} ∂L/∂ln1[l,b,t,c]  (H*d,)
        dln1b[l] = dln1.sum(axis=(0, 1))
        # ∂L/∂Wq[l,h,e,c] = Σ_{b,t} ∂L/∂q[l,b,h,t,e] ln1[l,b,t,c]  (H, d, H*d)
        dWq[l] = np.tensordot(dq, ln1[l], axes=([0, 2], [0, 1]))
        # ∂L/∂bq[l,h,e] = Σ_{b,t} ∂L/∂q[l,b,h,t,e]  (H, d)
        dbq[l] = dq.sum(axis=(0, 2))
        # ∂L/∂Wk[l,h,e,c] = Σ_{b,t} ∂L/∂k[l,b,h,t,e] ln1[l,b,t,c]  (H, d, H*d)
        dWk[l] = np.tensordot(dk, ln1[l], axes=([0, 2], [0, 1]))
        # ∂L/∂bk[l,h,e] = Σ_{b,t} ∂L/∂k[l,b,h,t,e]  (H, d)
        dbk[l] = dk.sum(axis=(0, 2))
        # ∂L/∂Wv[l,h,e,c] = Σ_{b,t} ∂L/∂v[l,b,h,t,e] ln1[l,b,t,c]  (H, d, H*d)
        dWv[l] = np.tensordot(dv, ln1[l], axes=([0, 2], [0, 1]))
        # ∂L/∂bv[l,h,e] = Σ_{b,t} ∂L/∂v[l,b,h,t,e]  (H, d)
        dbv[l] = dv.sum(axis=(0, 2))
        # ∂L/∂Wo[l,c,h,e] = Σ_{b,t} ∂L/∂Y[l,b,t,c] att[l,b,h,t,e]  (H*d, H, d)
        dWo[l] = np.tensordot(dY, att[l], axes=([0, 1], [0, 2]))
        # ∂L/∂bo[l,c] = Σ_{b,t} ∂L/∂Y[l,b,t,c]  (H*d,)
        dbo[l] = dY.sum(axis=(0, 1))
        # ∂L/∂ln2w[l,c] = Σ_{b,t} ∂L/∂ln2[l,b,t,c] ln2_hat[l,b,t,c]  (H*d,)
        dln2w[l] = (dln2 * ln2_hat[l]).sum(axis=(0, 1))
        # ∂L/∂ln2b[l,c] = Σ_{b,t} ∂L/∂ln2[l,b,t,c]  (H*d,)
        dln2b[l] = dln2.sum(axis=(0, 1))
        # ∂L/∂W1[l,f,c] = Σ_{b,t} ∂L/∂fch[l,b,t,f] ln2[l,b,t,c]  (4*H*d, H*d)
        dW1[l] = np.tensordot(dfch, ln2[l], axes=([0, 1], [0, 1]))
        # ∂L/∂b1[l,f] = Σ_{b,t} ∂L/∂fch[l,b,t,f]  (4*H*d,)
        db1[l] = dfch.sum(axis=(0, 1))
        # ∂L/∂W2[l,c,f] = Σ_{b,t} ∂L/∂X_before[l + 1,b,t,c] gelu[l,b,t,f]  (H*d, 4*H*d)
        dW2[l] = np.tensordot(dX_before, gelu[l], axes=([0, 1], [0, 1]))
        # ∂L/∂b2[l,c] = Σ_{b,t} ∂L/∂X_before[l + 1,b,t,c]  (H*d,)
        db2[l] = dX_before.sum(axis=(0, 1))
        # ∂L/∂X_before[l,b,t,c] = ∂L/∂Y[l,b,t,c] + ∂L/∂ln1_centred[l,b,t,c] − (1
        #     / (H d)) Σ_j ∂L/∂ln1_centred[l,b,t,j]  (B, T, H*d)
        dX_before = (
            dY + dln1_centred - dln1_centred.sum(axis=2, keepdims=True) / (H * d)
        )
    # ∂L/∂wte[v,c] = (Σ_{b,t} δ_{token[b,t],v} ∂L/∂X_before[0,b,t,c])
    #     + Σ_{b,t} ∂L/∂logits[b,t,v] lnf[b,t,c]  (V, H*d)
    dwte = _scatter_add((V, H * d), (token,), dX_before) + np.tensordot(
        dlogits, lnf, axes=([0, 1], [0, 1])
    )
    # ∂L/∂wpe[t,c] = Σ_b ∂L/∂X_before[0,b,t,c]  (T, H*d)
    dwpe = dX_before.sum(axis=0)
    # ∂L/∂lnfw[c] = Σ_{b,t} ∂L/∂lnf[b,t,c] lnf_hat[b,t,c]  (H*d,)
    dlnfw = (dlnf * lnf_hat).sum(axis=(0, 1))
    # ∂L/∂lnfb[c] = Σ_{b,t} ∂L/∂lnf[b,t,c]  (H*d,)
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
    V = wte.shape[0]
    T = wpe.shape[0]
    L = ln1w.shape[0]
    H = Wq.shape[1]
    d = Wq.shape[2]
    B = token.shape[0]
    _check_shapes(
        arrays,
        wte=(V, H * d),
        wpe=(T, H * d),
        ln1w=(L, H * d),
        ln1b=(L, H * d),
        Wq=(L, H, d, H * d),
        bq=(L, H, d),
        Wk=(L, H, d, H * d),
        bk=(L, H, d),
        Wv=(L, H, d, H * d),
        bv=(L, H, d),
        Wo=(L, H * d, H, d),
        bo=(L, H * d),
        ln2w=(L, H * d),
        ln2b=(L, H * d),
        W1=(L, 4 * H * d, H * d),
        b1=(L, 4 * H * d),
        W2=(L, H * d, 4 * H * d),
        b2=(L, H * d),
        lnfw=(H * d,),
        lnfb=(H * d,),
        token=(B, T),
    )
    _check_gather("token", token, "wte", 0, V)

    # words[b,t,c] = wte[token[b,t],c]  (B, T, H*d)
    words = wte[token]
    # X_initial[b,t,c] = words[b,t,c] + wpe[t,c]  (B, T, H*d)
    X_initial = words + wpe
    # mask[t,t2] = [t ≥ t2]  (T, T)
    mask = np.arange(T)[:, None] >= np.arange(T)
    X = X_initial
    for l in range(L):
        # ln1_centred[l,b,t,c] = X[l − 1,b,t,c] − (1 / (H d)) Σ_j X[l − 1,b,t,j]
        #     (B, T, H*d)
        ln1_centred = X - X.sum(axis=2, keepdims=True) / (H * d)
        # ln1_hat_part[l,b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c ln1_centred[l,b,t,c]²)
        #     (B, T)
        ln1_hat_part = 1 / np.sqrt((ln1_centred**2).sum(axis=2) / (H * d) + 1e-05)
        # ln1_hat[l,b,t,c] = ln1_centred[l,b,t,c] / √(1e−05 + (1
        #     / (H d)) Σ_j ln1_centred[l,b,t,j]²)  (B, T, H*d)
        ln1_hat = ln1_hat_part[:, :, None] * ln1_centred
        # ln1[l,b,t,c] = ln1_hat[l,b,t,c] ln1w[l,c] + ln1b[l,c]  (B, T, H*d)
        ln1 = ln1w[l] * ln1_hat + ln1b[l]
        # q[l,b,h,t,e] = bq[l,h,e] + Σ_c Wq[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        q = (
            np.tensordot(ln1, Wq[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bq[l][:, None, :]
        )
        # k[l,b,h,t,e] = bk[l,h,e] + Σ_c Wk[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        k = (
            np.tensordot(ln1, Wk[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bk[l][:, None, :]
        )
        # v[l,b,h,t,e] = bv[l,h,e] + Σ_c Wv[l,h,e,c] ln1[l,b,t,c]  (B, H, T, d)
        v = (
            np.tensordot(ln1, Wv[l], axes=([2], [2])).transpose(0, 2, 1, 3)
            + bv[l][:, None, :]
        )
        # att_scores[l,b,h,t,t2] = (1 / √(d)) Σ_e k[l,b,h,t2,e] q[l,b,h,t,e]
        #     (B, H, T, T)
        att_scores = (q @ k.swapaxes(-1, -2)) / d**0.5
        # att_masked[l,b,h,t,t2] = {att_scores[l,b,h,t,t2] if t ≥ t2; −∞ otherwise}
        #     (B, H, T, T)
        att_masked = np.where(mask, att_scores, -np.inf)
        # exp_att_masked[l,b,h,t,t2] = exp(att_masked[l,b,h,t,t2]
        #     − max_t' att_masked[l,b,h,t,t'])  (B, H, T, T)
        exp_att_masked = np.exp(att_masked - att_masked.max(axis=3, keepdims=True))
        # att_weights[l,b,h,t,t2] = exp(att_masked[l,b,h,t,t2])
        #     / Σ_t2' exp(att_masked[l,b,h,t,t2'])  (B, H, T, T)
        att_weights = exp_att_masked / exp_att_masked.sum(axis=3, keepdims=True)
        # att[l,b,h,t,e] = Σ_t2 att_weights[l,b,h,t,t2] v[l,b,h,t2,e]  (B, H, T, d)
        att = att_weights @ v
        # Y[l,b,t,c] = X[l − 1,b,t,c] + bo[l,c] + Σ_{h,e} Wo[l,c,h,e] att[l,b,h,t,e]
        #     (B, T, H*d)
        Y = X + np.tensordot(att, Wo[l], axes=([1, 3], [1, 2])) + bo[l]
        # ln2_centred[l,b,t,c] = Y[l,b,t,c] − (1 / (H d)) Σ_j Y[l,b,t,j]  (B, T, H*d)
        ln2_centred = Y - Y.sum(axis=2, keepdims=True) / (H * d)
        # ln2_hat_part[l,b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c ln2_centred[l,b,t,c]²)
        #     (B, T)
        ln2_hat_part = 1 / np.sqrt((ln2_centred**2).sum(axis=2) / (H * d) + 1e-05)
        # ln2_hat[l,b,t,c] = ln2_centred[l,b,t,c] / √(1e−05 + (1
        #     / (H d)) Σ_j ln2_centred[l,b,t,j]²)  (B, T, H*d)
        ln2_hat = ln2_hat_part[:, :, None] * ln2_centred
        # ln2[l,b,t,c] = ln2_hat[l,b,t,c] ln2w[l,c] + ln2b[l,c]  (B, T, H*d)
        ln2 = ln2w[l] * ln2_hat + ln2b[l]
        # fch[l,b,t,f] = b1[l,f] + Σ_c W1[l,f,c] ln2[l,b,t,c]  (B, T, 4*H*d)
        fch = ln2 @ W1[l].T + b1[l]
        # gelu_cubic[l,b,t,f] = √(2) (fch[l,b,t,f] + 0.044715 fch[l,b,t,f]³) / √(π)
        #     (B, T, 4*H*d)
        gelu_cubic = (2 / np.pi) ** 0.5 * (0.044715 * fch * fch * fch + fch)
        # gelu_tanh[l,b,t,f] = tanh(gelu_cubic[l,b,t,f])  (B, T, 4*H*d)
        gelu_tanh = np.tanh(gelu_cubic)
        # gelu[l,b,t,f] = fch[l,b,t,f] (1 + gelu_tanh[l,b,t,f]) / 2  (B, T, 4*H*d)
        gelu = fch * (1 + gelu_tanh) / 2
        # X[l,b,t,c] = Y[l,b,t,c] + b2[l,c] + Σ_f W2[l,c,f] gelu[l,b,t,f]  (B, T, H*d)
        X = Y + gelu @ W2[l].T + b2[l]
    # X_last[b,t,c] = X[L − 1,b,t,c]  (B, T, H*d)
    X_last = X
    # lnf_centred[b,t,c] = X[L − 1,b,t,c] − (1 / (H d)) Σ_j X[L − 1,b,t,j]  (B, T, H*d)
    lnf_centred = X_last - X_last.sum(axis=2, keepdims=True) / (H * d)
    # lnf_hat_part[b,t] = 1 / √(1e−05 + (1 / (H d)) Σ_c lnf_centred[b,t,c]²)  (B, T)
    lnf_hat_part = 1 / np.sqrt((lnf_centred**2).sum(axis=2) / (H * d) + 1e-05)
    # lnf_hat[b,t,c] = lnf_centred[b,t,c] / √(1e−05 + (1
    #     / (H d)) Σ_j lnf_centred[b,t,j]²)  (B, T, H*d)
    lnf_hat = lnf_hat_part[:, :, None] * lnf_centred
    # lnf[b,t,c] = lnf_hat[b,t,c] lnfw[c] + lnfb[c]  (B, T, H*d)
    lnf = lnfw * lnf_hat + lnfb
    # logits[b,t,v] = Σ_c lnf[b,t,c] wte[v,c]  (B, T, V)
    logits = lnf @ wte.T
    # max_logits[b,t] = max_v logits[b,t,v]  (B, T)
    max_logits = logits.max(axis=2)
    # exp_logits[b,t,v] = exp(logits[b,t,v] − max_logits[b,t])  (B, T, V)
    exp_logits = np.exp(logits - max_logits[:, :, None])
    # sum_exp_logits[b,t] = Σ_v exp_logits[b,t,v]  (B, T)
    sum_exp_logits = exp_logits.sum(axis=2)
    # y[b,t,v] = exp(logits[b,t,v]) / Σ_v' exp(logits[b,t,v'])  (B, T, V)
    y = exp_logits / sum_exp_logits[:, :, None]

    return y


def step(params, grads, learning_rate):
    """Gradient descent, in place: w ← w − learning_rate ∂L/∂w for each parameter w."""
    for name in PARAMETERS:
        params[name] -= float(learning_rate) * grads[name]


def _init_small(rng, shape, dtype):
    return rng.normal(0, 0.02, shape)


def _init_smaller(rng, shape, dtype):
    """Of what 2 L projections add to one sum."""
    return rng.normal(0, 0.02 / np.sqrt(2 * shape[0]), shape)


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


def _shaped(name, value, shape):
    """A fresh parameter from its own function, whose shape is checked."""
    if np.shape(value) != shape:
        raise ValueError(f"{name}: init must give shape {shape}, got {np.shape(value)}")
    return value
