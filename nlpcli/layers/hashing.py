"""Random bits as a hash of a counter: plain integer arithmetic that XLA fuses."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def mix(bits: Any) -> Any:
    """murmur3's 32-bit finaliser: every input bit changes half of the output bits.

    bits: uint32 of any shape.
    """
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, word(shift)))
        bits = bits * word(factor)
    return ops.bitwise_xor(bits, ops.right_shift(bits, word(16)))


def word(value: int) -> Any:
    """A uint32 scalar; a Python integer would make the sum an int64."""
    return ops.convert_to_tensor(np.uint32(value))
