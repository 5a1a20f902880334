"""Where numbers stopped being finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from nlpcli.layers.look import Look
from nlpcli.text.batching import Features


def first_not_finite(model: Any, batch: Features) -> str:
    """The first place on the road of a batch where a value is not finite.

    Walks weights, embeddings, blocks, logits, loss and gradients, eagerly.
    """
    for variable in model.trainable_variables:
        if not _finite(variable):
            return f"weight {variable.path}"
    inputs = {name: tf.constant(array) for name, array in batch.items()}
    backbone = model.backbone
    states = backbone.embed(inputs["token_ids"], inputs.get("segment_ids"))
    if not _finite(states):
        return "output of the embeddings"
    places = np.arange(inputs["token_ids"].shape[1], dtype=np.int32)[None]
    look = Look(
        model.attention_mask(inputs),
        backbone.scheme.prepare(tf.constant(places), None, states.dtype),
    )
    for block in backbone.road:
        states, _ = block.walk(states, look)
        if not _finite(states):
            return f"output of {block.name}"
    with tf.GradientTape() as tape:
        logits = model(inputs, training=False)
        total, _ = model.task_loss(inputs, logits)
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


def _finite(values: Any) -> bool:
    return bool(np.isfinite(np.asarray(tf.cast(values, tf.float32))).all())
