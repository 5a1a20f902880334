"""Baseline for ner: a linear-chain CRF on hand-made character features.

    python benchmarks/feature_crf.py TRAIN.jsonl DEV.jsonl

The usual template (characters and bigrams in a window of two, character classes),
sklearn-crfsuite with L-BFGS, c1 0.1, c2 0.05. Scores by nlpcli's own metric, on the
same sentences as ``nlpcli evaluate ner``.
"""

from __future__ import annotations

import argparse
import json
import time
import unicodedata
from pathlib import Path

import sklearn_crfsuite

from nlpcli.decoders.tags import TagScheme
from nlpcli.metrics.span_f1 import score_spans
from nlpcli.records.read import read_rows

Sentence = tuple[str, set[tuple[int, int, str]]]


def main() -> None:
    """Train, score, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--iterations", type=int, default=100)
    options = parser.parse_args()
    train, dev = read(options.train), read(options.dev)
    scheme = TagScheme(sorted({label for _, spans in train for *_, label in spans}))
    started = time.monotonic()
    model = sklearn_crfsuite.CRF(
        algorithm="lbfgs", c1=0.1, c2=0.05, max_iterations=options.iterations
    )
    model.fit(
        [features(text) for text, _ in train],
        [[scheme.tags[t] for t in scheme.encode(s, len(text))] for text, s in train],
    )
    seconds = time.monotonic() - started
    found = []
    for text, _ in dev:
        tags = model.predict_single(features(text)) if text else []
        found.append(set(scheme.decode([scheme.tags.index(tag) for tag in tags])))
    scores = score_spans([spans for _, spans in dev], found).as_dict()
    scores |= {"train": len(train), "dev": len(dev), "fit_seconds": round(seconds, 1)}
    print(json.dumps(scores, ensure_ascii=False))


def read(path: Path) -> list[Sentence]:
    """Texts and spans; of overlapping entities the first is kept."""
    sentences = []
    for row in read_rows(path):
        spans: set[tuple[int, int, str]] = set()
        for entity in sorted(row["entities"], key=lambda e: (e["start"], -e["end"])):
            if all(entity["start"] >= end for _, end, _ in spans):
                spans.add((entity["start"], entity["end"], entity["label"]))
        sentences.append((row["text"], spans))
    return sentences


def features(text: str) -> list[dict[str, str | bool]]:
    """One dict of features for each character."""
    padded = ["<2>", "<1>", *text, "</1>", "</2>"]
    rows: list[dict[str, str | bool]] = []
    for i in range(len(text)):
        window = padded[i : i + 5]
        row: dict[str, str | bool] = {"bias": True}
        for offset, character in zip(range(-2, 3), window, strict=True):
            row[f"c{offset}"] = character
        for offset in range(-2, 2):
            row[f"b{offset}"] = window[offset + 2] + window[offset + 3]
        row["skip"] = window[1] + window[3]
        for offset in (-1, 0, 1):
            row[f"k{offset}"] = kind(window[offset + 2])
        rows.append(row)
    return rows


def kind(character: str) -> str:
    """Unicode category, with Han, digits and Latin set apart."""
    if len(character) > 1:
        return "edge"
    if character.isascii() and character.isalpha():
        return "latin"
    return unicodedata.category(character)


if __name__ == "__main__":
    main()
