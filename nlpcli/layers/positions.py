"""Schemes of positions that act inside attention.

Each is asked once a walk to ``prepare`` what all blocks need, and in each block to
``turn`` queries and keys, to ``score`` pairs of places, and to add to what is
``gathered`` from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


class Plain:
    """Nothing of positions inside attention: they are in the embeddings, or nowhere."""

    def prepare(self, queries: Any, keys: Any, dtype: Any) -> Any:
        """What all blocks of a walk need.

        queries: positions of what comes, (1 or batch, queries); keys: those of the
        places of a cache, (batch, places), None where the queries are the keys.
        """
        return ()

    def turn(self, x: Any, places: Any) -> Any:
        """Queries or keys, (batch, heads, length, size), as they are compared."""
        return x

    def score(self, query: Any, places: Any, cached: bool) -> Any:
        """What is added to the scores, (batch, heads, queries, keys), or None."""
        return None

    def gathered(self, shares: Any, places: Any, cached: bool) -> Any:
        """What is added to the weighted values, (batch, heads, queries, size)."""
        return None


class Rotary(Plain):
    """Pairs of each query and key turned by the angle of their position (RoPE).

    ``halves``: pairs are (0, size/2), (1, size/2 + 1) ... as in LLaMA and Qwen; else
    neighbours (0, 1), (2, 3) ..., as in RoFormer (Su et al. 2021, arXiv 2104.09864).
    Mixing them up loads, and scores badly.
    """

    def __init__(self, size: int, base: float = 10000.0, halves: bool = False) -> None:
        self.size, self.base, self.halves = size, base, halves

    def prepare(self, queries: Any, keys: Any, dtype: Any) -> Any:
        cos, sin = _turns(queries, self.size, self.base)
        return cos[:, None], sin[:, None]

    def turn(self, x: Any, places: Any) -> Any:
        cos, sin = places
        return _turned(x, cos, sin, self.halves)


class Distances(Plain):
    """Keys and values carry a fixed vector of their clipped distance from the query.

    (NEZHA, Wei et al. 2019, arXiv 1909.00204.)
    """

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, most

    def prepare(self, queries: Any, keys: Any, dtype: Any) -> Any:
        if keys is not None:
            return distance_ids(queries, keys, self.most)
        places = ops.arange(ops.shape(queries)[1])
        ids = distance_ids(places, places, self.most)
        return ops.take(self._table(dtype), ids, axis=0)

    def score(self, query: Any, places: Any, cached: bool) -> Any:
        if not cached:
            return ops.einsum("bhqd,qkd->bhqk", query, places)
        batch, heads, count, _ = query.shape
        by_distance = ops.matmul(query, ops.transpose(self._table(query.dtype)))
        shape = (batch, heads, count, places.shape[-1])
        index = ops.broadcast_to(places[:, None], shape)
        return ops.take_along_axis(by_distance, index, axis=-1)

    def gathered(self, shares: Any, places: Any, cached: bool) -> Any:
        if not cached:
            return ops.einsum("bhqk,qkd->bhqd", shares, places)
        table = self._table(shares.dtype)
        near = ops.one_hot(places, table.shape[0], dtype=shares.dtype)
        by_distance = ops.einsum("bhqk,bqkn->bhqn", shares, near)
        return ops.matmul(by_distance, table)

    def _table(self, dtype: Any) -> Any:
        table = relative_table(self.most, self.size)
        return ops.cast(ops.convert_to_tensor(table), dtype)


class Buckets(Plain):
    """A learnt score for each head and bucket of distance, alike in all blocks.

    (T5, Raffel et al. 2020, arXiv 1910.10683.) ``table``: gives the scores, (buckets,
    heads); ``both``: half of the buckets are for keys after the query.
    """

    def __init__(
        self, table: Callable[[], Any], count: int, most: int, both: bool
    ) -> None:
        self.table, self.count, self.most, self.both = table, count, most, both

    def prepare(self, queries: Any, keys: Any, dtype: Any) -> Any:
        if keys is None:
            queries = keys = ops.arange(ops.shape(queries)[1])[None]
        distance = keys[..., None, :] - queries[..., :, None]
        ids = bucket_ids(distance, self.count, self.most, self.both)
        scores = ops.take(ops.cast(self.table(), "float32"), ids, axis=0)
        return ops.transpose(scores, (0, 3, 1, 2))

    def score(self, query: Any, places: Any, cached: bool) -> Any:
        return places


def rotary(x: Any, positions: Any, base: float = 10000.0) -> Any:
    """Each pair of neighbours of the last axis turned by its position's angle.

    So the product of two turned vectors depends on their distance alone. x: (...,
    length, size), size even; positions: integers that broadcast to x's shape less its
    last axis. Returns x's shape and dtype; angles are float32.
    """
    cos, sin = _turns(positions, x.shape[-1], base)
    return _turned(x, cos, sin, halves=False)


def _turns(positions: Any, size: int, base: float) -> tuple[Any, Any]:
    """Cosines and sines, (..., length, size / 2) float32."""
    turns = base ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = ops.cast(positions, "float32")[..., None] * turns.astype(np.float32)
    return ops.cos(angles), ops.sin(angles)


def _turned(x: Any, cos: Any, sin: Any, halves: bool) -> Any:
    pairs = ops.cast(x, "float32")
    if halves:
        one, other = ops.split(pairs, 2, axis=-1)
    else:
        one, other = pairs[..., ::2], pairs[..., 1::2]
    parts = [one * cos - other * sin, other * cos + one * sin]
    if halves:
        return ops.cast(ops.concatenate(parts, axis=-1), x.dtype)
    turned = ops.stack(parts, axis=-1)
    return ops.cast(ops.reshape(turned, ops.shape(x)), x.dtype)


def relative_table(max_distance: int, size: int) -> np.ndarray:
    """NEZHA's vectors of the distances -max ... max, (2 max + 1, size) float32.

    Sinusoids, sines and cosines interleaved; not learnt (Wei et al. 2019, arXiv
    1909.00204).
    """
    places = np.arange(2 * max_distance + 1, dtype=np.float64)[:, None]
    angles = places / 10000.0 ** (np.arange(0, size, 2, dtype=np.float64) / size)
    table = np.empty((len(places), size), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : size // 2]
    return table


def distance_ids(query_positions: Any, key_positions: Any, max_distance: int) -> Any:
    """Rows of the relative table: key minus query, clipped, from 0.

    (..., queries) and (..., keys) integers -> (..., queries, keys) int32.
    """
    # not [..., None, :], which tf2onnx cannot write for a vector
    keys, queries = ops.expand_dims(key_positions, -2), query_positions[..., None]
    distance = keys - queries
    return ops.clip(distance, -max_distance, max_distance) + max_distance


def bucket_ids(distance: Any, count: int, most: int, both: bool) -> Any:
    """T5's buckets of key minus query: exact near, logarithmic up to ``most``.

    ``both``: the upper half of the buckets is for keys after the query; else these
    share the bucket of distance 0. int32 of any shape.
    """
    base: Any = 0
    if both:
        count //= 2
        base = ops.where(distance > 0, count, 0)
        distance = ops.abs(distance)
    else:
        distance = ops.maximum(-distance, 0)
    exact = count // 2
    far = ops.cast(ops.maximum(distance, 1), "float32") / exact
    steps = ops.log(far) / math.log(most / exact) * (count - exact)
    beyond = ops.minimum(exact + ops.cast(steps, "int32"), count - 1)
    near = ops.where(distance < exact, ops.cast(distance, "int32"), beyond)
    return ops.cast(base + near, "int32")


def hierarchical_rows(table: Any, positions: Any, alpha: float) -> Any:
    """Rows of an absolute table for positions past its length.

    Row i n + j is alpha u_i + (1 - alpha) u_j with u_k = (t_k - alpha t_0) / (1 -
    alpha), n the rows of the table: the first n are the table's own (Su,
    kexue.fm/archives/7947). table: (n, size); positions: integers below n squared.
    """
    rows = table.shape[0]
    base = (table - alpha * table[:1]) / (1.0 - alpha)
    high = ops.take(base, positions // rows, axis=0)
    low = ops.take(base, positions % rows, axis=0)
    return alpha * high + (1.0 - alpha) * low
