"""Tonal agreement: level (平) against oblique (仄), by the tones of modern Mandarin.

Tones 1 and 2 are level, 3 and 4 oblique. A character with readings of both classes,
or with none, is free. pypinyin is the extra ``tones`` and imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from nlpcli.errors import NlpcliError
from recipes.couplet.verse import is_mark

FREE, LEVEL, OBLIQUE = 0, 1, 2
_CLASSES = {"1": LEVEL, "2": LEVEL, "3": OBLIQUE, "4": OBLIQUE}


def demanded_tones(first: str) -> list[int]:
    """The tone that each place of the answer owes to a first line.

    Opposite tones at the even places of every clause and at the end of the line; no
    demand (0) elsewhere and where the first line's own character is free. Raises
    NlpcliError without pypinyin.
    """
    demands = [FREE] * len(first)
    places = [i for i, character in enumerate(first) if not is_mark(character)]
    in_clause = 0
    for i, character in enumerate(first):
        in_clause = 0 if is_mark(character) else in_clause + 1
        even = in_clause > 0 and in_clause % 2 == 0
        if even or (places and i == places[-1]):
            demands[i] = _opposite(tone_class(character))
    return demands


def tonal_agreement(first: str, second: str) -> tuple[int, int]:
    """How many demands the second line meets, and how many it could be held to."""
    met = held = 0
    for demand, character in zip(demanded_tones(first), second, strict=False):
        found = tone_class(character)
        if demand != FREE and found != FREE:
            held += 1
            met += found == demand
    return met, held


def token_tones(tokens: Sequence[str]) -> np.ndarray:
    """(vocabulary,) int32: the class of every token that is one character."""
    return np.array([tone_class(t) if len(t) == 1 else FREE for t in tokens], np.int32)


def tone_class(character: str) -> int:
    """LEVEL, OBLIQUE, or FREE where the readings do not agree or there are none."""
    classes = {_CLASSES[tone] for tone in _tones(character) if tone in _CLASSES}
    return classes.pop() if len(classes) == 1 else FREE


def has_tones() -> bool:
    """Whether pypinyin is installed."""
    return find_spec("pypinyin") is not None


def _opposite(tone: int) -> int:
    return {FREE: FREE, LEVEL: OBLIQUE, OBLIQUE: LEVEL}[tone]


@cache
def _tones(character: str) -> str:
    """The tone digits of all readings; 5 is the neutral tone."""
    readings = _reader()(character)
    return "".join(reading[-1] for reading in readings if reading)


@cache
def _reader() -> Callable[[str], list[str]]:
    try:
        from pypinyin import Style, pinyin
    except ImportError as error:
        raise NlpcliError(
            "tones: expected the package pypinyin, found none: "
            'pip install "nlpcli[tones]"'
        ) from error

    def read(character: str) -> list[str]:
        found: Any = pinyin(
            character,
            style=Style.TONE3,
            heteronym=True,
            neutral_tone_with_five=True,
            errors="ignore",
        )
        return list(found[0]) if found else []

    return read
