"""Position-wise feed-forward network and the activations of published configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "gelu_new": lambda x: ops.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: ops.gelu(x, approximate=True),
    "relu": ops.relu,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


class FeedForward(keras.layers.Layer):
    """activation(x W1 + b1) W2 + b2; (batch, length, hidden) to the same shape."""

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        activation: str,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = ACTIVATIONS[activation]
        self.intermediate = Dense(
            hidden_size,
            intermediate_size,
            initializer_range,
            name="intermediate",
            dtype=self.dtype_policy,
        )
        self.projection = Dense(
            intermediate_size,
            hidden_size,
            initializer_range,
            name="output",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        self.intermediate.build()
        self.projection.build()

    def call(self, hidden_states: Any) -> Any:
        return self.projection(self.activation(self.intermediate(hidden_states)))
