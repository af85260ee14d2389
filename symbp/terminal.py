"""What a terminal shows while a command is at work."""

from __future__ import annotations

import sys
from threading import Timer
from typing import Any, TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Whether someone may be watching this stream."""
    return stream is not None and stream.isatty()  # None: the descriptor is closed


class Progress:
    """The running stage on standard error: after one second, and only where that is a terminal."""

    def __init__(self, delay: float = 1.0) -> None:
        self.stage = ""
        self._display: Any = None
        self._timer = Timer(delay, self._start)
        self._timer.daemon = True

    def __call__(self, stage: str) -> None:
        self.stage = stage
        if self._display is not None:
            self._display.update(f"{stage} …")

    def __enter__(self) -> Progress:
        if is_terminal(sys.stderr):
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:  # was started: let a start that is under way end first
            self._timer.join()
        if self._display is not None:
            self._display.stop()

    def _start(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._display = Status(f"{self.stage} …", console=Console(stderr=True))
        self._display.start()
