"""Baseline for classify: logistic regression on character n-grams.

    python benchmarks/linear_classifier.py TRAIN.jsonl DEV.jsonl

scikit-learn's TF-IDF of 1- to 3-grams of characters (each text of a pair by itself, and
the n-grams both have or only one has), C 4. Scores by nlpcli's own metric, on the same
rows as ``nlpcli evaluate classify``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from nlpcli.metrics.classification import score_labels
from nlpcli.recipes.classify.form import ClassifyExample, ClassifyForm
from nlpcli.records.read import read


def main() -> None:
    """Train, score, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    options = parser.parse_args()
    train, dev = examples(options.train), examples(options.dev)
    started = time.monotonic()
    grams = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2
    )
    grams.fit([text for example in train for text in example.texts])
    model = LogisticRegression(C=4.0, max_iter=1000)
    model.fit(features(grams, train), [example.labels[0] for example in train])
    seconds = time.monotonic() - started
    found = model.predict(features(grams, dev))
    scores = score_labels([set(x.labels) for x in dev], [{label} for label in found])
    for name in ("per_label", "confusion"):
        scores.pop(name, None)
    scores |= {"train": len(train), "dev": len(dev), "fit_seconds": round(seconds, 1)}
    print(json.dumps(scores, ensure_ascii=False))


def examples(path: Path) -> list[ClassifyExample]:
    """The rows of a file; the first bad line is raised."""
    found = []
    for item in read(ClassifyForm(), path):
        if not isinstance(item, ClassifyExample):
            raise item
        found.append(item)
    return found


def features(grams: TfidfVectorizer, rows: list[ClassifyExample]) -> object:
    """One text: its n-grams; two: those of both, their products and differences."""
    sides = [
        grams.transform([row.texts[i] for row in rows])
        for i in range(len(rows[0].texts))
    ]
    if len(sides) == 1:
        return sides[0]
    one, other = sides
    return hstack([one + other, one.multiply(other), abs(one - other)]).tocsr()


if __name__ == "__main__":
    main()
