"""Options of every recipe that learns to write: how targets are taught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nlpcli.config import option


@dataclass(frozen=True)
class TeaForNOptions:
    """Teacher forcing over n tokens (arXiv 2010.03494): n - 1 further passes read
    what the pass before would have written."""

    n: int = option(1, "passes; 1 is plain teacher forcing", minimum=1)
    decay: float = option(
        0.5, "weight of each further pass beside the one before", above=0, maximum=1
    )
    top_k: int | None = option(
        4, "tokens whose mean embedding is fed back; null is all of them", minimum=1
    )


@dataclass(frozen=True)
class SequenceOptions:
    """Base of the ``task`` section of generation recipes."""

    model: Literal["auto", "prefix", "seq2seq"] = option(
        "auto",
        "prefix: source and target in one stack; seq2seq: an encoder reads, a decoder "
        "writes; auto: as backbone.model is",
    )

    label_smoothing: float = option(
        0.0, "share of the target spread over the vocabulary", minimum=0, below=1
    )
    corruption: float = option(
        0.0,
        "share of target tokens replaced by random ones on the way in, against "
        "exposure bias",
        minimum=0,
        below=1,
    )
    r_drop: float = option(
        0.0, "weight of the divergence between two dropouts; 0 is off", minimum=0
    )
    tea_forn: TeaForNOptions = field(default_factory=TeaForNOptions)

    def sequence_conflicts(self) -> Iterator[tuple[list[str], str]]:
        """Keys that do not go together, and why."""
        if self.r_drop and self.tea_forn.n > 1:
            yield (
                ["r_drop", "tea_forn"],
                "expected 0, since task.tea_forn.n is above 1 and each already takes "
                "another pass",
            )

    def conflicts(self) -> Iterator[tuple[list[str], str]]:
        """What a recipe's own options extend."""
        yield from self.sequence_conflicts()
