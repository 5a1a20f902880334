"""Span scores of a pointer head to labelled spans."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

ScoredSpan = tuple[int, int, int, float]  # start, end (exclusive), label index, score


def decode(
    logits: np.ndarray,
    mask: np.ndarray,
    threshold: float = 0.0,
    nested: bool = True,
) -> list[list[ScoredSpan]]:
    """The spans whose logit is above the threshold, in the order of the text.

    Nested spans may share characters in any way; otherwise the best span is kept,
    what overlaps it dropped, and so on down the scores (of equals, the earlier
    start, then the shorter). The score is the sigmoid of the logit. logits:
    (batch, labels, length, length), start by last character; mask: (batch, length)
    bool.
    """
    lengths = np.asarray(mask, bool).sum(axis=1)
    longest = int(lengths.max(initial=0))
    found = np.asarray(logits)[:, :, :longest, :longest] > threshold
    row, label, start, last = np.nonzero(found)
    legal = (start <= last) & (last < lengths[row])
    row, label, start, last = (axis[legal] for axis in (row, label, start, last))
    scores = np.asarray(logits)[row, label, start, last].astype(np.float64)
    bounds = np.searchsorted(row, np.arange(len(lengths) + 1))
    out = []
    for begin, end in pairwise(bounds):
        hits = np.arange(begin, end)
        if not nested:
            hits = _disjoint(hits, start, last, scores)
        order = hits[np.lexsort((label[hits], last[hits], start[hits]))]
        out.append(
            [
                (int(start[i]), int(last[i]) + 1, int(label[i]), _sigmoid(scores[i]))
                for i in order
            ]
        )
    return out


def _disjoint(
    hits: np.ndarray, start: np.ndarray, last: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Greedy choice; an untrained head may score half of all spans above zero, so
    each pick drops its rivals at once."""
    left = hits[np.lexsort((last[hits], start[hits], -scores[hits]))]
    kept = []
    while left.size:
        best = left[0]
        kept.append(best)
        left = left[(start[left] > last[best]) | (last[left] < start[best])]
    return np.array(kept, np.int64)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(logit, -700.0)))
