"""Attention of every place to every place, and places told apart by their angle."""

from __future__ import annotations

from sympy import Expr, KroneckerDelta, Piecewise, Sum, cos, exp, oo, pi, sin, sqrt

from symbp import Network, Tensor
from symbp.ir.nodes import Index, size_of
from symbp.layers.axes import apart, take
from symbp.validate import model_error


def attention(
    net: Network, name: str, q: Tensor, k: Tensor, v: Tensor, causal: bool = False
) -> Tensor:
    """y = softmax(q kᵀ / √d) v (Vaswani et al., arXiv 1706.03762, eq. 1).

    q (…, queries, d), k (…, keys, d), v (…, keys, width), with the same axes before, such as sample and head; gives
    (…, queries, width). Defines `<name>_scores` and `<name>_weights`, both (…, queries, keys).
    `causal`: query t sees the keys 0…t alone (§3.2.3); defines `<name>_masked` too, the scores with −∞ at the rest.
    """
    *lead, t, e = take("attention", q, 2)
    *_, u, _ = take("attention", k, len(lead) + 2, len(lead) + 2)
    *_, f = take("attention", v, len(lead) + 2, len(lead) + 2)
    u = apart(u, (*lead, t))
    e, f = apart(e, (*lead, t, u)), apart(f, (*lead, t, u))
    score = Sum(q[(*lead, t, e)] * k[(*lead, u, e)], e) / sqrt(size_of(e))
    scores = net.define(f"{name}_scores", (*lead, t, u), score)
    if causal:
        masked = Piecewise((scores[(*lead, t, u)], u <= t), (-oo, True))
        scores = net.define(f"{name}_masked", (*lead, t, u), masked)
    weight = exp(scores[(*lead, t, u)])
    weights = net.define(f"{name}_weights", (*lead, t, u), weight / Sum(weight, u))
    return net.define(name, (*lead, t, f), Sum(weights[(*lead, t, u)] * v[(*lead, u, f)], u))


def multi_head_attention(
    net: Network,
    name: str,
    x: Tensor,
    Wq: Tensor,
    Wk: Tensor,
    Wv: Tensor,
    Wo: Tensor,
    causal: bool = False,
) -> Tensor:
    """Σ_h Wo_h softmax(q_h k_hᵀ / √d) v_h, with q_h = Wq_h x, k_h = Wk_h x, v_h = Wv_h x (Vaswani et al., §3.2.2).

    x (…, places, width); Wq and Wk (heads, d, width), Wv (heads, e, width), Wo (width, heads, e); gives the shape of x.
    Defines `<name>_q`, `_k`, `_v` and `_heads`, each with its head before its places, and what `attention` defines
    for `<name>_heads`. `causal`: no place sees those after it, as there.
    """
    *lead, t, j = take("multi_head_attention", x, 2)
    head = apart(take("multi_head_attention", Wq, 3, 3)[0], (*lead, t, j))
    parts = []
    for part, W in (("q", Wq), ("k", Wk), ("v", Wv)):
        e = apart(take("multi_head_attention", W, 3, 3)[1], (*lead, t, j, head))
        left = (*lead, head, t, e)
        parts.append(net.define(f"{name}_{part}", left, Sum(W[head, e, j] * x[(*lead, t, j)], j)))
    q, k, v = parts
    heads = attention(net, f"{name}_heads", q, k, v, causal)
    e = heads.indices[-1]
    y = Sum(Wo[j, head, e] * heads[(*lead, head, t, e)], head, e)
    return net.define(name, (*lead, t, j), y)


def sinusoidal(net: Network, name: str, at: Index, pairs: Index, part: Index) -> Tensor:
    """P[t, r, 0] = sin(t / 10000^(r/m)), P[t, r, 1] = cos(t / 10000^(r/m)) (Vaswani et al., §3.5).

    `pairs` runs over the m = width/2 frequencies, `part` over 2; gives (places, m, 2).
    """
    if size_of(part) != 2:
        raise model_error(
            f"sinusoidal: index {part} runs over {size_of(part)}, not over sine and cosine, 2"
        )
    return net.define(name, (at, pairs, part), sin(_angle(at, pairs) + part * pi / 2))


def rotary(net: Network, name: str, x: Tensor) -> Tensor:
    """Each pair (x[…, t, r, 0], x[…, t, r, 1]) turned by t / 10000^(r/m) (Su et al., arXiv 2104.09864, eq. 34).

    x (…, places, m, 2), pairs of features; gives the shape of x. Defines `<name>_cos` and `<name>_sin`, (places, m).
    """
    *lead, t, r, part = take("rotary", x, 3)
    if size_of(part) != 2:
        raise model_error(f"rotary: the last axis of {x!r} has size {size_of(part)}, not 2: a pair")
    cosine = net.define(f"{name}_cos", (t, r), cos(_angle(t, r)))
    sine = net.define(f"{name}_sin", (t, r), sin(_angle(t, r)))
    first, second = x[(*lead, t, r, 0)], x[(*lead, t, r, 1)]
    turned = KroneckerDelta(part, 1) * first - KroneckerDelta(part, 0) * second
    return net.define(name, x.indices, cosine[t, r] * x[x.indices] + sine[t, r] * turned)


def _angle(t: Index, r: Index) -> Expr:
    """Of place t in pair r: t / 10000^(r/m)."""
    return t / 10000 ** (r / size_of(r))
