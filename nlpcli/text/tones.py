"""Level (平) and oblique (仄) characters, by the tones of modern Mandarin.

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

FREE, LEVEL, OBLIQUE = 0, 1, 2
_CLASSES = {"1": LEVEL, "2": LEVEL, "3": OBLIQUE, "4": OBLIQUE}


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
