"""Scores of labels on texts: accuracy, F1 micro and macro, the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from nlpcli.metrics.span_f1 import score_spans


def score_labels(
    gold: Sequence[AbstractSet[str]], found: Sequence[AbstractSet[str]]
) -> dict[str, Any]:
    """``accuracy`` is the share of texts with exactly the gold labels; the rest counts
    labels: f1, precision, recall over all, ``macro_f1``, ``per_label``.

    Where every text has one label, also ``confusion``: gold label to predicted ones to
    their number.
    """
    spans = score_spans(
        [{(0, 0, label) for label in labels} for labels in gold],
        [{(0, 0, label) for label in labels} for labels in found],
    ).as_dict()
    right = sum(one == other for one, other in zip(gold, found, strict=True))
    scores = {"accuracy": right / len(gold) if gold else None, **spans}
    if all(len(labels) == 1 for labels in [*gold, *found]):
        pairs = [(min(a), min(b)) for a, b in zip(gold, found, strict=True)]
        scores["confusion"] = _confusion(pairs)
    return scores


def best_thresholds(gold: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """The threshold of each label with the best F1 on these texts: (labels,).

    gold: (texts, labels) bool; chances: probabilities of the same shape. A label is
    predicted at or above its threshold, which stands half way to the next lower
    probability; 0.5 for a label that no text has. Of equal ones the nearest to 0.5.
    """
    found = np.full(gold.shape[1], 0.5)
    for label in range(gold.shape[1]):
        order = np.argsort(-chances[:, label], kind="stable")
        ranked, right = chances[order, label], gold[order, label]
        if not right.any():
            continue
        hits = np.cumsum(right)
        f1 = 2.0 * hits / (np.arange(1, len(hits) + 1) + right.sum())
        below = np.append(ranked[1:], 0.0)
        cut = (ranked + below) / 2.0
        f1[ranked == below] = -1.0  # equal probabilities are not parted
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        found[label] = cut[best[np.argmin(np.abs(cut[best] - 0.5))]]
    return found


def _confusion(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts = Counter(pairs)
    names = sorted({name for pair in pairs for name in pair})
    golds = sorted({gold for gold, _ in pairs})
    return {gold: {name: counts[gold, name] for name in names} for gold in golds}
