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


class NpyFile:
    """Rows of float32 on their way to a file; ``open_npy`` makes one."""

    def __init__(self, stream: BinaryIO, path: Path, columns: int) -> None:
        self.stream = stream
        self.path = path
        self.columns = columns
        self.rows = 0
        self._write_header()

    def write(self, rows: np.ndarray) -> None:
        """Add rows: (any, columns)."""
        with explained(self.path):
            self.stream.write(np.ascontiguousarray(rows, "<f4").data)
        self.rows += len(rows)

    def finish(self) -> None:
        """Say in the header how many rows there are."""
        with explained(self.path):
            self.stream.seek(0)
            self._write_header()
            self.stream.flush()

    def _write_header(self) -> None:
        # numpy leaves room in it for any number of rows
        shape = (self.rows, self.columns)
        told = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self.stream, told)


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
