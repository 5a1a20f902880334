"""A matrix on disk in NumPy's format, written row by row, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from nlpcli.errors import UsageError
from nlpcli.files.atomic import explained, sync_folder

HEADER_BYTES = 128  # room for any number of rows; a multiple of 64, as readers align


class NpyFile:
    """Rows of float32 on their way to a file; ``open_npy`` makes one."""

    def __init__(self, stream: BinaryIO, path: Path, columns: int) -> None:
        self.stream = stream
        self.path = path
        self.columns = columns
        self.rows = 0
        stream.write(b"\0" * HEADER_BYTES)

    def write(self, rows: np.ndarray) -> None:
        """Add rows: (any, columns)."""
        with explained(self.path):
            self.stream.write(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(rows)

    def finish(self) -> None:
        """Put the header, which says how many rows there are, in its place."""
        told = {"descr": "<f4", "fortran_order": False}
        text = repr({**told, "shape": (self.rows, self.columns)}).encode("ascii")
        magic = npy.magic(1, 0)
        size = HEADER_BYTES - len(magic) - 2
        with explained(self.path):
            self.stream.seek(0)
            self.stream.write(magic + size.to_bytes(2, "little"))
            self.stream.write(text.ljust(size - 1) + b"\n")
            self.stream.flush()


@contextmanager
def open_npy(path: Path, columns: int) -> Iterator[NpyFile]:
    """A matrix that is renamed into place when the block ends without an error.

    Raises UsageError for a pipe or device, which cannot be written to at its start
    when the number of rows is known.
    """
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path}: expected a file name for a matrix, got no plain file"
        )
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
    with explained(path):
        stream = partial.open("wb")
    try:
        with explained(path):
            matrix = NpyFile(stream, path, columns)
        yield matrix
        matrix.finish()
        with explained(path):
            os.fsync(stream.fileno())
            partial.replace(target)
            sync_folder(target.parent)
    finally:
        with suppress(OSError):
            stream.close()
        with suppress(FileNotFoundError):
            partial.unlink()
