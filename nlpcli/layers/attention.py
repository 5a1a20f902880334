"""Multi-head self-attention with one fused query/key/value product."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from nlpcli.layers import masks
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.island import island
from nlpcli.layers.look import Cache, Look
from nlpcli.layers.norms import norm
from nlpcli.layers.positions import Plain


class SelfAttention(keras.layers.Layer):
    """Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762).

    hidden_states: (batch, length, hidden) to the same shape, by ``walk`` and
    ``projection.finish``. Softmax runs in float32. ``num_key_heads``: fewer keys and
    values than queries (Ainslie et al. 2023, arXiv 2305.13245), 0 for as many;
    ``head_size``: of a value, 0 for hidden / heads; ``key_size``: of a query and a
    key, 0 for that of a value; ``norm_epsilon``: queries and keys pass an RMS norm of
    their own, None for none.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        positions: Plain | None = None,
        *,
        num_key_heads: int = 0,
        head_size: int = 0,
        key_size: int = 0,
        qkv_bias: bool = True,
        output_bias: bool = True,
        scaled: bool = True,
        norm_epsilon: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.positions = positions or Plain()
        self.num_heads = num_heads
        self.num_key_heads = num_key_heads or num_heads
        self.head_size = head_size or hidden_size // num_heads
        self.key_size = key_size or self.head_size
        self.scale = 1.0 / math.sqrt(self.key_size) if scaled else None
        policy = self.dtype_policy
        self.make_inputs(hidden_size, initializer_range, qkv_bias)
        self.projection = Dense(
            num_heads * self.head_size,
            hidden_size,
            initializer_range,
            bias=output_bias,
            name="output",
            dtype=policy,
        )
        self.norms = (
            [norm("rms", norm_epsilon, f"{of}_norm", policy) for of in ("query", "key")]
            if norm_epsilon is not None
            else []
        )
        self.dropout = Dropout(dropout, dtype=policy)

    def make_inputs(self, hidden_size: int, spread: float, bias: bool) -> None:
        """Make what queries, keys and values come from."""
        policy = self.dtype_policy
        self.qkv = Dense(
            hidden_size, sum(self.shares), spread, bias=bias, name="qkv", dtype=policy
        )

    @property
    def shares(self) -> tuple[int, int, int]:
        """Rows of the fused kernel that make queries, keys and values."""
        keys = self.num_key_heads
        return (
            self.num_heads * self.key_size,
            keys * self.key_size,
            keys * self.head_size,
        )

    def build(self, input_shape: Any = None) -> None:
        self.qkv.build()
        self.projection.build()
        for part in self.norms:
            part.build((None, None, None, self.key_size))

    def walk(
        self, hidden_states: Any, look: Look, training: bool = False
    ) -> tuple[Any, Cache | None]:
        """What the queries gather, as rows of the last product, (rows, hidden); and
        keys and values where asked for."""
        rows = self.qkv.multiply(hidden_states)
        query, key, value = island(self._turned, rows, hidden_states, look.places)
        if look.cache is None:
            attended = self.attend(query, key, value, look, training)
            return attended, (_by_head(key), _by_head(value)) if look.keep else None
        keys, values = look.cache
        keys = ops.slice_update(keys, (0, look.slot, 0), _by_head(key))
        values = ops.slice_update(values, (0, look.slot, 0), _by_head(value))
        return self.attend_cached(query, look._replace(cache=(keys, values))), (
            keys,
            values,
        )

    def _turned(self, rows: Any, hidden_states: Any, places: Any) -> Any:
        query, key, value = self.parts(rows, hidden_states)
        query = self.positions.turn(query, places)
        return query, self.positions.turn(key, places), value

    def parts(self, rows: Any, hidden_states: Any) -> tuple[Any, Any, Any]:
        """Query (scaled), key and value: (batch, heads, length, head size) each.

        rows: the fused product of the hidden states.
        """
        batch, length = ops.shape(hidden_states)[:2]
        fused = self.qkv.finish(rows, hidden_states)
        if len(set(self.shares)) == 1:
            fused = ops.reshape(
                fused, (batch, length, 3, self.num_heads, self.head_size)
            )
            parts = ops.unstack(ops.transpose(fused, (2, 0, 3, 1, 4)), 3)
        else:
            first, second, _ = self.shares
            sizes = (self.key_size, self.key_size, self.head_size)
            parts = [
                ops.transpose(
                    ops.reshape(part, (batch, length, -1, size)), (0, 2, 1, 3)
                )
                for part, size in zip(
                    ops.split(fused, (first, first + second), axis=-1),
                    sizes,
                    strict=True,
                )
            ]
        query, key, value = parts
        if self.norms:
            query, key = self.norms[0](query), self.norms[1](key)
        if self.scale is not None:
            query = query * ops.cast(self.scale, query.dtype)
        return query, key, value

    def attend(
        self, query: Any, key: Any, value: Any, look: Look, training: bool = False
    ) -> Any:
        """Weighted values, as rows of the last product: (rows, hidden)."""
        groups = self.num_heads // self.num_key_heads
        if groups > 1:
            key, value = (ops.repeat(x, groups, axis=1) for x in (key, value))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        more = self.positions.score(query, look.places, cached=False)
        weights = island(self._weights, scores, more, look.mask, training)
        context = ops.matmul(weights, value)
        more = self.positions.gathered(weights, look.places, cached=False)
        return self._merge(context if more is None else context + more)

    def _weights(self, scores: Any, more: Any, mask: Any, training: bool) -> Any:
        """Softmax of the scores, (batch, heads, queries, keys)."""
        kind = scores.dtype
        scores = ops.cast(scores, "float32")
        if more is not None:
            scores = scores + ops.cast(more, "float32")
        if mask is not None:
            scores = scores + masks.additive(mask)
        # One key, as the start of a decoder, has all; Keras warns of its softmax.
        alone = scores.shape[-1] == 1
        weights = ops.ones_like(scores) if alone else ops.softmax(scores, axis=-1)
        return self.dropout(ops.cast(weights, kind), training=training)

    def attend_cached(self, query: Any, look: Look) -> Any:
        """The same for a few queries over the many places of a cache.

        query: (batch, heads, queries, key size). Static shapes.
        """
        keys, values = look.cache  # type: ignore[misc]
        batch, heads, count, size = query.shape
        places, head_size = keys.shape[1], values.shape[2]
        groups = heads // self.num_key_heads
        flat = ops.reshape(query, (-1, groups * count, size))
        # Keys times queries: the other product would turn all keys over each time.
        scores = ops.matmul(keys, ops.transpose(flat, (0, 2, 1)))
        if groups > 1:
            scores = ops.reshape(scores, (-1, places, groups, count))
            scores = ops.transpose(scores, (0, 2, 1, 3))
        scores = ops.reshape(scores, (batch, heads, places, count))
        scores = ops.cast(scores, "float32") + masks.additive(look.mask)
        more = self.positions.score(query, look.places, cached=True)
        if more is not None:
            scores = scores + ops.cast(ops.transpose(more, (0, 1, 3, 2)), "float32")
        scores = scores - ops.max(scores, axis=2, keepdims=True)
        shares = ops.exp(scores)
        total = ops.transpose(ops.sum(shares, axis=2, keepdims=True), (0, 1, 3, 2))
        shares = ops.transpose(ops.cast(shares, query.dtype), (0, 1, 3, 2))
        flat = ops.reshape(shares, (-1, groups * count, places))
        context = ops.matmul(flat, values)
        context = ops.reshape(context, (batch, heads, count, head_size))
        more = self.positions.gathered(shares, look.places, cached=True)
        if more is not None:
            context = context + more
        # Divided last, where it is least: a row of values instead of all shares.
        return self._merge(context / ops.cast(total, context.dtype))

    def _merge(self, context: Any) -> Any:
        batch, heads, length, size = ops.shape(context)
        merged = ops.reshape(
            ops.transpose(context, (0, 2, 1, 3)), (batch, length, heads * size)
        )
        return self.projection.multiply(merged)


def _by_head(x: Any) -> Any:
    """(batch, heads, ...) to (batch x heads, ...)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))
