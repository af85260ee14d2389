"""How long derivation takes: `symbp derive` and `symbp latex` as whole processes beside `import sympy`, and depth.

    python tests/benchmarks/derivation_time.py [MODEL.py ...]

Each pair of processes runs in turn; the ratio of each pair is taken, and the median and range printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sympy import Max, Sum

from symbp import Network, derive, indices, sizes
from symbp.derivative import partials_of

ROUNDS = 7
ZOO = Path(__file__).parents[2] / "symbp" / "zoo"


def seconds(command: list[str]) -> float:
    """Wall time of a process that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def whole_process(model: Path) -> None:
    """`symbp derive`, verification and writing included; and `symbp latex`, which derives and writes the document."""
    run = "import sys; from symbp.cli import main; sys.argv = ['symbp', *sys.argv[1:]]; main()"
    importing = [sys.executable, "-c", "import sympy"]
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        for command in (["derive", str(model), "-o", folder], ["latex", str(model)]):
            process = [sys.executable, "-c", run, *command]
            seconds(process), seconds(importing)  # warm the disk's cache
            ratios = [seconds(process) / seconds(importing) for _ in range(ROUNDS)]
            low, median, high = min(ratios), statistics.median(ratios), max(ratios)
            texts.append(f"{command[0]} {median:5.2f} x   ({low:.2f} … {high:.2f})")
    print(f"{model.stem:20} {'   '.join(texts)}", flush=True)


def deep(layers: int) -> Network:
    """An MLP of equal ReLU layers with a squared loss."""
    n, d = sizes("n d")
    s, i, j = indices("s", n), *indices("i j", d)
    net = Network(f"deep{layers}")
    x, t = net.input("x", s, i), net.input("t", s, i)
    h = x
    for k in range(layers):
        W, b = net.param(f"W{k}", i, j), net.param(f"b{k}", i)
        z = net.define(f"z{k}", (s, i), Sum(W[i, j] * h[s, j], j) + b[i])
        h = net.define(f"h{k}", (s, i), Max(0, z[s, i]))
    net.loss(Sum((h[s, i] - t[s, i]) ** 2, s, i) / n)
    return net


def depth() -> None:
    """Seconds a layer, and how many equations were differentiated that had not been before."""
    derive(deep(2))  # imports and caches
    for layers in (2, 4, 8, 16, 32):
        net, before = deep(layers), partials_of.cache_info().misses
        start = time.perf_counter()
        derive(net)
        spent = time.perf_counter() - start
        new = partials_of.cache_info().misses - before
        print(
            f"{layers:3} layers   {spent:6.3f} s   {1000 * spent / layers:5.1f} ms a layer   {new} new"
        )


if __name__ == "__main__":
    models = [Path(m) for m in sys.argv[1:]] or sorted(
        p for p in ZOO.glob("*.py") if p.stem != "__init__"
    )
    for model in models:
        whole_process(model)
    depth()
