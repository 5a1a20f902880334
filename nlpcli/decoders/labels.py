"""From the logits of labels to what is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def probabilities(logits: np.ndarray, several: bool) -> np.ndarray:
    """(rows, labels) logits to probabilities: each by itself, or one of all."""
    logits = logits.astype(np.float64)
    if several:
        return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def ranked_labels(names: Sequence[str], chances: np.ndarray) -> list[dict[str, Any]]:
    """Labels with their probabilities, likeliest first."""
    pairs = sorted(zip(names, chances.tolist(), strict=True), key=lambda p: -p[1])
    return [{"label": name, "probability": round(p, 4)} for name, p in pairs]


def chosen_labels(
    names: Sequence[str], chances: np.ndarray, thresholds: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Those whose probability reaches their threshold, 0.5 where none is set."""
    reached = {
        name
        for name, chance in zip(names, chances.tolist(), strict=True)
        if chance >= thresholds.get(name, 0.5)
    }
    return [item for item in ranked_labels(names, chances) if item["label"] in reached]
