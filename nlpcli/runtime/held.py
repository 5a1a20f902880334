"""Products in bfloat16 for what only answers: kernels are cast once and kept.

All else stays float32, but for a GELU, which oneDNN computes as part of a product:
without XLA that is the faster way too, and for one answer there is no time to compile
for its length.
"""

from __future__ import annotations

import math
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
        """In bfloat16, whatever the rows are, to float32, as sums are inside."""
        return tf.cast(self._product(rows, kernel), tf.float32)

    def gelu(self, rows: Any, kernel: Any, bias: Any) -> Any:
        """Spelled so that TensorFlow hands all to one kernel of oneDNN, float32 inside:
        seven passes over what is widest are saved."""
        x = tf.nn.bias_add(self._product(rows, kernel), self._copy(bias))
        return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))

    def _product(self, rows: Any, kernel: Any) -> Any:
        values = self._copy(kernel)
        return tf.matmul(tf.cast(rows, values.dtype), values, transpose_b=True)

    def _copy(self, variable: Any) -> tf.Tensor:
        """Made when a product first asks for it, in whichever trace: no variable, which
        only a first trace may make."""
        if id(variable) not in self.copies:
            with tf.init_scope():
                self.copies[id(variable)] = tf.cast(variable.value, tf.bfloat16)
        return self.copies[id(variable)]
