"""Turns as one text: ``你好|你好呀``; a bar inside a turn is written ``\\|``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlpcli.errors import DataError

_ESCAPED = re.compile(r"\\([\\|])|(\|)")
_SPECIAL = re.compile(r"[\\|]")


def join_turns(turns: Sequence[str]) -> str:
    """One text that ``split_turns`` takes apart again."""
    return "|".join(_SPECIAL.sub(r"\\\g<0>", turn) for turn in turns)


def split_turns(text: str) -> tuple[str, ...]:
    """The turns of a text, without the space around them; none for a blank text.

    A backslash before a bar or a backslash makes it an ordinary character, and stands
    for itself elsewhere. Raises DataError for a turn with nothing in it.
    """
    if not text.strip():
        return ()
    turns = [""]
    end = 0
    for match in _ESCAPED.finditer(text):
        turns[-1] += text[end : match.start()] + (match[1] or "")
        end = match.end()
        if match[2]:
            turns.append("")
    turns[-1] += text[end:]
    stripped = tuple(turn.strip() for turn in turns)
    for number, turn in enumerate(stripped, start=1):
        if not turn:
            raise DataError(
                f"turn {number} of {len(stripped)}: expected text between the bars, "
                f'got none (a bar inside a turn is written "\\|")'
            )
    return stripped
