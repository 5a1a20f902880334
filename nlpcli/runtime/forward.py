"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.runtime.checked import APART, apart
from nlpcli.runtime.device import explain_memory
from nlpcli.runtime.held import HeldKernels
from nlpcli.text.batching import Features, Field, Sizes, cut_sorted, padded_sizes

logger = logging.getLogger("nlpcli")


class Forward:
    """Compiled prediction: one dynamic program, or one for each bucket under XLA.

    ``shape_of`` and ``ranges`` say how batches must be cut and padded for it; up to
    ``lanes`` threads may call it at a time. ``held``: products take copies of the
    kernels in bfloat16, made at the first call; for weights that do not change.
    ``checked``: the first batch is compared with float32, in which all is computed
    where they do not agree.
    """

    def __init__(
        self,
        model: Any,
        xla: bool,
        buckets: Sequence[Sizes] = (),
        lanes: int = 1,
        held: bool = False,
        checked: bool = False,
    ) -> None:
        self.model = model
        self.xla = xla
        self.buckets = list(buckets)
        self.lanes = lanes
        self._held = HeldKernels() if held else None
        self._unchecked = checked
        self._checking = threading.Lock()
        self._program = self._make_program()

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        rows, length = batch["token_ids"].shape
        tensors = {name: tf.constant(array) for name, array in batch.items()}
        with explain_memory(
            f"prediction, {rows} rows of {length} tokens",
            "--batch-size or data.max_length",
        ):
            if self._unchecked:
                self._check(tensors)
            logits = self._program(tensors)
            return {name: value.numpy() for name, value in logits.items()}

    def _check(self, tensors: Any) -> None:
        with self._checking:
            if not self._unchecked:  # another lane was quicker
                return
            found, right = self._program(tensors), self.model(tensors, training=False)
            far = apart(found, right)
            if far > APART:
                logger.warning(
                    "--precision auto: float32, since bfloat16 moves a logit by %.3f "
                    "of the largest (at most %.2f)",
                    far,
                    APART,
                )
                self._held = None
                self._program = self._make_program()
            else:
                logger.info("--precision auto: bfloat16 (logits within %.4f)", far)
            self._unchecked = False

    def _make_program(self) -> Any:
        return tf.function(
            self._logits,
            autograph=False,
            jit_compile=self.xla or None,
            reduce_retracing=not self.xla,
        )

    def _logits(self, batch: Any) -> Any:
        with nullcontext() if self._held is None else self._held.active():
            return self.model(batch, training=False)

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
