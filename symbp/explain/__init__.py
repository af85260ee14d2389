"""The derivation as a person reads it: sections in the order of a lecture, the same for every form of document."""

from __future__ import annotations

from symbp.explain.derivation import explain
from symbp.explain.view import View

__all__ = ["View", "explain"]
