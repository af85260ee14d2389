"""Formulas as MathML, which browsers set without a script."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=10_000)
def mathml(latex: str, block: bool = False) -> str:
    r"""A formula of LaTeX's math mode as <math>; with `block` as in a display, indices below Σ, yet within a line."""
    from latex2mathml.converter import convert

    if not block:
        return str(convert(latex))
    return str(convert(latex, display="block")).replace(
        'display="block"', 'displaystyle="true"', 1
    )
