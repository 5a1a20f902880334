"""A model as a function from padded numpy batches to numpy logits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.runtime.batches import AT_ONCE, Plan
from nlpcli.runtime.checked import APART, apart
from nlpcli.runtime.device import explain_memory
from nlpcli.runtime.held import HeldKernels
from nlpcli.text.batching import Bound, Features, Field, Sizes

logger = logging.getLogger("nlpcli")


class Forward:
    """Compiled prediction: one dynamic program, or one for each bucket under XLA.

    ``plan`` says how batches must be cut and padded for it; up to ``lanes`` threads
    may call it at a time. ``held``: products take copies of the kernels in bfloat16,
    made at the first call; for weights that do not change. ``checked``: the first
    batch is compared with float32, in which all is computed where they do not agree.
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
        rows, length = next(iter(batch.values())).shape[:2]
        tensors = {name: tf.constant(array) for name, array in batch.items()}
        with explain_memory(
            f"prediction, {rows} rows of {length} tokens",
            "--batch-size or data.max_length",
        ):
            if self._unchecked:
                self._check(tensors)
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
