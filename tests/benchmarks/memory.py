"""Peak memory of `value_and_grad` at realistic sizes, as a multiple of what it cannot do without, and what the rest is.

    python tests/benchmarks/memory.py [MODEL.py ...]

What it cannot do without: inputs, parameters, gradients and cache. The rest is what else is alive at the line where the
peak is: arrays by their names, and the temporaries of that line, with the code that makes them.
"""

from __future__ import annotations

import inspect
import sys
import tracemalloc
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from symbp import derive
from symbp.model_file import load_model

ZOO = Path(__file__).parents[2] / "symbp" / "zoo"
SIZES: dict[str, dict[str, int]] = {
    "autoencoder": {"n": 64, "d": 784, "m": 64},
    "character_mlp": {"n": 32, "k": 27, "d": 10, "u": 64},
    "ctc": {"n": 16, "T": 100, "k": 30, "U": 20},
    "digits_cnn": {"n": 32, "H": 4, "W": 4, "A": 16, "B": 32, "k": 10},
    "fan_out": {},
    "dropout_mlp": {"n": 64, "d": 784, "h": 256, "k": 10},
    "gpt2": {"B": 4, "T": 64, "L": 4, "H": 4, "d": 32, "V": 1000},
    "gru": {"n": 32, "T": 50, "d": 64, "u": 128, "k": 10},
    "hmm": {"n": 16, "T": 200, "S": 32, "V": 50},
    "lenet": {"n": 64},
    "linear_neuron": {"d": 784},
    "linear_recurrence": {"T": 4096},
    "linear_regression": {"n": 4096, "d": 64},
    "logistic_regression": {"n": 4096, "d": 64},
    "lstm": {"n": 32, "T": 64, "u": 128, "k": 100},
    "mlp": {"n": 64, "d": 784, "h": 256, "k": 10},
    "residual_mlp": {"n": 64, "d": 64, "u": 128, "h": 256, "k": 10, "L": 8},
    "rnn": {"n": 32, "T": 64, "u": 128, "k": 100},
    "softmax_regression": {"n": 64, "d": 784, "k": 10},
    "tagger": {"n": 32, "T": 30, "v": 1000, "d": 64, "u": 64, "k": 20},
    "transformer": {"B": 4, "T": 64, "C": 128, "H": 4, "d": 32, "V": 1000},
}


@dataclass(frozen=True)
class Named:
    """An array that a variable holds: watched, and not kept alive."""

    name: str
    shape: tuple[int, ...]
    nbytes: int  # of the memory that it is a view of, or owns
    owner: weakref.ref[Any]


@dataclass
class Peak:
    """The line of the module where most is allocated, and the arrays that have a name there."""

    filename: str
    most: int = 0
    function: str = ""
    line: int = 0
    named: tuple[Named, ...] = ()
    _before: tuple[str, int, tuple[Named, ...]] | None = None

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """A trace function for `sys.settrace`: before each line, what the line before it reached."""
        if frame.f_code.co_filename != self.filename:
            return None
        self.close()
        self._before = frame.f_code.co_name, frame.f_lineno, tuple(self._variables(frame))
        tracemalloc.reset_peak()
        return self.trace

    def close(self) -> None:
        """Take the line before as it ended."""
        reached = tracemalloc.get_traced_memory()[1]
        if self._before is not None and reached > self.most:
            self.most = reached
            self.function, self.line, self.named = self._before

    def _variables(self, frame: FrameType | None) -> Iterator[Named]:
        while frame is not None:
            if frame.f_code.co_filename == self.filename:
                for name, value in frame.f_locals.items():
                    if isinstance(value, np.ndarray):
                        whole = owner(value)
                        yield Named(name, value.shape, whole.nbytes, weakref.ref(whole))
            frame = frame.f_back


def owner(array: Any) -> Any:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def owners(values: Iterable[Any]) -> dict[int, Any]:
    """The arrays that own the memory of these, each once."""
    return {id(o): o for o in (owner(v) for v in values if isinstance(v, np.ndarray))}


def size(values: Iterable[Any]) -> int:
    return sum(array.nbytes for array in owners(values).values())


def arguments(module: ModuleType, net: Any, sizes: dict[str, int]) -> tuple[Any, dict[str, Any]]:
    """Parameters and inputs: numbers, or integers below the smallest axis, in float64."""
    rng = np.random.default_rng(0)
    declarations = net.declared().declarations

    def shape(name: str) -> tuple[int, ...]:
        named = {s: sizes[s.name] for d in declarations[name].shape for s in d.free_symbols}
        return tuple(int(d.xreplace(named)) for d in declarations[name].shape)

    taken = inspect.signature(module.value_and_grad).parameters
    params = {name: 0.1 * rng.normal(size=shape(name)) for name in module.PARAMETERS}
    inputs: dict[str, Any] = {}
    for name in (n for n in module.INPUTS if n in taken):
        whole = declarations[name].integer
        inputs[name] = rng.integers(0, 10, shape(name)) if whole else rng.uniform(size=shape(name))
        if (over := declarations[name].sums_to_one) is not None:
            axis = declarations[name].indices.index(over)
            inputs[name] /= inputs[name].sum(axis=axis, keepdims=True)
    if "rng" in taken:
        inputs["rng"] = rng
    return params, inputs


def measure(model: Path) -> None:
    """One line for the multiple, and one for each part of the rest that is worth naming."""
    derivation = derive(net := load_model(model))
    module, sizes = derivation.load(), SIZES[model.stem]
    params, inputs = arguments(module, net, sizes)
    module.value_and_grad(params, **inputs)  # imports and caches
    peak = Peak(str(module.__file__))
    tracemalloc.start()
    sys.settrace(peak.trace)
    try:
        _, cache = module.forward(params, **inputs)
        grads = module.backward(params, cache)
        peak.close()
    finally:
        sys.settrace(None)
        tracemalloc.stop()
    given = [*params.values(), *inputs.values()]
    due = owners([*given, *grads.values(), *cache])
    needed, total = size(due.values()), size(given) + peak.most
    text = ", ".join(f"{n} = {v}" for n, v in sizes.items())
    print(f"{model.stem:20} {total / needed:6.2f} x {needed / 1e6:8.3f} MB   {text}")
    code = derivation.source.splitlines()[peak.line - 1].strip()
    print(f"{'':20}   at {peak.function}: {code[:80]}")
    # an argument and the variable that its caller has for it are one array
    alive = {id(n.owner): n for n in peak.named}
    extra = [n for n in alive.values() if id(n.owner()) not in due]
    for found in sorted(extra, key=lambda n: -n.nbytes):
        if found.nbytes > 0.02 * needed:
            print(f"{'':20} {found.nbytes / needed:6.2f} x   {found.name} {found.shape}")
    own = owners(given)
    unnamed = peak.most - sum(n.nbytes for n in alive.values() if id(n.owner()) not in own)
    print(f"{'':20} {unnamed / needed:6.2f} x   temporaries of this line")


if __name__ == "__main__":
    models = [Path(m) for m in sys.argv[1:]] or sorted(
        p for p in ZOO.glob("*.py") if p.stem != "__init__"
    )
    for model in models:
        measure(model)
