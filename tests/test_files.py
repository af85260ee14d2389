"""Writing results: killed at any moment, on a full disk, in a read-only folder, twice at once, over edited files."""

from __future__ import annotations

import ast
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import symbp.files
from symbp.files import write_files

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

OLD = {"net.py": "x = 1\n" * 5000, "net.tex": "old\n" * 5000}
NEW = {"net.py": "x = 2\n" * 9000, "net.tex": "new\n" * 9000}


def contents(folder: Path) -> dict[str, str]:
    """The text of each file that is not hidden, without its digest."""
    found = {p.name: p.read_text("utf-8") for p in folder.iterdir() if not p.name.startswith(".")}
    return {name: text.partition("\n")[2] for name, text in found.items()}


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def in_a_child(act: Callable[[], object]) -> int:
    """How a child process that does this ends: its exit code, or less than 0 the signal that killed it."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException:  # nothing of this may reach the tests that the child is a copy of
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(step: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that kills its process at this line of those that `files` runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != symbp.files.__file__:
            return None
        count += event == "line"
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


@forking
@pytest.mark.slow
def test_killed_at_any_moment_each_file_is_whole(tmp_path: Path) -> None:
    write_files(tmp_path, OLD)
    survived, step, kept = False, 0, 0
    while not survived:
        step += 1

        def act(step: int = step) -> None:
            sys.settrace(kill_at(step))
            write_files(tmp_path, NEW)

        survived = in_a_child(act) != -signal.SIGKILL
        for name, text in contents(tmp_path).items():
            assert text in (OLD[name], NEW[name])
        kept += contents(tmp_path) == OLD
        for leftover in hidden(tmp_path):
            (tmp_path / leftover).unlink()
    assert contents(tmp_path) == NEW
    assert kept > 20  # the moves are the last steps of all


@forking
def test_a_full_disk_leaves_the_old_files(tmp_path: Path) -> None:
    """The limit of a file's size stands in for it: writing fails half-way through the second file."""
    resource = pytest.importorskip("resource")
    write_files(tmp_path, OLD)
    texts = {"net.py": "x = 2\n", "net.tex": "new\n" * 9000}

    def act() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            write_files(tmp_path, texts)
        except OSError as error:
            named = error.errno == errno.EFBIG and error.filename == str(tmp_path / "net.tex")
            os._exit(7 if named else 8)

    assert in_a_child(act) == 7
    assert contents(tmp_path) == OLD
    assert not hidden(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, OLD)
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(PermissionError) as raised:
            write_files(tmp_path, NEW)
    finally:
        tmp_path.chmod(0o755)
    assert raised.value.filename == str(tmp_path / "net.py")
    assert contents(tmp_path) == OLD


@forking
def test_two_runs_at_once(tmp_path: Path) -> None:
    """Either may be the last, and neither fails."""

    def act() -> None:
        for _ in range(30):
            write_files(tmp_path, OLD)

    child = os.fork()
    if child == 0:
        os._exit(in_a_child(act))
    for _ in range(30):
        write_files(tmp_path, NEW)
        for name, text in contents(tmp_path).items():
            assert text in (OLD[name], NEW[name])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not hidden(tmp_path)


FORMS: Mapping[str, str] = {
    "net.py": "y = 1\n",
    "net.tex": "\\documentclass{article}\n",
    "net.html": "<!DOCTYPE html>\n",
    "net.md": "# A title\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_what_was_edited_is_not_overwritten(name: str, tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, {name: FORMS[name]})
    written = path.read_text("utf-8")
    assert written.endswith(FORMS[name])
    path.write_bytes(written.replace("\n", "\r\n").encode())  # as git checks out on Windows
    write_files(tmp_path, {name: FORMS[name] * 2})
    for edited in (written + "\n", written.replace("\n", "\n\n", 1), FORMS[name], "", "\xff"):
        path.write_text(edited, "latin-1")
        with pytest.raises(FileExistsError, match="is not as symbp wrote it; --force"):
            write_files(tmp_path, {"first.py": "z = 1\n", name: FORMS[name]})
        assert path.read_text("latin-1") == edited
        assert not (tmp_path / "first.py").exists()
    write_files(tmp_path, {name: FORMS[name]}, force=True)
    assert path.read_text("utf-8") == written


def test_a_form_without_comments_is_written_as_it_is(tmp_path: Path) -> None:
    for text in ("Σ\n", "β\n"):
        (path,) = write_files(tmp_path / "new", {"net.txt": text})
        assert path.read_text("utf-8") == text


def test_the_digest_leaves_the_docstring_first(tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, {"net.py": '"""What it is."""\n'})
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))) == "What it is."
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
