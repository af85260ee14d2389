"""The main job on text: emitted language models learn real English, and beat models that count."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from symbp.zoo.text.__main__ import app, draw
from symbp.zoo.text.corpus import Corpus, bigram_loss, corpus, python_topics, trigram_loss
from symbp.zoo.text.readers import Reader, gpt2_reader, lstm_reader
from symbp.zoo.text.training import Point, held_out_loss, smoothed, train, warmth, written

VERSE = "the rain in spain stays mainly in the plain, and the train is in vain " * 4


@pytest.fixture(scope="module")
def topics() -> Corpus:
    return python_topics()


@pytest.fixture(scope="module", params=["lstm", "gpt2"])
def small(request: pytest.FixtureRequest, topics: Corpus) -> Reader:
    """A reader that learns in seconds: one eighth and one thirtieth of the parameters."""
    characters = len(topics.alphabet)
    if request.param == "lstm":
        return replace(lstm_reader(characters, units=128), steps=32, learning_rate=0.02)
    reader = gpt2_reader(characters, layers=2, width=16)
    return replace(reader, steps=32, sizes={**reader.sizes, "T": 32}, learning_rate=0.005)


def test_the_last_tenth_is_held_out() -> None:
    text = corpus("hello, world")
    assert text.decode(text.training) + "|" + text.decode(text.held_out) == "hello, wor|ld"
    assert text.decode(text.encode("low")) == "low"
    with pytest.raises(ValueError, match="'x' does not occur"):
        text.encode("wox")


def test_the_bigram_counts_and_adds_one() -> None:
    text = corpus(VERSE)
    seen, held = text.decode(text.training), text.decode(text.held_out)
    pairs, firsts = Counter(zip(seen, seen[1:])), Counter(seen[:-1])
    chances = [(pairs[a, b] + 1) / (firsts[a] + len(text.alphabet)) for a, b in zip(held, held[1:])]
    assert math.isclose(bigram_loss(text), -np.mean(np.log(chances)), rel_tol=1e-12)


def test_the_trigram_is_the_best_mixture_of_what_it_counts(topics: Corpus) -> None:
    """Against counts in dictionaries, with weights from a grid: those that fit the tuning text best."""
    text = corpus(topics.decode(topics.training[:20_000]))
    seen, held = text.decode(text.training), text.decode(text.held_out)

    def chances(counted: str, read: str) -> Any:
        """Of each character but the first two: by itself, behind one, behind two."""
        places = [(k, order) for order in (1, 2, 3) for k in range(len(counted) - order + 1)]
        counts = Counter(counted[k : k + order] for k, order in places)
        begun = Counter(counted[k : k + order - 1] for k, order in places)
        alone = [(counts[c] + 1) / (len(counted) + len(text.alphabet)) for c in read[2:]]
        rows = [alone]
        for order in (2, 3):
            parts = [read[k - order + 1 : k + 1] for k in range(2, len(read))]
            rows.append([counts[part] / max(begun[part[:-1]], 1) for part in parts])
        return np.array(rows)

    rest = len(seen) * 9 // 10
    tuning, measured = chances(seen[:rest], seen[rest:]), chances(seen, held)
    grid = np.arange(1, 100) / 100
    weights = np.array([(a, b, 1 - a - b) for a in grid for b in grid if a + b < 1])
    best = weights[np.log(weights @ tuning).mean(axis=1).argmax()]
    assert abs(trigram_loss(text) + np.log(best @ measured).mean()) < 1e-3


def test_the_losses_to_beat(topics: Corpus) -> None:
    """About 2.3 and 1.7 nats; the text differs a little from one Python to the next."""
    assert abs(bigram_loss(topics) - 2.3) < 0.1
    assert abs(trigram_loss(topics) - 1.7) < 0.1


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [warmth(done) for done in (0, 0.02, 0.05, 0.5, 1)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] > 0
    assert max(rates) <= 1


def test_reading_on_is_reading_at_once(small: Reader, topics: Corpus) -> None:
    """The state says all of what stands before; past its places GPT-2 sees the last characters alone."""
    params = small.init(np.random.default_rng(0))
    x = topics.held_out[:60].reshape(3, 20)
    whole, _ = small.read(params, x)
    first, state = small.read(params, x[:, :13])
    second, _ = small.read(params, x[:, 13:], state)
    assert np.allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    assert np.allclose(whole.sum(axis=2), 1, atol=1e-5)

    long = topics.held_out[None, :90]
    _, state = small.read(params, long)
    after, _ = small.read(params, long[:, :1], state)
    assert after.shape == (1, 1, len(topics.alphabet))
    drawn = list(written(small, params, long[0], 5, np.random.default_rng(1)))
    assert drawn == list(written(small, params, long[0], 5, np.random.default_rng(1)))


def test_a_reader_that_knows_nothing_is_as_good_as_chance(small: Reader, topics: Corpus) -> None:
    params = {name: np.zeros_like(w) for name, w in small.init(np.random.default_rng(0)).items()}
    loss = held_out_loss(small, params, topics.held_out[:6400])
    assert math.isclose(loss, math.log(len(topics.alphabet)), rel_tol=1e-5)


@pytest.mark.slow
def test_it_learns_to_beat_the_bigram(small: Reader, topics: Corpus) -> None:
    """In some ten seconds, by a tenth of a nat; `python -m symbp.zoo.text` goes on to beat the trigram."""
    steps = {128: 150}.get(small.sizes.get("u", 0), 500)
    rng = np.random.default_rng(0)
    params = small.init(rng)
    *_, last = train(small, params, topics, lambda step: step / steps, rng, measured=1)
    assert last.step == steps
    assert all(w.dtype == np.float32 for w in params.values())
    assert last.held_out is not None and last.held_out < bigram_loss(topics) - 0.1


@pytest.mark.slow
def test_the_script_trains_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["lstm", "--steps", "2", "--length", "20", "--prompt", "def "])
    assert done.exit_code == 0, done.output
    assert "trigram 1.7" in done.output and "lstm 4." in done.output and "\ndef " in done.output


def test_both_losses_are_plotted_where_matplotlib_is(tmp_path: Path) -> None:
    path = tmp_path / "losses.png"
    points = [Point(1, 0.25, 4.6, None), Point(2, 0.5, 4.2, 4.3), Point(3, 1.0, 3.9, 4.0)]
    said = draw(points, "lstm", path)
    assert path.exists() == (find_spec("matplotlib") is not None)
    assert (str(path) in said) == path.exists()


def test_smoothing_forgets() -> None:
    assert smoothed([3.0, 3.0, 1.0, 1.0], memory=0.5) == [3.0, 3.0, 2.0, 1.5]


def test_a_prompt_of_other_characters_is_one_clear_line() -> None:
    done = CliRunner().invoke(app, ["lstm", "--prompt", "日"])
    assert done.exit_code == 2
    assert "'日' does not occur" in done.output
