"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.heads.task_model import TaskModel
from nlpcli.runtime.blocks import SharedBlocks
from nlpcli.runtime.device import explain_memory
from nlpcli.text.batching import Features, Field, Sizes, padded_sizes

COMPILE_AFTER = 512  # rows; a few texts are answered before a block is compiled


class Forward:
    """Compiled prediction: one dynamic program; after many rows, with ``blocks``,
    compiled blocks; or one program for each bucket under XLA.

    ``shape_of`` and ``rows_of`` say how far a batch must be padded for it.
    """

    def __init__(
        self,
        model: TaskModel,
        xla: bool,
        buckets: Sequence[Sizes] = (),
        blocks: SharedBlocks | None = None,
    ) -> None:
        self.model = model
        self.xla = xla
        self.buckets = list(buckets)
        self.blocks = blocks
        self.rows = 0
        self._plain = tf.function(
            lambda batch: self.model(batch, training=False),
            autograph=False,
            jit_compile=xla or None,
            reduce_retracing=not xla,
        )
        self._compiled = tf.function(
            self._with_blocks, autograph=False, reduce_retracing=True
        )

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        rows, length = batch["token_ids"].shape
        tensors = {name: tf.constant(array) for name, array in batch.items()}
        function = self._compiled if self.in_blocks else self._plain
        with explain_memory(
            f"prediction, {rows} rows of {length} tokens",
            "--batch-size or data.max_length",
        ):
            logits = function(tensors)
        self.rows += rows
        return {name: value.numpy() for name, value in logits.items()}

    @property
    def in_blocks(self) -> bool:
        """Whether the next batch runs through compiled blocks."""
        return self.blocks is not None and self.rows >= COMPILE_AFTER

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        """The padded sizes of a batch of examples with these sizes."""
        if self.xla:
            return padded_sizes(sizes, self.buckets, None)
        return padded_sizes(sizes, self.buckets, ("tokens",) if self.in_blocks else ())

    def rows_of(self, batch_size: int) -> int | None:
        """The rows of each batch; None where it may have its own number."""
        return batch_size if self.xla or self.in_blocks else None

    def _with_blocks(self, batch: Any) -> Any:
        assert self.blocks is not None
        with self.blocks.active():
            return self.model(batch, training=False)


def signature(
    fields: Mapping[str, Field], sample: Features
) -> dict[str, tf.TensorSpec]:
    """Dynamic input signature of a batch like ``sample`` (unpadded features)."""
    return {
        name: tf.TensorSpec(
            (
                None,
                *(
                    None if axis else length
                    for axis, length in zip(fields[name].axes, array.shape, strict=True)
                ),
            ),
            array.dtype,
        )
        for name, array in sample.items()
    }
