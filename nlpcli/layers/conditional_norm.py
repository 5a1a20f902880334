"""Layer norm whose scale and offset depend on a condition."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class ConditionalLayerNorm(keras.layers.Layer):
    """Layer norm with gamma and beta moved by a bias-free dense of a condition.

    (Su, kexue.fm/archives/7124.) The kernels start at zero: at first it is a plain
    layer norm. x: (batch, ..., size); condition: (batch, condition_size); returns
    x's shape, float32 whatever the policy.
    """

    def __init__(
        self,
        size: int,
        condition_size: int,
        epsilon: float = 1e-6,
        name: str = "conditional_norm",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        self.size = size
        self.condition_size = condition_size
        self.epsilon = epsilon

    def build(self, input_shape: Any = None) -> None:
        self.gamma = self.add_weight(
            shape=(self.size,), initializer="ones", name="gamma"
        )
        self.beta = self.add_weight(
            shape=(self.size,), initializer="zeros", name="beta"
        )
        shape = (self.condition_size, self.size)
        self.gamma_kernel = self.add_weight(
            shape=shape, initializer="zeros", name="gamma_kernel"
        )
        self.beta_kernel = self.add_weight(
            shape=shape, initializer="zeros", name="beta_kernel"
        )
        self.built = True

    def call(self, x: Any, condition: Any) -> Any:
        x = ops.cast(x, "float32")
        condition = ops.cast(condition, "float32")
        between = (1,) * (len(x.shape) - 2)
        gamma, beta = (
            ops.reshape(vector + ops.matmul(condition, kernel), (-1, *between, size))
            for vector, kernel, size in (
                (self.gamma, self.gamma_kernel, self.size),
                (self.beta, self.beta_kernel, self.size),
            )
        )
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return centred * ops.rsqrt(variance + self.epsilon) * gamma + beta
