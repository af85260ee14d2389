"""The derivation as a person reads it: sections in the order of a lecture, the same for every form of document."""

from __future__ import annotations

from symbp.explain.derivation import document, explain, text_document

__all__ = ["document", "explain", "text_document"]
