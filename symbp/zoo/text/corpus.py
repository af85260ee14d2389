"""A text as integers, and n-gram models of it to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Corpus:
    """A text: its alphabet, its characters as places in that, those to train on and those held out."""

    alphabet: str
    training: Any
    held_out: Any

    def encode(self, text: str) -> Any:
        """The places of the characters in the alphabet. Raises ValueError for one that is not there."""
        for character in text:
            if character not in self.alphabet:
                raise ValueError(f"{character!r} does not occur in the text")
        return np.array([self.alphabet.index(c) for c in text], int)

    def decode(self, places: Any) -> str:
        return "".join(self.alphabet[place] for place in places)


def corpus(text: str) -> Corpus:
    """The last tenth is held out."""
    alphabet, places = np.unique(list(text), return_inverse=True)
    whole = len(places) * 9 // 10
    return Corpus("".join(alphabet), places[:whole], places[whole:])


def python_topics() -> Corpus:
    """What `help()` says of Python's keywords and topics: English, with some code; some 460,000 characters."""
    return corpus("".join(topics[name] for name in sorted(topics)))


def bigram_loss(text: Corpus) -> float:
    """Nats a held-out character, but the first, given the one before it; every count of a pair begins at one."""
    pairs = _counts(text.training, 2, len(text.alphabet)) + 1
    conditional = pairs / pairs.sum(axis=1, keepdims=True)
    return float(-np.log(conditional[text.held_out[:-1], text.held_out[1:]]).mean())


def trigram_loss(text: Corpus) -> float:
    """Nats a held-out character, but the first two, of a trigram interpolated with bigram and unigram.

    F. Jelinek and R. L. Mercer, Interpolated estimation of Markov source parameters from sparse data, 1980: the
    weights are those under which the last tenth of the training text is most probable, given the counts of the rest,
    found by expectation and maximisation. Every count of a single character begins at one, so that none is impossible.
    """
    size = len(text.alphabet)
    rest = len(text.training) * 9 // 10
    tuning = _interpolated(text.training[:rest], text.training[rest:], size)
    weights = np.full(3, 1 / 3)
    for _ in range(100):
        shares = weights * tuning
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    held_out = _interpolated(text.training, text.held_out, size)
    return float(-np.log(held_out @ weights).mean())


def _interpolated(training: Any, text: Any, size: int) -> Any:
    """What unigram, bigram and trigram of a training text give each character but the first two, as three columns.

    Beside what training has not seen, bigram and trigram give zero to all.
    """
    before, last, this = text[:-2], text[1:-1], text[2:]
    unigrams = np.bincount(training, minlength=size) + 1
    bigrams, trigrams = (_counts(training, order, size) for order in (2, 3))
    bigrams /= np.maximum(bigrams.sum(axis=-1, keepdims=True), 1)
    trigrams /= np.maximum(trigrams.sum(axis=-1, keepdims=True), 1)
    columns = unigrams[this] / unigrams.sum(), bigrams[last, this], trigrams[before, last, this]
    return np.stack(columns, axis=1)


def _counts(text: Any, order: int, size: int) -> Any:
    """How often each sequence of so many characters occurs: one axis for each."""
    counts = np.zeros((size,) * order)
    np.add.at(counts, tuple(text[k : len(text) - order + 1 + k] for k in range(order)), 1)
    return counts
