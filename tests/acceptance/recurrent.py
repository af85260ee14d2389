"""Data for every recurrent network of the zoo, at any number of steps and any number of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .helpers import frozen, load

Arrays = dict[str, Any]

# Of each model: the sizes of its parameters but the number of steps, and the name that this has.
SIZES: Mapping[str, tuple[dict[str, int], str]] = {
    "rnn": ({"u": 4, "k": 5}, ""),
    "lstm": ({"u": 4, "k": 5}, ""),
    "gru": ({"d": 3, "u": 4, "k": 5}, ""),
    "tagger": ({"v": 6, "d": 3, "u": 4, "k": 5}, ""),
    "linear_recurrence": ({}, ""),
    "hmm": ({"S": 3, "V": 4}, ""),
    "ctc": ({"k": 4}, "T"),
    "residual_mlp": ({"d": 3, "u": 4, "h": 5, "k": 3}, "L"),
    "gpt2": ({"L": 3, "H": 2, "d": 3, "V": 7}, "T"),
}


@cache
def module(name: str) -> ModuleType:
    """The emitted module of a network of the zoo."""
    return load(import_module(f"symbp.zoo.{name}").net)


def data(name: str, steps: int, n: int = 3, **sizes: int) -> tuple[Arrays, Arrays]:
    """(parameters, inputs) of so many steps and samples, drawn afresh; `sizes` replace those of `SIZES`."""
    rng = np.random.default_rng(steps)
    own, over = SIZES[name]
    of_samples = {"n": n} if name == "ctc" else {}
    given = {**own, **({over: steps} if over else {}), **of_samples, **sizes}
    start = module(name).init(rng, **given)
    params = {key: rng.normal(scale=0.5, size=a.shape) for key, a in start.items()}
    inputs = INPUTS[name](rng, n, steps, given)
    if name == "linear_recurrence":  # one that neither dies at once nor grows
        params |= {"p": np.array(1.2), "q": np.array(-0.5)}
    if name == "ctc":
        params["y"] = np.exp(params["y"]) / np.exp(params["y"]).sum(axis=-1, keepdims=True)
    return frozen(params), {k: frozen({k: a}, a.dtype)[k] for k, a in inputs.items()}


def _characters(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return {key: rng.integers(0, sizes["k"], (n, T)) for key in ("x", "target")}


def _rnn(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return _characters(rng, n, T, sizes) | {"h0": rng.normal(size=(n, sizes["u"]))}


def _lstm(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return _rnn(rng, n, T, sizes) | {"c0": rng.normal(size=(n, sizes["u"]))}


def _gru(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    x, label = rng.normal(size=(n, T, sizes["d"])), rng.integers(0, sizes["k"], n)
    return {"x": x, "label": label, "last": rng.integers(0, T, n)}


def _tagger(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    word, tag = rng.integers(0, sizes["v"], (n, T)), rng.integers(0, sizes["k"], (n, T))
    return {"word": word, "tag": tag, "length": rng.integers(1, T + 1, n)}


def _signal(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return {"x": rng.normal(size=T), "target": rng.normal(size=T)}


def _observed(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return {"o": rng.integers(0, sizes["V"], (n, T))}


def _labels(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    """No longer than the frames allow, where each repeated label needs a blank before it."""
    count = max(1, T // 3)
    path = np.zeros((n, 2 * count + 1), int)
    path[:, 1::2] = rng.integers(1, sizes["k"], (n, count))
    end = 2 * rng.integers(0, count + 1, n)
    repeats = [np.sum(np.diff(p[1:e:2]) == 0) for p, e in zip(path, end)]
    least = np.maximum(end // 2 + repeats, 1)
    return {"path": path, "last": rng.integers(least - 1, T), "end": end}


def _samples(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return {"x": rng.normal(size=(n, sizes["d"])), "t": rng.integers(0, sizes["k"], n)}


def _tokens(rng: Any, n: int, T: int, sizes: Mapping[str, int]) -> Arrays:
    return {key: rng.integers(0, sizes["V"], (n, T)) for key in ("token", "target")}


INPUTS: Mapping[str, Callable[..., Arrays]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
    "tagger": _tagger,
    "linear_recurrence": _signal,
    "hmm": _observed,
    "ctc": _labels,
    "residual_mlp": _samples,
    "gpt2": _tokens,
}
