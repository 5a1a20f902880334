"""Position schemes that act inside attention."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def rotary(x: Any, positions: Any, base: float = 10000.0) -> Any:
    """Turn each pair (0, 1), (2, 3) ... of the last axis by its position's angle.

    So the product of two turned vectors depends on their distance alone (RoPE, Su
    et al. 2021, arXiv 2104.09864). Neighbours are paired, as in RoFormer and
    GlobalPointer; Llama pairs the two halves, and mixing them up loads but scores
    badly. x: (..., length, size), size even; positions: integers that broadcast to
    x's shape less its last axis. Returns x's shape and dtype; angles are float32.
    """
    size = x.shape[-1]
    turns = base ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angles = ops.cast(positions, "float32")[..., None] * turns.astype(np.float32)
    cos, sin = ops.cos(angles), ops.sin(angles)
    pairs = ops.cast(x, "float32")
    even, odd = pairs[..., ::2], pairs[..., 1::2]
    turned = ops.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
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
    distance = key_positions[..., None, :] - query_positions[..., :, None]
    return ops.clip(distance, -max_distance, max_distance) + max_distance
