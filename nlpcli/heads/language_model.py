"""BERT's masked language model head, tied to the token table."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense, product
from nlpcli.layers.feed_forward import ACTIVATIONS


class MaskedLanguageModelHead(keras.layers.Layer):
    """Dense, activation, norm, then scores against the token embeddings, plus bias.

    (Devlin et al. 2019, arXiv 1810.04805.) hidden_states: (batch, length, hidden);
    logits: (batch, length, vocabulary) float32. The token table is passed in, so
    that it stays one variable.
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        activation: str,
        layer_norm_eps: float = 1e-12,
        name: str = "mlm",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.hidden_size = hidden_size
        self.vocab_size = vocab_size
        self.activation = ACTIVATIONS[activation]
        policy = self.dtype_policy
        self.transform = Dense(hidden_size, hidden_size, name="transform", dtype=policy)
        self.norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, name="norm", dtype=policy
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        self.transform.build()
        self.norm.build((None, None, self.hidden_size))
        self.bias = self.add_weight(
            shape=(self.vocab_size,), initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, hidden_states: Any, token_table: Any = None) -> Any:
        states = self.norm(self.activation(self.transform(hidden_states)))
        table = ops.cast(token_table, states.dtype)
        batch, length = ops.shape(states)[:2]
        flat = ops.reshape(states, (-1, self.hidden_size))
        scores = ops.cast(product(flat, table), "float32")
        scores = scores + ops.cast(self.bias, "float32")
        return ops.reshape(scores, (batch, length, self.vocab_size))
