"""The zoo's language models as readers of text: how they are trained, and how they read on from where they stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symbp import derive
from symbp.zoo import gpt2, lstm

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Reader(ABC):
    """An emitted module with `init_state` and `step`, the sizes of its model, and how it is trained."""

    module: ModuleType
    sizes: Mapping[str, int]
    rows: int  # of a batch
    steps: int  # characters in each of them
    learning_rate: float

    def init(self, rng: np.random.Generator) -> Arrays:
        """Fresh parameters, in float32."""
        params: Arrays = self.module.init(rng, dtype=np.float32, **self.sizes)
        return params

    @abstractmethod
    def inputs(self, x: Any, target: Any) -> tuple[Any, ...]:
        """What `value_and_grad` takes for rows of characters, and for the one behind each of them."""

    @abstractmethod
    def read(self, params: Arrays, x: Any, state: Any = None) -> tuple[Any, Any]:
        """(probabilities of what is behind each character of x, the state to read on from).

        x: (rows, characters); without a state, it is the beginning of a text.
        """


class Lstm(Reader):
    """What it has read stands in its state and cell."""

    def inputs(self, x: Any, target: Any) -> tuple[Any, ...]:
        return (x, target, *self._beginning(len(x)))

    def read(self, params: Arrays, x: Any, state: Any = None) -> tuple[Any, Any]:
        read = self.module.predict(params, x, *(state or self._beginning(len(x))))
        return read["y"], (read["state"], read["cell"])

    def _beginning(self, rows: int) -> tuple[Any, Any]:
        state, cell = np.zeros((2, rows, self.sizes["u"]), np.float32)
        return state, cell


class Gpt2(Reader):
    """What it has read is the state: as many characters as it has places, which it reads again."""

    def inputs(self, x: Any, target: Any) -> tuple[Any, ...]:
        return x, target

    def read(self, params: Arrays, x: Any, state: Any = None) -> tuple[Any, Any]:
        """As above, for the last characters of x where they are more than it has places."""
        seen = x if state is None else np.concatenate([state, x], axis=1)
        seen = seen[:, -self.steps :]
        places = {"wpe": params["wpe"][: seen.shape[1]]}
        return self.module.predict(params | places, seen)[:, -x.shape[1] :], seen


def lstm_reader(characters: int, units: int = 256) -> Reader:
    """The LSTM, derived, for an alphabet of so many characters."""
    module = derive(lstm.net, optimizer=["clip", "adamw"]).load()
    sizes = {"k": characters, "u": units}
    return Lstm(module, sizes, rows=32, steps=64, learning_rate=1e-2)


def gpt2_reader(characters: int, layers: int = 4, width: int = 32) -> Reader:
    """GPT-2, derived, for an alphabet of so many characters: four heads of this width in each layer."""
    module = derive(gpt2.net, optimizer=["clip", "adamw"]).load()
    sizes = {"V": characters, "T": 64, "L": layers, "H": 4, "d": width}
    return Gpt2(module, sizes, rows=16, steps=64, learning_rate=3e-3)


READERS: dict[str, Callable[[int], Reader]] = {"lstm": lstm_reader, "gpt2": gpt2_reader}
