"""Running an emitted module as its contract says, and watching what it does beside returning results."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symbp.errors import SymbpError
from symbp.ir.network import Declared
from symbp.numbers import Array
from symbp.sample import Point, draw, predicted

NUMERIC = (np.ndarray, np.generic, float)
"""What a function of a module may return as an array; a Python float is a float64."""


class ModuleFailed(SymbpError):
    """A function of the module is missing, raised, or returned something of another structure."""


@dataclass(frozen=True)
class Outcome:
    """What the module returned, as it came, and what it did."""

    values: Mapping[str, Any]  # "loss" where there is one, and each output
    gradients: Mapping[str, Any]
    breaches: Mapping[str, str]  # clause of the contract -> how it was broken, "" if it was kept
    warning: str  # the first RuntimeWarning, "" without any


class Invocation:
    """A module, its network, and one point in one dtype."""

    def __init__(
        self, module: ModuleType, declared: Declared, point: Point, dtype: type[np.floating[Any]]
    ) -> None:
        self.module = module
        self.declared = declared
        self.dtype = dtype
        cast = {name: self._cast(value) for name, value in point.values.items()}
        self.params = {d.name: cast[d.name] for d in declared.of_kind("param")}
        self.inputs = {d.name: cast[d.name] for d in declared.of_kind("input")}
        self.seeds = {name: self._cast(seed) for name, seed in point.seeds.items()}
        constants = {  # those at their defaults are left to the module
            d.name: float(point.values[d.name])
            for d in declared.of_kind("constant")
            if float(point.values[d.name]) != d.default
        }
        self.noise = {d.name: cast[d.name] for d in declared.of_kind("random")}
        given = {**self.inputs, **self.noise, "params": self.params}
        self._arguments = {**point.sizes, **constants, **given}
        self._constants = point.values

    def _cast(self, value: Array) -> Array:
        return value.astype(self.dtype if value.dtype.kind == "f" else value.dtype)

    def run(self) -> Outcome:
        """Everything that the module offers. Raises ModuleFailed."""
        before = {**self.params}, [a.copy() for a in self._arrays()]
        with (
            warnings.catch_warnings(record=True) as caught,
            np.errstate(all="warn", under="ignore"),
        ):
            warnings.simplefilter("always")
            outcome = self._layer() if self.declared.loss is None else self._loss()
            drawn = self._drawn()
        values, gradients, breaches = outcome
        if self.noise:
            breaches["noise is drawn by its law"] = drawn
        if callable(getattr(self.module, "workspace", None)):
            breaches["a workspace changes no result"] = self._reused()
        breaches["arguments are not written to"] = self._changed(*before)
        risen = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
        return Outcome(values, gradients, breaches, risen[0] if risen else "")

    def _loss(self) -> tuple[dict[str, Any], Mapping[str, Any], dict[str, str]]:
        loss, cache = self._pair("forward")
        gradients, breaches = self._backward(cache)
        again, other = self._pair("value_and_grad")
        same = self._agree(loss, again) and self._all_agree(gradients, other)
        text = "" if same else "differs from forward and backward"
        breaches["value_and_grad agrees with forward and backward"] = text
        return {"loss": loss, **self._predict()}, gradients, breaches

    def _layer(self) -> tuple[dict[str, Any], Mapping[str, Any], dict[str, str]]:
        result, cache = self._pair("forward")
        outputs = self._outputs("forward", result)
        gradients, breaches = self._backward(cache)
        predictions = self._predict()
        if self.noise:
            return (
                {**outputs, **{predicted(n): p for n, p in predictions.items()}},
                gradients,
                breaches,
            )
        same = self._all_agree(outputs, predictions)
        breaches["predict agrees with forward"] = "" if same else "differs from forward"
        return outputs, gradients, breaches

    def _reused(self) -> str:
        """What is wrong with results in a workspace: the second in one, and two in two threads at once."""
        fresh = self._graded(None)
        own, others = (self._call("workspace", **self._named("workspace")) for _ in range(2))
        other = copy(self)
        other.params = {name: value / 2 for name, value in self.params.items()}
        other._arguments = {**self._arguments, "params": other.params}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # those other values may lie anywhere
            other._graded(own)
            if not self._all_agree(fresh, self._graded(own)):
                return "results differ in a workspace that was used before"
            with ThreadPoolExecutor(2) as pool:
                side, here = pool.submit(other._graded, others), pool.submit(self._graded, own)
                side.result()
                same = self._all_agree(fresh, here.result())
        return "" if same else "results differ beside another thread with a workspace of its own"

    def _graded(self, workspace: Any) -> Mapping[str, Any]:
        """All that a call with this workspace gives."""
        given = {} if workspace is None else {"workspace": workspace}
        if self.declared.loss is not None:
            loss, gradients = self._call("value_and_grad", **self._named("value_and_grad"), **given)
            return {**gradients, "": loss}
        result, cache = self._call("forward", **self._named("forward"), **given)
        return {**self._outputs("forward", result), **self._gradients(cache, **given)}

    def _drawn(self) -> str:
        """What is wrong with noise that the module draws itself: it must be that of its law, from one generator."""
        names = self._named("forward")
        noise = [d for d in self.declared.of_kind("random") if d.name in names]
        if not noise:
            return ""
        rng = np.random.default_rng(0)
        own = {
            d.name: self._cast(draw(d, self.noise[d.name].shape, rng, self._constants))
            for d in noise
        }
        missing = dict.fromkeys(own)
        given, _ = self._pair("forward", own)
        drawn, _ = self._pair("forward", {**missing, "rng": np.random.default_rng(0)})
        results = [r if isinstance(r, Mapping) else {"": r} for r in (given, drawn)]
        if not self._all_agree(*results):
            return "differs from forward with noise of its law given"
        try:
            self._function("forward")(**self._named("forward", missing))
        except ValueError:
            return ""
        except Exception as error:  # whatever a module raises is a finding
            return f"raises {type(error).__name__} without a generator, no ValueError"
        return "draws without a generator"

    def _backward(self, cache: Any) -> tuple[Mapping[str, Any], dict[str, str]]:
        """The gradients, and whether a second call with the same cache gives them again."""
        gradients = self._gradients(cache)
        kept = {name: copy(value) for name, value in gradients.items()}
        again = self._gradients(cache)
        text = "" if self._all_agree(kept, again) else "a second call gives other gradients"
        return gradients, {"backward leaves its cache alone": text}

    def _gradients(self, cache: Any, **given: Any) -> Mapping[str, Any]:
        seeds: tuple[Any, ...] = tuple(self.seeds.values())
        if len(seeds) > 1:
            seeds = ({**self.seeds},)  # one argument: the adjoint, or a dict of several
        result = self._call("backward", self.params, cache, *seeds, **given)
        if not isinstance(result, Mapping):
            raise ModuleFailed(f"backward returned {_describe(result)}, not a dict of gradients")
        return result

    def _predict(self) -> dict[str, Any]:
        if not self.declared.outputs:
            return {}
        return self._outputs("predict", self._call("predict", **self._named("predict")))

    def _outputs(self, function: str, result: Any) -> dict[str, Any]:
        """One array, or a dict where several outputs are declared."""
        names = self.declared.outputs
        if len(names) == 1:
            return {names[0]: result}
        if not isinstance(result, Mapping) or set(result) != set(names):
            expected = f"a dict of {', '.join(names)}"
            raise ModuleFailed(f"{function} returned {_describe(result)}, not {expected}")
        return dict(result)

    def _pair(self, function: str, more: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        result = self._call(function, **self._named(function, more))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ModuleFailed(f"{function} returned {_describe(result)}, not a pair")
        return result

    def _named(self, function: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Those of all arguments that a function names."""
        try:
            names = inspect.signature(self._function(function)).parameters
        except (TypeError, ValueError) as error:
            raise ModuleFailed(f"{function} has no signature: {error}") from error
        given = {**self._arguments, **(more or {})}
        return {n: value for n, value in given.items() if n in names}

    def _call(self, function: str, *args: Any, **named: Any) -> Any:
        call = self._function(function)
        try:
            return call(*args, **named)
        except Exception as error:  # whatever a module raises is a finding
            raise ModuleFailed(f"{function} raised {type(error).__name__}: {error}") from error

    def _function(self, name: str) -> Callable[..., Any]:
        function = getattr(self.module, name, None)
        if not callable(function):
            raise ModuleFailed(f"the module has no function {name}")
        return function  # type: ignore[no-any-return]

    def _arrays(self) -> list[Array]:
        return [
            *self.params.values(),
            *self.inputs.values(),
            *self.noise.values(),
            *self.seeds.values(),
        ]

    def _changed(self, params: Mapping[str, Array], arrays: list[Array]) -> str:
        """Which arguments were written to."""
        if self.params.keys() != params.keys():
            return "the dict of parameters has other keys than before"
        if any(self.params[name] is not array for name, array in params.items()):
            return "the dict of parameters holds other arrays than before"
        names = (
            *self.params,
            *self.inputs,
            *self.noise,
            *(f"the adjoint of {name}" for name in self.seeds),
        )
        written = [n for n, a, b in zip(names, self._arrays(), arrays) if not np.array_equal(a, b)]
        return f"wrote to {', '.join(written)}" if written else ""

    def _all_agree(self, left: Mapping[str, Any], right: Any) -> bool:
        return (
            isinstance(right, Mapping)
            and left.keys() == right.keys()
            and all(self._agree(value, right[name]) for name, value in left.items())
        )

    def _agree(self, left: Any, right: Any) -> bool:
        """Equal but for a few thousand roundings: the same formulas, perhaps in another order."""
        if not isinstance(left, NUMERIC) or not isinstance(right, NUMERIC):
            return type(left) is type(right)  # that it is no array is said elsewhere
        a, b = np.asarray(left), np.asarray(right)
        if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind != "f":
            return False
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
        slack = 4096 * float(np.finfo(self.dtype).eps) * scale
        return bool(np.isclose(a, b, rtol=0.0, atol=slack, equal_nan=True).all())


def _describe(thing: Any) -> str:
    if isinstance(thing, Mapping):
        return f"a dict of {', '.join(map(str, thing)) or 'nothing'}"
    return f"a {type(thing).__name__}"
