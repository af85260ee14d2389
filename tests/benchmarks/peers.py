"""The workloads in PyTorch and in JAX, as their users write them: each a loss of parameters and a batch.

Arrays have the shapes that the models in `models/` declare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Step = Callable[[], Any]


def torch_step(name: str, params: Arrays, batch: Arrays, compiled: bool) -> Step:
    """A call that gives PyTorch's loss and gradients."""
    import torch

    P = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in params.items()}
    B = {k: torch.from_numpy(v.copy()) for k, v in batch.items()}
    loss = TORCH[name]
    run = torch.compile(loss) if compiled else loss
    leaves = list(P.values())

    def step() -> Any:
        value = run(P, B)
        return value.detach().numpy(), dict(zip(P, torch.autograd.grad(value, leaves)))

    return step


def jax_step(name: str, params: Arrays, batch: Arrays) -> Step:
    """A call that gives JAX's loss and gradients, compiled."""
    import jax

    P = {k: jax.numpy.asarray(v) for k, v in params.items()}
    B = {k: jax.numpy.asarray(v) for k, v in batch.items()}
    run = jax.jit(jax.value_and_grad(JAX[name]))
    return lambda: jax.block_until_ready(run(P, B))


def _mlp(functions: Any, matmul: Any, layers: int) -> Callable[[Arrays, Arrays], Any]:
    def loss(P: Arrays, B: Arrays) -> Any:
        h = B["x"]
        for k in range(1, layers + 1):
            h = matmul(h, P[f"W{k}"]) + P[f"b{k}"]
            h = functions["relu"](h) if k < layers else h
        return functions["cross_entropy"](h, B["y"])

    return loss


def _torch() -> dict[str, Callable[[Arrays, Arrays], Any]]:
    import torch
    import torch.nn.functional as F

    def w1(P: Arrays, B: Arrays) -> Any:
        return F.mse_loss(torch.tanh(B["x"] @ P["W1"] + P["b1"]) @ P["W2"] + P["b2"], B["y"])

    def w5(P: Arrays, B: Arrays) -> Any:
        h = F.relu(F.max_pool2d(F.conv2d(B["x"], P["K1"], P["k1"], padding=2), 2))
        h = F.relu(F.max_pool2d(F.conv2d(h, P["K2"], P["k2"]), 2)).flatten(1)
        h = F.relu(h @ P["F1"].reshape(400, 120) + P["f1"])
        return F.cross_entropy(F.relu(h @ P["F2"] + P["f2"]) @ P["F3"] + P["f3"], B["y"])

    def w6(P: Arrays, B: Arrays) -> Any:
        (_, n, d), u = B["x"].shape, P["Wo"].shape[0]
        flat = [P["Wx"].reshape(d, -1).T, P["Wh"].reshape(u, -1).T, P["b"].reshape(-1)]
        zero, state = torch.zeros(4 * u), torch.zeros(1, n, u)
        hs, *_ = torch._VF.lstm(  # type: ignore[attr-defined]  # the kernel of torch.nn.LSTM
            B["x"], (state, state), [*flat, zero], True, 1, 0.0, True, False, False
        )
        return F.cross_entropy((hs @ P["Wo"] + P["bo"]).flatten(0, 1), B["y"].flatten())

    def w7(P: Arrays, B: Arrays) -> Any:
        x, c = B["x"], B["x"].shape[2]
        n = F.layer_norm(x, (c,), P["g1"], P["b1"], 1e-5)
        qkv = torch.tensordot(n, P["Wqkv"], 1) + P["bqkv"]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + torch.tensordot(o, P["Wo"], 2) + P["bo"]
        n = F.layer_norm(x, (c,), P["g2"], P["b2"], 1e-5)
        h = F.gelu(n @ P["W1"] + P["c1"], approximate="tanh")
        return F.mse_loss(x + h @ P["W2"] + P["c2"], B["y"])

    def w8(P: Arrays, B: Arrays) -> Any:
        pi, A, E = (P[k].softmax(-1) for k in ("pi", "A", "E"))
        seen, total = E.T[B["y"]], 0.0
        alpha = pi * seen[0]
        for t in range(len(seen)):
            alpha = (alpha @ A) * seen[t] if t else alpha
            size = alpha.sum(1, keepdim=True)
            alpha, total = alpha / size, total - torch.log(size).sum()
        return total / B["y"].shape[1]

    def w9(P: Arrays, B: Arrays) -> Any:
        x = B["x"]
        for k in range(10):
            n = F.layer_norm(x, (x.shape[1],), P[f"g{k}"], P[f"b{k}"], 1e-5)
            x = x + F.gelu(n @ P[f"W{k}"] + P[f"c{k}"], approximate="tanh")
        return F.mse_loss(x, B["y"])

    functions = {"relu": F.relu, "cross_entropy": F.cross_entropy}
    two, three = (_mlp(functions, torch.matmul, k) for k in (2, 3))
    w4 = lambda P, B: F.cross_entropy(P["z"], B["y"])  # noqa: E731
    return dict(zip(WORKLOADS, (w1, two, three, w4, w5, w6, w7, w8, w9)))


