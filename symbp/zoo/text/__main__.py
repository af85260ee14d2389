"""Train a language model of the zoo on English text: python -m symbp.zoo.text lstm --minutes 5."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from symbp.zoo.text.corpus import bigram_loss, python_topics, trigram_loss
from symbp.zoo.text.readers import READERS
from symbp.zoo.text.training import Point, smoothed, train, written


class Model(StrEnum):
    """The readers that can be trained."""

    lstm = "lstm"
    gpt2 = "gpt2"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    model: Annotated[Model, typer.Argument(show_default=False)],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train.")] = 10,
    steps: Annotated[int | None, typer.Option(min=1, help="Train so many steps instead.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    prompt: Annotated[str, typer.Option(help="What the sample begins with.")] = "The ",
    length: Annotated[int, typer.Option(min=0, help="Characters of the sample.")] = 500,
    plot: Annotated[
        Path | None, typer.Option(help="Where both losses are plotted; by default MODEL.png.")
    ] = None,
) -> None:
    """Train a character model on the English text that Python's documentation of itself holds, and let it write.

    Losses are in nats a character, on a tenth of the text that training does not see; to compare with, those of a
    bigram with add-one smoothing and of an interpolated trigram.
    """
    text = python_topics()
    try:
        start = text.encode(prompt)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--prompt") from None
    if not len(start):
        raise typer.BadParameter("needs a character to begin with", param_hint="--prompt")
    console = Console(highlight=False, markup=False)
    console.print(f"bigram {bigram_loss(text):.3f}, trigram {trigram_loss(text):.3f} nats")
    reader = READERS[model](len(text.alphabet))
    rng = np.random.default_rng(seed)
    params = reader.init(rng)
    budget = by_time(60 * minutes) if steps is None else by_steps(steps)
    points = shown(train(reader, params, text, budget, rng), console)
    console.print(f"{model} {points[-1].held_out:.3f} nats after {points[-1].step} steps\n")
    console.print(draw(points, model, plot or Path(f"{model}.png")) + "\n")
    console.print(prompt, end="", soft_wrap=True)
    for character in written(reader, params, start, length, rng):
        console.print(text.decode([character]), end="", soft_wrap=True)
    console.print()


def by_time(seconds: float) -> Callable[[int], float]:
    """The share of so many seconds, from now on, that has passed."""
    begin = perf_counter()
    return lambda step: (perf_counter() - begin) / seconds


def by_steps(steps: int) -> Callable[[int], float]:
    """The share of so many steps that is made."""
    return lambda step: step / steps


def shown(training: Iterable[Point], console: Console) -> list[Point]:
    """All points, each drawn in a progress bar as it comes; a line for each measurement."""
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    points: list[Point] = []
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("", total=1)
        for point in training:
            points.append(point)
            progress.update(bar, completed=point.done, description=f"loss {point.loss:.3f}")
            if point.held_out is not None:
                progress.print(f"step {point.step}: held out {point.held_out:.3f}")
    return points


def draw(points: list[Point], title: str, path: Path) -> str:
    """Both losses against steps, as a picture where matplotlib is installed; what was done."""
    if find_spec("matplotlib") is None:
        return "No plot: matplotlib is not installed."
    figure = import_module("matplotlib.figure").Figure()
    axes = figure.subplots()
    measured = [p for p in points if p.held_out is not None]
    axes.plot([p.step for p in points], smoothed([p.loss for p in points]), label="training")
    axes.plot([p.step for p in measured], [p.held_out for p in measured], "o-", label="held out")
    axes.set(title=title, xlabel="step", ylabel="nats a character")
    axes.legend()
    figure.savefig(path)
    return f"Losses are plotted in {path}."


if __name__ == "__main__":
    app()
