"""One compiled program for all blocks of a backbone.

XLA fuses what lies between the matrix products, which is a fifth of a training step
on a CPU, but it takes half a minute to compile a whole step, for each shape. The
blocks of a Transformer differ only in their weights: compile one, with its weights
as arguments, and run it for each. A second or two for each shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

WORTH_IT = 6  # blocks; with fewer, compiling costs more than it gains


class SharedBlocks:
    """Runs a backbone's blocks through one compiled function, inside ``active``."""

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone
        self._programs = {
            training: tf.function(
                self._program(training), jit_compile=True, autograph=False
            )
            for training in (False, True)
        }

    @contextmanager
    def active(self) -> Iterator[None]:
        """Models traced in here call the compiled block."""
        self.backbone.block_runner = self._run
        try:
            yield
        finally:
            self.backbone.block_runner = None

    def _program(self, training: bool) -> Any:
        first = self.backbone.blocks[0]

        def program(weights: Any, states: Any, hidden: Any, mask: Any) -> Any:
            return first.stateless_call(
                weights, states, hidden, attention_mask=mask, training=training
            )

        return program

    def _run(self, block: Any, hidden: Any, mask: Any, training: bool) -> Any:
        weights, states = (
            [tf.convert_to_tensor(v.value) for v in variables]
            for variables in (block.trainable_variables, block.non_trainable_variables)
        )
        hidden, states = self._programs[training](weights, states, hidden, mask)
        if training:
            for variable, state in zip(
                block.non_trainable_variables, states, strict=True
            ):
                variable.assign(state)
        return hidden


def shared_blocks(backbone: Any, wanted: bool) -> SharedBlocks | None:
    """Compiled blocks where they are wanted and pay."""
    if not wanted or len(backbone.blocks) < WORTH_IT:
        return None
    return SharedBlocks(backbone)


@contextmanager
def read_compiled(backbone: Any, wanted: bool) -> Iterator[None]:
    """Prompts read by programs traced in here go through one compiled block."""
    if not wanted or len(backbone.blocks) < WORTH_IT:
        yield
        return
    first = backbone.blocks[0]

    def read(weights: Any, hidden: Any, mask: Any) -> Any:
        values = zip(first.variables, weights, strict=True)
        with keras.StatelessScope(state_mapping=list(values)):
            return first.read(hidden, mask)

    program = tf.function(read, jit_compile=True, autograph=False)

    def run(block: Any, hidden: Any, mask: Any) -> Any:
        weights = [tf.convert_to_tensor(v.value) for v in block.variables]
        return program(weights, hidden, mask)

    backbone.block_reader = run
    try:
        yield
    finally:
        backbone.block_reader = None
