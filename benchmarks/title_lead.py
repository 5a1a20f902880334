"""Baselines for title: the beginning of the text as its title.

    python benchmarks/title_lead.py TRAIN.jsonl DEV.jsonl [--limit 1000]

The first sentence, the first clause, and the first N characters, where N is the one
with the best ROUGE-L on (the first 3,000 rows of) the training file. Scored as ``nlpcli
evaluate title`` scores what is written: ROUGE on characters, BLEU by sacrebleu.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from nlpcli.cli.table import table
from nlpcli.errors import DataError
from nlpcli.metrics.bleu import bleu
from nlpcli.metrics.rouge import rouge
from nlpcli.recipes.title.form import TitleExample, TitleForm
from nlpcli.records.read import read

SENTENCE = re.compile("[。！？!?；;\n]")
CLAUSE = re.compile("[。！？!?；;\n，,：:]")
LOOKED_AT = 3000
LENGTHS = range(4, 61)


def main() -> None:
    """Choose N, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--limit", type=int, help="rows of the development file")
    options = parser.parse_args()
    train, dev = good(options.train, LOOKED_AT), good(options.dev, options.limit)
    best = max(LENGTHS, key=lambda n: scores(train, first(n))["rougeL"])
    ways = {
        "first sentence": lambda text: SENTENCE.split(text)[0],
        "first clause": lambda text: CLAUSE.split(text)[0],
        f"first {best} characters": first(best),
    }
    print(f"{len(train)} rows to choose N, {len(dev)} to score")
    rows = [{"title": name, **scores(dev, way)} for name, way in ways.items()]
    print(table(rows, list(rows[0])))


def good(path: Path, limit: int | None) -> list[TitleExample]:
    """The examples of a file; bad lines are left out."""
    lines = read(TitleForm(), path)
    return list(islice((x for x in lines if not isinstance(x, DataError)), limit))


def first(count: int) -> Callable[[str], str]:
    """The beginning of so many characters, spaces not counted."""
    return lambda text: "".join(text.split())[:count]


def scores(
    examples: Sequence[TitleExample], way: Callable[[str], str]
) -> dict[str, float]:
    """ROUGE and BLEU of the titles that ``way`` makes of the texts."""
    texts, titles = [way(x.text) for x in examples], [x.title for x in examples]
    found = {**rouge(texts, titles), "bleu": bleu(texts, [[x] for x in titles])}
    return {name: round(value or 0.0, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
