"""A matrix on disk in NumPy's format, written row by row, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from nlpcli.errors import UsageError
from nlpcli.files.atomic import explained
from nlpcli.files.named import named_file


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

    def _write_header(self) -> None:
        # numpy leaves room in it for any number of rows
        shape = (self.rows, self.columns)
        told = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self.stream, told)


@contextmanager
def open_npy(path: Path, columns: int, force: bool = False) -> Iterator[NpyFile]:
    """A matrix that gets its name when the block ends without an error.

    Raises UsageError for a pipe or device, which cannot be written to at its start
    when the number of rows is known, and as ``named_file`` does.
    """
    if path.exists() and not path.is_file():
        raise UsageError(
            f"{path}: expected a file name for a matrix, got no plain file"
        )
    with named_file(path, force) as stream:
        with explained(path):
            matrix = NpyFile(stream, path, columns)
        yield matrix
        matrix.finish()
