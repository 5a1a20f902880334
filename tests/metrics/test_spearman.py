"""Rank correlation against scipy and brute force, thresholds and ranks likewise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpcli.errors import DataError
from nlpcli.metrics.spearman import (
    best_threshold,
    mean_ranks,
    mean_reciprocal_rank,
    pair_scores,
    recall_at,
    spearman,
)

few = st.integers(-3, 3).map(float)  # many ties
many = st.floats(-1e6, 1e6, allow_subnormal=False)


def slow_ranks(values):
    """Rank from the definition: those below, and half of the equal others."""
    return [
        1
        + sum(other < one for other in values)
        + (sum(other == one for other in values) - 1) / 2
        for one in values
    ]


def slow_spearman(left, right):
    x, y = np.array(slow_ranks(left)), np.array(slow_ranks(right))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return np.corrcoef(x, y)[0, 1]


rows = st.lists(st.tuples(few, few) | st.tuples(many, many), min_size=2, max_size=30)


@given(rows)
def test_spearman_against_the_definition(pairs):
    left, right = map(list, zip(*pairs, strict=True))
    assert mean_ranks(np.array(left)).tolist() == slow_ranks(left)
    expected = slow_spearman(left, right)
    assert spearman(left, right) == (
        None if expected is None else pytest.approx(expected, abs=1e-12)
    )


@pytest.mark.parametrize("seed", range(5))
def test_spearman_against_scipy(seed):
    stats = pytest.importorskip("scipy.stats")
    random_state = np.random.default_rng(seed)
    left = random_state.normal(size=3000).astype(np.float32)
    right = np.round(left + random_state.normal(size=3000)).astype(int).clip(0, 5)
    assert spearman(left, right) == pytest.approx(
        stats.spearmanr(left, right).statistic, abs=1e-12
    )


@given(st.lists(few, min_size=2, max_size=20))
def test_spearman_looks_at_order_only(values):
    left = np.array(values)
    straight = spearman(left, np.exp(left) * 5)
    assert straight == (None if np.ptp(left) == 0 else pytest.approx(1.0))
    back = spearman(left, -left)
    assert back == (None if np.ptp(left) == 0 else pytest.approx(-1.0))


def test_spearman_edges():
    assert spearman([], []) is None
    assert spearman([1.0], [2.0]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([0.0, -0.0, 1.0], [0, 0, 1]) == 1.0
    assert spearman([-math.inf, 0.0, math.inf], [1, 2, 3]) == 1.0
    with pytest.raises(DataError, match="3 and 2"):
        spearman([1, 2, 3], [1, 2])
    with pytest.raises(DataError, match="right: expected numbers, got NaN at place 1"):
        spearman([1, 2], [1, math.nan])
    with pytest.raises(DataError, match="one axis"):
        spearman([[1.0]], [[1.0]])


@given(
    st.lists(st.tuples(few | many, st.booleans()), min_size=1, max_size=25),
    st.sampled_from([np.float64, np.float32]),
)
def test_threshold_against_every_cut(pairs, dtype):
    scores = np.array([score for score, _ in pairs], dtype=dtype)
    labels = np.array([label for _, label in pairs])
    best = best_threshold(scores, labels)
    reached = np.mean((scores >= best.threshold) == labels)
    cuts = [*scores, math.inf]
    possible = max(np.mean((scores >= cut) == labels) for cut in cuts)
    assert best.accuracy == pytest.approx(reached, abs=1e-12)
    assert best.accuracy == pytest.approx(possible, abs=1e-12)
    assert math.isfinite(best.threshold)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_threshold_between_neighbouring_floats(dtype):
    low = dtype(0.9)
    high = np.nextafter(low, dtype(1))
    scores = np.array([low, high], dtype=dtype)
    best = best_threshold(scores, [False, True])
    assert best.accuracy == 1.0
    assert (scores >= best.threshold).tolist() == [False, True]
    nothing = best_threshold(scores, [False, False])
    assert nothing.accuracy == 1.0
    assert not (scores >= nothing.threshold).any()


def test_threshold_edges():
    assert best_threshold([], []) is None
    assert best_threshold([0.2, 0.8], [0, 1]) == pytest.approx((1.0, 0.5))
    assert best_threshold([0.5] * 4, [1, 1, 1, 0]) == (0.75, 0.5)
    assert best_threshold([3], [True]) == (1.0, 3.0)
    tied = best_threshold([0.5] * 4, [0, 0, 0, 1])
    assert tied.accuracy == 0.75
    assert tied.threshold > 0.5
    with pytest.raises(DataError, match="expected 2 labels"):
        best_threshold([0.1, 0.2], [True])
    with pytest.raises(DataError, match="finite"):
        best_threshold([0.1, math.inf], [True, False])


def test_retrieval_by_hand():
    ranking = np.array([[3, 1, 2], [0, 2, 1], [1, 0, 3]])
    relevant = [{3}, {1, 2}, {9}]
    assert recall_at(ranking, relevant, 1) == pytest.approx((1 + 0 + 0) / 3)
    assert recall_at(ranking, relevant, 2) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert recall_at(ranking, relevant, 99) == pytest.approx((1 + 1 + 0) / 3)
    assert mean_reciprocal_rank(ranking, relevant) == pytest.approx((1 + 1 / 2 + 0) / 3)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 10), st.integers(0, 999))
def test_retrieval_against_matrices(queries, candidates, depth, seed):
    random_state = np.random.default_rng(seed)
    ranking = np.stack([random_state.permutation(candidates) for _ in range(queries)])
    right = random_state.random((queries, candidates)) < 0.4
    right[np.arange(queries), random_state.integers(candidates, size=queries)] = True
    relevant = [set(np.flatnonzero(row).tolist()) for row in right]
    hits = np.take_along_axis(right, ranking, axis=1)
    recall = (hits[:, :depth].sum(axis=1) / right.sum(axis=1)).mean()
    assert recall_at(ranking, relevant, depth) == pytest.approx(recall)
    first = (1 / (hits.argmax(axis=1) + 1)).mean()
    assert mean_reciprocal_rank(ranking, relevant) == pytest.approx(first)


def test_retrieval_edges():
    assert recall_at([], [], 5) is None
    assert mean_reciprocal_rank([], []) is None
    assert recall_at([[]], [{1}], 5) == mean_reciprocal_rank([[]], [{1}]) == 0.0
    for score in (lambda *rows: recall_at(*rows, 5), mean_reciprocal_rank):
        with pytest.raises(DataError, match="query 2: expected relevant"):
            score([[1], [2]], [{1}, set()])
        with pytest.raises(DataError, match="got 1 for 2"):
            score([[1], [2]], [{1}])


def test_pairs_are_cut_where_their_labels_are_classes():
    assert pair_scores([0.1, 0.9], [0, 5])["spearman"] == 1
    assert "accuracy" not in pair_scores([0.1, 0.9], [0, 5])
    assert pair_scores([0.1, 0.9], [0, 1])["accuracy"] == 1
