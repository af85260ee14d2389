"""Every error that symbp raises on purpose.

A `ModelError` is the user's to mend: one line that names the tensor and the index. A `CompilerError` is ours: a stage
met something that its checker or its table of nodes does not know.
"""

from __future__ import annotations


class SymbpError(Exception):
    """Base of all errors raised by symbp."""


class ModelError(SymbpError, ValueError):
    """The model is wrong. `where` is "file:line" of the statement at fault, or None where it is not known."""

    def __init__(self, message: str, where: str | None = None) -> None:
        super().__init__(message)
        self.where = where


class CompilerError(SymbpError):
    """A stage was given, or made, something outside its specification: a bug of symbp, never passed over."""
