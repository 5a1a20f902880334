"""The ``task`` section of dialog's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option
from nlpcli.heads.sequence_options import SequenceOptions

from .form import DialogForm


@dataclass(frozen=True)
class TaskOptions(SequenceOptions):
    """How replies are learnt and chosen."""

    model: Literal["auto", "prefix"] = option(
        "auto", "prefix: all turns in one stack, which is all there is; auto: the same"
    )
    loss_on: Literal["all", "replies"] = option(
        "all", "all: every turn is a target; replies: the second speaker's, 2, 4, 6 ..."
    )
    backward: bool = option(
        False,
        "learn to tell the turn before from the reply too: each dialogue also "
        "backwards",
    )
    mmi: float = option(
        0.0,
        "weight of that backward score when candidates are ranked, against dull "
        "replies; 0 takes the first sample; needs backward",
        minimum=0,
    )
    candidates: int = option(
        8, "replies sampled and ranked when mmi is above 0", minimum=2
    )

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        yield from self.sequence_conflicts()
        if self.mmi and not self.backward:
            yield (
                ["mmi", "backward"],
                "expected 0, since task.backward is false and the model learns no "
                "backward score",
            )

    def form(self) -> DialogForm:
        """What a line of data is."""
        return DialogForm()
