"""The recurrent networks of the zoo as PyTorch has them, from its own layers: (loss, gradients) of given arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

Tensors = Mapping[str, Any]


def value_and_grad(
    name: str, params: Mapping[str, Any], inputs: Mapping[str, Any]
) -> tuple[float, dict[str, Any]]:
    p = {key: torch.tensor(np.array(a), requires_grad=True) for key, a in params.items()}
    loss = LOSSES[name](p, {key: torch.tensor(np.array(a)) for key, a in inputs.items()})
    grads = torch.autograd.grad(loss, [*p.values()], materialize_grads=True)
    return loss.item(), {key: g.numpy() for key, g in zip(p, grads)}


def recurrent(kind: Any, x: Any, state: Any, *weights: Any, packed: Any = None) -> Any:
    """The states of a layer of `torch.nn` that has these weights, in its order; they receive their gradients.

    Of one direction W, U, b, c, of two these of each; `packed` are the lengths of sequences that differ in length.
    """
    W, U = weights[:2]
    layer = kind(W.shape[1], U.shape[1], batch_first=True, bidirectional=len(weights) > 4)
    layer = layer.double()
    names = [key for key, _ in layer.named_parameters()]
    for key in names:
        delattr(layer, key)
    for key, weight in zip(names, weights):
        setattr(layer, key, weight)
    layer._flat_weights = list(weights)
    if packed is None:
        return layer(x, state)[0]
    sequences = nn.utils.rnn.pack_padded_sequence(x, packed, batch_first=True, enforce_sorted=False)
    found, _ = layer(sequences)
    return nn.utils.rnn.pad_packed_sequence(found, batch_first=True, total_length=x.shape[1])[0]


def over_characters(logits: Any, target: Any) -> Any:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def rnn(p: Tensors, i: Tensors) -> Any:
    x, none = F.one_hot(i["x"], len(p["by"])).double(), torch.zeros_like(p["bh"])
    h = recurrent(nn.RNN, x, i["h0"][None], p["Wxh"], p["Whh"], p["bh"], none)
    return over_characters(F.linear(h, p["Why"], p["by"]), i["target"])


def lstm(p: Tensors, i: Tensors) -> Any:
    x = F.one_hot(i["x"], len(p["e"])).double()
    W, U, b = (p[key].flatten(0, 1) for key in ("W", "U", "b"))
    h = recurrent(nn.LSTM, x, (i["h0"][None], i["c0"][None]), W, U, b, torch.zeros_like(b))
    return over_characters(F.linear(h, p["V"], p["e"]), i["target"])


def gru(p: Tensors, i: Tensors) -> Any:
    W, U, b = (torch.cat([p[key + gate] for gate in "rzm"]) for key in ("W", "U", "b"))
    none = torch.zeros_like(p["cm"])
    h = recurrent(nn.GRU, i["x"], None, W, U, b, torch.cat([none, none, p["cm"]]))
    read = h[torch.arange(len(h)), i["last"]]
    return F.cross_entropy(F.linear(read, p["V"], p["e"]), i["label"])


def tagger(p: Tensors, i: Tensors) -> Any:
    x, none = F.embedding(i["word"], p["E"]), torch.zeros_like(p["bf"])
    forth, back = ((p["W" + d], p["U" + d], p["b" + d], none) for d in "fg")
    both = recurrent(nn.RNN, x, None, *forth, *back, packed=i["length"])
    logits = F.linear(both, torch.cat([p["Vf"], p["Vg"]], dim=1), p["e"])
    valid = torch.arange(x.shape[1]) < i["length"][:, None]
    return F.cross_entropy(logits[valid], i["tag"][valid])


def linear_recurrence(p: Tensors, i: Tensors) -> Any:
    y = [p["y0"], p["y0"]]
    for x in i["x"]:
        y.append(p["p"] * y[-1] + p["q"] * y[-2] + p["r"] * x)
    return F.mse_loss(torch.stack(y[2:]), i["target"])


def hmm(p: Tensors, i: Tensors) -> Any:
    pi, A, B = (F.log_softmax(p[key], dim=-1) for key in ("Wpi", "WA", "WB"))
    alpha = pi + B[:, i["o"][:, 0]].T
    for o in i["o"].T[1:]:
        alpha = torch.logsumexp(alpha[:, :, None] + A, dim=1) + B[:, o].T
    return -torch.logsumexp(alpha, dim=1).mean()


def ctc(p: Tensors, i: Tensors) -> Any:
    """Where y is a softmax: PyTorch's gradient is right only through one."""
    log_y = F.log_softmax(p["logits"], dim=-1).transpose(0, 1)
    labels, lengths = i["path"][:, 1::2], (i["last"] + 1, i["end"] // 2)
    return nn.CTCLoss(reduction="sum")(log_y, labels, *lengths) / len(labels)


def residual_mlp(p: Tensors, i: Tensors) -> Any:
    x = F.linear(i["x"], p["E"])
    for W, b, V, c in zip(p["W"], p["b"], p["V"], p["c"]):
        x = x + F.linear(F.relu(F.linear(x, W, b)), V, c)
    return F.cross_entropy(F.linear(x, p["F"], p["e"]), i["t"])


def gpt2(p: Tensors, i: Tensors) -> Any:
    C = p["wte"].shape[1:]
    x = F.embedding(i["token"], p["wte"]) + p["wpe"]
    for k in range(len(p["W1"])):
        b = {key: t[k] for key, t in p.items() if key[:2] not in ("wt", "wp") and key[:3] != "lnf"}
        y = F.layer_norm(x, C, b["ln1w"], b["ln1b"])
        parts = (F.linear(y, b["W" + q].flatten(0, 1), b["b" + q].flatten()) for q in "qkv")
        heads = (part.unflatten(-1, b["bq"].shape).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2)
        x = x + F.linear(seen, b["Wo"].flatten(1), b["bo"])
        y = F.linear(F.layer_norm(x, C, b["ln2w"], b["ln2b"]), b["W1"], b["b1"])
        x = x + F.linear(F.gelu(y, approximate="tanh"), b["W2"], b["b2"])
    logits = F.linear(F.layer_norm(x, C, p["lnfw"], p["lnfb"]), p["wte"])
    return over_characters(logits, i["target"])


LOSSES: Mapping[str, Callable[[Tensors, Tensors], Any]] = {
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
