"""Scores of pointer heads to triples: CasRel's two stages, and GPLinker's links."""

from __future__ import annotations

import math

import numpy as np

Span = tuple[int, int]  # start, end (exclusive)
ScoredSpan = tuple[int, int, int, float]  # start, end, label index, score
ScoredTriple = tuple[Span, int, Span, float]  # subject, predicate index, object, score

MOST_ENTITIES = 64
MOST_TRIPLES = 512


def nearest_spans(
    logits: np.ndarray,
    mask: np.ndarray,
    power: int,
    start_threshold: float,
    end_threshold: float,
) -> list[list[ScoredSpan]]:
    """Each start with the nearest last position of its label not before it.

    A logit x stands for sigmoid(x) ** power; starts and lasts count above their own
    thresholds, of probability; two starts may share a last. The score is the smaller
    of the two. logits: (rows, length, labels, 2), start and last; mask: (rows, length)
    bool. In order of start, then label.
    """
    real = np.asarray(mask, bool)[..., None]
    starts = (logits[..., 0] > _logit(start_threshold, power)) & real
    lasts = (logits[..., 1] > _logit(end_threshold, power)) & real
    length = logits.shape[1]
    places = np.where(lasts, np.arange(length)[:, None], length)
    nearest = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    row, start, label = np.nonzero(starts & (nearest < length))
    last = nearest[row, start, label]
    scores = np.minimum(logits[row, start, label, 0], logits[row, last, label, 1])
    out: list[list[ScoredSpan]] = [[] for _ in range(len(logits))]
    for r, s, e, k, score in zip(row, start, last, label, scores, strict=True):
        out[r].append((int(s), int(e) + 1, int(k), _sigmoid(score) ** power))
    return out


def link_triples(
    entities: np.ndarray, starts: np.ndarray, lasts: np.ndarray, mask: np.ndarray
) -> list[list[ScoredTriple]]:
    """Subjects and objects whose starts and whose lasts a predicate links.

    entities: (rows, 2, length, length), subjects and objects, start by last position;
    starts, lasts: (rows, predicates, length, length), subject by object; a logit counts
    above 0. mask: (rows, length) bool. The score is the sigmoid of the weakest of a
    triple's four logits. So that an untrained model, which may score half of all spans
    above 0, answers at all, only the best 64 subjects and objects are linked and the
    best 512 triples kept; in order of subject, object, predicate.
    """
    return [
        _linked(entities[row], starts[row], lasts[row], int(length))
        for row, length in enumerate(np.asarray(mask, bool).sum(axis=1))
    ]


def _linked(
    entities: np.ndarray, starts: np.ndarray, lasts: np.ndarray, length: int
) -> list[ScoredTriple]:
    subject_start, subject_last, subject_score = _best(entities[0], length)
    object_start, object_last, object_score = _best(entities[1], length)
    scores = np.minimum(
        starts[:, subject_start[:, None], object_start],
        lasts[:, subject_last[:, None], object_last],
    )
    scores = np.minimum(scores, np.minimum(subject_score[:, None], object_score))
    predicate, subject, object_ = np.nonzero(scores > 0)
    scores = scores[predicate, subject, object_]
    best = np.argsort(-scores, kind="stable")[:MOST_TRIPLES]
    triples = []
    for i in best:
        s, o = subject[i], object_[i]
        one = (int(subject_start[s]), int(subject_last[s]) + 1)
        other = (int(object_start[o]), int(object_last[o]) + 1)
        triples.append((one, int(predicate[i]), other, _sigmoid(scores[i])))
    return sorted(triples, key=lambda t: (t[0], t[2], t[1]))


def _best(logits: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, lasts and logits of the best spans above 0."""
    start, last = np.nonzero(np.triu(logits[:length, :length] > 0))
    scores = logits[start, last]
    best = np.argsort(-scores, kind="stable")[:MOST_ENTITIES]
    return start[best], last[best], scores[best]


def _logit(threshold: float, power: int) -> float:
    """Where sigmoid(x) ** power is the threshold."""
    root = threshold ** (1.0 / power)
    return math.log(root) - math.log1p(-root)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(float(logit), -700.0)))
