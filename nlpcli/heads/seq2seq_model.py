"""An encoder-decoder that writes: the loss is on what the decoder is to say."""

from __future__ import annotations

from typing import Any

from nlpcli.decoders.speaker import Speaker
from nlpcli.heads.seq2seq_speaker import Seq2SeqSpeaker
from nlpcli.heads.sequence_model import Batch, SequenceModel
from nlpcli.heads.sequence_options import SequenceOptions


class Seq2SeqModel(SequenceModel):
    """Features of nlpcli.text.layouts.Apart to logits of their targets.

    Losses and noise are SequenceModel's.
    """

    reads = "answer_ids"
    axes = ("tokens", "answer")

    def __init__(
        self,
        backbone: Any,
        options: SequenceOptions,
        special_ids: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, options, "causal", special_ids, **kwargs)

    @property
    def stacks(self) -> list[Any]:
        stacks: list[Any] = self.backbone.stacks
        return stacks

    def walked(
        self, inputs: Batch, token_ids: Any, token_vectors: Any, training: bool
    ) -> Any:
        return self.backbone(
            inputs["token_ids"],
            token_ids,
            inputs["padding_mask"],
            inputs["answer_mask"],
            training=training,
            token_vectors=token_vectors,
        )

    def speaker(self, width: int, slots: int) -> Speaker:
        return Seq2SeqSpeaker(self.backbone, self.logits, width, slots)

    def room(self, tokens: int) -> int | None:
        """An answer takes nothing of its prompt's room."""
        longest: int | None = self.backbone.config.longest
        return longest
