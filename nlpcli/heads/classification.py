"""Classification of sentences: one label of several, or each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.pooling import Pooling

SENTENCES = "ForSequenceClassification"  # the end of transformers' name


class ClassificationHead(keras.layers.Layer):
    """Pooled states, dropout, a dense layer: (batch, labels) float32 logits.

    ``pooling``: "cls", "mean", or "pooler" (tanh of a dense layer over the first token,
    as BERT learnt it). ``several``: any number of labels is right, each by a
    sigmoid; otherwise one is, by a softmax over all. ``weights``: what an error on each
    label counts in the loss, and with ``several`` what missing it does.
    """

    def __init__(
        self,
        hidden_size: int,
        labels: int,
        pooling: str = "cls",
        dropout: float = 0.1,
        several: bool = False,
        weights: Sequence[float] | None = None,
        name: str = "labels",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.labels = labels
        self.several = several
        self.weights_of = [1.0] * labels if weights is None else list(weights)
        self.squashed = pooling == "pooler"
        self.pooling = Pooling(pooling, hidden_size, dtype=self.dtype_policy)
        self.dropout = Dropout(dropout)
        self.scores = Dense(hidden_size, labels, 0.02, name="scores", dtype="float32")
        self.scores.build()
        self.built = True

    def call(self, hidden_states: Any, mask: Any, training: bool = False) -> Any:
        pooled = self.pooling(hidden_states, mask)
        if self.squashed:
            pooled = ops.tanh(pooled)
        pooled = self.dropout(pooled, training=training)
        return self.scores(ops.cast(pooled, "float32"))

    def published_parts(self) -> dict[str, Any]:
        """BERT's pooler, where the head has it."""
        return {} if self.pooling.pooler is None else {"pooler": self.pooling.pooler}

    def published(self, labels: Sequence[str]) -> PublishedHead | UnpublishedHead:
        """As ForSequenceClassification, which reads the pooler."""
        if not self.squashed:
            return UnpublishedHead(
                "the head, since transformers' class reads the pooler",
                "task.pooling: pooler makes one that it has",
                SENTENCES,
            )
        kind = "multi_label" if self.several else "single_label"
        return PublishedHead(
            SENTENCES,
            {"classifier": self.scores},
            labels,
            {"problem_type": f"{kind}_classification"},
        )

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """Weighted cross-entropy summed over rows, and the sum of their weights.

        labels: (batch, gold) int32 numbers of the right labels, filled with -1; mask:
        (batch, length) bool: a row without a real token counts nothing. With
        ``several`` a row counts the mean over the labels, and 1.
        """
        real = ops.cast(ops.any(mask, axis=1), "float32")
        labels = ops.cast(labels, "int32")
        gold = ops.max(ops.one_hot(labels, self.labels, dtype="float32"), axis=1)
        weights = ops.convert_to_tensor(self.weights_of, "float32")
        if not self.several:
            counts = real * ops.sum(gold * weights, axis=-1)
            losses = -ops.sum(gold * ops.log_softmax(logits, axis=-1), axis=-1)
            return ops.sum(losses * counts), ops.sum(counts)
        missed = gold * weights * ops.softplus(-logits)
        false = (1.0 - gold) * ops.softplus(logits)
        return ops.sum(ops.mean(missed + false, axis=-1) * real), ops.sum(real)
