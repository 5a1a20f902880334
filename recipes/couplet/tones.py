"""Tonal agreement: what the tones of a first line ask of the second."""

from __future__ import annotations

from nlpcli.text.tones import FREE, LEVEL, OBLIQUE, tone_class

from .verse import is_mark


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


def _opposite(tone: int) -> int:
    return {FREE: FREE, LEVEL: OBLIQUE, OBLIQUE: LEVEL}[tone]
