"""Position-wise feed-forward network and the activations of published configs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense, as_long_as
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.island import island
from nlpcli.layers.written_out import is_written_out


def gelu(x: Any) -> Any:
    """x times the share of a normal distribution below it (arXiv 1606.08415)."""
    if is_written_out():
        return 0.5 * x * (1.0 + ops.erf(x / math.sqrt(2.0)))
    if keras.backend.standardize_dtype(x.dtype) != "float32":
        return ops.gelu(x, approximate=False)  # 1 + erf would lose what is small
    # in XLA half the time of what Keras makes of erfc
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": gelu,
    "gelu_new": lambda x: ops.gelu(x, approximate=True),
    "gelu_python": gelu,
    "gelu_pytorch_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


class FeedForward(keras.layers.Layer):
    """activation(x W1 + b1) W2 + b2, by ``walk`` and ``projection.finish``.

    ``gated``: W1 makes twice as much, of which the activation of the first half scales
    the second (Shazeer 2020, arXiv 2002.05202). ``dropout`` is of what W2 reads.
    """

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        activation: str,
        initializer_range: float = 0.02,
        gated: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gated = gated
        self.activation = ACTIVATIONS[activation]
        self.intermediate = Dense(
            hidden_size,
            intermediate_size * (2 if gated else 1),
            initializer_range,
            bias=bias,
            name="intermediate",
            dtype=self.dtype_policy,
        )
        self.projection = Dense(
            intermediate_size,
            hidden_size,
            initializer_range,
            bias=bias,
            name="output",
            dtype=self.dtype_policy,
        )
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        self.intermediate.build()
        self.projection.build()

    def walk(self, hidden_states: Any, training: bool = False) -> Any:
        """(batch, length, hidden) to rows of the last product: (rows, hidden)."""
        if self.activation is gelu and not self.gated and not training:
            inner = self.intermediate.gelu(hidden_states)
            if inner is not None:
                return self.projection.multiply(inner)
        rows = self.intermediate.multiply(hidden_states)
        inner = island(self._inner, rows, hidden_states, training)
        return self.projection.multiply(inner)

    def _inner(self, rows: Any, hidden_states: Any, training: bool) -> Any:
        inner = self.intermediate.biased(rows)
        if self.gated:
            gate, inner = ops.split(inner, 2, axis=-1)
            inner = self.activation(gate) * inner
        else:
            inner = self.activation(inner)
        inner = as_long_as(hidden_states, inner)
        return self.dropout(inner, training=training)
