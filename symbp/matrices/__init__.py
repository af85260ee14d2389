"""The matrix form of a formula in index notation."""

from __future__ import annotations

from symbp.matrices.read import matrix_form

__all__ = ["matrix_form"]
