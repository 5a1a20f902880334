"""A tag for each piece by itself, as transformers' ForTokenClassification has it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout


class SoftmaxHead(keras.layers.Layer):
    """Dropout and a dense layer: (batch, length, labels) float32 logits."""

    def __init__(
        self, hidden_size: int, labels: int, dropout: float = 0.1, name: str = "tags"
    ) -> None:
        super().__init__(name=name, dtype="float32")
        self.labels = labels
        self.dropout = Dropout(dropout)
        self.scores = Dense(hidden_size, labels, 0.02, name="scores", dtype="float32")
        self.scores.build()
        self.built = True

    def call(self, hidden_states: Any, mask: Any = None, training: bool = False) -> Any:
        return self.scores(self.dropout(hidden_states, training=training))

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """Cross-entropy summed over real places, and their number.

        labels: (batch, length) int32, anything where masked; mask: (batch, length)
        bool.
        """
        real = ops.cast(mask, "float32")
        gold = ops.one_hot(labels, self.labels, dtype="float32")
        losses = -ops.sum(gold * ops.log_softmax(logits, axis=-1), axis=-1)
        return ops.sum(losses * real), ops.sum(real)
