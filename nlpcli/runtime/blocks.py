"""One compiled program for all blocks of a stack.

XLA fuses what lies between the matrix products, which is a fifth of a training step
on a CPU, but it takes half a minute to compile a whole step, for each shape. The
blocks of a Transformer differ only in their weights: compile one, with its weights
as arguments, and run it for each. A second or two for each shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from nlpcli.runtime.islands import SharedIslands
from nlpcli.runtime.quantize import compiled_integers
from nlpcli.runtime.walks import SharedWalk

WORTH_IT = 6  # blocks; with fewer, compiling costs more than it gains


class SharedBlocks(SharedWalk):
    """Walks through the blocks of each stack by one function, inside ``active``."""

    def __init__(self, *stacks: Any) -> None:
        super().__init__([(stack, _Runner(stack.blocks[0])) for stack in stacks])


class _Runner:
    """The compiled walk through any block that is like ``first``."""

    def __init__(self, first: Any) -> None:
        self._first = first
        self._walk = tf.function(self._program, jit_compile=True, autograph=False)

    def _program(
        self, weights: Any, states: Any, hidden: Any, look: Any, training: bool
    ) -> Any:
        first = self._first
        pairs = [
            *zip(first.trainable_variables, weights, strict=True),
            *zip(first.non_trainable_variables, states, strict=True),
        ]
        with keras.StatelessScope(state_mapping=pairs) as scope, compiled_integers():
            hidden, kept = first.walk(hidden, look, training)
        if not training:
            return hidden, kept, []
        states = [scope.get_current_value(v) for v in first.non_trainable_variables]
        return hidden, kept, states

    def __call__(
        self, block: Any, hidden: Any, look: Any, training: bool
    ) -> tuple[Any, Any]:
        weights, states = (
            [tf.convert_to_tensor(v.value) for v in variables]
            for variables in (block.trainable_variables, block.non_trainable_variables)
        )
        hidden, kept, states = self._walk(weights, states, hidden, look, training)
        if training:
            for variable, state in zip(
                block.non_trainable_variables, states, strict=True
            ):
                variable.assign(state)
        return hidden, kept


def shared_blocks(
    stacks: Sequence[Any], wanted: bool, islands: bool = False
) -> SharedWalk | None:
    """Compiled blocks, or what lies in them between products, where they pay."""
    deep = [stack for stack in stacks if len(stack.road) >= WORTH_IT]
    if not wanted or not deep:
        return None
    return SharedIslands(*deep) if islands else SharedBlocks(*deep)


@contextmanager
def read_compiled(stacks: Sequence[Any], wanted: bool) -> Iterator[None]:
    """Prompts read by programs traced in here go through compiled blocks."""
    blocks = shared_blocks(stacks, wanted)
    with nullcontext() if blocks is None else blocks.active():
        yield
