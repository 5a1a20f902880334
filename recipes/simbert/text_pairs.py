"""Two texts on one line, a tab between them: how ``predict`` takes a pair."""

from __future__ import annotations

TAB = "\t"


def join_pair(text_a: str, text_b: str) -> str:
    """One line of both; a tab inside a text becomes a space."""
    return TAB.join(text.replace(TAB, " ") for text in (text_a, text_b))


def split_pair(line: str) -> tuple[str, ...]:
    """The texts of a line; a blank line is one without text."""
    if not line.strip():
        return ("",)
    return tuple(part.strip() for part in line.split(TAB))
