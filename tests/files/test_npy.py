"""A matrix appears whole or not at all, and numpy reads it."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from nlpcli.errors import UsageError
from nlpcli.files.npy import NpyFile, open_npy


@pytest.mark.parametrize("counts", [(), (0,), (1,), (3, 0, 2)])
def test_numpy_reads_what_was_written(tmp_path, counts):
    path = tmp_path / "vectors.npy"
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(count, 5)).astype("float32") for count in counts]
    with open_npy(path, 5) as matrix:
        for part in parts:
            matrix.write(part)
    found = np.load(path)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.concatenate([np.zeros((0, 5)), *parts]))
    mapped = np.load(path, mmap_mode="r")
    assert mapped.shape == found.shape
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("columns", [1, 10**4, 10**8, 10**9, 10**12])
def test_the_header_has_room_for_any_number_of_rows(columns):
    stream = BytesIO()
    matrix = NpyFile(stream, Path("vectors.npy"), columns)
    empty = len(stream.getvalue())
    matrix.rows = 2**63 - 1
    matrix.finish()
    assert len(stream.getvalue()) == empty
    stream.seek(0)
    assert npy.read_magic(stream) == (1, 0)
    shape, by_columns, kind = npy.read_array_header_1_0(stream)
    assert (shape, by_columns, kind) == ((2**63 - 1, columns), False, np.float32)
    assert stream.tell() % 64 == 0


def test_after_an_error_the_old_file_is_there(tmp_path):
    path = tmp_path / "vectors.npy"
    path.write_bytes(b"old")
    with pytest.raises(ValueError), open_npy(path, 2) as matrix:
        matrix.write(np.zeros((1, 2), "float32"))
        raise ValueError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    with (
        pytest.raises(UsageError, match="no plain file"),
        open_npy(tmp_path / "pipe.npy", 2),
    ):
        pass
