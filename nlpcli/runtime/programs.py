"""Programs of an export, run in the place of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from nlpcli.errors import CheckpointError
from nlpcli.runtime.batches import AT_ONCE, Plan
from nlpcli.runtime.extras import first_line
from nlpcli.text.batching import Bound, Features, Field


class Program(Protocol):
    """What was exported of a model: ``inputs`` are the names of what it reads."""

    inputs: list[str]

    def __call__(self, batch: Features) -> dict[str, np.ndarray]: ...


class ProgramForward:
    """A forward of programs; what a batch holds says which of them runs.

    ``arrays``: what a decoder needs of the model beside its outputs; ``where``: how
    messages call the programs. One batch at a time: an engine's own threads fill the
    processor.
    """

    def __init__(
        self, programs: Sequence[Program], arrays: Mapping[str, np.ndarray], where: str
    ) -> None:
        self._programs = {frozenset(program.inputs): program for program in programs}
        self._arrays = arrays
        self._where = where

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        program = self._programs.get(frozenset(batch))
        if program is None:
            known = " or ".join(", ".join(sorted(names)) for names in self._programs)
            raise CheckpointError(
                f"{self._where}: expected a program of {', '.join(sorted(batch))}, "
                f"found one of {known}"
            )
        try:
            return program(batch)
        except Exception as error:  # whatever an engine makes of a stranger's program
            raise CheckpointError(f"{self._where}: {first_line(error)}") from error

    def decoding(self) -> Mapping[str, np.ndarray]:
        return self._arrays

    def plan(self, fields: Mapping[str, Field], batch_size: int) -> Plan:
        return Plan(fields, Bound(batch_size, AT_ONCE))
