"""Who walks through the blocks of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def walked_by(stack: Any, runner: Callable[..., Any]) -> Iterator[None]:
    """A stack walked by ``runner`` in here, and then as it was before."""
    before, stack.block_runner = stack.block_runner, runner
    try:
        yield
    finally:
        stack.block_runner = before


class SharedWalk:
    """Stacks and who walks through the blocks of each, inside ``active``."""

    def __init__(self, runners: list[tuple[Any, Callable[..., Any]]]) -> None:
        self.runners = runners

    @contextmanager
    def active(self) -> Iterator[None]:
        """Models traced in here are walked through so."""
        with ExitStack() as entered:
            for stack, runner in self.runners:
                entered.enter_context(walked_by(stack, runner))
            yield
