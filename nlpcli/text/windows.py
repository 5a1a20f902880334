"""Cutting long texts into overlapping windows, and merging what was found in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Label = TypeVar("Label")
Span = tuple[int, int, Label, float]  # start, end (exclusive), label, score

# A full stop of Latin text ends none: it also stands in numbers and names.
_SENTENCE_END = re.compile(r"[。！？!?；;…\n\r]+[”’」』）)】》〉\"']*\s*")
# How many strides a window may begin before the end of the last, for a sentence's sake.
_REACH = 3


@dataclass(frozen=True)
class Window:
    """Characters [start, end) of a text; it answers for [core_start, core_end).

    ``first_token`` and ``last_token`` (exclusive) are the pieces that it covers.
    """

    start: int
    end: int
    core_start: int
    core_end: int
    first_token: int
    last_token: int


def cut_windows(
    char_to_token: np.ndarray,
    max_tokens: int,
    max_characters: int,
    stride: int,
    text: str = "",
    mark: bool = False,
) -> list[Window]:
    """Greedy windows that hold at most so many pieces and characters.

    char_to_token: (characters,) index of the piece of each character, -1 for none,
    never falling. Neighbours share up to ``stride`` characters; in the middle of the
    shared part one core ends and the next begins, so cores tile the text. With
    ``text``, windows begin and cores end where sentences do, if they can; for that
    neighbours may share up to three times ``stride``, never more than half a window.
    A text without characters gives one empty window. ``mark``: pieces that cover
    nothing before the first character (the "▁" of Unigram) are the first window's.
    """
    length = len(char_to_token)
    pieces = np.maximum(char_to_token, 0)
    sentences = np.array([found.end() for found in _SENTENCE_END.finditer(text)], int)
    windows: list[Window] = []
    start = core = 0
    while True:
        first = int(pieces[start]) if length and (start or not mark) else 0
        fits = int(np.searchsorted(pieces, first + max_tokens, side="left"))
        end = min(fits, start + max_characters, length)
        last = int(pieces[end - 1]) + 1 if end > start else 0
        if end == length:
            windows.append(Window(start, end, core, length, first, last))
            return windows
        half = (end - start) // 2
        overlap = min(stride, half)
        earliest = max(core, end - min(_REACH * overlap, half))
        following = _nearest(sentences, earliest, end - overlap // 2, end - overlap)
        middle = max(core, end - (end - following) // 2)
        border = _nearest(sentences, max(core, following), end, middle)
        windows.append(Window(start, end, core, border, first, last))
        start, core = following, border


def whole_window(length: int) -> Window:
    """The one window of a text that is read whole."""
    return Window(0, length, 0, length, 0, length)


def merge_spans(
    parts: Sequence[tuple[Window, Sequence[Span[Label]]]], nested: bool = False
) -> list[Span[Label]]:
    """Spans of a text from those of its windows, in the order of the text.

    parts: all windows in order, each with its spans (start, end, label, score),
    counted from its start. Of two neighbours the first answers up to a seam, the
    second from there on. The seam is the place in what they share, nearest to where
    their cores meet, that no span of either crosses: so no span is cut, taken twice,
    or lost because each window leaves it to the other. A span that reaches from
    before the second window to behind the first is put together of its halves, with
    the lower score. Where spans cross every place, the seam is one that the fewest
    cross, and those of the first window stand; unless ``nested``, what overlaps them
    falls.
    """
    settled: list[Span[Label]] = []
    left: list[Span[Label]] = []
    seam = end = 0
    for window, found in parts:
        settled += [span for span in left if span[1] <= window.start]
        left = [span for span in left if span[1] > window.start]
        right = [(s + window.start, e + window.start, x, p) for s, e, x, p in found]
        left, whole, right = _joined(left, right, window.start, end)
        first = max(window.start, seam)
        seam = _seam([*left, *right], first, end, window.core_start)
        left = [span for span in left if span[0] < seam]
        free = seam if nested else max([seam, *(span[1] for span in left)])
        left += whole + [span for span in right if span[0] >= free]
        end = window.end
    return sorted(settled + left, key=lambda span: span[:2])


def _joined(
    left: list[Span[Label]], right: list[Span[Label]], start: int, end: int
) -> tuple[list[Span[Label]], list[Span[Label]], list[Span[Label]]]:
    """Left spans without halves, spans made of two halves, right spans without.

    The windows share [start, end). Of several halves of one label (nested spans) the
    surest are joined.
    """
    heads = [span for span in left if span[0] < start < span[1] == end]
    tails = [span for span in right if span[0] == start < end < span[1]]
    labels = {span[2] for span in heads} & {span[2] for span in tails}
    heads = [span for span in heads if span[2] in labels]
    tails = [span for span in tails if span[2] in labels]
    first = {span[2]: span for span in sorted(heads, key=lambda span: span[3])}
    second = {span[2]: span for span in sorted(tails, key=lambda span: span[3])}
    whole = [
        (head[0], second[label][1], label, min(head[3], second[label][3]))
        for label, head in first.items()
    ]
    halves = {*heads}, {*tails}
    return (
        [span for span in left if span not in halves[0]],
        whole,
        [span for span in right if span not in halves[1]],
    )


def _seam(spans: list[Span[Label]], first: int, last: int, wish: int) -> int:
    """The place of [first, last] that fewest spans cross, the nearest to ``wish``."""
    places = np.arange(first, last + 1)
    starts = np.sort([span[0] for span in spans])
    ends = np.sort([span[1] for span in spans])
    begun = np.searchsorted(starts, places, side="left")
    crossing = begun - np.searchsorted(ends, places, side="right")
    return int(places[np.lexsort((np.abs(places - wish), crossing))[0]])


def _nearest(sentences: np.ndarray, first: int, last: int, wish: int) -> int:
    """The end of a sentence in [first, last] nearest to ``wish``, which stands in."""
    low, high = np.searchsorted(sentences, [first, last + 1])
    return int(min(sentences[low:high], key=lambda x: abs(x - wish), default=wish))
