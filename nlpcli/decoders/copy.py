"""Answers that stand in their source: a contiguous span, copied token by token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from nlpcli.decoders.constraints import Context
from nlpcli.text.batching import Field

SOURCE_FIELDS = {"source_ids": Field(("source",), -1)}


class SpanOfSource:
    """The answer is a span of ``source_ids``, at least one token, then the end.

    source_ids: (batch, source) int32, -1 is padding. State: bool (batch, width,
    source), the places where the next token may stand: all at first, then those
    right behind every occurrence of what was copied.
    """

    def __init__(self, vocab_size: int, end_id: int) -> None:
        self.vocab_size = vocab_size
        self.end_id = end_id

    def start(self, prompt: Mapping[str, Any], width: int) -> Any:
        source = prompt["source_ids"]
        batch, length = ops.shape(source)
        return ops.broadcast_to((source >= 0)[:, None], (batch, width, length))

    def allowed(self, state: Any, context: Context) -> Any:
        source = context.prompt["source_ids"]
        batch, width, length = state.shape
        # The tokens of the open places, marked in a row with room for "none".
        room = self.vocab_size + 1
        tokens = ops.where(state, source[:, None], self.vocab_size)
        rows = ops.reshape(ops.arange(batch * width) * room, (batch, width, 1))
        marks = ops.scatter(
            ops.reshape(tokens + rows, (-1, 1)),
            ops.ones((batch * width * length,), "int32"),
            (batch * width * room,),
        )
        copied = ops.reshape(marks, (batch, width, room))[..., : self.vocab_size] > 0
        is_end = ops.arange(self.vocab_size) == self.end_id
        return ops.logical_or(copied, ops.logical_and(is_end, context.step > 0))

    def advance(self, state: Any, context: Context, tokens: Any) -> Any:
        source = context.prompt["source_ids"][:, None]
        matched = ops.logical_and(state, source == tokens[..., None])
        behind = ops.pad(matched[..., :-1], ((0, 0), (0, 0), (1, 0)))
        return ops.logical_and(behind, source >= 0)
