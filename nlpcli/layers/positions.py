"""Position schemes that act inside a product of queries and keys."""

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
