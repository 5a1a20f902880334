"""How varied a corpus of answers is: distinct-n."""

from __future__ import annotations

from collections.abc import Iterable


def distinct(answers: Iterable[str], size: int) -> float | None:
    """Different n-grams of ``size`` characters in all answers, per character, 0 to 1.

    White space is dropped and no n-gram crosses from one answer to the next. The
    count is divided by the number of characters, as Li et al. 2016 (arXiv 1510.03055)
    have it, not by that of n-grams, as some scripts do: short answers cannot gain by
    having few n-grams. None when there is not a single character. A corpus that says
    little has more room to vary: compare corpora of about the same size.
    """
    seen: set[str] = set()
    total = 0
    for answer in answers:
        characters = "".join(answer.split())
        total += len(characters)
        seen.update(
            characters[at : at + size] for at in range(len(characters) - size + 1)
        )
    return len(seen) / total if total else None
