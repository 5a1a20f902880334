"""The loss of a batch and its gradient: functions that techniques wrap and stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import tensorflow as tf

from nlpcli.heads.task_model import BackboneModel
from nlpcli.runtime.walks import SharedWalk

# A batch, or a list of the lanes that one program computes side by side, to sums of
# float32: the total of the loss and the weight that it is divided by.
Loss = Callable[[Any], tuple[Any, Any]]


class Gradients(NamedTuple):
    """The gradient of ``scale`` times the total, by variable, and both sums."""

    values: list[Any]
    total: Any
    weight: Any


Gradient = Callable[[Any, Any], Gradients]  # of a batch and the scale


def model_loss(model: BackboneModel, blocks: SharedWalk | None = None) -> Loss:
    """The loss in training of a model, walked by compiled ``blocks`` if given."""

    def loss(batch: Any) -> tuple[Any, Any]:
        total = weight = tf.constant(0.0)
        for part in batch if isinstance(batch, (list, tuple)) else [batch]:
            with nullcontext() if blocks is None else blocks.active():
                logits = model(part, training=True)
            more, count = model.task_loss(part, logits)
            total, weight = total + more, weight + count
        return total, weight

    return loss


def tape(loss: Loss, variables: Sequence[Any]) -> Gradient:
    """The plain gradient of a loss by Keras variables."""

    def gradient(batch: Any, scale: Any) -> Gradients:
        sources = [v.value for v in variables]
        with tf.GradientTape(watch_accessed_variables=False) as record:
            for source in sources:
                record.watch(source)
            total, weight = loss(batch)
            scaled = total * scale
        values = record.gradient(
            scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return Gradients([tf.convert_to_tensor(v) for v in values], total, weight)

    return gradient
