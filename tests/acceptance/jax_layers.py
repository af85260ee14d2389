"""Every network of `layers` as JAX has it, from its own layers where it has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn

Array = Any

jax.config.update("jax_enable_x64", True)


def vjp(
    function: Callable[..., Any], arrays: Mapping[str, Array], adjoint: Array
) -> tuple[Array, dict[str, Array]]:
    """(output, gradients) of all real arguments."""
    real = {name: jnp.asarray(a) for name, a in arrays.items() if a.dtype.kind == "f"}
    y, pull = jax.vjp(lambda real: function(**{**arrays, **real}), real)
    (found,) = pull(jnp.asarray(adjoint))
    return np.asarray(y), {name: np.asarray(g) for name, g in found.items()}


def cross_entropy(x: Any, t: Any) -> Any:
    return -(t * nn.log_softmax(x)).sum(axis=-1).mean()


def convolution(
    x: Any, W: Any, b: Any = 0.0, stride: Any = 1, dilation: Any = 1, padding: Any = 0
) -> Any:
    """One of any rank, of channels that stand before the last axes; in groups where W has one axis more."""
    rank = x.ndim - 2
    groups = W.shape[0] if W.ndim > rank + 2 else 1
    kernel = W.reshape(-1, *W.shape[-rank - 1 :])
    around = [(a, a) for a in per_axis(padding, rank)]
    y = lax.conv_general_dilated(
        x,
        kernel,
        per_axis(stride, rank),
        around,
        rhs_dilation=per_axis(dilation, rank),
        feature_group_count=groups,
    )
    y = y.reshape(len(x), *W.shape[: W.ndim - rank - 1], *y.shape[2:])
    return y + jnp.expand_dims(b, tuple(range(-rank, 0)))


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * rank


def pool(
    x: Any, window: Sequence[int], stride: Sequence[int], padding: int, start: float, reducer: Any
) -> Any:
    """Over the last axes."""
    first = x.ndim - len(window)
    around = [(0, 0)] * first + [(padding, padding)] * len(window)
    return lax.reduce_window(
        x, start, reducer, (1,) * first + tuple(window), (1,) * first + tuple(stride), around
    )


def max_pool(x: Any, window: Sequence[int], stride: Sequence[int], padding: int = 0) -> Any:
    return pool(x, window, stride, padding, -jnp.inf, lax.max)


def avg_pool(x: Any, window: Sequence[int], stride: Sequence[int], padding: int = 0) -> Any:
    return pool(x, window, stride, padding, 0.0, lax.add) / np.prod(window)


def attention(query: Any, key: Any, value: Any, causal: bool = False) -> Any:
    """`jax.nn.dot_product_attention` takes its softmax in float32, so that it cannot be the measure here."""
    scores = jnp.einsum("...te,...ue->...tu", query, key) / np.sqrt(query.shape[-1])
    seen = jnp.tril(jnp.ones(scores.shape[-2:], bool)) if causal else None
    return jnp.einsum("...tu,...uf->...tf", nn.softmax(scores, where=seen), value)


def multi_head(causal: bool) -> Callable[..., Any]:
    def attend(x: Any, Wq: Any, Wk: Any, Wv: Any, Wo: Any) -> Any:
        q, k, v = (jnp.einsum("hej,stj->shte", W, x) for W in (Wq, Wk, Wv))
        return jnp.einsum("jhe,shte->stj", Wo, attention(q, k, v, causal))

    return attend


def angles(x: Any) -> Any:
    _, places, pairs, _ = x.shape
    return jnp.arange(places)[:, None] * jnp.power(10000.0, -jnp.arange(pairs) / pairs)


def rotary(x: Any) -> Any:
    turned = lax.complex(x[..., 0], x[..., 1]) * jnp.exp(1j * angles(x))
    return jnp.stack([turned.real, turned.imag], axis=-1)


LAYERS: dict[str, Callable[..., Any]] = {
    "dense": lambda x, W, b: x @ W.T + b,
    "dense, an index met twice": lambda x, W: x @ W.T,
    "embedding": lambda x, E: jnp.take(E, x, axis=0),
    "softmax": nn.softmax,
    "softmax over another axis": lambda x: nn.softmax(x, axis=0),
    "cross_entropy of labels": lambda x, t: cross_entropy(x, nn.one_hot(t, x.shape[-1])),
    "cross_entropy of probabilities": cross_entropy,
    "layer_norm": lambda x, gain, bias: nn.standardize(x, axis=-1, epsilon=0.1) * gain + bias,
    "rms_norm": lambda x, gain: (
        gain * x * lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-5)
    ),
    "batch_norm": lambda x, gain, bias: nn.standardize(x, axis=0) * gain + bias,
    "batch_norm of maps": lambda x, gain, bias: (
        nn.standardize(x, axis=(0, 2, 3)) * gain[:, None, None] + bias[:, None, None]
    ),
    "batch_norm_running": lambda x, mean, variance, gain, bias: (
        nn.standardize(x, mean=mean, variance=variance, epsilon=0.5) * gain + bias
    ),
    "dropout": lambda x, y_mask: jnp.where(y_mask == 1, x / 0.75, 0.0),
    "swiglu": lambda x, value: nn.silu(x) * value,
    "silu": nn.silu,
    "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "tanh": lambda x: jnp.tanh(x),
    "conv1d": lambda x, W, b: convolution(x, W, b, stride=2, dilation=2),
    "conv2d": lambda x, W, b: convolution(x, W, b, stride=(1, 2)),
    "conv1d in groups": lambda x, W: convolution(x, W, dilation=2),
    "conv2d in groups, strided, dilated and padded": lambda x, W, b: convolution(
        x, W, b, stride=(2, 1), dilation=(1, 2), padding=(1, 2)
    ),
    "conv1d, padded": lambda x, W, b: convolution(x, W, b, padding=2),
    "conv2d, strided and padded": lambda x, W, b: convolution(x, W, b, stride=2, padding=1),
    "max_pool": lambda x: max_pool(x, (3, 2), (3, 2)),
    "max_pool, windows that overlap": lambda x: max_pool(x, (3,), (2,)),
    "max_pool, padded": lambda x: max_pool(x, (3, 2), (2, 2), padding=1),
    "avg_pool": lambda x: avg_pool(x, (3, 2), (1, 2)),
    "avg_pool, padded": lambda x: avg_pool(x, (3, 3), (2, 1), padding=1),
    "attention": attention,
    "attention, causal": lambda query, key, value: attention(query, key, value, causal=True),
    "multi_head_attention": multi_head(causal=False),
    "multi_head_attention, causal": multi_head(causal=True),
    "sinusoidal": lambda x: x + jnp.stack([jnp.sin(angles(x)), jnp.cos(angles(x))], axis=-1),
    "rotary": rotary,
}
