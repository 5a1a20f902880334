"""Paths that begin with ``~``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def at_home(path: str | Path) -> Path:
    """A path with ``~`` as the home that it stands for; as it is where none is."""
    with suppress(RuntimeError):  # no such user, or a user of whom nothing is told
        return Path(path).expanduser()
    return Path(path)
