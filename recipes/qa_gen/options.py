"""The ``task`` section of qa-gen's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nlpcli.config import option
from nlpcli.heads.sequence_options import SequenceOptions

from .form import QaForm


@dataclass(frozen=True)
class TaskOptions(SequenceOptions):
    """How much of each part is read and written, in characters without spaces.

    The three lengths and four special tokens fit into data.max_length.
    """

    passage_length: int = option(
        192, "longest window of a passage; windows end where sentences do", minimum=8
    )
    answer_length: int = option(24, "longest answer that is written", minimum=1)
    question_length: int = option(48, "longest question that is written", minimum=2)

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        yield from self.sequence_conflicts()
        if self.answer_length > self.passage_length:
            yield (
                ["answer_length", "passage_length"],
                f"expected at most task.passage_length ({self.passage_length}), "
                f"got {self.answer_length}",
            )

    def form(self) -> QaForm:
        """What a line of data is."""
        return QaForm(self.passage_length, self.answer_length, self.question_length)
