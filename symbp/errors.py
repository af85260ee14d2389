"""Every error that symbp raises on purpose.

A `ModelError` is the user's to mend: one line that names the tensor and the index. A `CompilerError` is ours: a stage
met something that its checker or its table of nodes does not know.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line, with control characters, and those that turn the order of others round, written out.

    What a model or a file is called must not act on a terminal, nor look other than it is.
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)


class SymbpError(Exception):
    """Base of all errors raised by symbp."""


class ModelError(SymbpError, ValueError):
    """The model is wrong. `where` is "file:line" of the statement at fault, or None where it is not known."""

    def __init__(self, message: str, where: str | None = None) -> None:
        super().__init__(printable(message))
        self.where = where


class CompilerError(SymbpError):
    """A stage was given, or made, something outside its specification: a bug of symbp, never passed over."""
