"""Scores of similarity: over pairs with labels, over groups, over triplets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nlpcli.metrics.retrieval import ranked
from nlpcli.metrics.spearman import (
    best_threshold,
    mean_reciprocal_rank,
    recall_at,
    spearman,
)
from recipes.simbert.examples import SimilarityExample

# by kind of example, the most telling first
MAIN_SCORES = {"pair": "spearman", "group": "mrr", "triplet": "triplet_accuracy"}
DEPTHS = (1, 5, 10)
DEEPEST = 1000  # candidates ranked for a query: beyond, 1 / rank is below 0.001


def score_answers(
    examples: Sequence[SimilarityExample], answers: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """``spearman`` and, for classes, ``accuracy`` at the best ``threshold`` of these
    pairs; ``recall_at_k`` and ``mrr`` of finding a text's synonyms among those of all
    groups; ``triplet_accuracy``, the share that prefers the positive."""
    by_kind: dict[str, list[tuple[SimilarityExample, dict[str, Any]]]] = {}
    for example, answer in zip(examples, answers, strict=True):
        by_kind.setdefault(example.kind, []).append((example, answer))
    return {
        **_of_pairs(by_kind.get("pair", [])),
        **_of_groups([a for x, a in by_kind.get("group", []) if len(x.texts) > 1]),
        **_of_triplets([answer for _, answer in by_kind.get("triplet", [])]),
    }


def retrieval_scores(
    queries: np.ndarray, synonyms: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Recall and mean reciprocal rank of each query's synonyms among those of all.

    queries: (n, d); synonyms: n arrays (any, d); rows of length 1.
    """
    ends = np.cumsum([len(rows) for rows in synonyms])
    right = [
        set(range(end - len(rows), end))
        for end, rows in zip(ends.tolist(), synonyms, strict=True)
    ]
    ranking = ranked(queries, np.concatenate(synonyms), DEEPEST)
    scores = {f"recall_at_{k}": recall_at(ranking, right, k) for k in DEPTHS}
    return {**scores, "mrr": mean_reciprocal_rank(ranking, right)}


def pair_scores(
    similarities: Sequence[float], labels: Sequence[float]
) -> dict[str, Any]:
    """Rank correlation; accuracy and threshold where every label is 0 or 1."""
    scores: dict[str, Any] = {"spearman": spearman(similarities, labels)}
    if set(labels) <= {0, 1}:
        cut = best_threshold(similarities, [label == 1 for label in labels])
        if cut is not None:
            scores |= {"accuracy": cut.accuracy, "threshold": cut.threshold}
    return scores


def _of_pairs(
    rows: Sequence[tuple[SimilarityExample, dict[str, Any]]],
) -> dict[str, Any]:
    if not rows:
        return {}
    labels = [example.label or 0.0 for example, _ in rows]
    return {
        **pair_scores([a["similarity"] for _, a in rows], labels),
        "pairs": len(rows),
    }


def _of_groups(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not answers:
        return {}
    queries = np.array([answer["vector"] for answer in answers], np.float32)
    synonyms = [np.array(a["synonym_vectors"], np.float32) for a in answers]
    return {**retrieval_scores(queries, synonyms), "groups": len(answers)}


def _of_triplets(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not answers:
        return {}
    right = sum(a["similarities"][0] > a["similarities"][1] for a in answers)
    return {"triplet_accuracy": right / len(answers), "triplets": len(answers)}
