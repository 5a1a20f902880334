"""Cutting long texts into overlapping windows, and choosing whose answer counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
    char_to_token: np.ndarray, max_tokens: int, max_characters: int, stride: int
) -> list[Window]:
    """Greedy windows that hold at most so many pieces and characters.

    char_to_token: (characters,) index of the piece of each character, -1 for none,
    never falling. Neighbours share up to ``stride`` characters; the middle of the
    shared part is where one core ends and the next begins, so cores tile the text.
    A text without characters gives one empty window.
    """
    length = len(char_to_token)
    pieces = np.maximum(char_to_token, 0)
    windows: list[Window] = []
    start = core = 0
    while True:
        first = int(pieces[start]) if length else 0
        fits = int(np.searchsorted(pieces, first + max_tokens, side="left"))
        end = min(fits, start + max_characters, length)
        last = int(pieces[end - 1]) + 1 if end > start else 0
        if end == length:
            windows.append(Window(start, end, core, length, first, last))
            return windows
        overlap = min(stride, (end - start) // 2)
        border = end - overlap // 2
        windows.append(Window(start, end, core, border, first, last))
        start, core = end - overlap, border


def whole_window(length: int) -> Window:
    """The one window of a text that is read whole."""
    return Window(0, length, 0, length, 0, length)
