"""How well similarities agree with people: rank correlation, threshold, retrieval."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlpcli.errors import DataError
from nlpcli.metrics.parallel import pairs


def pair_scores(
    similarities: Sequence[float], labels: Sequence[float]
) -> dict[str, float | None]:
    """Rank correlation; accuracy and threshold where every label is 0 or 1."""
    scores = {"spearman": spearman(similarities, labels)}
    if set(labels) <= {0, 1}:
        cut = best_threshold(similarities, [label == 1 for label in labels])
        if cut is not None:
            scores |= {"accuracy": cut.accuracy, "threshold": cut.threshold}
    return scores


def spearman(left: ArrayLike, right: ArrayLike) -> float | None:
    """Spearman's rank correlation, -1 to 1; equal values share their mean rank.

    left, right: (examples,). None when one side is constant, or has fewer than two
    values: there is no order to agree with. Raises DataError for NaN, more than one
    axis or different lengths.
    """
    x, y = _vector(left, "left"), _vector(right, "right")
    if len(x) != len(y):
        raise DataError(f"expected as many values, got {len(x)} and {len(y)}")
    if not len(x):
        return None
    x, y = mean_ranks(x), mean_ranks(y)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.clip((x @ y) / spread, -1.0, 1.0)) if spread else None


def mean_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 1, in float64; values that are equal share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


class Cut(NamedTuple):
    """A threshold and its accuracy: ``score >= threshold`` means "similar"."""

    accuracy: float
    threshold: float


def best_threshold(scores: ArrayLike, labels: ArrayLike) -> Cut | None:
    """The threshold with the highest accuracy, and that accuracy, 0 to 1.

    scores: (examples,) finite. labels: (examples,) true where the pair is similar.
    Exact: every way of cutting the sorted scores is counted, none between equal
    scores, all and nothing included. Of equally good thresholds the lowest is taken,
    and it lies half way between its two neighbours, in the type of the scores. None
    without examples. Raises DataError for scores that are not finite or not as many
    as the labels.
    """
    values = _vector(scores, "scores")
    truth = np.asarray(labels, dtype=bool)
    if truth.shape != values.shape:
        raise DataError(f"expected {len(values)} labels, got shape {truth.shape}")
    if not len(values):
        return None
    if not np.isfinite(values).all():
        raise DataError("scores: expected finite values, got an infinite one")
    levels, group = np.unique(values, return_inverse=True)
    similar = np.bincount(group, weights=truth, minlength=len(levels))
    other = np.bincount(group, weights=~truth, minlength=len(levels))
    # Cut i calls the levels from i on similar; the last one calls nothing so.
    right = np.append(0, np.cumsum(other)) + np.append(
        np.cumsum(similar[::-1])[::-1], 0
    )
    best = int(np.argmax(right))
    return Cut(float(right[best]) / len(values), _between(levels, best))


def recall_at(
    ranking: Sequence[Sequence[int]], relevant: Sequence[Set[int]], depth: int
) -> float | None:
    """Mean share of a query's relevant candidates among its first ``depth``.

    ranking: (queries, candidates) ids, best first; a row need not name them all.
    relevant: the ids that are right for each query. With one right id each this is
    the share of queries that find it. None without queries. Raises DataError when a
    query has no relevant id.
    """
    found = 0.0
    for row, right in _queries(ranking, relevant):
        found += len(right & {int(one) for one in row[:depth]}) / len(right)
    return found / len(ranking) if len(ranking) else None


def mean_reciprocal_rank(
    ranking: Sequence[Sequence[int]], relevant: Sequence[Set[int]]
) -> float | None:
    """Mean of 1 / rank of the first relevant candidate; 0 where none is ranked.

    Arguments, None and DataError as for ``recall_at``.
    """
    total = 0.0
    for row, right in _queries(ranking, relevant):
        ranks = (rank for rank, one in enumerate(row, start=1) if int(one) in right)
        first = next(ranks, None)
        total += 1 / first if first else 0.0
    return total / len(ranking) if len(ranking) else None


def _queries(
    ranking: Sequence[Sequence[int]], relevant: Sequence[Set[int]]
) -> list[tuple[Sequence[int], Set[int]]]:
    queries = list(pairs(ranking, relevant))
    for number, (_, right) in enumerate(queries, start=1):
        if not right:
            raise DataError(f"query {number}: expected relevant candidates, got none")
    return queries


def _vector(values: ArrayLike, name: str) -> NDArray[np.floating]:
    """One axis of floats, float32 kept, without NaN."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if array.ndim != 1:
        raise DataError(f"{name}: expected one axis, got shape {array.shape}")
    if np.isnan(array).any():
        where = int(np.flatnonzero(np.isnan(array))[0])
        raise DataError(f"{name}: expected numbers, got NaN at place {where}")
    return array


def _between(levels: NDArray[np.floating], place: int) -> float:
    """A threshold above every level before ``place`` and not above the one there."""
    if place == 0:
        return float(levels[0])
    if place == len(levels):
        return float(np.nextafter(levels[-1], levels.dtype.type(np.inf)))
    low, high = levels[place - 1], levels[place]
    middle = low / 2 + high / 2
    # Between neighbouring floats the middle rounds to one of them.
    return float(middle if low < middle < high else high)
