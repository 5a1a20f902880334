"""Baselines for simbert: BM25 over jieba words, and an encoder as it was published.

    python benchmarks/similarity_baselines.py DEV.jsonl... --model FOLDER

Each file is scored by itself, as ``nlpcli evaluate simbert --data`` does: pairs by
Spearman (and accuracy at the best threshold), groups by recall and mean reciprocal
rank of a text's synonyms among those of all groups. BM25 (k1 1.5, b 0.75) takes its
frequencies from the texts of the file; a pair's score is the mean of both directions.
The encoder pools the mean, with the prefix of its config.json. Prints a JSON line for
each file and side.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.metrics.retrieval import DEEPEST, ranking_scores, retrieval_scores
from nlpcli.metrics.spearman import pair_scores
from nlpcli.recipes.simbert.form import SimilarityExample, SimilarityForm
from nlpcli.records.read import read
from nlpcli.text.tokenizers.word_level import segmenter

K1, B = 1.5, 0.75


def main() -> None:
    """Read, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    embedder = None
    if options.model is not None:
        from nlpcli.engine.embed import Embedder

        embedder = Embedder.open(options.model)
    for path in options.files:
        items = islice(read(SimilarityForm(), path), options.limit)
        examples = [x for x in items if good(x)]
        told = {"data": path.name, "examples": len(examples)}
        print(json.dumps({**told, "side": "bm25", **bm25_scores(examples)}))
        if embedder is not None:
            scores = encoder_scores(examples, embedder)
            print(json.dumps({**told, "side": options.model.name, **scores}))


def good(example: Any) -> bool:
    """Whether it can be scored: no bad line, no group of one."""
    return isinstance(example, SimilarityExample) and len(example.texts) > 1


def of_kind(
    examples: Sequence[SimilarityExample], kind: str
) -> list[SimilarityExample]:
    """The examples of one kind."""
    return [example for example in examples if example.kind == kind]


def encoder_scores(
    examples: Sequence[SimilarityExample], embedder: Any
) -> dict[str, Any]:
    """Scores of cosines."""
    scores: dict[str, Any] = {}
    if pairs := of_kind(examples, "pair"):
        one, other = (embedder.encode([x.texts[i] for x in pairs]) for i in (0, 1))
        alike = (one * other).sum(axis=1).tolist()
        scores |= pair_scores(alike, [x.label or 0.0 for x in pairs])
    if groups := of_kind(examples, "group"):
        vectors = embedder.encode([text for x in groups for text in x.texts])
        parts = np.split(vectors, np.cumsum([len(x.texts) for x in groups])[:-1])
        queries = np.stack([part[0] for part in parts])
        scores |= retrieval_scores(queries, [part[1:] for part in parts])
    return scores


def bm25_scores(examples: Sequence[SimilarityExample]) -> dict[str, Any]:
    """Scores of shared words."""
    scores: dict[str, Any] = {}
    if pairs := of_kind(examples, "pair"):
        words = [[segmenter().lcut(text) for text in x.texts] for x in pairs]
        model = Bm25([text for both in words for text in both])
        alike = [
            (model.score(a, 2 * i + 1) + model.score(b, 2 * i)) / 2
            for i, (a, b) in enumerate(words)
        ]
        scores |= pair_scores(alike, [x.label or 0.0 for x in pairs])
    if groups := of_kind(examples, "group"):
        model = Bm25([segmenter().lcut(text) for x in groups for text in x.texts[1:]])
        ranking, right, end = [], [], 0
        for example in groups:
            right.append(set(range(end, end := end + len(example.texts) - 1)))
            away = -model.scores(segmenter().lcut(example.texts[0]))
            ranking.append(np.argsort(away, kind="stable")[:DEEPEST].tolist())
        scores |= ranking_scores(ranking, right)
    return scores


class Bm25:
    """Okapi BM25 over documents of words (Robertson and Zaragoza 2009)."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self.counts = [Counter(words) for words in documents]
        lengths = np.array([len(words) for words in documents], np.float64)
        self.norms = K1 * (1.0 - B + B * lengths / max(lengths.mean(), 1.0))
        self.places: dict[str, list[int]] = {}
        for place, words in enumerate(self.counts):
            for word in words:
                self.places.setdefault(word, []).append(place)

    def weight(self, word: str) -> float:
        """Rarer words count more."""
        holding = len(self.places.get(word, ()))
        return math.log1p((len(self.counts) - holding + 0.5) / (holding + 0.5))

    def score(self, query: Sequence[str], place: int) -> float:
        """Of one document."""
        own = self.counts[place]
        return sum(
            self.weight(word) * own[word] * (K1 + 1) / (own[word] + self.norms[place])
            for word in query
            if word in own
        )

    def scores(self, query: Sequence[str]) -> np.ndarray:
        """Of every document."""
        found = np.zeros(len(self.counts))
        for word in query:
            places = self.places.get(word)
            if places:
                often = np.array([self.counts[place][word] for place in places])
                gain = often * (K1 + 1) / (often + self.norms[places])
                found[places] += self.weight(word) * gain
        return found


if __name__ == "__main__":
    main()
