"""Pointer scores to spans: all of them, or the best that do not overlap."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nlpcli.decoders.pointer import decode


def scores_of(*spans, length=6, labels=2):
    """Logits of one row: -9 everywhere but at (start, last, label, logit)."""
    logits = np.full((1, labels, length, length), -9.0, np.float32)
    for start, last, label, logit in spans:
        logits[0, label, start, last] = logit
    return logits


FULL = np.ones((1, 6), bool)


def test_nested_keeps_all_and_flat_keeps_the_best():
    logits = scores_of((0, 4, 0, 1.0), (1, 2, 1, 3.0), (3, 3, 0, 2.0), (2, 3, 1, 2.5))
    bounds = [span[:3] for span in decode(logits, FULL)[0]]
    assert bounds == [(0, 5, 0), (1, 3, 1), (2, 4, 1), (3, 4, 0)]
    flat = decode(logits, FULL, nested=False)[0]
    assert [span[:3] for span in flat] == [(1, 3, 1), (3, 4, 0)]
    assert flat[0][3] == pytest.approx(1 / (1 + math.exp(-3.0)))


def test_equals_prefer_the_earlier_then_the_shorter_span():
    logits = scores_of((2, 3, 0, 1.0), (1, 2, 0, 1.0), (1, 3, 1, 1.0))
    assert [s[:3] for s in decode(logits, FULL, nested=False)[0]] == [(1, 3, 0)]


def test_threshold_and_scores_outside_the_text_or_the_triangle():
    logits = scores_of((0, 0, 0, 0.5), (1, 1, 0, 0.1), (3, 1, 0, 5.0), (2, 5, 0, 5.0))
    mask = np.arange(6)[None] < 5
    assert [s[:3] for s in decode(logits, mask, threshold=0.2)[0]] == [(0, 1, 0)]
    assert decode(logits, np.zeros((1, 6), bool)) == [[]]


@given(
    hnp.arrays(np.float32, (2, 2, 5, 5), elements=st.floats(width=32)),
    st.lists(st.integers(0, 5), min_size=2, max_size=2),
)
def test_greedy_choice_is_the_plain_loop(logits, lengths):
    """NaN and infinities included."""
    mask = np.arange(5) < np.array(lengths)[:, None]
    nested, flat = decode(logits, mask), decode(logits, mask, nested=False)
    for row, length in enumerate(lengths):
        every = [
            (s, e + 1, label)
            for s in range(length)
            for e in range(s, length)
            for label in range(2)
            if logits[row, label, s, e] > 0
        ]
        assert [span[:3] for span in nested[row]] == every
        kept = []
        for s, e, label in sorted(
            every, key=lambda x: (-logits[row, x[2], x[0], x[1] - 1], *x)
        ):
            if all(e <= a or b <= s for a, b, _ in kept):
                kept.append((s, e, label))
        assert [span[:3] for span in flat[row]] == sorted(kept)
        assert all(0.5 <= span[3] <= 1.0 for span in nested[row])


def test_an_untrained_head_is_decoded_in_reasonable_work():
    """Half of 80,000 spans above zero."""
    logits = np.random.default_rng(0).normal(size=(1, 10, 128, 128))
    flat = decode(logits, np.ones((1, 128), bool), nested=False)[0]
    assert all(a[1] <= b[0] for a, b in pairwise(flat))
