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
from typing import TYPE_CHECKING, Annotated

import typer

from symbp import __version__
from symbp.errors import ModelError, printable
from symbp.terminal import Progress, is_terminal

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
    """The forms that `show` knows: those of `symbp.documents`, named here so that help need not import them."""

    text = "text"
    tex = "tex"
    html = "html"
    md = "md"


SUFFIXES = {
    ".txt": Format.text,
    ".tex": Format.tex,
    ".html": Format.html,
    ".md": Format.md,
    ".pdf": Format.tex,
}
"""The forms that files have; a .pdf is compiled from LaTeX."""

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


Force = Annotated[
    bool, typer.Option("--force", help="Overwrite a file that was edited, or is not of symbp.")
]
File = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write it to a file instead of printing it; a .pdf is compiled.",
        show_default=False,
    ),
]
Brief = Annotated[bool, typer.Option("--brief", help="Results alone, each on one line.")]
Wrt = Annotated[
    str | None,
    typer.Option(
        "--wrt",
        metavar="NAMES",
        help="Only the gradients in these tensors, as in W1,b1.",
        show_default=False,
    ),
]


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
    docs: Annotated[
        str,
        typer.Option(
            "--docs",
            metavar="FORMS",
            help="The documents beside the module: one or more of tex, html, md, txt, pdf.",
        ),
    ] = "tex",
    force: Force = False,
) -> int:
    """Derive, verify, then write the module and its derivation.

    Prints the equations, each gradient and the verification table. Where the check fails, nothing
    is written, and the exit code is 1.
    """
    suffixes = _names(docs)
    for suffix in suffixes:
        if f".{suffix}" not in SUFFIXES:
            known = ", ".join(s.removeprefix(".") for s in SUFFIXES)
            raise typer.BadParameter(f"--docs: {suffix!r} is unknown; known are {known}")
    with Progress() as progress:
        derivation = _derive(model, progress, optimizer, style=style)
        progress("verify")
        report = derivation.verify()
    paths = derivation.write(output, suffixes, force) if report.ok else []
    _say(_text(derivation))
    _say(_table(report))
    if not report.ok:
        return _complain(str(model), "verification failed; nothing was written", 1)
    _say("\n".join(["Written", *(f"  {path}" for path in paths)]))
    return 0


@app.command("latex")
def _latex_command(
    model: Model,
    output: File = None,
    brief: Brief = False,
    wrt: Wrt = None,
    optimizer: Optimizer = None,
    force: Force = False,
) -> int:
    """Print the derivation as a LaTeX document."""
    return _document(model, Format.tex, output, brief, wrt, optimizer, force)


@app.command("show")
def _show_command(
    model: Model,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="The form of the derivation: by default that of FILE, else text.",
            show_default=False,
        ),
    ] = None,
    output: File = None,
    brief: Brief = False,
    wrt: Wrt = None,
    optimizer: Optimizer = None,
    force: Force = False,
) -> int:
    """Print the derivation, step by step."""
    return _document(model, form, output, brief, wrt, optimizer, force)


def _document(
    model: Path,
    form: Format | None,
    output: Path | None,
    brief: bool,
    wrt: str | None,
    optimizer: str | None,
    force: bool,
) -> int:
    """Print a document, or write it to a file."""
    form = _form(form, output)
    names = None if wrt is None else _names(wrt)
    with Progress() as progress:
        derivation = _derive(model, progress, optimizer, names)
    if output is None:
        _say(derivation.document(form.value, brief))
        return 0
    from symbp.files import write_files

    compiled = output.suffix == ".pdf"
    content = derivation.pdf(brief) if compiled else derivation.document(form.value, brief)
    write_files(output.parent, {output.name: content}, force)
    return 0


def _form(form: Format | None, output: Path | None) -> Format:
    """The form that is asked for by name, or by the suffix of a file."""
    suffix = "" if output is None else output.suffix
    if form is None and output is not None and suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise typer.BadParameter(f"{output}: give --format, or one of the suffixes {known}")
    if form is not None and suffix == ".pdf" and form is not Format.tex:
        raise typer.BadParameter(f"{output}: a .pdf is compiled from tex, not from {form.value}")
    return form or SUFFIXES.get(suffix, Format.text)


def _names(text: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in text.split(",")]


@app.command("verify")
def _verify_command(
    model: Model,
    module: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODULE.py", help="By default generated/<name>.py.", show_default=False
        ),
    ] = None,
    digits: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=30,
            max=1000,
            help="Print its errors in ulps, too, against the equations in so many digits.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Check a module, also one edited by hand, against its model."""
    from symbp.model_file import run_file

    with Progress() as progress:
        derivation = _derive(model, progress)
        path = module or GENERATED / f"{derivation.name}.py"
        try:
            written = run_file(path)
            progress("verify")
            report = derivation.verify(written)
            progress("ulps")
            ulps = derivation.ulps(written, digits) if digits and report.ok else None
        except ModelError as error:  # a module that does not run is wrong, unless there is none
            return _complain(error.where or str(path), str(error), 1 if path.is_file() else 2)
    _say(_table(report))
    if ulps is not None:
        _say(f"Errors in ulps, against {ulps.digits} digits\n{textwrap.indent(str(ulps), '  ')}\n")
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
    progress: Progress,
    optimizer: str | None = None,
    wrt: Sequence[str] | None = None,
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
        names = None if optimizer is None else _names(optimizer)
        return derive(network, wrt, progress, names, style.value)
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
    if not is_terminal(sys.stdout):
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


def _say(text: str) -> None:
    """Print; a reader that has gone away (`symbp show model.py | head`) is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(where: str, message: str, code: int) -> int:
    """One line on standard error; gives the exit code back."""
    print(printable(f"{where}: error: {' '.join(message.split())}"), file=sys.stderr)
    return code
