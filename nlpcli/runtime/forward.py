"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from nlpcli.heads.task_model import TaskModel
from nlpcli.runtime.device import explain_memory
from nlpcli.text.batching import Features, Field, Sizes, fit, round_up


class Forward:
    """Compiled prediction: one dynamic program, or one for each bucket under XLA.

    ``shape_of`` says how far a batch must be padded for it.
    """

    def __init__(
        self, model: TaskModel, xla: bool, buckets: Sequence[Sizes] = ()
    ) -> None:
        self.model = model
        self.xla = xla
        self.buckets = list(buckets)
        self._function = tf.function(
            lambda batch: self.model(batch, training=False),
            jit_compile=xla or None,
            reduce_retracing=not xla,
        )

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        rows, length = batch["token_ids"].shape
        tensors = {name: tf.constant(array) for name, array in batch.items()}
        with explain_memory(
            f"prediction, {rows} rows of {length} tokens",
            "--batch-size or data.max_length",
        ):
            logits = self._function(tensors)
        return {name: value.numpy() for name, value in logits.items()}

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        """The padded sizes of a batch of examples with these sizes."""
        if not self.xla:
            return round_up(sizes, 1)
        wanted = round_up(sizes)
        index = fit(wanted, self.buckets)
        if index is not None:
            return self.buckets[index]
        return {axis: 2 ** (length - 1).bit_length() for axis, length in wanted.items()}


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
