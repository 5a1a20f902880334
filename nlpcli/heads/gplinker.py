"""GPLinker: triples as entities and links between their ends."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from nlpcli.heads.pointer import GlobalPointerHead
from nlpcli.layers import masks


class EntityHead(GlobalPointerHead):
    """Which spans are subjects (label 0) and which objects (label 1).

    A GlobalPointer whose loss is the sum over labels, as GPLinker weighs it.
    """

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """As GlobalPointerHead's, but the sum over labels."""
        total, weight = super().loss(labels, logits, mask)
        return total * self.labels, weight


class LinkHead(EntityHead):
    """Which characters of a subject and of an object a predicate links.

    (Su, kexue.fm/archives/8888.) A GlobalPointer without positions and without an
    order: the object may stand before its subject. hidden_states: (batch, length,
    hidden); logits: (batch, predicates, length, length) float32, subject by object.
    """

    def call(self, hidden_states: Any, mask: Any, training: bool = False) -> Any:
        batch, length = ops.shape(hidden_states)[:2]
        projected = ops.cast(self.projection(hidden_states), "float32")
        pairs = ops.reshape(projected, (batch, length, -1, 2, self.head_size))
        query, key = ops.unstack(ops.transpose(pairs, (3, 0, 2, 1, 4)), 2)
        query = query * (1.0 / math.sqrt(self.head_size))
        logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        if self.efficient:
            scores = ops.reshape(
                self.boundaries(projected) * 0.5, (batch, length, self.labels, 2)
            )
            subject, object_ = ops.unstack(ops.transpose(scores, (3, 0, 2, 1)), 2)
            logits = logits + subject[..., :, None] + object_[..., None, :]
        mask = ops.cast(mask, "bool")[:, None]
        return logits + masks.additive(mask[..., :, None] & mask[..., None, :])
