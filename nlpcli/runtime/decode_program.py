"""The loop of a decoder as two programs that TensorFlow traces and XLA compiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from keras import tree

from nlpcli.decoders.autoregressive import Decoder, Numbers, Search
from nlpcli.layers.dense import shared_products
from nlpcli.runtime.blocks import read_compiled
from nlpcli.runtime.device import cpu_threads
from nlpcli.runtime.quantize import compiled_integers


class Program:
    """Two functions: read the prompts, of any shape, and go on, traced for each.

    ``compiled``: the loop as a whole, and of reading what lies inside the blocks.
    """

    def __init__(self, decoder: Decoder, stacks: Sequence[Any], compiled: bool) -> None:
        self.decoder = decoder
        self.stacks = stacks
        self._structure: Search | None = None
        self._compiled = compiled
        self._shares = cpu_threads() if compiled else 1
        self._begin = tf.function(
            self._flat_begin, autograph=False, reduce_retracing=True
        )
        self._advance = tf.function(
            self._flat_advance, autograph=False, jit_compile=compiled
        )

    def begin(self, prompt: Any, numbers: Numbers) -> Search:
        return self._packed(self._begin(prompt, numbers))

    def advance(
        self, search: Search, prompt: Any, numbers: Numbers, until: int
    ) -> Search:
        leaves = self._advance(
            tree.flatten(search), prompt, numbers, tf.constant(until, tf.int32)
        )
        return self._packed(leaves)

    def traces(self) -> int:
        """How many shapes were traced, and compiled where that is wanted."""
        return int(
            self._begin.experimental_get_tracing_count()
            + self._advance.experimental_get_tracing_count()
        )

    def _flat_begin(self, prompt: Any, numbers: Numbers) -> Any:
        with read_compiled(self.stacks, self._compiled):
            search = self.decoder.begin(prompt, numbers)
        self._structure = tree.map_structure(lambda _: 0, search)
        return tuple(tree.flatten(search))

    def _flat_advance(
        self, leaves: Any, prompt: Any, numbers: Numbers, until: Any
    ) -> Any:
        search = self._packed(leaves)
        with shared_products(self._shares), compiled_integers(self._compiled):
            search = self.decoder.advance(search, prompt, numbers, until)
        return tuple(tree.flatten(search))

    def _packed(self, leaves: Any) -> Search:
        packed: Search = tree.pack_sequence_as(self._structure, list(leaves))
        return packed