def _jax() -> dict[str, Callable[[Arrays, Arrays], Any]]:
    import jax
    import jax.numpy as jnp

    def cross_entropy(z: Any, y: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[..., None], -1))

    def norm(x: Any, g: Any, b: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * g + b

    def w1(P: Arrays, B: Arrays) -> Any:
        return jnp.mean((jnp.tanh(B["x"] @ P["W1"] + P["b1"]) @ P["W2"] + P["b2"] - B["y"]) ** 2)

    def w5(P: Arrays, B: Arrays) -> Any:
        def conv(x: Any, W: Any, b: Any, pad: Any) -> Any:
            names = ("NCHW", "OIHW", "NCHW")
            z = jax.lax.conv_general_dilated(x, W, (1, 1), pad, dimension_numbers=names)
            pooled = jax.lax.reduce_window(
                z + b[:, None, None], -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"
            )
            return jax.nn.relu(pooled)

        h = conv(B["x"], P["K1"], P["k1"], ((2, 2), (2, 2)))
        h = conv(h, P["K2"], P["k2"], "VALID").reshape(len(B["x"]), 400)
        h = jax.nn.relu(h @ P["F1"].reshape(400, 120) + P["f1"])
        return cross_entropy(jax.nn.relu(h @ P["F2"] + P["f2"]) @ P["F3"] + P["f3"], B["y"])

    def w6(P: Arrays, B: Arrays) -> Any:
        given = jnp.tensordot(B["x"], P["Wx"], 1) + P["b"]

        def cell(state: Any, given: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.moveaxis(given + jnp.tensordot(h, P["Wh"], 1), 1, 0)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros(given.shape[1::2], given.dtype)
        _, hs = jax.lax.scan(cell, (zero, zero), given)
        return cross_entropy(hs @ P["Wo"] + P["bo"], B["y"])

    def w7(P: Arrays, B: Arrays) -> Any:
        x, T = B["x"], B["x"].shape[1]
        qkv = jnp.tensordot(norm(x, P["g1"], P["b1"]), P["Wqkv"], 1) + P["bqkv"]
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]).astype(x.dtype)
        weights = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -jnp.inf))
        x = x + jnp.tensordot((weights @ v).swapaxes(1, 2), P["Wo"], 2) + P["bo"]
        h = jax.nn.gelu(norm(x, P["g2"], P["b2"]) @ P["W1"] + P["c1"], approximate=True)
        return jnp.mean((x + h @ P["W2"] + P["c2"] - B["y"]) ** 2)

    def w8(P: Arrays, B: Arrays) -> Any:
        pi, A, E = (jax.nn.softmax(P[k]) for k in ("pi", "A", "E"))
        seen = E.T[B["y"]]

        def step(alpha: Any, seen: Any) -> Any:
            alpha = (alpha @ A) * seen
            size = alpha.sum(1, keepdims=True)
            return alpha / size, size

        first = pi * seen[0]
        size = first.sum(1, keepdims=True)
        _, sizes = jax.lax.scan(step, first / size, seen[1:])
        return -(jnp.log(sizes).sum() + jnp.log(size).sum()) / B["y"].shape[1]

    def w9(P: Arrays, B: Arrays) -> Any:
        x = B["x"]
        for k in range(10):
            z = norm(x, P[f"g{k}"], P[f"b{k}"]) @ P[f"W{k}"] + P[f"c{k}"]
            x = x + jax.nn.gelu(z, approximate=True)
        return jnp.mean((x - B["y"]) ** 2)

    functions = {"relu": jax.nn.relu, "cross_entropy": cross_entropy}
    two, three = (_mlp(functions, jnp.matmul, k) for k in (2, 3))
    w4 = lambda P, B: cross_entropy(P["z"], B["y"])  # noqa: E731
    return dict(zip(WORKLOADS, (w1, two, three, w4, w5, w6, w7, w8, w9)))


WORKLOADS = (
    "w1_tiny_mlp",
    "w2_mlp",
    "w3_mlp_large",
    "w4_softmax_ce",
    "w5_lenet",
    "w6_lstm",
    "w7_transformer",
    "w8_hmm",
    "w9_resmlp",
)


class _Lazy(dict[str, Callable[[Arrays, Arrays], Any]]):
    """The losses of a framework, which is imported when the first is asked for."""

    def __init__(self, make: Callable[[], dict[str, Callable[[Arrays, Arrays], Any]]]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Callable[[Arrays, Arrays], Any]:
        self.update(self.make())
        return self[name]


TORCH, JAX = _Lazy(_torch), _Lazy(_jax)
