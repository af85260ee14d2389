"""How fast emitted modules are: the workloads in both styles, beside PyTorch and JAX where these are installed.

    python -m tests.benchmarks.workloads                      # all, 2 threads, float32
    python -m tests.benchmarks.workloads w7 --threads 1 --rounds 20 --impls fast,readable,torch
    python -m tests.benchmarks.workloads --hand FOLDER        # beside NumPy written by hand: `make_np` of FOLDER/w1*.py

One call is the loss and all gradients. Each implementation runs in a process of its own, and all others are stopped
while one is timed; rounds go through them in random order, and ratios are of medians within one round.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STARTS = 300.0  # seconds that an implementation may take to be ready
SHORT = 2e-4  # seconds; calls that take less are timed several at once


def main() -> None:
    options = _options()
    if options.worker:
        _work(*options.worker)
        return
    print(_HEAD.format(options.threads, options.rounds))
    for name in _names(options.only):
        print(_row(name, options), flush=True)


_HEAD = """{} threads, float32, medians over {} rounds; microseconds of one call, then ratios with their quartiles

| workload | fast, µs | readable ÷ fast | fast ÷ hand | fast ÷ best of torch, torch.compile, jax |
|---|---|---|---|---|"""


def _options() -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("only", nargs="*", help="workloads: w1, w7, …; by default all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--block", type=float, default=0.15, help="seconds that one is timed for")
    parser.add_argument("--impls", help="by default all that are installed")
    parser.add_argument("--hand", default="", help="a folder with NumPy written by hand")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _names(only: list[str]) -> list[str]:
    files = sorted(p.stem for p in Path(__file__).with_name("models").glob("w*.py"))
    return [f for f in files if not only or any(f.startswith(o) for o in only)]


def _installed(options: Any) -> list[str]:
    """The implementations to time."""
    if options.impls:
        return list(options.impls.split(","))
    found = ["fast", "readable", *(["hand"] if options.hand else [])]
    if importlib.util.find_spec("torch"):
        found += ["torch", "compiled"]
    return [*found, *(["jax"] if importlib.util.find_spec("jax") else [])]


def _row(name: str, options: Any) -> str:
    """One line of the table."""
    workers = [w for i in _installed(options) if (w := _started(name, i, options))]
    times: dict[str, list[float]] = {w.name: [] for w in workers}
    order = random.Random(0)
    for _ in range(options.rounds):
        for worker in order.sample(workers, len(workers)):
            times[worker.name].append(worker.time(options.block))
    for worker in workers:
        worker.close()
    fast = times.get("fast", [])
    peers = [v for k, v in times.items() if k in ("torch", "compiled", "jax")]
    best = min(peers, key=statistics.median) if peers else []
    cells = [_ratio(times.get("readable", []), fast), _ratio(fast, times.get("hand", []))]
    value = f"{statistics.median(fast) * 1e6:,.0f}" if fast else ""
    return f"| {name} | {value} | {' | '.join([*cells, _ratio(fast, best)])} |"


def _ratio(above: list[float], below: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(above, below))
    if len(ratios) < 3:
        return f"{ratios[0]:.2f}" if ratios else ""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


# Processes


class _Worker:
    """An implementation in a process of its own, stopped but while it is timed."""

    def __init__(self, workload: str, name: str, options: Any) -> None:
        self.name = name
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        for variable in ("OMP", "OPENBLAS", "MKL"):
            environment[f"{variable}_NUM_THREADS"] = str(options.threads)
        if options.threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        command = [sys.executable, "-m", "tests.benchmarks.workloads", "--worker"]
        self.process = subprocess.Popen(
            [*command, workload, name, options.hand or "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.read(STARTS)
        self.process.send_signal(signal.SIGSTOP)

    def read(self, seconds: float) -> Any:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise RuntimeError(f"{self.name} did not answer")
        return json.loads(line)

    def time(self, block: float) -> float:
        """The median of its calls in so many seconds."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{block}\n")
        self.process.stdin.flush()
        seconds = float(self.read(60 + 20 * block))
        self.process.send_signal(signal.SIGSTOP)
        return seconds

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait(10)


def _started(workload: str, name: str, options: Any) -> _Worker | None:
    try:
        return _Worker(workload, name, options)
    except RuntimeError as error:
        print(f"{workload}: {error}", file=sys.stderr)
        return None


def _work(workload: str, name: str, hand: str) -> None:
    """Answer each number of seconds on standard input by the median time of a call."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    step = _step(workload, name, hand)
    step()
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(statistics.median(_times(step, float(line)))), file=out, flush=True)


def _times(step: Callable[[], Any], block: float) -> Iterator[float]:
    start = time.perf_counter()
    step()
    several = max(1, int(SHORT / (time.perf_counter() - start)))
    for spent in (0.4 * block, block):
        begin = time.perf_counter()
        while (now := time.perf_counter()) - begin < spent:
            for _ in range(several):
                step()
            if spent == block:
                yield (time.perf_counter() - now) / several


# Implementations


def _step(workload: str, name: str, hand: str) -> Callable[[], Any]:
    import numpy as np

    from symbp import derive
    from tests.benchmarks.peers import jax_step, torch_step

    model = importlib.import_module(f"tests.benchmarks.models.{workload}")
    style = "readable" if name == "readable" else "fast"
    module: Any = derive(model.net, style=style).load()
    params, batch = data(module, model.SIZES, np.float32)
    if name == "jax":
        return jax_step(workload, params, batch)
    if name in ("torch", "compiled"):
        return torch_step(workload, params, batch, name == "compiled")
    if name == "hand":
        return _by_hand(Path(hand), workload)
    if name == "readable":
        return lambda: module.value_and_grad(params, **batch)
    workspace = module.workspace(params, **batch)
    return lambda: module.value_and_grad(params, **batch, workspace=workspace)


def _by_hand(folder: Path, workload: str) -> Callable[[], Any]:
    """`make_np` of the file in the folder whose name begins alike, on its own data."""
    sys.path.insert(0, str(folder))
    module = importlib.import_module(next(folder.glob(f"{workload[:2]}_*.py")).stem)
    step: Callable[[], Any] = module.make_np(*module.make_data("float32"))
    return step


def data(module: Any, sizes: dict[str, int], dtype: Any) -> tuple[Any, Any]:
    """Parameters and a batch of these sizes: normal numbers, and integers below the last size that is a class's."""
    import numpy as np

    rng = np.random.default_rng(0)

    def shape(axes: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(int(eval(axis, {}, dict(sizes))) for axis in axes)

    params = {
        name: (rng.normal(size=shape(axes)) * _scale(shape(axes))).astype(dtype)
        for name, axes in module.PARAMETERS.items()
    }
    integers = getattr(module, "_INTEGERS", ())
    classes = sizes.get("k", sizes.get("K", 10))
    batch = {
        name: rng.integers(0, classes, shape(axes))
        if name in integers
        else rng.normal(size=shape(axes)).astype(dtype)
        for name, axes in module.INPUTS.items()
    }
    return params, batch


def _scale(shape: tuple[int, ...]) -> float:
    return max(shape, default=1) ** -0.5


if __name__ == "__main__":
    main()
