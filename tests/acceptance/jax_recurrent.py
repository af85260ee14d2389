"""The recurrent networks of the zoo in JAX, their loops by `lax.scan`: (loss, gradients) of given arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

Arrays = Mapping[str, Any]

jax.config.update("jax_enable_x64", True)


def value_and_grad(name: str, params: Arrays, inputs: Arrays) -> tuple[float, dict[str, Any]]:
    p = {key: jnp.asarray(a) for key, a in params.items()}
    i = {key: jnp.asarray(a) for key, a in inputs.items()}
    loss, grads = jax.jit(jax.value_and_grad(LOSSES[name]))(p, i)
    return float(loss), {key: np.asarray(g) for key, g in grads.items()}


def states(step: Callable[[Any, Any], Any], first: Any, x: Any, reverse: bool = False) -> Any:
    """What `step(state, x[:, t])` gives from state to state: the first of each, (n, T, …)."""

    def both(state: Any, at: Any) -> tuple[Any, Any]:
        new = step(state, at)
        return new, new[0] if isinstance(new, tuple) else new

    _, found = lax.scan(both, first, jnp.moveaxis(x, 1, 0), reverse=reverse)
    return jnp.moveaxis(found, 0, 1)


def cross_entropy(logits: Any, target: Any) -> Any:
    picked = jnp.take_along_axis(nn.log_softmax(logits), target[..., None], axis=-1)
    return -picked.mean()


def rnn(p: Arrays, i: Arrays) -> Any:
    x = p["Wxh"].T[i["x"]]
    h = states(lambda h, x: jnp.tanh(x + h @ p["Whh"].T + p["bh"]), i["h0"], x)
    return cross_entropy(h @ p["Why"].T + p["by"], i["target"])


def lstm(p: Arrays, i: Arrays) -> Any:
    def step(state: Any, x: Any) -> Any:
        h, c = state
        z = x + jnp.einsum("qab,sb->sqa", p["U"], h) + p["b"]
        i, f, g, o = (
            nn.sigmoid(z[:, 0]),
            nn.sigmoid(z[:, 1]),
            jnp.tanh(z[:, 2]),
            nn.sigmoid(z[:, 3]),
        )
        c = f * c + i * g
        return o * jnp.tanh(c), c

    h = states(step, (i["h0"], i["c0"]), jnp.moveaxis(p["W"], 2, 0)[i["x"]])
    return cross_entropy(h @ p["V"].T + p["e"], i["target"])


def gru(p: Arrays, i: Arrays) -> Any:
    def step(h: Any, x: Any) -> Any:
        r = nn.sigmoid(x @ p["Wr"].T + h @ p["Ur"].T + p["br"])
        z = nn.sigmoid(x @ p["Wz"].T + h @ p["Uz"].T + p["bz"])
        m = jnp.tanh(x @ p["Wm"].T + p["bm"] + r * (h @ p["Um"].T + p["cm"]))
        return (1 - z) * m + z * h

    h = states(step, jnp.zeros((len(i["x"]), len(p["br"]))), i["x"])
    return cross_entropy(h[jnp.arange(len(h)), i["last"]] @ p["V"].T + p["e"], i["label"])


def tagger(p: Arrays, i: Arrays) -> Any:
    x, none = p["E"][i["word"]], jnp.zeros((len(i["word"]), len(p["bf"])))
    valid = jnp.arange(x.shape[1]) < i["length"][:, None]
    f = states(lambda f, x: jnp.tanh(x @ p["Wf"].T + f @ p["Uf"].T + p["bf"]), none, x)
    marked = jnp.concatenate([x, valid[:, :, None]], axis=2)

    def back(g: Any, x: Any) -> Any:
        return jnp.where(x[:, -1:], jnp.tanh(x[:, :-1] @ p["Wg"].T + g @ p["Ug"].T + p["bg"]), 0)

    g = states(back, none, marked, reverse=True)
    y = nn.log_softmax(f @ p["Vf"].T + g @ p["Vg"].T + p["e"])
    picked = jnp.take_along_axis(y, i["tag"][..., None], axis=-1)[..., 0]
    return -jnp.where(valid, picked, 0).sum() / valid.sum()


def linear_recurrence(p: Arrays, i: Arrays) -> Any:
    def step(state: Any, x: Any) -> Any:
        y = p["p"] * state[0] + p["q"] * state[1] + p["r"] * x
        return y, state[0]

    y = states(step, (p["y0"][None], p["y0"][None]), i["x"][None])[0]
    return ((y - i["target"]) ** 2).mean()


def hmm(p: Arrays, i: Arrays) -> Any:
    pi, A, B = (nn.log_softmax(p[key]) for key in ("Wpi", "WA", "WB"))

    def step(alpha: Any, o: Any) -> Any:
        return nn.logsumexp(alpha[:, :, None] + A, axis=1) + B.T[o]

    first = pi + B.T[i["o"][:, 0]]
    found = jnp.concatenate([first[:, None], states(step, first, i["o"][:, 1:])], axis=1)
    return -nn.logsumexp(found[:, -1], axis=1).mean()


def ctc(p: Arrays, i: Arrays) -> Any:
    """In probabilities as they are: of few frames."""
    y, path = nn.softmax(p["logits"]), i["path"]
    skips = jnp.pad(path[:, 2:] != path[:, :-2], ((0, 0), (2, 0)))

    def step(alpha: Any, y: Any) -> Any:
        one = jnp.pad(alpha, ((0, 0), (1, 0)))[:, :-1]
        two = jnp.pad(alpha, ((0, 0), (2, 0)))[:, :-2]
        return jnp.take_along_axis(y, path, axis=1) * (alpha + one + skips * two)

    alpha = states(step, jnp.eye(1, path.shape[1]).repeat(len(path), axis=0), y)
    final = alpha[jnp.arange(len(path)), i["last"]]
    places = jnp.arange(path.shape[1])
    ends = (places <= i["end"][:, None]) & (places >= i["end"][:, None] - 1)
    return -jnp.log((final * ends).sum(axis=1)).mean()


def residual_mlp(p: Arrays, i: Arrays) -> Any:
    def step(x: Any, block: Any) -> Any:
        W, b, V, c = block
        return x + nn.relu(x @ W.T + b) @ V.T + c, None

    x, _ = lax.scan(step, i["x"] @ p["E"].T, (p["W"], p["b"], p["V"], p["c"]))
    return cross_entropy(x @ p["F"].T + p["e"], i["t"])


def gpt2(p: Arrays, i: Arrays) -> Any:
    def norm(x: Any, gain: Any, bias: Any) -> Any:
        return nn.standardize(x, axis=-1, epsilon=1e-5) * gain + bias

    def block(x: Any, b: Any) -> Any:
        y = norm(x, b["ln1w"], b["ln1b"])
        q, k, v = (jnp.einsum("hec,btc->bhte", b["W" + s], y) + b["b" + s][:, None] for s in "qkv")
        scores = jnp.einsum("bhte,bhue->bhtu", q, k) / np.sqrt(q.shape[-1])
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        att = jnp.einsum("bhtu,bhue->bhte", nn.softmax(scores, where=seen), v)
        x = x + jnp.einsum("che,bhte->btc", b["Wo"], att) + b["bo"]
        y = norm(x, b["ln2w"], b["ln2b"]) @ b["W1"].T + b["b1"]
        return x + nn.gelu(y, approximate=True) @ b["W2"].T + b["b2"], None

    shared = ("wte", "wpe", "lnfw", "lnfb")
    blocks = {key: a for key, a in p.items() if key not in shared}
    x, _ = lax.scan(block, p["wte"][i["token"]] + p["wpe"], blocks)
    return cross_entropy(norm(x, p["lnfw"], p["lnfb"]) @ p["wte"].T, i["target"])


LOSSES: Mapping[str, Callable[[Arrays, Arrays], Any]] = {
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "tagger": tagger,
    "linear_recurrence": linear_recurrence,
    "hmm": hmm,
    "ctc": ctc,
    "residual_mlp": residual_mlp,
    "gpt2": gpt2,
}
