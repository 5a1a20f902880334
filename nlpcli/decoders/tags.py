"""BIO tag scheme: labelled spans to one tag a character, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nlpcli.errors import DataError

Span = tuple[int, int, str]  # start, end (exclusive), label


class Allowed(NamedTuple):
    """Which tags may begin, follow one another (from row to column) and end.

    start, end: (tags,) bool; transitions: (tags, tags) bool.
    """

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray


class TagScheme:
    """BIO over entity labels: tag 0 is O, 2k + 1 is B and 2k + 2 is I of label k."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.tags = ["O"] + [f"{p}-{label}" for label in self.labels for p in "BI"]
        self.begins = {label: 2 * k + 1 for k, label in enumerate(self.labels)}

    @cached_property
    def allowed(self) -> Allowed:
        """Anything may follow anything, but I-X only B-X or I-X."""
        tags = np.arange(len(self.tags))
        inside = _inside(tags)
        same_label = _label(tags)[:, None] == _label(tags)[None, :]
        return Allowed(~inside, ~inside[None, :] | same_label, np.ones(len(tags), bool))

    def encode(self, spans: Iterable[Span], length: int) -> np.ndarray:
        """Write spans as tags: (length,) int32.

        Raises DataError when a span is empty, leaves the text, overlaps another or
        has a label that is not of this scheme.
        """
        tags = np.zeros(length, np.int32)
        for start, end, label in spans:
            if not 0 <= start < end <= length:
                raise DataError(
                    f"{label} [{start}, {end}): expected 0 <= start < end <= {length}"
                )
            if label not in self.begins:
                raise DataError(
                    f"[{start}, {end}): expected a label of "
                    f"{', '.join(self.labels) or 'none'}, got {label!r}"
                )
            if tags[start:end].any():
                raise DataError(
                    f"{label} [{start}, {end}) overlaps another entity: "
                    "one tag a character cannot write both"
                )
            tags[start:end] = self.begins[label] + 1
            tags[start] = self.begins[label]
        return tags

    def decode(self, tags: np.ndarray) -> list[Span]:
        """Read tags, (length,) integers, as spans in the order of the text.

        An I that continues nothing begins an entity; constrained Viterbi never
        writes one.
        """
        tags = np.asarray(tags)
        labels = _label(tags)
        continues = np.zeros(len(tags) + 1, bool)
        continues[1:-1] = _inside(tags[1:]) & (labels[1:] == labels[:-1])
        starts = np.flatnonzero((labels >= 0) & ~continues[:-1])
        ends = np.flatnonzero((labels >= 0) & ~continues[1:]) + 1
        return [
            (int(start), int(end), self.labels[labels[start]])
            for start, end in zip(starts, ends, strict=True)
        ]


def spread(tags: np.ndarray, leads: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Tags of all characters from those of the first of each piece; (length,) each.

    leads: bool, the first of a piece; places: a character's number in its piece. What
    follows in the piece goes on with its label; a gap, which no piece covers, only
    where the piece behind it does.
    """
    spread, label = np.zeros(len(tags), np.int32), 0
    gap: list[int] = []
    for i, tag in enumerate(np.asarray(tags).tolist()):
        if leads[i]:
            inside = tag + tag % 2  # I of the same label, 0 for O
            if gap and tag and tag == inside == label:
                spread[gap] = inside
            spread[i], label, gap = tag, inside, []
        elif places[i]:
            spread[i] = label
        else:
            gap.append(i)
    return spread


def _label(tags: np.ndarray) -> np.ndarray:
    """Index of each tag's label, -1 for O."""
    return (tags + 1) // 2 - 1


def _inside(tags: np.ndarray) -> np.ndarray:
    return (tags > 0) & (tags % 2 == 0)
