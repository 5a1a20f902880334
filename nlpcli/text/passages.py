"""Passages as characters, and windows of long ones, which end where sentences do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nlpcli.text.tokenizers.encoding import Tokenizer

_SENTENCE = 2
_CLAUSE = 1
_SENTENCE_ENDS = frozenset("。！？!?；;…")
_CLAUSE_ENDS = frozenset("，,、：:")
_CLOSING = frozenset("”’」』）)】》〉\"'")
_MARKS = _SENTENCE_ENDS | _CLAUSE_ENDS | _CLOSING


@dataclass(frozen=True)
class Passage:
    """A text, or a window of it, as the model reads it.

    token_ids: (characters,) int32 without spaces; offsets: (characters, 2) code
    points of the whole text.
    """

    text: str
    token_ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)

    def part(self, first: int, last: int) -> Passage:
        """Characters [first, last)."""
        return Passage(self.text, self.token_ids[first:last], self.offsets[first:last])

    def place(self, first: int, last: int) -> tuple[int, int]:
        """Where the characters [first, last) stand in the text."""
        return int(self.offsets[first, 0]), int(self.offsets[last - 1, 1])

    def characters(self, start: int, end: int) -> tuple[int, int]:
        """The characters that lie in [start, end) of the text."""
        return (
            int(np.searchsorted(self.offsets[:, 0], start)),
            int(np.searchsorted(self.offsets[:, 0], end)),
        )

    def find(self, token_ids: np.ndarray) -> int:
        """Where some tokens stand for the first time; -1 when they do not."""
        size = len(token_ids)
        if not 0 < size <= len(self):
            return -1
        views = np.lib.stride_tricks.sliding_window_view(self.token_ids, size)
        found = np.flatnonzero((views == token_ids).all(axis=1))
        return int(found[0]) if len(found) else -1

    @property
    def has_words(self) -> bool:
        """Whether there is a letter or a digit in it."""
        return any(self.text[start].isalnum() for start in self.offsets[:, 0])

    @cached_property
    def borders(self) -> np.ndarray:
        """(characters + 1,): whether a sentence or a clause begins before each."""
        borders = np.zeros(len(self) + 1, np.int8)
        borders[0] = borders[-1] = _SENTENCE
        text = self.text
        starts, ends = self.offsets[:, 0].tolist(), self.offsets[:, 1].tolist()
        kind = 0  # of the border that is due behind the marks that just stood there
        for i in range(len(self) - 1):
            character, after = text[starts[i]], text[starts[i + 1]]
            if character in _SENTENCE_ENDS:
                kind = _SENTENCE
            elif character in _CLAUSE_ENDS:
                kind = max(kind, _CLAUSE)
            elif character not in _CLOSING:
                kind = 0
            if "\n" in text[ends[i] : starts[i + 1]]:
                borders[i + 1] = _SENTENCE
            elif after not in _MARKS:
                borders[i + 1] = kind
        return borders


def read_passage(tokenizer: Tokenizer, text: str) -> Passage:
    """The whole of a text."""
    encoding = tokenizer.encode_characters(text)
    return Passage(text, encoding.token_ids, encoding.offsets)


def windows(passage: Passage, longest: int) -> list[Passage]:
    """The passage in parts of at most ``longest`` characters, as few as sentences let.

    A sentence that is longer is cut between clauses, a clause that is longer at will.
    """
    return [passage.part(*window) for window in _tiles(passage.borders, longest)]


def window_around(
    passage: Passage, start: int, end: int, longest: int
) -> tuple[int, int]:
    """The window that holds the characters [start, end); they must fit into it.

    It is the one of ``windows`` where that has all of them, so that answers stand in
    training where they stand in use. Otherwise it begins with their sentence.
    """
    borders = passage.borders
    for first, last in _tiles(borders, longest):
        if first <= start and end <= last:
            return first, last
    for kind in (_SENTENCE, _CLAUSE):
        before = np.flatnonzero(borders[: start + 1] >= kind)
        first = int(before[-1])
        if end - first <= longest:
            break
    else:
        first = max(0, start - (longest - (end - start)) // 2)
    return first, max(end, _last(borders, first, longest))


def _tiles(borders: np.ndarray, longest: int) -> list[tuple[int, int]]:
    tiles: list[tuple[int, int]] = []
    first, length = 0, len(borders) - 1
    while first < length:
        last = _last(borders, first, longest)
        tiles.append((first, last))
        first = last
    return tiles


def _last(borders: np.ndarray, first: int, longest: int) -> int:
    """The furthest border that a window from ``first`` reaches."""
    furthest = min(first + longest, len(borders) - 1)
    for kind in (_SENTENCE, _CLAUSE):
        found = np.flatnonzero(borders[first + 1 : furthest + 1] >= kind)
        if len(found):
            return first + 1 + int(found[-1])
    return furthest
