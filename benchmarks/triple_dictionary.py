"""Baseline for triple-extract: a dictionary of the training triples.

    python benchmarks/triple_dictionary.py TRAIN.jsonl DEV.jsonl

Distant supervision without a model, two ways: a text gets each training triple whose
subject and object both stand in it ("triples"); or each pair of a known subject and
a known object of one predicate ("arguments"), whether or not they were ever seen
together. Scored as ``nlpcli evaluate triple-extract`` scores. Prints a table.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlpcli.errors import DataError
from nlpcli.metrics.triples import score_triples
from nlpcli.recipes.triple_extract.form import TripleExample, TripleForm
from nlpcli.records.read import read

Strings = tuple[str, str, str]


def main() -> None:
    """Read, look up, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    options = parser.parse_args()
    train = [set(example.strings) for example in good(options.train)]
    known = set().union(*train)
    dev = list(good(options.dev))
    gold = [set(example.strings) for example in dev]
    print(f"{len(train)} training texts, {len(known)} triples; {len(dev)} texts scored")
    for name, find in (("triples", by_triples), ("arguments", by_arguments)):
        started = time.monotonic()
        scores = score_triples(gold, find(known, dev)).micro
        print(
            f"{name:9} F1 {scores.f1 or 0:.4f}, precision {scores.precision or 0:.4f}, "
            f"recall {scores.recall or 0:.4f}, {scores.predicted} / {scores.gold} / "
            f"{scores.correct} predicted / gold / correct, "
            f"{time.monotonic() - started:.1f}s"
        )


def good(path: Path) -> Iterator[TripleExample]:
    """The examples that ``train --set data.skip_bad=true`` would take."""
    for item in read(TripleForm(), path):
        if not isinstance(item, DataError):
            yield item


def by_triples(known: set[Strings], dev: Iterable[TripleExample]) -> list[set[Strings]]:
    """Known triples whose two arguments stand in the text."""
    by_subject: dict[str, set[Strings]] = defaultdict(set)
    for triple in known:
        by_subject[triple[0]].add(triple)
    return [
        {
            triple
            for subject in inside(example.text, by_subject)
            for triple in by_subject[subject]
            if triple[2] in example.text
        }
        for example in dev
    ]


def by_arguments(
    known: set[Strings], dev: Iterable[TripleExample]
) -> list[set[Strings]]:
    """Pairs of a known subject and a known object of one predicate."""
    subjects: dict[str, set[str]] = defaultdict(set)
    objects: dict[str, set[str]] = defaultdict(set)
    for subject, predicate, object_ in known:
        subjects[subject].add(predicate)
        objects[object_].add(predicate)
    found = []
    for example in dev:
        seconds = inside(example.text, objects)
        found.append(
            {
                (subject, predicate, object_)
                for subject in inside(example.text, subjects)
                for object_ in seconds
                for predicate in subjects[subject] & objects[object_]
                if subject != object_
            }
        )
    return found


def inside(text: str, names: Iterable[str]) -> list[str]:
    """Which of the names stand in the text."""
    return [name for name in names if name in text]


if __name__ == "__main__":
    main()
