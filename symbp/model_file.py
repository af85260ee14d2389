"""Loading a model file: a Python file that builds one `Network` in a variable called `net`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType

from symbp.declare import Network
from symbp.errors import ModelError, SymbpError


def load_model(path: str | Path) -> Network:
    """Run a model file and give its `net`. Whatever is wrong with it is a ModelError."""
    variables = vars(run_file(path))
    if "net" not in variables:
        raise ModelError("defines no variable `net`; write net = Network(…)", str(path))
    net = variables["net"]
    if not isinstance(net, Network):
        raise ModelError(f"`net` is {_article(type(net).__name__)}, not a Network", str(path))
    return net


def run_file(path: str | Path) -> ModuleType:
    """Run a Python file as a module named after itself, with its folder first on the path.

    Whatever goes wrong is a ModelError whose `where` is "file:line" of the file's own statement that
    led to it, or the file alone where no line is at fault.
    """
    path = Path(path)
    code = _compile(path)
    name = path.stem
    while name in sys.modules:  # a model in sympy.py must not hide SymPy from itself
        name += "_"
    module = ModuleType(name)
    module.__file__ = str(path)
    with _importable(module, path.parent):
        _run(code, module, path)
    return module


def _compile(path: Path) -> CodeType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", str(path)) from error
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{path}:{error.lineno}" if error.lineno else str(path)
        raise ModelError(f"is no Python: {error.msg}", where) from error
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nested too deep
        raise ModelError(f"is no Python: {_one_line(error)}", str(path)) from error


def _run(code: CodeType, module: ModuleType, path: Path) -> None:
    try:
        exec(code, vars(module))
    except ModelError as error:
        error.where = error.where or _innermost(error, path)
        raise
    except SymbpError:
        raise
    except SystemExit as error:
        raise ModelError("exits while it is read", _innermost(error, path)) from error
    except Exception as error:  # whatever a user's file can raise
        text = _one_line(error)
        message = f"{type(error).__name__}: {text}" if text else type(error).__name__
        raise ModelError(message, _innermost(error, path)) from error


@contextmanager
def _importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """While the file runs, imports see its folder, and its classes find their module by name."""
    before = sys.path[:]
    sys.path.insert(0, str(folder.resolve()))
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        sys.path[:] = before
        sys.modules.pop(module.__name__, None)


def _innermost(error: BaseException, path: Path) -> str:
    """ "file:line" of the deepest statement of the file itself that led to an error."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"
