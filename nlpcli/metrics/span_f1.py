"""Entity-level precision, recall and F1 over spans, micro and per label.

A predicted span is correct when a gold span of the same text has the same start, end
and label: seqeval's ``mode="strict"``, counted on spans instead of tags, so nested
entities are scored by the same rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from nlpcli.errors import DataError

Span = tuple[int, int, str]  # start, end (exclusive), label


def score_spans(
    gold: Iterable[Set[Span]], predicted: Iterable[Set[Span]]
) -> SpanScores:
    """Compare two parallel streams of span sets, one set a text.

    Raises DataError when one stream ends before the other.
    """
    gold_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    correct_counts: Counter[str] = Counter()
    for number, (truth, answer) in enumerate(zip_longest(gold, predicted), start=1):
        if truth is None or answer is None:
            missing = "gold answer" if truth is None else "prediction"
            raise DataError(
                f"text {number}: expected as many predictions as gold answers, "
                f"got no {missing} for it"
            )
        gold_counts.update(label for _, _, label in truth)
        predicted_counts.update(label for _, _, label in answer)
        correct_counts.update(label for _, _, label in truth & answer)
    return SpanScores(
        {
            label: Counts(
                predicted_counts[label], gold_counts[label], correct_counts[label]
            )
            for label in sorted(gold_counts.keys() | predicted_counts.keys())
        }
    )


@dataclass(frozen=True)
class Counts:
    """Spans predicted, spans in gold, spans in both, and their ratios.

    A ratio without a denominator is None: no precision where nothing was predicted,
    no recall where nothing was to be found, no F1 where neither was.
    """

    predicted: int
    gold: int
    correct: int

    @property
    def precision(self) -> float | None:
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> float | None:
        return _ratio(self.correct, self.gold)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.correct, self.predicted + self.gold)

    def as_dict(self) -> dict[str, Any]:
        """Ratios and counts, ready for JSON."""
        return {
            "f1": self.f1,
            "precision": self.precision,
            "recall": self.recall,
            "predicted": self.predicted,
            "gold": self.gold,
            "correct": self.correct,
        }


@dataclass(frozen=True)
class SpanScores:
    """The counts of every label that gold or prediction has, and their sums."""

    per_label: dict[str, Counts]

    @property
    def micro(self) -> Counts:
        """All spans alike, whatever their label."""
        counts = self.per_label.values()
        return Counts(
            sum(label.predicted for label in counts),
            sum(label.gold for label in counts),
            sum(label.correct for label in counts),
        )

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the labels; None when there is no label at all."""
        scores = [label.f1 for label in self.per_label.values()]
        known = [score for score in scores if score is not None]
        return _ratio(sum(known), len(known))

    def as_dict(self) -> dict[str, Any]:
        """The micro scores, then ``macro_f1`` and ``per_label``, ready for JSON."""
        return {
            **self.micro.as_dict(),
            "macro_f1": self.macro_f1,
            "per_label": {
                label: counts.as_dict() for label, counts in self.per_label.items()
            },
        }


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
