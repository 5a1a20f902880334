"""Baseline for math-qa: the equation of the most similar training problem.

    python benchmarks/math_nearest.py TRAIN.jsonl DEV.jsonl

Similar by the cosine of TF-IDF over character bigrams, numbers set to one sign. The
numbers of that problem are replaced, in order, by those of the new one; an expression
that cannot be filled in counts as wrong. Equal value, in exact rationals, is right.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter, defaultdict
from pathlib import Path

from nlpcli.errors import DataError, NlpcliError
from nlpcli.recipes.math_qa.form import MathExample, MathForm
from nlpcli.records.read import read
from nlpcli.text.rational import evaluate

NUMBER = re.compile(r"\d+(?:\.\d+)?%?")


def main() -> None:
    """Read, look up, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    train, dev = (
        [item for item in read(MathForm(), path) if not isinstance(item, DataError)]
        for path in (options.train, options.dev)
    )
    index = Index(train)
    right = sum(
        value_of(fill(index.nearest(example), example)) == example.value
        for example in dev
    )
    print(
        f"nearest of {len(train)} problems: accuracy {right / len(dev):.4f} "
        f"({right} / {len(dev)}), {time.monotonic() - started:.0f}s"
    )


class Index:
    """Training problems by their bigrams."""

    def __init__(self, train: list[MathExample]) -> None:
        self.train = train
        bags = [bag(example.text) for example in train]
        seen = Counter(gram for grams in bags for gram in grams)
        self.weight = {g: math.log(len(train) / n) for g, n in seen.items()}
        self.places: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for place, grams in enumerate(bags):
            size = math.hypot(*(n * self.weight[g] for g, n in grams.items())) or 1.0
            for gram, count in grams.items():
                share = count * self.weight[gram] / size
                self.places[gram].append((place, share))

    def nearest(self, example: MathExample) -> MathExample:
        """The training problem with the largest cosine."""
        scores: dict[int, float] = defaultdict(float)
        for gram, count in bag(example.text).items():
            for place, share in self.places.get(gram, ()):
                scores[place] += count * self.weight[gram] * share
        best = max(scores, key=scores.__getitem__, default=0)
        return self.train[best]


def bag(question: str) -> Counter[str]:
    """Character bigrams, numbers as one sign."""
    text = NUMBER.sub("0", question)
    return Counter(text[i : i + 2] for i in range(len(text) - 1))


def fill(known: MathExample, new: MathExample) -> str:
    """The known expression with the new problem's numbers in their places."""
    old, fresh = (NUMBER.findall(x.text) for x in (known, new))
    table = dict(zip(old, fresh, strict=False))
    return NUMBER.sub(lambda m: table.get(m.group(), m.group()), known.expression or "")


def value_of(expression: str) -> object:
    """Its exact value, or None where it has none."""
    try:
        return evaluate(expression)
    except NlpcliError:
        return None


if __name__ == "__main__":
    main()
