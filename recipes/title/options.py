"""The ``task`` section of title's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpcli.config import option
from nlpcli.heads.sequence_options import SequenceOptions

from .form import TitleForm


@dataclass(frozen=True)
class TaskOptions(SequenceOptions):
    """How titles are learnt and written."""

    model: Literal["auto", "unilm", "causal", "seq2seq"] = option(  # type: ignore[assignment]
        "auto",
        "unilm: the text sees all of itself, the title what is before it too; causal: "
        "both see what is before; seq2seq: an encoder reads the text, a decoder writes "
        "the title; auto: unilm or seq2seq, as backbone.model is",
    )
    title_length: int = option(
        32,
        "tokens kept for a title: a text that is too long for data.max_length beside "
        "it loses its end, and so does a longer title",
        minimum=2,
    )

    def form(self) -> TitleForm:
        """What a line of data is."""
        return TitleForm()
