"""Multi-head self-attention with one fused query/key/value product."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from nlpcli.layers import masks
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.positions import distance_ids, relative_table

Cache = tuple[Any, Any]  # keys, values: (batch, heads, places, head size)


class SelfAttention(keras.layers.Layer):
    """Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762).

    hidden_states: (batch, length, hidden); attention_mask: bool that broadcasts to
    (batch, heads, length, length), True = may look. Returns (batch, length, hidden).
    Softmax runs in float32. With ``max_distance``, keys and values carry a fixed
    vector of their clipped distance from the query (NEZHA, arXiv 1909.00204).
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        max_distance: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_distance = max_distance
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
        query, key, value = self.project(hidden_states)
        return self.attend(query, key, value, attention_mask, training)

    def project(self, hidden_states: Any) -> tuple[Any, Any, Any]:
        """Query (scaled), key and value: (batch, heads, length, head size) each."""
        batch, length = ops.shape(hidden_states)[:2]
        qkv = ops.reshape(
            self.qkv(hidden_states), (batch, length, 3, self.num_heads, self.head_size)
        )
        query, key, value = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)
        query = query * ops.cast(1.0 / math.sqrt(self.head_size), query.dtype)
        return query, key, value

    def attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Weighted values, projected: (batch, queries, hidden)."""
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        vectors = None
        if self.max_distance:
            places = ops.arange(ops.shape(query)[2])
            ids = distance_ids(places, places, self.max_distance)
            vectors = ops.take(self._distances(query.dtype), ids, axis=0)
            scores = scores + ops.einsum("bhqd,qkd->bhqk", query, vectors)
        scores = ops.cast(scores, "float32")
        if attention_mask is not None:
            scores = scores + masks.additive(attention_mask)
        weights = ops.softmax(scores, axis=-1)
        weights = self.dropout(ops.cast(weights, value.dtype), training=training)
        context = ops.matmul(weights, value)
        if vectors is not None:
            context = context + ops.einsum("bhqk,qkd->bhqd", weights, vectors)
        return self._merge(context)

    def attend_cached(
        self,
        query: Any,
        past: Cache,
        own: Cache,
        past_mask: Any,
        own_mask: Any,
        distances: Any = None,
    ) -> Any:
        """The same over two caches, without joining them.

        query: (batch, heads, queries, head size); past, own: keys and values,
        (batch, heads, places, head size); masks as in SelfAttention over their
        places; distances: distance_ids of all places, (batch, queries, places),
        where max_distance asks for them. Returns (batch, queries, hidden).
        """
        scores = [
            ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32")
            + masks.additive(mask)
            for (key, _), mask in ((past, past_mask), (own, own_mask))
        ]
        joined = ops.concatenate(scores, axis=-1)
        table = None
        if self.max_distance:
            table = self._distances(query.dtype)
            by_distance = ops.matmul(query, ops.transpose(table))
            index = ops.broadcast_to(distances[:, None], joined.shape)
            found = ops.take_along_axis(by_distance, index, axis=-1)
            joined = joined + ops.cast(found, "float32")
        weights = ops.cast(ops.softmax(joined, axis=-1), query.dtype)
        border = past[0].shape[2]
        context = ops.matmul(weights[..., :border], past[1])
        context = context + ops.matmul(weights[..., border:], own[1])
        if table is not None:
            places = ops.one_hot(distances, table.shape[0], dtype=query.dtype)
            shares = ops.einsum("bhqk,bqkn->bhqn", weights, places)
            context = context + ops.matmul(shares, table)
        return self._merge(context)

    def _distances(self, dtype: Any) -> Any:
        table = relative_table(self.max_distance, self.head_size)
        return ops.cast(ops.convert_to_tensor(table), dtype)

    def _merge(self, context: Any) -> Any:
        batch, _, length, _ = ops.shape(context)
        merged = ops.reshape(
            ops.transpose(context, (0, 2, 1, 3)), (batch, length, self.hidden_size)
        )
        return self.projection(merged)
