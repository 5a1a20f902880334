"""A stack of blocks that speaks: the prompt read once, keys and values in a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops, tree

from nlpcli.decoders.speaker import Extend
from nlpcli.layers.look import Look


class Memory(NamedTuple):
    """caches: keys and values of each block, the prompt's and then ``width`` slots for
    each token of an answer. ancestors: (batch, width, slots), the hypothesis whose slot
    is a hypothesis' own past; so no slot is ever moved."""

    caches: Any
    ancestors: Any


@dataclass(frozen=True)
class CacheSpeaker:
    """Answers that stand after their prompt in one sequence.

    ``logits``: hidden states (rows, hidden) -> (rows, vocabulary); ``attention``: the
    mask over the prompt; ``slots`` is the longest answer. Prompts: token_ids,
    segment_ids, padding_mask (batch, length); next_segment (batch,). Padding may stand
    on either side. ``source``: what another stack made, where the blocks look there.
    """

    backbone: Any
    logits: Callable[[Any], Any]
    attention: Callable[[Any, Any], Any]
    width: int
    slots: int

    def begin(
        self, prompt: Mapping[str, Any], source: Any = None
    ) -> tuple[Any, Memory]:
        hidden, caches = _read(self.backbone, self.attention, prompt, source)
        batch = ops.shape(hidden)[0]
        ancestors = ops.zeros((batch, self.width, self.slots), "int32")
        memory = Memory(tree.map_structure(self._with_room, caches), ancestors)
        return ops.cast(self.logits(hidden), "float32"), memory

    def over(self, prompt: Mapping[str, Any], source: Any = None) -> Extend:
        mask = prompt["padding_mask"]
        length = mask.shape[1]
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        segments = ops.broadcast_to(
            prompt["next_segment"][:, None], (mask.shape[0], self.width)
        )
        own = lengths[:, None] + ops.arange(self._room) // self.width
        positions = ops.concatenate([_positions(mask), own], axis=1)

        def extend(
            memory: Memory, tokens: Any, step: Any, places: Any
        ) -> tuple[Any, Memory]:
            ancestors = self._entered(memory.ancestors, step)
            here = ops.maximum(lengths + places, 0)
            hidden, caches = self.backbone.walk(
                tokens,
                segments,
                ops.broadcast_to(here[:, None], segments.shape),
                look=Look(
                    self._seen(mask, ancestors, step + 1),
                    slot=length + step * self.width,
                ),
                caches=memory.caches,
                source=source,
                place_positions=positions,
            )
            logits = self.logits(ops.reshape(hidden, (-1, hidden.shape[-1])))
            logits = ops.reshape(logits, (*tokens.shape, logits.shape[-1]))
            return ops.cast(logits, "float32"), Memory(caches, ancestors)

        return extend

    def follow(self, memory: Memory, parents: Any) -> Memory:
        moved = ops.take_along_axis(memory.ancestors, parents[..., None], axis=1)
        return memory._replace(ancestors=moved)

    @property
    def _room(self) -> int:
        """Slots of the cache for what is written."""
        return self.width * self.slots

    def _with_room(self, cache: Any) -> Any:
        shape = (ops.shape(cache)[0], self._room, cache.shape[2])
        return ops.concatenate([cache, ops.zeros(shape, cache.dtype)], axis=1)

    def _entered(self, ancestors: Any, step: Any) -> Any:
        """Each hypothesis is its own past at the slot of this step."""
        own = ops.arange(self.width)[None, :, None]
        return ops.where(ops.arange(self.slots) == step, own, ancestors)

    def _seen(self, mask: Any, ancestors: Any, count: Any) -> Any:
        """Which slots of the cache are the prompt, or a hypothesis' own past.

        mask: (batch, length); ancestors: (batch, width, slots). Returns bool, (batch,
        1, length + slots x width, width).
        """
        batch, length = mask.shape
        past = ops.broadcast_to(mask[:, :, None], (batch, length, self.width))
        own = ops.transpose(ancestors, (0, 2, 1))[:, :, None]
        own = own == ops.arange(self.width)[:, None]
        done = ops.arange(self.slots) < count
        own = ops.logical_and(own, done[:, None, None])
        own = ops.reshape(own, (batch, self._room, self.width))
        return ops.concatenate([past, own], axis=1)[:, None]


@dataclass(frozen=True)
class StateSpeaker:
    """As CacheSpeaker, of blocks whose past is a state: nothing grows with the answer.

    The memory is what each block keeps, (batch, heads, width, ...): every token of a
    prompt is in it, since all that is written may look at all of the prompt.
    """

    backbone: Any
    logits: Callable[[Any], Any]
    attention: Callable[[Any, Any], Any]
    width: int

    def begin(self, prompt: Mapping[str, Any]) -> tuple[Any, Any]:
        hidden, states = _read(self.backbone, self.attention, prompt)
        states = tree.map_structure(
            lambda x: ops.repeat(x[:, :, None], self.width, axis=2), states
        )
        return ops.cast(self.logits(hidden), "float32"), states

    def over(self, prompt: Mapping[str, Any]) -> Extend:
        mask = prompt["padding_mask"]
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        segments = ops.broadcast_to(
            prompt["next_segment"][:, None], (mask.shape[0], self.width)
        )

        def extend(memory: Any, tokens: Any, step: Any, places: Any) -> tuple[Any, Any]:
            here = ops.maximum(lengths + places, 0)
            hidden, states = self.backbone.walk(
                tokens,
                segments,
                ops.broadcast_to(here[:, None], segments.shape),
                look=Look(),
                caches=memory,
            )
            logits = self.logits(ops.reshape(hidden, (-1, hidden.shape[-1])))
            logits = ops.reshape(logits, (*tokens.shape, logits.shape[-1]))
            return ops.cast(logits, "float32"), states

        return extend

    def follow(self, memory: Any, parents: Any) -> Any:
        def moved(state: Any) -> Any:
            index = parents[:, None]
            index = ops.reshape(index, (*index.shape, *[1] * (state.ndim - 3)))
            return ops.take_along_axis(state, index, axis=2)

        return tree.map_structure(moved, memory)


def _read(
    backbone: Any,
    attention: Callable[[Any, Any], Any],
    prompt: Mapping[str, Any],
    source: Any = None,
) -> tuple[Any, Any]:
    """Hidden states of the last token of prompts, (batch, hidden), and what each block
    keeps of them. Padding may stand on either side."""
    mask = prompt["padding_mask"]
    seen = attention(prompt["segment_ids"], mask)
    hidden, kept = backbone.walk(
        prompt["token_ids"],
        prompt["segment_ids"],
        _positions(mask),
        look=Look(seen, keep=True),
        source=source,
    )
    places = ops.arange(ops.shape(mask)[1])
    last = ops.max(places * ops.cast(mask, "int32"), axis=1)
    return ops.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0], kept


def _positions(mask: Any) -> Any:
    """Position of each real token among the real ones, on whichever side padding is."""
    return ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)
