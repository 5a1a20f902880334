"""Which piece covers each character of a text."""

from __future__ import annotations

import numpy as np


def align_characters(offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the piece of each character, and the character's place in it.

    offsets: (pieces, 2) half-open spans that never go back. Returns two int32
    arrays of (length,). A character that no piece covers (a space, a control
    character) takes the piece before it, -1 if there is none, and place 0.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    real = np.flatnonzero(ends > starts)
    positions = np.arange(length)
    if len(real) == 0:
        return np.full(length, -1, np.int32), np.zeros(length, np.int32)
    # Of pieces over the same characters (one character, several pieces) the first.
    first = np.searchsorted(starts[real], positions, side="right") - 1
    first = np.searchsorted(starts[real], starts[real][np.maximum(first, 0)])
    piece = np.where(positions >= starts[real[0]], real[first], -1)
    covered = (piece >= 0) & (positions < ends[piece])
    places = np.where(covered, positions - starts[piece], 0)
    return piece.astype(np.int32), places.astype(np.int32)
