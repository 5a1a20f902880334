"""Norms of hidden states."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nlpcli.layers.written_out import is_written_out


def norm(kind: str, epsilon: float, name: str, policy: Any) -> Any:
    """A norm over the last axis: "layer", "rms", or "rms_plain" without a gain."""
    if kind == "layer":
        return LayerNorm(epsilon=epsilon, name=name, dtype=policy)
    return RootMeanSquareNorm(epsilon, kind == "rms", name=name, dtype=policy)


class LayerNorm(keras.layers.LayerNormalization):
    """(x - mean) / sqrt(variance + epsilon), times a gain, plus a bias."""

    def call(self, x: Any) -> Any:
        if not is_written_out():
            wide = ops.cast(x, "float32")
            apart = wide - ops.mean(wide, axis=-1, keepdims=True)
            variance = ops.mean(ops.square(apart), axis=-1, keepdims=True)
            scaled = apart * ops.rsqrt(variance + self.epsilon)
            gamma, beta = (ops.cast(v, "float32") for v in (self.gamma, self.beta))
            return ops.cast(scaled * gamma + beta, self.compute_dtype)
        # a list of one axis: OpenVINO makes one kernel of no other
        apart = x - ops.mean(x, axis=[-1], keepdims=True)
        variance = ops.mean(ops.power(apart, 2.0), axis=[-1], keepdims=True)
        scaled = apart / ops.sqrt(variance + self.epsilon)
        return scaled * self.gamma + self.beta


class RootMeanSquareNorm(keras.layers.Layer):
    """x / sqrt(mean of squares + epsilon), times a gain where there is one.

    (Zhang and Sennrich 2019, arXiv 1910.07467.) x: (..., size); the same shape, summed
    in float32.
    """

    def __init__(self, epsilon: float, gain: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gain = gain

    def build(self, input_shape: Any) -> None:
        if self.gain:
            self.gamma = self.add_weight(
                shape=(input_shape[-1],), initializer="ones", name="gamma"
            )
        self.built = True

    def call(self, x: Any) -> Any:
        wide = ops.cast(x, "float32")
        mean = ops.mean(ops.square(wide), axis=-1, keepdims=True)
        scaled = wide * ops.rsqrt(mean + self.epsilon)
        if self.gain:
            scaled = scaled * ops.cast(self.gamma, "float32")
        return ops.cast(scaled, self.compute_dtype)
