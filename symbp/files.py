"""Writing results to disk: each file whole or not at all, and none that somebody edited."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_COMMENTS = {
    ".py": ("# ", ""),
    ".tex": ("% ", ""),
    ".html": ("<!-- ", " -->"),
    ".md": ("<!-- ", " -->"),
}
"""What begins and ends a comment line, in the forms of file that have one."""

_LABEL = "Digest of what follows, as symbp wrote it: "


def write_files(
    folder: str | Path, contents: Mapping[str, str | bytes], force: bool = False
) -> list[Path]:
    """Write each text, as UTF-8, or each row of bytes to folder/name, and give the paths in the order of `contents`.

    The folder is made where it is absent. A text whose form has comments begins with a digest of itself. A file that is
    there already and is not as its digest says, or has none, is left alone unless `force`: FileExistsError. Every file
    is first written beside its destination, and all are moved onto their destinations at the end: a full disk or an
    interruption leaves the old files as they were, and each file is whole at any moment. Raises OSError, whose
    `filename` is the destination at fault.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / name for name in contents]
    for target in targets:
        if target.is_dir():  # a move onto it would fail half-way
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if target.exists() and not force and target.suffix in _COMMENTS and not _is_sealed(target):
            text = "is not as symbp wrote it; --force, or force=True, overwrites it"
            raise FileExistsError(errno.EEXIST, text, str(target))
    staged: list[Path] = []
    try:
        for target, content in zip(targets, contents.values()):
            staged.append(target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp"))
            sealed = _sealed(content, target.suffix) if isinstance(content, str) else content
            with _errors_name(target):
                _write(staged[-1], sealed)
        for temporary, target in zip(staged, targets):
            with _errors_name(target):
                temporary.replace(target)
    finally:
        for temporary in staged:
            with suppress(OSError):  # moved, or never made
                temporary.unlink()
    return targets


def _sealed(text: str, suffix: str) -> bytes:
    """The text under a line with its digest, where its form has comments."""
    content = text.encode("utf-8")
    if suffix not in _COMMENTS:
        return content
    begin, end = _COMMENTS[suffix]
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{begin}{_LABEL}{digest}{end}\n".encode() + content


def _is_sealed(path: Path) -> bool:
    """Whether a file is as it was written, but for the ends of its lines."""
    with _errors_name(path):
        content = path.read_bytes().replace(b"\r\n", b"\n")
    try:
        return content == _sealed(content.partition(b"\n")[2].decode("utf-8"), path.suffix)
    except UnicodeDecodeError:
        return False


def _write(path: Path, content: bytes) -> None:
    """A new file, on the disk itself when this returns: moved before, it could be empty after a power failure."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _errors_name(target: Path) -> Iterator[None]:
    """Make an OSError name the destination: the user never asked for the file beside it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
