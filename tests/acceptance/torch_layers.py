"""Every network of `layers` as PyTorch has it, from its own layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Array = Any


def vjp(
    function: Callable[..., Any], arrays: Mapping[str, Array], adjoint: Array
) -> tuple[Array, dict[str, Array]]:
    """(output, gradients) of all real arguments but those that PyTorch holds to be constant."""
    given = {name: torch.tensor(a, requires_grad=a.dtype.kind == "f") for name, a in arrays.items()}
    y = function(**given)
    y.backward(torch.tensor(adjoint))
    found = {name: t.grad.numpy() for name, t in given.items() if t.grad is not None}
    return y.detach().numpy(), found


def rms_norm(x: Any, gain: Any) -> Any:
    return F.rms_norm(x, (len(gain),), gain, eps=1e-5)


def batch_norm(x: Any, gain: Any, bias: Any) -> Any:
    return F.batch_norm(x, None, None, gain, bias, training=True, eps=1e-5)


def in_groups(
    convolution: Callable[..., Any], x: Any, W: Any, b: Any = None, **options: Any
) -> Any:
    """Groups stand before maps in the kernel, and so in the result."""
    groups, maps = W.shape[:2]
    b = None if b is None else b.flatten()
    y = convolution(x, W.flatten(0, 1), b, groups=groups, **options)
    return y.unflatten(1, (groups, maps))


def multi_head(causal: bool) -> Callable[..., Any]:
    """Heads side by side; in PyTorch places come before samples, and True in a mask is what is not seen."""

    def attend(x: Any, Wq: Any, Wk: Any, Wv: Any, Wo: Any) -> Any:
        heads, places, width = len(Wq), x.shape[1], x.shape[2]
        unseen = torch.ones(places, places, dtype=torch.bool).triu(1) if causal else None
        along = x.transpose(0, 1)
        y, _ = F.multi_head_attention_forward(
            along,
            along,
            along,
            width,
            heads,
            torch.cat([Wq.flatten(0, 1), Wk.flatten(0, 1), Wv.flatten(0, 1)]),
            None,
            None,
            None,
            False,
            0.0,
            Wo.flatten(1, 2),
            None,
            attn_mask=unseen,
        )
        return y.transpose(0, 1)

    return attend


def sinusoidal(x: Any) -> Any:
    """As in PyTorch's tutorial on transformers: sines at even features, cosines at odd ones."""
    _, places, pairs, _ = x.shape
    width = 2 * pairs
    position = torch.arange(places, dtype=x.dtype)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=x.dtype) * (-np.log(10000.0) / width))
    table = torch.zeros(places, width, dtype=x.dtype)
    table[:, 0::2] = torch.sin(position * rates)
    table[:, 1::2] = torch.cos(position * rates)
    return x + table.unflatten(1, (pairs, 2))


def rotary(x: Any) -> Any:
    """As Llama has it: pairs as complex numbers of modulus 1."""
    _, places, pairs, _ = x.shape
    rates = 1.0 / 10000 ** (torch.arange(0, 2 * pairs, 2, dtype=x.dtype) / (2 * pairs))
    angles = torch.outer(torch.arange(places, dtype=x.dtype), rates)
    turn = torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(torch.view_as_complex(x) * turn)


LAYERS: dict[str, Callable[..., Any]] = {
    "dense": lambda x, W, b: F.linear(x, W, b),
    "dense, an index met twice": lambda x, W: F.linear(x, W),
    "embedding": lambda x, E: F.embedding(x, E),
    "softmax": lambda x: F.softmax(x, dim=-1),
    "softmax over another axis": lambda x: F.softmax(x, dim=0),
    "cross_entropy of labels": lambda x, t: F.cross_entropy(x, t),
    "cross_entropy of probabilities": lambda x, t: F.cross_entropy(x, t),
    "layer_norm": lambda x, gain, bias: F.layer_norm(x, (len(gain),), gain, bias, eps=0.1),
    "rms_norm": rms_norm,
    "batch_norm": batch_norm,
    "batch_norm of maps": batch_norm,
    "batch_norm_running": lambda x, mean, variance, gain, bias: F.batch_norm(
        x, mean.detach(), variance.detach(), gain, bias, training=False, eps=0.5
    ),
    "dropout": lambda x, y_mask: torch.where(y_mask == 1, x / 0.75, 0.0),
    "swiglu": lambda x, value: F.silu(x) * value,
    "silu": lambda x: F.silu(x),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": lambda x: F.gelu(x),
    "tanh": lambda x: F.tanh(x),
    "conv1d": lambda x, W, b: F.conv1d(x, W, b, stride=2, dilation=2),
    "conv2d": lambda x, W, b: F.conv2d(x, W, b, stride=(1, 2)),
    "conv1d in groups": lambda x, W: in_groups(F.conv1d, x, W, dilation=2),
    "conv2d in groups, strided, dilated and padded": lambda x, W, b: in_groups(
        F.conv2d, x, W, b, stride=(2, 1), dilation=(1, 2), padding=(1, 2)
    ),
    "conv1d, padded": lambda x, W, b: F.conv1d(x, W, b, padding="same"),
    "conv2d, strided and padded": lambda x, W, b: F.conv2d(x, W, b, stride=2, padding=1),
    "max_pool": lambda x: F.max_pool2d(x, (3, 2)),
    "max_pool, windows that overlap": lambda x: F.max_pool1d(x, 3, stride=2),
    "max_pool, padded": lambda x: F.max_pool2d(x, (3, 2), stride=2, padding=1),
    "avg_pool": lambda x: F.avg_pool2d(x, (3, 2), stride=(1, 2)),
    "avg_pool, padded": lambda x: F.avg_pool2d(x, 3, stride=(2, 1), padding=1),
    "attention": lambda query, key, value: F.scaled_dot_product_attention(query, key, value),
    "attention, causal": lambda query, key, value: F.scaled_dot_product_attention(
        query, key, value, is_causal=True
    ),
    "multi_head_attention": multi_head(causal=False),
    "multi_head_attention, causal": multi_head(causal=True),
    "sinusoidal": sinusoidal,
    "rotary": rotary,
}
