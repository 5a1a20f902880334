"""Rankings against a plain loop."""

import numpy as np
import pytest

from nlpcli.metrics import retrieval
from nlpcli.metrics.retrieval import ranked, retrieval_scores


def test_rankings_are_those_of_a_loop(monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK", 20)
    rng = np.random.default_rng(0)
    queries = rng.integers(-2, 3, (7, 3)).astype("float32")
    candidates = rng.integers(-2, 3, (9, 3)).astype("float32")
    expected = [
        sorted(range(9), key=lambda j: (-float(query @ candidates[j]), j))
        for query in queries
    ]
    assert ranked(queries, candidates, 9) == expected
    assert ranked(queries, candidates, 4) == [row[:4] for row in expected]
    assert ranked(queries[:0], candidates, 4) == []


def test_scores_of_known_vectors():
    axes = np.eye(3, dtype=np.float32)
    near = [axes[[0]], axes[[2]], axes[[1]]]
    scores = retrieval_scores(axes, near)
    assert scores["recall_at_1"] == pytest.approx(1 / 3)
    # the first is found at once; of the others the right one is the third or second
    assert scores["recall_at_5"] == 1
