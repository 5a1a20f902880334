"""The ``task`` section of math-qa's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nlpcli.config import option
from nlpcli.heads.sequence_options import SequenceOptions

from .form import MathForm


@dataclass(frozen=True)
class TaskOptions(SequenceOptions):
    """How expressions are written."""

    grammar: bool = option(
        True,
        "write only well-formed expressions over the numbers of the question and a "
        "few constants",
        flag=True,
    )
    expression_length: int = option(
        64, "longest expression that is written, in characters", minimum=4
    )

    def form(self) -> MathForm:
        """What a line of data is."""
        return MathForm()
