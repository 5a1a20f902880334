"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.runtime.device import explain_memory
from nlpcli.text.batching import Features, Field, Sizes, cut_sorted, padded_sizes


class Forward:
    """Compiled prediction: one dynamic program, or one for each bucket under XLA.

    ``shape_of`` and ``ranges`` say how batches must be cut and padded for it; up to
    ``lanes`` threads may call it at a time.
    """

    def __init__(
        self,
        model: Any,
        xla: bool,
        buckets: Sequence[Sizes] = (),
        lanes: int = 1,
    ) -> None:
        self.model = model
        self.xla = xla
        self.buckets = list(buckets)
        self.lanes = lanes
        self._program = tf.function(
            lambda batch: self.model(batch, training=False),
            autograph=False,
            jit_compile=xla or None,
            reduce_retracing=not xla,
        )

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        rows, length = next(iter(batch.values())).shape[:2]
        tensors = {name: tf.constant(array) for name, array in batch.items()}
        with explain_memory(
            f"prediction, {rows} rows of {length} tokens",
            "--batch-size or data.max_length",
        ):
            logits = self._program(tensors)
            return {name: value.numpy() for name, value in logits.items()}

    def decoding(self) -> Mapping[str, np.ndarray]:
        """What of the model a decoder needs beside its logits."""
        arrays: dict[str, np.ndarray] = self.model.decoding()
        return arrays

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        """The padded sizes of a batch of examples with these sizes."""
        return padded_sizes(sizes, self.buckets, None if self.xla else ())

    def ranges(self, lengths: Sequence[int], batch_size: int) -> list[tuple[int, int]]:
        """Cuts of sorted rows into batches of at most ``batch_size``, for any lane."""
        if self.xla:
            starts = range(0, len(lengths), batch_size)
            return [(at, min(at + batch_size, len(lengths))) for at in starts]
        return cut_sorted(lengths, batch_size)

    def rows_of(self, batch_size: int) -> int | None:
        """The rows of each batch; None where it may have its own number."""
        return batch_size if self.xla else None


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
