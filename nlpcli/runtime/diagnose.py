"""Where numbers stopped being finite."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.runtime.walks import walked_by
from nlpcli.text.batching import Features


def first_not_finite(model: Any, batch: Features) -> str:
    """The first place on the road of a batch where a value is not finite.

    Walks weights, embeddings, blocks, logits, loss and gradients, eagerly.
    """
    for variable in model.trainable_variables:
        if not _finite(variable):
            return f"weight {variable.path}"
    inputs = {name: tf.constant(array) for name, array in batch.items()}
    walk = _Watched()
    with ExitStack() as entered, tf.GradientTape() as tape:
        for stack in model.stacks:
            entered.enter_context(walked_by(stack, walk))
        logits = model(inputs, training=False)
        total, _ = model.task_loss(inputs, logits)
    if walk.first is not None:
        return walk.first
    for name, value in logits.items():
        if np.isnan(value.numpy()).any():
            return f"logits of head {name}"
    if not _finite(total):
        return "the loss"
    variables = [v.value for v in model.trainable_variables]
    for variable, grad in zip(
        model.trainable_variables, tape.gradient(total, variables), strict=True
    ):
        if grad is not None and not _finite(tf.convert_to_tensor(grad)):
            return f"gradient of {variable.path}"
    return "not seen again without dropout (a rare draw)"


class _Watched:
    """Walks through blocks, and keeps the first place that is not finite."""

    def __init__(self) -> None:
        self.first: str | None = None

    def __call__(self, block: Any, hidden: Any, look: Any, training: bool) -> Any:
        if self.first is None and not _finite(hidden):
            self.first = "output of the embeddings"
        hidden, kept = block.walk(hidden, look, training)
        if self.first is None and not _finite(hidden):
            name = block.path.removeprefix("backbone/")
            self.first = f"output of {name}"
        return hidden, kept


def _finite(values: Any) -> bool:
    return bool(np.isfinite(np.asarray(tf.cast(values, tf.float32))).all())
