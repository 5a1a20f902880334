"""Who walks through the blocks of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def walked_by(stack: Any, runner: Callable[..., Any]) -> Iterator[None]:
    """A stack walked by ``runner`` in here, and then as it was before."""
    before, stack.block_runner = stack.block_runner, runner
    try:
        yield
    finally:
        stack.block_runner = before
