"""Spans of a long text, found again by the part of the text that they touch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
Blocks = dict[int, list[T]]

_BLOCK = 256  # characters


def in_blocks(spans: Iterable[tuple[int, int, T]]) -> Blocks[T]:
    """What stands at [start, end) of a text, by the blocks of it that it touches."""
    blocks: Blocks[T] = {}
    for start, end, item in spans:
        for block in range(start // _BLOCK, (max(start + 1, end) - 1) // _BLOCK + 1):
            blocks.setdefault(block, []).append(item)
    return blocks


def near(blocks: Blocks[T], start: int, end: int) -> list[T]:
    """All that may touch [start, end), each once, in the order it was given; what is
    in the same blocks comes too."""
    return list(
        dict.fromkeys(
            item
            for block in range(start // _BLOCK, end // _BLOCK + 1)
            for item in blocks.get(block, ())
        )
    )
