"""Which tokens of a text were replaced: the head that ELECTRA is trained with."""

from __future__ import annotations

from typing import Any

import keras

from nlpcli.layers.dense import Dense
from nlpcli.layers.feed_forward import ACTIVATIONS


class Discriminator(keras.layers.Layer):
    """A score for each token, above zero where it looks replaced.

    (Clark et al. 2020, arXiv 2003.10555.) hidden_states: (batch, length, hidden);
    returns (batch, length).
    """

    def __init__(self, hidden_size: int, activation: str, **kwargs: Any) -> None:
        super().__init__(name="discriminator", **kwargs)
        self.activation = ACTIVATIONS[activation]
        policy = self.dtype_policy
        self.transform = Dense(hidden_size, hidden_size, name="transform", dtype=policy)
        self.prediction = Dense(hidden_size, 1, name="prediction", dtype=policy)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        self.transform.build()
        self.prediction.build()
        self.built = True

    def call(self, hidden_states: Any) -> Any:
        return self.prediction(self.activation(self.transform(hidden_states)))[..., 0]
