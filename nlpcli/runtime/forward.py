"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.runtime.batches import AT_ONCE, Plan
from nlpcli.runtime.device import explain_memory
from nlpcli.text.batching import Bound, Features, Field, Sizes


class Forward:
    """Compiled prediction: one dynamic program, or one for each bucket under XLA.

    ``plan`` says how batches must be cut and padded for it; up to ``lanes`` threads
    may call it at a time.
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

    def plan(self, fields: Mapping[str, Field], batch_size: int) -> Plan:
        """How rows become batches of at most ``batch_size`` for it."""
        lengths = tuple(b["tokens"] for b in self.buckets) if self.xla else None
        return Plan(
            fields,
            Bound(batch_size, AT_ONCE, lengths),
            self.buckets,
            static=None if self.xla else (),
            full=self.xla,
            lanes=self.lanes,
        )

    def decoding(self) -> Mapping[str, np.ndarray]:
        """What of the model a decoder needs beside its logits."""
        arrays: dict[str, np.ndarray] = self.model.decoding()
        return arrays
