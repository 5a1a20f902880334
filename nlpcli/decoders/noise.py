"""Random numbers that belong to an example, not to its place in a batch."""

from __future__ import annotations

from typing import Any

from keras import ops

from nlpcli.layers.hashing import mix, word


def gumbel(keys: Any, step: Any, width: int, size: int) -> Any:
    """Standard Gumbel noise, (batch, width, size) float32.

    keys: (batch,) int32, one for each example. A hash of (key, sample, step, place),
    so an example draws the same whatever shares its batch. Adding it to
    log-probabilities and taking the largest draws from the distribution (Gumbel-max).
    """
    bits = mix(ops.cast(keys, "uint32")[:, None] + word(0x9E3779B9))
    bits = mix(bits + ops.cast(ops.arange(width), "uint32")[None] * word(0x85EBCA6B))
    bits = mix(bits + ops.cast(step, "uint32") * word(0xC2B2AE35))
    places = ops.cast(ops.arange(size), "uint32") * word(0x27D4EB2F)
    bits = mix(mix(bits[..., None] + places[None, None]) + bits[..., None])
    # 24 bits and a half: neither 0 nor 1
    uniform = (
        ops.cast(ops.cast(ops.right_shift(bits, word(8)), "int32"), "float32") + 0.5
    ) * 2.0**-24
    return -ops.log(-ops.log(uniform))
