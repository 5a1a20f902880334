"""Random numbers that belong to an example, not to its place in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def gumbel(keys: Any, step: Any, width: int, size: int) -> Any:
    """Standard Gumbel noise, (batch, width, size) float32.

    keys: (batch,) int32, one for each example. A hash of (key, sample, step, place),
    so an example draws the same whatever shares its batch. Adding it to
    log-probabilities and taking the largest draws from the distribution (Gumbel-max).
    """
    bits = _mix(ops.cast(keys, "uint32")[:, None] + _word(0x9E3779B9))
    bits = _mix(bits + ops.cast(ops.arange(width), "uint32")[None] * _word(0x85EBCA6B))
    bits = _mix(bits + ops.cast(step, "uint32") * _word(0xC2B2AE35))
    places = ops.cast(ops.arange(size), "uint32") * _word(0x27D4EB2F)
    bits = _mix(_mix(bits[..., None] + places[None, None]) + bits[..., None])
    # 24 bits and a half: neither 0 nor 1
    uniform = (
        ops.cast(ops.cast(ops.right_shift(bits, _word(8)), "int32"), "float32") + 0.5
    ) * 2.0**-24
    return -ops.log(-ops.log(uniform))


def _mix(bits: Any) -> Any:
    """murmur3's 32-bit finaliser."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, _word(shift)))
        bits = bits * _word(factor)
    return ops.bitwise_xor(bits, ops.right_shift(bits, _word(16)))


def _word(value: int) -> Any:
    return ops.convert_to_tensor(np.uint32(value))
