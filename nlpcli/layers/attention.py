"""Multi-head self-attention with one fused query/key/value product."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from nlpcli.layers import masks
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout


class SelfAttention(keras.layers.Layer):
    """Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762).

    hidden_states: (batch, length, hidden); attention_mask: bool that broadcasts to
    (batch, heads, length, length), True = may look. Returns (batch, length, hidden).
    Softmax runs in float32.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        self.head_size = hidden_size // num_heads
        policy = self.dtype_policy
        self.qkv = Dense(
            hidden_size, 3 * hidden_size, initializer_range, name="qkv", dtype=policy
        )
        self.projection = Dense(
            hidden_size, hidden_size, initializer_range, name="output", dtype=policy
        )
        self.dropout = Dropout(dropout, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        self.qkv.build()
        self.projection.build()

    def call(
        self, hidden_states: Any, attention_mask: Any = None, training: bool = False
    ) -> Any:
        batch, length = ops.shape(hidden_states)[:2]
        qkv = ops.reshape(
            self.qkv(hidden_states), (batch, length, 3, self.num_heads, self.head_size)
        )
        query, key, value = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)
        query = query * ops.cast(1.0 / math.sqrt(self.head_size), query.dtype)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32")
        if attention_mask is not None:
            scores = scores + masks.additive(attention_mask)
        weights = ops.softmax(scores, axis=-1)
        weights = self.dropout(ops.cast(weights, value.dtype), training=training)
        context = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return self.projection(ops.reshape(context, (batch, length, self.hidden_size)))
