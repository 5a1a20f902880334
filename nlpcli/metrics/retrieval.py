"""Nearest neighbours by exact search: the rankings that retrieval scores read."""

from __future__ import annotations

import numpy as np

BLOCK = 1 << 22  # similarities sorted at a time


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
