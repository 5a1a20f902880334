"""Answers beside their references, one pair an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from nlpcli.errors import DataError

Answer = TypeVar("Answer")
Reference = TypeVar("Reference")


def pairs(
    answers: Sequence[Answer], references: Sequence[Reference]
) -> Iterator[tuple[Answer, Reference]]:
    """Each answer with its reference; DataError when the counts differ."""
    if len(answers) != len(references):
        raise DataError(
            f"expected as many references as answers, "
            f"got {len(references)} for {len(answers)}"
        )
    return zip(answers, references, strict=True)
