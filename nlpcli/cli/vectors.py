"""``predict --output vectors.npy``: a row of numbers for each line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nlpcli.cli.answer_lines import placed
from nlpcli.cli.stream import Arrivals, Request, with_text
from nlpcli.errors import DataError, NlpcliError

SUFFIX = ".npy"


def write_vectors(
    arrivals: Arrivals,
    chunk_size: int,
    embedder: Any,
    on_error: str,
    output: Path,
    force: bool = False,
) -> int:
    """Row n for line n, float32; returns how many lines failed.

    An empty line has a row of zeros; a bad one, under ``on_error`` "skip", of NaN.
    """
    from nlpcli.files.npy import open_npy

    failed = 0
    with open_npy(output, embedder.dimension, force) as matrix:
        for chunk in arrivals.chunks(chunk_size):
            texts: list[str | None] = []
            for request in chunk:
                error = _error_of(request)
                if error is not None and on_error == "stop":
                    raise placed(request, error)
                failed += error is not None
                texts.append(request.text if error is None else None)
            matrix.write(embedder.rows(texts))
    return failed


def _error_of(request: Request) -> NlpcliError | None:
    if (error := with_text(request).error) is not None:
        return error
    if "\t" in request.text.strip():
        return DataError("expected one text for a row of numbers, got several by tabs")
    return None
