"""Writing results to disk: all of them or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_files(folder: str | Path, contents: Mapping[str, str | bytes]) -> list[Path]:
    """Write each text, as UTF-8, or each row of bytes to folder/name, and give the paths in the order of `contents`.

    The folder is made where it is absent. Every file is first written beside its destination, and
    all are moved onto their destinations at the end: a full disk or an interruption leaves the old
    files as they were. Raises OSError, whose `filename` is the destination at fault.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / name for name in contents]
    for target in targets:
        if target.is_dir():  # a move onto it would fail half-way
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    staged: list[Path] = []
    try:
        for target, content in zip(targets, contents.values()):
            staged.append(target.with_name(f".{target.name}.{os.getpid()}.tmp"))
            with _errors_name(target):
                if isinstance(content, bytes):
                    staged[-1].write_bytes(content)
                else:
                    staged[-1].write_text(content, encoding="utf-8", newline="\n")
        for temporary, target in zip(staged, targets):
            with _errors_name(target):
                temporary.replace(target)
    finally:
        for temporary in staged:
            temporary.unlink(missing_ok=True)
    return targets


@contextmanager
def _errors_name(target: Path) -> Iterator[None]:
    """Make an OSError name the destination: the user never asked for the file beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
