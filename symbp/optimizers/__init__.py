"""Optimisers: one file each, with a function of the file's name that writes the equations of an update."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

from symbp.errors import ModelError
from symbp.update import Optimizer, Rule


def known() -> tuple[str, ...]:
    """The names of all optimisers."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def rule(optimizer: str | Optimizer | Sequence[str | Optimizer]) -> Rule:
    """The rule of an optimiser, or of several in a row, each by its name or itself.

    Raises `ModelError` for an unknown name and for a row that is no update.
    """
    if isinstance(optimizer, str) or not isinstance(optimizer, Sequence):
        optimizer = [optimizer]
    return Rule([_found(part) for part in optimizer])


def _found(part: object) -> Optimizer:
    if isinstance(part, str) and part in known():
        found: Optimizer = getattr(import_module(f"{__name__}.{part}"), part)
        return found
    if callable(part):
        return part
    raise ModelError(f"optimizer: {part!r} is unknown; known are {', '.join(known())}")
