"""Baseline perplexity of a recipe that writes: a bigram over its own tokens.

    python benchmarks/token_bigram.py dialog --set data.train=FILE [--set KEY=VALUE ...]

Reads the data as ``nlpcli train RECIPE`` with the same keys does: same training part,
same development part, same vocabulary and the same target tokens. Absolute discounting
(0.75), interpolated with the unigram and the uniform distribution; a target is guessed
from the one token before it. Prints a table.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from nlpcli.cli.table import pairs
from nlpcli.config.loader import resolve
from nlpcli.engine.train import prepare

DISCOUNT = 0.75


def main() -> None:
    """Count, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    ready = prepare(resolve(options.recipe, sets=options.set))
    model = Bigram(
        tokens_of(ready.recipe, ready.windows.split.kept()),
        len(ready.start.tokenizer.vocab.tokens),
    )
    nlls = [model.loss(*pair) for pair in tokens_of(ready.recipe, ready.dev)]
    found = {
        "training tokens": sum(model.unigram.values()),
        "development examples": len(list(ready.dev)),
        "development tokens": len(nlls),
        "perplexity": math.exp(sum(nlls) / len(nlls)),
    }
    print(pairs(found))


def tokens_of(recipe: Any, examples: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """(token before, target) of all targets."""
    for example in examples:
        for window in recipe.encode([example], gold=True)[0]:
            features = window.features
            before = features["token_ids"][features["predict_at"]]
            yield from zip(
                before.tolist(), features["target_ids"].tolist(), strict=True
            )


class Bigram:
    """max(n(a, b) - d, 0) / n(a) + d t(a) / n(a) p(b); p(b) likewise over uniform."""

    def __init__(self, observed: Iterable[tuple[int, int]], size: int) -> None:
        self.both = Counter(observed)
        self.size = size
        self.before: Counter[int] = Counter()
        self.kinds: Counter[int] = Counter()
        self.unigram: Counter[int] = Counter()
        for (before, target), count in self.both.items():
            self.before[before] += count
            self.kinds[before] += 1
            self.unigram[target] += count
        self.total = sum(self.unigram.values())

    def loss(self, before: int, target: int) -> float:
        """-log p(target | before)."""
        left = DISCOUNT * len(self.unigram) / self.total / self.size
        p = max(self.unigram[target] - DISCOUNT, 0.0) / self.total + left
        if seen := self.before[before]:
            p *= DISCOUNT * self.kinds[before] / seen
            p += max(self.both[before, target] - DISCOUNT, 0.0) / seen
        return -math.log(p)


if __name__ == "__main__":
    main()
