"""How far the layers' gradients are from others', in float64: the worst tensor of each, max |a − b| / max |b|.

    python tests/benchmarks/layer_accuracy.py

Against complex steps or differences of the declared equations, as `verify` measures them, and against outputs and
gradients of PyTorch and JAX where these are installed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from acceptance.layers import LAYERS, derivation
from acceptance.test_layers_against_frameworks import FRAMEWORKS, errors, framework


def against_equations(name: str) -> tuple[float, str]:
    """(the worst gradient at ordinary points, how it was differenced)."""
    rows = derivation(name).verify().rows
    measured = [r for r in rows if r.check == "gradient" and r.dtype == "float64" and not r.extreme]
    worst = max(measured, key=lambda r: r.error)
    return worst.error, worst.method


def main() -> None:
    others = {which: framework(which) for which in FRAMEWORKS if find_spec(which)}
    table = {}
    for name in LAYERS:
        error, method = against_equations(name)
        table[name] = [error, *(max(errors(name, other).values()) for other in others.values())]
        cells = "".join(f"{e:10.1e}" for e in table[name])
        print(f"{name:48}{cells}  {method}")
    worst = "".join(f"{max(column):10.1e}" for column in zip(*table.values()))
    print(f"{'the worst, beside differences, ' + ', '.join(others):48}{worst}")


if __name__ == "__main__":
    main()
