"""Nearest neighbours by exact search, and whether they are the right ones."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from nlpcli.metrics.spearman import mean_reciprocal_rank, recall_at

BLOCK = 1 << 22  # similarities sorted at a time
DEPTHS = (1, 5, 10)
DEEPEST = 1000  # candidates ranked for a query: beyond, 1 / rank is below 0.001


def retrieval_scores(
    queries: np.ndarray, synonyms: Sequence[np.ndarray]
) -> dict[str, float | None]:
    """Recall and mean reciprocal rank of each query's synonyms among those of all.

    queries: (n, d); synonyms: n arrays (any, d); rows of length 1.
    """
    ends = np.cumsum([len(rows) for rows in synonyms])
    right = [
        set(range(end - len(rows), end))
        for end, rows in zip(ends.tolist(), synonyms, strict=True)
    ]
    return ranking_scores(ranked(queries, np.concatenate(synonyms), DEEPEST), right)


def ranking_scores(
    ranking: Sequence[Sequence[int]], right: Sequence[Set[int]]
) -> dict[str, float | None]:
    """``recall_at_k`` and ``mrr`` of the candidates ranked for each query."""
    scores = {f"recall_at_{k}": recall_at(ranking, right, k) for k in DEPTHS}
    return {**scores, "mrr": mean_reciprocal_rank(ranking, right)}


def ranked(queries: np.ndarray, candidates: np.ndarray, depth: int) -> list[list[int]]:
    """For each query the ids of its ``depth`` most similar candidates, best first.

    queries: (n, d), candidates: (m, d), rows of length 1. Equally similar ones go by
    their id.
    """
    rows = max(1, BLOCK // max(len(candidates), 1))
    found: list[list[int]] = []
    for start in range(0, len(queries), rows):
        away = -(queries[start : start + rows] @ candidates.T)
        found += np.argsort(away, axis=1, kind="stable")[:, :depth].tolist()
    return found
