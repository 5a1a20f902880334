"""Rankings against a plain loop."""

import numpy as np

from nlpcli.metrics import retrieval
from nlpcli.metrics.retrieval import ranked


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
