"""Engines that are installed by an extra, and only imported where they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nlpcli.errors import NotFoundError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Import what an extra brings; NotFoundError names it where it is missing."""
    try:
        yield
    except ImportError as error:
        raise NotFoundError(
            f"{error.name or extra}: not installed; `pip install 'nlpcli[{extra}]'` "
            "brings it"
        ) from error


def first_line(error: Exception) -> str:
    """What a library said, as part of one line; OpenVINO first tells its own lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return (" ".join(told[:2]) or " ".join(lines[:1]) or type(error).__name__)[:200]
