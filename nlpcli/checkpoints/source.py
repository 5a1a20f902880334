"""What a checkpoint looks like to the rules, whatever file it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

Shape = tuple[int, ...]


class Source(Protocol):
    """Named tensors of one published checkpoint, read one at a time."""

    label: str
    """The file or folder, as messages show it."""
    container: str
    """"safetensors", "torch" or "tensorflow"."""
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


Opener = Callable[[Path], Source | None]
"""Opens one more format; answers None for a path that is not its own."""
