"""An encoder-decoder that speaks: the prompt is read once, by the encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from keras import ops

from nlpcli.decoders.speaker import Extend
from nlpcli.heads.speaker import CacheSpeaker, Memory
from nlpcli.layers import masks


class SourceMemory(NamedTuple):
    """read: keys and values of the prompt, which no token changes; answer: the cache of
    what is written."""

    read: Any
    answer: Memory


class Seq2SeqSpeaker:
    """Answers in a sequence of their own, which begins with ``answer_ids``.

    Prompts: token_ids, padding_mask (batch, length); answer_ids, answer_mask (batch,
    begun), at least the start. The rest is CacheSpeaker's.
    """

    def __init__(
        self,
        backbone: Any,
        logits: Callable[[Any], Any],
        width: int,
        slots: int,
    ) -> None:
        self.backbone = backbone
        self.answers = CacheSpeaker(
            backbone.decoder, logits, masks.causal, width, slots
        )

    def begin(self, prompt: Mapping[str, Any]) -> tuple[Any, SourceMemory]:
        source = self.backbone.source(prompt["token_ids"], prompt["padding_mask"])
        logits, answer = self.answers.begin(_begun(prompt), source)
        return logits, SourceMemory(source.read, answer)

    def over(self, prompt: Mapping[str, Any]) -> Extend:
        def extend(
            memory: SourceMemory, tokens: Any, step: Any, places: Any
        ) -> tuple[Any, SourceMemory]:
            source = self.backbone.source_of(memory.read, prompt["padding_mask"])
            grow = self.answers.over(_begun(prompt), source)
            logits, answer = grow(memory.answer, tokens, step, places)
            return logits, memory._replace(answer=answer)

        return extend

    def follow(self, memory: SourceMemory, parents: Any) -> SourceMemory:
        return memory._replace(answer=self.answers.follow(memory.answer, parents))


def _begun(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """What stands before an answer in its own sequence."""
    ids = prompt["answer_ids"]
    return {
        "token_ids": ids,
        "padding_mask": prompt["answer_mask"],
        "segment_ids": ops.zeros_like(ids),
        "next_segment": ops.zeros_like(ids[:, 0]),
    }
