"""GlobalPointer: one score for each label and each span."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from nlpcli.layers import masks
from nlpcli.layers.dense import Dense
from nlpcli.layers.positions import rotary

_EXCLUDED = -1e9


class GlobalPointerHead(keras.layers.Layer):
    """Scores q_start . k_last / sqrt(head_size), turned by rotary positions.

    (Su, kexue.fm/archives/8373.) ``efficient`` shares one query and key among all
    labels, and adds to each label half the sum of a start and a last score that a
    dense layer reads from both (kexue.fm/archives/8877). hidden_states: (batch,
    length, hidden); logits: (batch, labels, length, length) float32, start by last
    position, hugely negative below the diagonal and where masked.
    """

    def __init__(
        self,
        labels: int,
        head_size: int = 64,
        efficient: bool = False,
        name: str = "pointer",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.labels = labels
        self.head_size = head_size
        self.efficient = efficient

    def build(self, input_shape: Any) -> None:
        pairs = 1 if self.efficient else self.labels
        self.projection = Dense(
            input_shape[-1],
            pairs * 2 * self.head_size,
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build()
        if self.efficient:
            self.boundaries = Dense(
                2 * self.head_size, 2 * self.labels, name="boundaries", dtype="float32"
            )
            self.boundaries.build()

    def call(self, hidden_states: Any, mask: Any, training: bool = False) -> Any:
        batch, length = ops.shape(hidden_states)[:2]
        projected = ops.cast(self.projection(hidden_states), "float32")
        pairs = ops.reshape(projected, (batch, length, -1, 2, self.head_size))
        query, key = ops.unstack(ops.transpose(pairs, (3, 0, 2, 1, 4)), 2)
        positions = ops.arange(length, dtype="int32")
        query = rotary(query, positions) * (1.0 / math.sqrt(self.head_size))
        key = rotary(key, positions)
        mask = ops.cast(mask, "bool")[:, None]
        order = positions[:, None] <= positions[None, :]
        allowed = mask[..., :, None] & mask[..., None, :] & order
        logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        if self.efficient:
            scores = ops.reshape(
                self.boundaries(projected) * 0.5, (batch, length, self.labels, 2)
            )
            start, last = ops.unstack(ops.transpose(scores, (3, 0, 2, 1)), 2)
            logits = logits + start[..., :, None] + last[..., None, :]
        return logits + masks.additive(allowed)

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """Sum over examples of the mean over labels, and how many examples there are.

        labels: (batch, labels, length, length) bool, or the gold spans themselves,
        (batch, spans, 3) int32 rows of label, start, last position, filled with -1;
        mask: (batch, length) bool. A row without a real position counts nothing.
        """
        if len(labels.shape) == 3:
            labels = span_matrix(labels, ops.shape(logits))
        losses = multilabel_losses(labels, logits)
        present = ops.any(ops.cast(mask, "bool"), axis=1)
        return ops.sum(ops.mean(losses, axis=1)), ops.sum(ops.cast(present, "float32"))


def span_matrix(spans: Any, shape: Any) -> Any:
    """Gold spans, (batch, spans, 3), as booleans of the logits' shape."""
    batch, count = ops.shape(spans)[:2]
    real = ops.all(spans >= 0, axis=-1)
    rows = ops.broadcast_to(
        ops.arange(batch, dtype="int32")[:, None, None], (batch, count, 1)
    )
    # Filler adds nothing to cell (row, 0, 0, 0).
    places = ops.concatenate([rows, ops.maximum(ops.cast(spans, "int32"), 0)], axis=-1)
    return ops.scatter(places, ops.cast(real, "int8"), shape) > 0


def multilabel_losses(labels: Any, logits: Any) -> Any:
    """log(1 + sum of e^s over negatives) + log(1 + sum of e^-s over positives).

    Pushes every gold span above 0 and all others below (Su, kexue.fm/archives/7359;
    Sun et al. 2020, arXiv 2002.10857). labels, logits: (batch, labels, length,
    length); returns (batch, labels) float32. The gradient is written out: it needs
    one array of the size of the logits where the chain rule keeps four.
    """

    @ops.custom_gradient
    def losses(logits: Any) -> tuple[Any, Any]:
        negative = _log_one_plus_sum_exp(ops.where(labels, _EXCLUDED, logits))
        positive = _log_one_plus_sum_exp(ops.where(labels, -logits, _EXCLUDED))

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            exponent = ops.where(
                labels,
                -logits - positive[..., None, None],
                logits - negative[..., None, None],
            )
            signs = ops.where(labels, -1.0, 1.0) * upstream[..., None, None]
            return signs * ops.exp(exponent)

        return negative + positive, gradient

    return losses(ops.cast(logits, "float32"))


def _log_one_plus_sum_exp(x: Any) -> Any:
    top = ops.maximum(ops.max(x, axis=(-2, -1)), 0.0)
    sums = ops.sum(ops.exp(x - top[..., None, None]), axis=(-2, -1))
    return top + ops.log(ops.exp(-top) + sums)
