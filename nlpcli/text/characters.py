"""Which piece covers each character of a text."""

from __future__ import annotations

import numpy as np


def leading(char_to_token: np.ndarray) -> np.ndarray:
    """Which characters are the first of a piece's: (characters,) bool.

    char_to_token: 0 where none covers a character, the same number again where it is
    not the first.
    """
    before = np.concatenate([[0], char_to_token[:-1]])
    return (char_to_token > 0) & (char_to_token != before)


def align_characters(offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the piece of each character, and the character's place in it.

    offsets: (pieces, 2) half-open spans whose starts and ends never fall. Returns
    two int32 arrays of (length,). Of several pieces over a character (one that
    normalisation made longer) the first counts. A character that no piece covers (a
    space, a control character) takes the last piece before it, -1 if there is none,
    and place 0. A piece that covers nothing has no character.
    """
    real = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    starts, ends = offsets[real, 0], offsets[real, 1]
    positions = np.arange(length)
    piece = np.searchsorted(ends, positions, side="right")
    # One more at the end, for the characters behind the last piece.
    covered = np.append(starts, length)[piece] <= positions
    piece = np.where(covered, piece, piece - 1)
    places = np.where(covered, positions - np.append(starts, 0)[piece], 0)
    return np.append(real, -1)[piece].astype(np.int32), places.astype(np.int32)
