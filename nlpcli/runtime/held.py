"""Products in bfloat16 for what only answers: kernels are cast once and kept.

All else stays float32: without XLA that is the faster way too, and for one answer
there is no time to compile for its length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from nlpcli.layers.island import islands


class HeldKernels:
    """A second copy, in bfloat16, of each kernel that a product multiplies with.

    The float32 values stay what is saved and fingerprinted.
    """

    def __init__(self) -> None:
        self.copies: dict[int, tf.Tensor] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """Models traced in here multiply with the copies."""
        with islands(self):
            yield

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """As it is: nothing is compiled."""
        return function(*args)

    def multiply(self, rows: Any, kernel: Any) -> Any:
        """In bfloat16, whatever the rows are; sums are float32 inside."""
        values = self._copy(kernel)
        found = tf.matmul(tf.cast(rows, values.dtype), values, transpose_b=True)
        return tf.cast(found, rows.dtype)

    def _copy(self, kernel: Any) -> tf.Tensor:
        """Made when a product first asks for it, in whichever trace: no variable, which
        only a first trace may make."""
        if id(kernel) not in self.copies:
            with tf.init_scope():
                self.copies[id(kernel)] = tf.cast(kernel.value, tf.bfloat16)
        return self.copies[id(kernel)]
