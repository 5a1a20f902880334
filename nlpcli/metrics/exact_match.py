"""Share of answers that are right: equal as text, or by somebody else's judgment."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from nlpcli.metrics.parallel import pairs


def exact_match(answers: Sequence[str], references: Sequence[str]) -> float | None:
    """Share of answers that equal their reference once both are normalised.

    None without answers. Raises DataError when there are not as many references as
    answers.
    """
    return accuracy(
        normalise(answer) == normalise(reference)
        for answer, reference in pairs(answers, references)
    )


def accuracy(flags: Iterable[bool]) -> float | None:
    """Share of True; None without flags."""
    right = total = 0
    for flag in flags:
        right += bool(flag)
        total += 1
    return right / total if total else None


def normalise(text: str) -> str:
    """NFKC without white space: full width is half width, ``１ ２`` is ``12``.

    Case and punctuation stay. White space goes last, for NFKC makes some: the
    ideographic space, and the one under a lone accent.
    """
    return "".join(unicodedata.normalize("NFKC", text).split())
