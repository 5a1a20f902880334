"""A tiny tagging model and batches for tests of the step and the strategies."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Transformer
from nlpcli.config import TrainOptions
from nlpcli.heads.task_model import TaskModel
from nlpcli.runtime.loss import model_loss, tape
from nlpcli.runtime.optimizer import AdamW
from nlpcli.runtime.step import TrainStep

CONFIG = TransformerConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


class SoftmaxHead(keras.layers.Layer):
    """Cross-entropy over real positions: total and count."""

    def __init__(self) -> None:
        super().__init__(name="labels")
        self.dense = keras.layers.Dense(5, name="dense")
        self.dense.build((None, None, CONFIG.hidden_size))
        self.built = True

    def call(self, states: Any, mask: Any = None, training: bool = False) -> Any:
        return ops.cast(self.dense(states), "float32")

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        each = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        real = ops.cast(mask, "float32")
        return ops.sum(each * real), ops.sum(real)


def make_model(config: TransformerConfig = CONFIG) -> TaskModel:
    return TaskModel(
        Transformer(config), {"labels": SoftmaxHead()}, {"labels": "labels"}
    )


def make_optimizer(model: TaskModel, options: TrainOptions) -> AdamW:
    return AdamW(model.parameters(), options)


def make_step(
    model: TaskModel,
    optimizer: AdamW,
    strategy: Any = None,
    clip_norm: float | None = 1.0,
    blocks: Any = None,
    **options: Any,
) -> TrainStep:
    """The plain step; ``strategy`` is one device where none is given."""
    gradient = tape(model_loss(model, blocks), optimizer.variables)
    strategy = strategy or tf.distribute.get_strategy()
    return TrainStep(gradient, optimizer, strategy, clip_norm, **options)


def make_batch(seed: int, rows: int = 8, length: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, length + 1, rows)
    mask = np.arange(length) < lengths[:, None]
    return {
        "token_ids": rng.integers(1, 40, (rows, length)).astype(np.int32) * mask,
        "padding_mask": mask,
        "labels": rng.integers(0, 5, (rows, length)).astype(np.int32),
    }
