"""Precision, recall and F1 of extracted triples: by their strings, or by their spans.

Strings are compared as the evaluation script of DuIE does: lower case, without the
book-title marks around them, each triple once a text. A triple said twice in a text
is thus one; spans tell the two apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nlpcli.metrics.parallel import pairs
from nlpcli.metrics.span_f1 import Counts

Triple = tuple[str, str, str]  # subject, predicate, object
Place = tuple[int, int]  # start, end (exclusive)
SpanTriple = tuple[Place, str, Place]
Either = TypeVar("Either", Triple, SpanTriple)


def score_triples(
    gold: Sequence[Iterable[Triple]], predicted: Sequence[Iterable[Triple]]
) -> TripleScores:
    """Compare the triples of each text by their strings, as DuIE does.

    The predicate must be equal as it stands. The script keys texts by their wording,
    so that a repeated one counts once; here each counts. Raises DataError when there
    are not as many predictions as gold answers.
    """
    return _score(
        [[normalise_triple(triple) for triple in text] for text in gold],
        [[normalise_triple(triple) for triple in text] for text in predicted],
    )


def score_span_triples(
    gold: Sequence[Iterable[SpanTriple]], predicted: Sequence[Iterable[SpanTriple]]
) -> TripleScores:
    """Compare the triples of each text by the places of subject and object.

    Raises DataError when there are not as many predictions as gold answers.
    """
    return _score(gold, predicted)


def normalise_triple(triple: Triple) -> Triple:
    """The triple with subject and object as DuIE compares them."""
    subject, predicate, object_ = triple
    return normalise_argument(subject), predicate, normalise_argument(object_)


def normalise_argument(text: str) -> str:
    """Lower case, without one pair of 《》 around the whole; spaces inside count.

    The marks go when the text starts with one and ends with the other, so
    《红》与《黑》 becomes 红》与《黑, on both sides alike: that is the script.
    """
    lowered = text.lower()
    if lowered.startswith("《") and lowered.endswith("》"):
        return lowered[1:-1]
    return lowered


@dataclass(frozen=True)
class TripleScores:
    """The counts of every predicate that gold or prediction has, and their sums."""

    per_predicate: dict[str, Counts]

    @property
    def micro(self) -> Counts:
        """All triples alike, whatever their predicate."""
        counts = self.per_predicate.values()
        return Counts(
            sum(predicate.predicted for predicate in counts),
            sum(predicate.gold for predicate in counts),
            sum(predicate.correct for predicate in counts),
        )

    def as_dict(self) -> dict[str, Any]:
        """The micro scores, then ``per_predicate``, ready for JSON."""
        return {
            **self.micro.as_dict(),
            "per_predicate": {
                name: counts.as_dict() for name, counts in self.per_predicate.items()
            },
        }


def _score(
    gold: Sequence[Iterable[Either]], predicted: Sequence[Iterable[Either]]
) -> TripleScores:
    gold_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    correct_counts: Counter[str] = Counter()
    for answer, truth in pairs(predicted, gold):
        ours, theirs = set(answer), set(truth)
        gold_counts.update(predicate for _, predicate, _ in theirs)
        predicted_counts.update(predicate for _, predicate, _ in ours)
        correct_counts.update(predicate for _, predicate, _ in ours & theirs)
    return TripleScores(
        {
            name: Counts(
                predicted_counts[name], gold_counts[name], correct_counts[name]
            )
            for name in sorted(gold_counts.keys() | predicted_counts.keys())
        }
    )
