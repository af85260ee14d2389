"""Formulas as people write them: Unicode for comments and the terminal, LaTeX for documents."""

from __future__ import annotations

from symbp.notation.matrix import matrix_latex, matrix_text
from symbp.notation.names import escape, prose
from symbp.notation.tex import enclose, latex, lhs_latex, sum_latex
from symbp.notation.unicode import lhs_text, sum_text, text

__all__ = [
    "enclose", "escape", "latex", "lhs_latex", "lhs_text", "matrix_latex",
    "matrix_text", "prose", "sum_latex", "sum_text", "text",
]  # fmt: skip
