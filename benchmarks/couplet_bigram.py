"""Baseline for couplet: a character bigram model of second lines, same constraints.

    python benchmarks/couplet_bigram.py TRAIN.jsonl DEV.jsonl [--dev-limit 1000]

Absolute discounting, interpolated with the unigram and the uniform distribution. It
knows nothing of the first line but what the form asks for: length, marks, repeated
characters, no shared ones; the search is a beam under these constraints, as in
``nlpcli generate couplet``. Perplexity is by character of the second line, without
constraints, as ``nlpcli evaluate couplet`` has it; characters that do not stand in
the training file count as one unknown character there as here. Prints a table.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from nlpcli.cli.table import pairs
from nlpcli.errors import DataError
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.distinct import distinct
from nlpcli.metrics.exact_match import exact_match
from nlpcli.recipes.couplet.form import CoupletExample, CoupletForm
from nlpcli.recipes.couplet.tones import tonal_agreement
from nlpcli.recipes.couplet.verse import broken_rules, is_mark
from nlpcli.records.read import read
from nlpcli.text.tones import has_tones

DISCOUNT = 0.75
UNKNOWN = 0


def main() -> None:
    """Count, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--dev-limit", type=int)
    parser.add_argument("--longest", type=int, help="leave out longer couplets")
    options = parser.parse_args()
    started = time.monotonic()
    train = list(good(options.train, options.longest))
    model = Bigram(example.second or "" for example in train)
    fitted = time.monotonic()
    dev = list(islice(good(options.dev, options.longest), options.dev_limit))
    nll = sum(model.loss(example.second or "") for example in dev)
    characters = sum(len(example.second or "") for example in dev)
    scored = time.monotonic()
    texts = [answer(model, example.first, options.beam) for example in dev]
    ended = time.monotonic()
    seconds = [example.second or "" for example in dev]
    kept = sum(
        not broken_rules(example.first, text)
        for example, text in zip(dev, texts, strict=True)
    )
    found = {
        "train": len(train),
        "dev": len(dev),
        "characters known": len(model.characters) - 1,
        "perplexity": math.exp(nll / characters),
        "log_likelihood": -nll / characters,
        "constraint_satisfaction": kept / len(dev),
        "bleu": bleu(texts, [[second] for second in seconds]),
        "exact_match": exact_match(texts, seconds),
        "distinct_2": distinct(texts, 2),
        "tone_agreement": agreement(dev, texts),
        "seconds to count": fitted - started,
        "seconds of perplexity": scored - fitted,
        "seconds of answers": ended - scored,
    }
    print(pairs(found))


def good(path: Path, longest: int | None) -> Iterator[CoupletExample]:
    """The couplets of a file; bad lines are left out."""
    for example in read(CoupletForm(), path):
        if isinstance(example, DataError):
            continue
        if longest is None or len(example.first) <= longest:
            yield example


class Bigram:
    """p(character | the one before), over the training characters and one unknown.

    max(n(a, b) - d, 0) / n(a) + d t(a) / n(a) p(b), where t(a) counts the different
    characters after a and p is the unigram, discounted in the same way against the
    uniform distribution.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        rows = list(lines)
        self.characters = ["", *sorted({c for row in rows for c in row})]
        self.index = {c: i for i, c in enumerate(self.characters)}
        size = len(self.characters)
        start = size  # the state before the first character
        counts: list[dict[int, int]] = [{} for _ in range(size + 1)]
        unigram = np.zeros(size)
        for row in rows:
            before = start
            for character in row:
                here = self.index[character]
                counts[before][here] = counts[before].get(here, 0) + 1
                unigram[here] += 1
                before = here
        total = unigram.sum()
        left = DISCOUNT * np.count_nonzero(unigram) / total
        self.unigram = np.maximum(unigram - DISCOUNT, 0) / total + left / size
        self.start = start
        self.after = [
            (np.array([*row], np.int64), np.array([*row.values()], np.float64))
            for row in counts
        ]
        self._rows: dict[int, np.ndarray] = {}

    def log_row(self, before: int) -> np.ndarray:
        """(characters,): log p of each after the character ``before``."""
        if before not in self._rows:
            ids, counts = self.after[before]
            row = self.unigram.copy()
            if len(ids):
                row *= DISCOUNT * len(ids) / counts.sum()
                row[ids] += (counts - DISCOUNT) / counts.sum()
            self._rows[before] = np.log(row).astype(np.float32)
        return self._rows[before]

    def loss(self, line: str) -> float:
        """-log p of a line, whose length is given."""
        before, total = self.start, 0.0
        for character in line:
            here = self.index.get(character, UNKNOWN)
            total -= float(self.log_row(before)[here])
            before = here
        return total


def answer(model: Bigram, first: str, width: int) -> str:
    """The best second line of a beam search under the form of the first."""
    candidates = np.array([bool(c) and not is_mark(c) for c in model.characters])
    candidates[[model.index[c] for c in set(first) if c in model.index]] = False
    beams: list[tuple[float, str, int]] = [(0.0, "", model.start)]
    for place, character in enumerate(first):
        origin = first.index(character)
        grown: list[tuple[float, str, int]] = []
        for score, text, before in beams:
            row = model.log_row(before)
            for chosen in _choices(
                model, row, candidates, text, character, origin, place, width
            ):
                here = model.index.get(chosen, UNKNOWN)
                grown.append((score + float(row[here]), text + chosen, here))
        grown.sort(key=lambda beam: -beam[0])
        beams = grown[:width]
    return beams[0][1]


def _choices(
    model: Bigram,
    row: np.ndarray,
    candidates: np.ndarray,
    text: str,
    character: str,
    origin: int,
    place: int,
    width: int,
) -> Sequence[str]:
    """The best characters that may come next."""
    if is_mark(character):
        return character
    if origin < place:
        return text[origin]
    scores = np.where(candidates, row, -np.inf)
    scores[[model.index[c] for c in text if c in model.index]] = -np.inf
    best = np.argpartition(-scores, min(width, len(scores) - 1))[:width]
    return [model.characters[i] for i in best]


def agreement(dev: Sequence[CoupletExample], texts: Sequence[str]) -> float | None:
    """Share of the tonal places that oppose the first line's."""
    if not has_tones():
        return None
    counts = [
        tonal_agreement(example.first, text)
        for example, text in zip(dev, texts, strict=True)
    ]
    held = sum(held for _, held in counts)
    return sum(met for met, _ in counts) / held if held else None


if __name__ == "__main__":
    main()
