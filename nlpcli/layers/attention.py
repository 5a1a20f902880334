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

Cache = tuple[Any, Any]  # keys, values: (batch x heads, places, head size)


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
        self, query: Any, cache: Cache, attention_mask: Any, distances: Any = None
    ) -> Any:
        """The same for a few queries over many places.

        query: (batch, heads, queries, head size); cache: keys and values, (batch x
        heads, places, head size); attention_mask: bool, (batch, 1, places, queries);
        distances: distance_ids, (batch, queries, places), where max_distance asks for
        them. Static shapes. Returns (batch, queries, hidden).
        """
        keys, values = cache
        batch, heads, count, size = query.shape
        places = keys.shape[1]
        flat = ops.reshape(query, (batch * heads, count, size))
        # Keys times queries: the other product would turn all keys over each time.
        scores = ops.matmul(keys, ops.transpose(flat, (0, 2, 1)))
        scores = ops.reshape(scores, (batch, heads, places, count))
        scores = ops.cast(scores, "float32") + masks.additive(attention_mask)
        table = None
        if self.max_distance:
            table = self._distances(query.dtype)
            by_distance = ops.matmul(query, ops.transpose(table))
            index = ops.broadcast_to(distances[:, None], (batch, heads, count, places))
            found = ops.take_along_axis(by_distance, index, axis=-1)
            scores = scores + ops.cast(ops.transpose(found, (0, 1, 3, 2)), "float32")
        scores = scores - ops.max(scores, axis=2, keepdims=True)
        shares = ops.exp(scores)
        total = ops.transpose(ops.sum(shares, axis=2, keepdims=True), (0, 1, 3, 2))
        shares = ops.transpose(ops.cast(shares, query.dtype), (0, 1, 3, 2))
        flat = ops.reshape(shares, (batch * heads, count, places))
        context = ops.reshape(ops.matmul(flat, values), (batch, heads, count, size))
        if table is not None:
            near = ops.one_hot(distances, table.shape[0], dtype=query.dtype)
            by_distance = ops.einsum("bhqk,bqkn->bhqn", shares, near)
            context = context + ops.matmul(by_distance, table)
        # Divided last, where it is least: a row of values instead of all shares.
        return self._merge(context / ops.cast(total, context.dtype))

    def _distances(self, dtype: Any) -> Any:
        table = relative_table(self.max_distance, self.head_size)
        return ops.cast(ops.convert_to_tensor(table), dtype)

    def _merge(self, context: Any) -> Any:
        batch, _, length, _ = ops.shape(context)
        merged = ops.reshape(
            ops.transpose(context, (0, 2, 1, 3)), (batch, length, self.hidden_size)
        )
        return self.projection(merged)
