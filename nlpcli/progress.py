"""What the engine reports while it works; the command line decides how it looks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener for one piece of work at a time."""

    def start(self, title: str, total: int | None) -> None:
        """Begin; ``total`` is the number of units, None when it is not known."""

    def update(self, done: int, **stats: float | str) -> None:
        """``done`` units so far; ``stats`` such as loss or tokens_per_second."""

    def finish(self) -> None:
        """End, also after an error; may be called without a ``start``."""


class _Silent:
    def start(self, title: str, total: int | None) -> None:
        pass

    def update(self, done: int, **stats: float | str) -> None:
        pass

    def finish(self) -> None:
        pass


SILENT: Progress = _Silent()
