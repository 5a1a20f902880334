"""One vector for a sentence: pooling of its hidden states, and whitening."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from nlpcli.errors import ConfigError
from nlpcli.layers.dense import Dense

SMALLEST = 1e-12  # square of a norm; variance of a direction, beside the largest


class Pooling(keras.layers.Layer):
    """Hidden states, (batch, length, hidden), to vectors, (batch, hidden) float32.

    ``kind``: "cls" takes the first token, "pooler" a dense layer over it (linear, as
    the SimBERT release has it), "mean" the mean of the tokens where ``mask``, (batch,
    length) bool, is true.
    """

    def __init__(self, kind: str, hidden_size: int, **kwargs: Any) -> None:
        super().__init__(name="pooling", **kwargs)
        self.kind = kind
        self.pooler: Dense | None = None
        if kind == "pooler":
            self.pooler = Dense(
                hidden_size, hidden_size, 0.02, name="pooler", dtype=self.dtype_policy
            )
            self.pooler.build()
        self.built = True

    def call(self, hidden_states: Any, mask: Any) -> Any:
        if self.kind == "mean":
            weights = ops.cast(mask, "float32")[..., None]
            total = ops.sum(ops.cast(hidden_states, "float32") * weights, axis=1)
            return total / ops.maximum(ops.sum(weights, axis=1), 1.0)
        first = hidden_states[:, 0]
        if self.pooler is not None:
            first = self.pooler(first)
        return ops.cast(first, "float32")


def pooling_of(asked: str, causal: bool, key: str) -> str:
    """The kind of pooling that was asked for under ``key``; "auto" is "cls".

    In a stack that looks back only the first token sees nothing of a text: "auto" is
    the mean there, and the first token is a ConfigError.
    """
    if not causal:
        return "cls" if asked == "auto" else asked
    if asked in ("cls", "pooler"):
        raise ConfigError(
            [
                f"{key}: expected mean, since the first token of a model that looks "
                f"back only sees nothing of the text, got {asked}"
            ]
        )
    return "mean"


class Whitening(keras.layers.Layer):
    """(vectors - mean) matrix: (batch, hidden) to (batch, dimension) float32.

    Its weights are fitted to a corpus, never learnt.
    """

    def __init__(self, hidden_size: int, dimension: int) -> None:
        super().__init__(name="whitening", dtype="float32")
        self.mean = self.add_weight(
            shape=(hidden_size,), initializer="zeros", trainable=False, name="mean"
        )
        self.matrix = self.add_weight(
            shape=(hidden_size, dimension),
            initializer="zeros",
            trainable=False,
            name="matrix",
        )
        self.matrix.assign(np.eye(hidden_size, dimension, dtype=np.float32))
        self.built = True

    def call(self, vectors: Any) -> Any:
        return ops.matmul(vectors - self.mean, self.matrix)

    def fit(self, vectors: np.ndarray) -> None:
        """Take mean and directions from the vectors of a corpus, (texts, hidden)."""
        mean, matrix = whitening_of(vectors, self.matrix.shape[1])
        self.mean.assign(mean)
        self.matrix.assign(matrix)


def whitening_of(vectors: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean, (hidden,), and matrix, (hidden, dimension), that whiten the vectors.

    (kexue.fm/archives/8069; Su et al. 2021, arXiv 2103.15316.) Columns go by falling
    variance; a direction without any variance is left out as zeros.
    """
    values = np.asarray(vectors, np.float64)
    mean = values.mean(axis=0)
    covariance = np.cov(values, rowvar=False, bias=True).reshape(len(mean), len(mean))
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    real = variances > SMALLEST * max(variances[0], SMALLEST)
    scale = np.where(real, 1.0 / np.sqrt(np.where(real, variances, 1.0)), 0.0)
    return mean, (directions * scale)[:, :dimension]


def normalised(vectors: Any) -> Any:
    """Rows of length 1, float32; a row of zeros stays one."""
    vectors = ops.cast(vectors, "float32")
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, SMALLEST))
