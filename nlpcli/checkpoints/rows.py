"""Another vocabulary than the file's: which rows of a table a model starts with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """The rows wanted of every table with one row a token.

    kept: row numbers of the file, in the new order; None keeps all of them.
    compound: each entry is a list of row numbers of the file, whose mean becomes one
    more row after the kept ones. table: how many rows the file has to have; None is
    any number.
    """

    kept: np.ndarray | None = None
    compound: Sequence[Sequence[int]] = ()
    table: int | None = None

    def expected(self, size: int) -> int | None:
        """Rows the file needs to fill ``size`` rows; None when any number will do."""
        if self.table is not None:
            return self.table
        return size - len(self.compound) if self.kept is None else None

    def gaps(self, size: int, found: int) -> list[str]:
        """Why a table of ``found`` rows cannot fill one of ``size`` rows."""
        problems = []
        expected = self.expected(size)
        if expected is not None and found != expected:
            problems.append(f"expected {expected} rows (the vocabulary), got {found}")
        given = (found if self.kept is None else len(self.kept)) + len(self.compound)
        if self.kept is not None and given != size:
            problems.append(f"{given} rows are chosen for a vocabulary of {size}")
        wanted = [*(() if self.kept is None else self.kept)]
        wanted += [row for group in self.compound for row in group]
        outside = [int(row) for row in wanted if not 0 <= row < found]
        if outside:
            problems.append(
                f"row {outside[0]} is asked for, the file has {found} rows"
                + (f" ({len(outside)} such rows)" if len(outside) > 1 else "")
            )
        if any(len(group) == 0 for group in self.compound):
            problems.append("a new row has no old rows to be the mean of")
        return problems


def take_rows(
    matrix: np.ndarray,
    keep_token_ids: np.ndarray | Sequence[int] | None,
    compound: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Kept rows first, then one mean of old rows for each entry of ``compound``.

    matrix: (vocabulary, ...); returns (kept + compound, ...) of the same type.
    """
    kept = matrix if keep_token_ids is None else matrix[np.asarray(keep_token_ids, int)]
    means = [matrix[np.asarray(group, int)].mean(axis=0) for group in compound]
    if not means:
        return kept
    return np.concatenate([kept, np.stack(means).astype(matrix.dtype)])
