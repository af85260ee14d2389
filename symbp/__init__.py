"""Networks written as equations, turned into a readable derivation and a standalone NumPy module.

Each name is imported when it is first used, so that `import symbp` alone does not load SymPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symbp.errors import ModelError

if TYPE_CHECKING:
    from symbp.declare import Network, indices, sizes
    from symbp.maximum import Maximum
    from symbp.pipeline import derive
    from symbp.tensor import Tensor

__version__ = "0.1.0"
__all__ = [
    "Maximum",
    "ModelError",
    "Network",
    "Tensor",
    "__version__",
    "derive",
    "indices",
    "sizes",
]

_HOME = {
    "Maximum": "symbp.maximum",
    "Network": "symbp.declare",
    "Tensor": "symbp.tensor",
    "derive": "symbp.pipeline",
    "indices": "symbp.declare",
    "sizes": "symbp.declare",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
