"""The same model gives the same bytes: for any hash seed, in a fresh process, and after any other derivations.

What they are compared with stands in `generated/`, and so was derived in another process, by another seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "generated"
ZOO = sorted(path.stem for path in GENERATED.glob("*.py"))

DERIVE = """
import sys
from symbp import derive
from symbp.model_file import load_model
folder, zoo, *models = sys.argv[1:]
for model in models:
    derive(load_model(f"{zoo}/{model}.py")).write(folder)
"""


def derived(models: Sequence[str], seed: int, folder: Path) -> None:
    """Derive models, one after the other in this order, in a process with this hash seed."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
    arguments = [str(folder), str(ROOT / "symbp" / "zoo"), *models]
    subprocess.run([sys.executable, "-c", DERIVE, *arguments], env=environment, check=True)


def check(models: Sequence[str], folder: Path) -> None:
    for model in models:
        for name in (f"{model}.py", f"{model}.tex"):
            assert (folder / name).read_bytes() == (GENERATED / name).read_bytes(), name


def test_some_models_in_a_fresh_process(tmp_path: Path) -> None:
    models = ["tagger", "ctc", "mlp"]
    derived(models, 1, tmp_path)
    check(models, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_zoo_for_any_hash_seed_in_either_order(seed: int, tmp_path: Path) -> None:
    derived(ZOO if seed % 2 else ZOO[::-1], seed, tmp_path)
    check(ZOO, tmp_path)
