"""Dropout whose mask is a hash of (seed, step, position)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nlpcli.layers.hashing import mix, word


class Dropout(keras.layers.Layer):
    """Zero a share of the values, scale the rest by 1 / (1 - rate).

    The mask is murmur3's 32-bit finaliser over the position, keyed twice by the
    layer's seed: plain integer arithmetic that XLA fuses with what follows, where
    its own random bits cost ten times as much on a CPU. Same seed, same mask.
    """

    def __init__(self, rate: float, name: str = "dropout", **kwargs: Any) -> None:
        super().__init__(name=name, autocast=False, **kwargs)  # the type that comes
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator() if rate > 0.0 else None
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.seed_generator is None:
            return x
        seed = ops.cast(self.seed_generator.next(), "uint32")
        shape = ops.shape(x)
        size = ops.prod(ops.convert_to_tensor(shape))
        bits = ops.cast(ops.arange(size, dtype="int32"), "uint32")
        bits = mix(bits * word(0x9E3779B9) + seed[0])
        bits = mix(ops.bitwise_xor(bits, seed[1]))
        keep = ops.reshape(bits >= word(int(self.rate * 2**32)), shape)
        scaled = x * ops.cast(1.0 / (1.0 - self.rate), x.dtype)
        return ops.where(keep, scaled, ops.zeros((), x.dtype))
