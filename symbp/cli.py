"""The command line: exit code 0 done, 1 verification failed, 2 the model or the command is wrong.

SymPy, NumPy and rich are imported by what needs them, so that help and complaints come at once.
"""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from symbp import __version__
from symbp.errors import ModelError

if TYPE_CHECKING:
    from symbp.pipeline import Derivation
    from symbp.verify import Report

HELP = """Turn a network written as equations into a derivation and a standalone NumPy module.

A model is a Python file that builds one Network in a variable called net, for example model.py:

\b
  from sympy import Sum
  from symbp import Network, indices, sizes

\b
  n, d = sizes("n d")                      # sizes stay symbols
  s, j = indices("s", n), indices("j", d)
  net = Network("line")
  x, t = net.input("x", s, j), net.input("t", s)
  w, b = net.param("w", j), net.param("b")
  y = net.define("y", s, Sum(w[j] * x[s, j], j) + b)
  net.output(y)
  net.loss(Sum((y[s] - t[s]) ** 2, s) / n)

To derive it, and to read its derivation:

\b
  symbp derive model.py   # writes generated/line.py and generated/line.tex
  symbp show model.py     # prints the derivation, step by step
"""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """The forms that `show` knows."""

    text = "text"
    tex = "tex"
    html = "html"
    md = "md"


GENERATED = Path("generated")

Model = Annotated[
    Path, typer.Argument(metavar="MODEL.py", help="The file that builds `net`.", show_default=False)
]


Optimizer = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        metavar="NAME",
        help="The update that `step` makes: adam, or several in a row, as in clip,adam.",
        show_default=False,
    ),
]


class Style(StrEnum):
    """The styles of a module."""

    readable = "readable"
    fast = "fast"


@app.callback(invoke_without_command=True, help=HELP)
def _symbp(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        _say(f"symbp {__version__}")
    elif context.invoked_subcommand is None:
        _say(context.get_help())


@app.command("derive")
def _derive_command(
    model: Model,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write.")
    ] = GENERATED,
    optimizer: Optimizer = None,
    style: Annotated[
        Style, typer.Option("--style", help="fast: operations write into arrays made before.")
    ] = Style.readable,
) -> int:
    """Derive, verify, then write the module and its derivation.

    Prints the equations, each gradient and the verification table. Where the check fails, nothing
    is written, and the exit code is 1.
    """
    with _Progress() as progress:
        derivation = _derive(model, progress, optimizer, style)
        progress("verify")
        report = derivation.verify()
    paths = derivation.write(output) if report.ok else []
    _say(_text(derivation))
    _say(_table(report))
    if not report.ok:
        return _complain(str(model), "verification failed; nothing was written", 1)
    _say("\n".join(["Written", *(f"  {path}" for path in paths)]))
    return 0


@app.command("latex")
def _latex_command(model: Model, optimizer: Optimizer = None) -> int:
    """Print the derivation as a LaTeX document."""
    with _Progress() as progress:
        derivation = _derive(model, progress, optimizer)
    _say(derivation.latex)
    return 0


@app.command("show")
def _show_command(
    model: Model,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the derivation.")
    ] = Format.text,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write it to a file instead of printing it."
        ),
    ] = None,
    optimizer: Optimizer = None,
) -> int:
    """Print the derivation, step by step."""
    if form not in (Format.text, Format.tex):
        raise typer.BadParameter(f"the format {form.value} is not supported yet; use text or tex")
    with _Progress() as progress:
        derivation = _derive(model, progress, optimizer)
    document = derivation.latex if form is Format.tex else derivation.text
    if output is None:
        _say(document)
    else:
        from symbp.files import write_files

        write_files(output.parent, {output.name: document})
    return 0


@app.command("verify")
def _verify_command(
    model: Model,
    module: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODULE.py", help="By default generated/<name>.py.", show_default=False
        ),
    ] = None,
) -> int:
    """Check a module, also one edited by hand, against its model."""
    from symbp.model_file import run_file

    with _Progress() as progress:
        derivation = _derive(model, progress)
        path = module or GENERATED / f"{derivation.name}.py"
        try:
            written = run_file(path)
            progress("verify")
            report = derivation.verify(written)
        except ModelError as error:  # a module that does not run is wrong, unless there is none
            return _complain(error.where or str(path), str(error), 1 if path.is_file() else 2)
    _say(_table(report))
    return 0 if report.ok else _complain(str(path), "verification failed", 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default the process's own, and give its exit code. Errors are one line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks Σ shows ? in its place
    command = typer.main.get_command(app)
    try:
        return command.main(arguments, prog_name="symbp", standalone_mode=False) or 0
    except ModelError as error:
        return _complain(error.where or "symbp", str(error), 2)
    except OSError as error:
        return _complain(str(error.filename or "symbp"), error.strerror or str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("symbp", "interrupted", 130)
    except Exception as error:
        if hasattr(error, "format_message"):  # a wrong command line; typer gives its class no name
            return _complain("symbp", error.format_message(), 2)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        text = f"{type(error).__name__} at {place}: {error}"
        return _complain("symbp", f"internal error, please report it with the model: {text}", 1)


def _derive(
    model: Path,
    progress: _Progress,
    optimizer: str | None = None,
    style: Style = Style.readable,
) -> Derivation:
    """Load and derive. `optimizer` is one name, or several between commas.

    What the model prints goes to standard error, apart from our own output.
    """
    from symbp.model_file import load_model
    from symbp.pipeline import derive

    progress("load")
    try:
        with redirect_stdout(sys.stderr):
            network = load_model(model)
        names = None if optimizer is None else [name.strip() for name in optimizer.split(",")]
        return derive(network, progress=progress, optimizer=names, style=style.value)
    except ModelError as error:
        error.where = error.where or str(model)
        raise


def _text(derivation: Derivation) -> str:
    """The equations and the gradients, each on one line: never wrapped, to be copied whole."""
    equations = [f"  {equation}" for equation in derivation.equations]
    gradients = [f"  {formula}" for formula in derivation.gradients.values()]
    return "\n".join(
        [
            *(f"Equations of {derivation.name}", *equations, "", "Gradients", *gradients, ""),
            *(f"Note: {note}." for note in derivation.notes),
        ]
    )


def _table(report: Report) -> str:
    """The verification table, with what is to be said under it: drawn on a terminal, else plain."""
    plain = str(report)
    if not _is_terminal(sys.stdout):
        return f"Verification\n{textwrap.indent(plain, '  ')}\n"
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    header, *lines = report.table()
    table = Table(*header, box=SIMPLE_HEAD)
    for line in lines:
        table.add_row(*line, style="red" if any("FAILED" in cell for cell in line) else None)
    console = Console()
    with console.capture() as captured:
        console.print(table)
    return "\n".join(["Verification", captured.get(), *plain.splitlines()[len(lines) + 1 :]])


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: the descriptor is closed


def _say(text: str) -> None:
    """Print; a reader that has gone away (`symbp show model.py | head`) is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(where: str, message: str, code: int) -> int:
    """One line on standard error; gives the exit code back."""
    print(f"{where}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


class _Progress:
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

    def __enter__(self) -> _Progress:
        if _is_terminal(sys.stderr):
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
