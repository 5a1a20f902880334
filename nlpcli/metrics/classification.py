"""Scores of labels on texts: accuracy, F1 micro and macro, the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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


def best_thresholds(
    names: Sequence[str], gold: Sequence[Iterable[str]], chances: Sequence[np.ndarray]
) -> dict[str, float]:
    """The threshold of each label with the best F1 on these texts.

    gold: the labels of each text; chances: the probabilities of ``names`` for each. A
    label is predicted at or above its threshold, which stands half way to the next
    lower probability; 0.5 for a label that no text has. Of equal ones the nearest to
    0.5.
    """
    columns = np.array(chances).reshape(-1, len(names)).T
    return {
        name: _best_threshold(np.array([name in own for own in gold], bool), column)
        for name, column in zip(names, columns, strict=True)
    }


def _best_threshold(gold: np.ndarray, chances: np.ndarray) -> float:
    """gold, chances: (texts,)."""
    order = np.argsort(-chances, kind="stable")
    ranked, right = chances[order], gold[order]
    if not right.any():
        return 0.5
    hits = np.cumsum(right)
    f1 = 2.0 * hits / (np.arange(1, len(hits) + 1) + right.sum())
    below = np.append(ranked[1:], 0.0)
    middle = (ranked + below) / 2.0
    cut = np.where(middle > below, middle, ranked)  # neighbours have no middle
    f1[:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal probabilities are not parted
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(cut[best[np.argmin(np.abs(cut[best] - 0.5))]])


def _confusion(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts = Counter(pairs)
    names = sorted({name for pair in pairs for name in pair})
    golds = sorted({gold for gold, _ in pairs})
    return {gold: {name: counts[gold, name] for name in names} for gold in golds}
