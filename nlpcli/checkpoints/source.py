"""What a checkpoint looks like to the rules, whatever file it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

Shape = tuple[int, ...]
Blocks = Iterator[tuple[int, np.ndarray]]
"""A tensor piece by piece: its first row, and rows as they lie one after another."""

BLOCK = 2**22  # bytes of float32 that are read at once, where a file lets us


class Source(Protocol):
    """Named tensors of one published checkpoint, read one at a time."""

    label: str
    """The file or folder, as messages show it."""
    container: str
    """"safetensors", "torch", "h5" or "tensorflow"."""
    dialect: str
    """Which names it uses: "hf" or "tf"."""
    files: list[Path]
    """The files that hold the tensors."""

    def describe(self) -> dict[str, Shape]:
        """Shape of every tensor, by name."""

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float16"."""

    def read(self, name: str) -> np.ndarray:
        """The tensor; half precision comes as float32.

        Raises CheckpointError when it cannot be read.
        """


@runtime_checkable
class Rowwise(Source, Protocol):
    """A source that reads some rows of a tensor without the others."""

    turned: Collection[str]
    """Tensors that the file has the other way round: read as a whole."""

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of a tensor of one axis or more, as ``read`` gives them."""


def read_blocks(source: Source, name: str, shape: Shape) -> Blocks:
    """A tensor by blocks of rows; as one block where it is small or lies otherwise.

    A table of a gigabyte is never twice in memory, whatever type the file has.
    """
    step = max(1, BLOCK // (4 * math.prod(shape[1:]) or 1))
    if (
        not shape
        or step >= shape[0]
        or not isinstance(source, Rowwise)
        or name in source.turned
    ):
        yield 0, source.read(name)
        return
    for start in range(0, shape[0], step):
        yield start, source.read_rows(name, start, min(start + step, shape[0]))


Opener = Callable[[Path], Source | None]
"""Opens one more format; answers None for a path that is not its own."""
