"""The ``task`` section of couplet's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nlpcli.config import option
from nlpcli.heads.sequence_options import SequenceOptions

from .form import CoupletForm


@dataclass(frozen=True)
class NarOptions:
    """Sizes of the non-autoregressive model: gated convolutions over the first line."""

    width: int = option(128, "size of the states", minimum=8)
    layers: int = option(6, "gated convolutions of width 3", minimum=1)
    dropout: float = option(
        0.25, "share of the token vectors' values that are dropped", minimum=0, below=1
    )


@dataclass(frozen=True)
class TaskOptions(SequenceOptions):
    """How the second line is found."""

    model: Literal["auto", "unilm", "seq2seq", "nar"] = option(  # type: ignore[assignment]
        "auto",
        "unilm writes character after character behind the first line; seq2seq with a "
        "decoder that looks at it; auto: one of both, as backbone.model is; nar "
        "classifies every place at once, from the token vectors of backbone.model and "
        "convolutions",
    )
    tones: bool = option(
        False,
        "level against oblique tones at even places and at the end; needs pypinyin",
        flag=True,
    )
    nar: NarOptions = field(default_factory=NarOptions)

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        yield from self.sequence_conflicts()
        if self.model != "nar":
            return
        reason = "since task.model is nar, which does not read what it wrote"
        if self.corruption:
            yield ["corruption", "model"], f"expected 0, {reason}"
        if self.tea_forn.n > 1:
            yield ["tea_forn", "model"], f"expected n: 1, {reason}"
        if self.r_drop:
            yield (
                ["r_drop", "model"],
                "expected 0, since task.model is nar, which trains without it",
            )

    def form(self) -> CoupletForm:
        """What a line of data is."""
        return CoupletForm()
