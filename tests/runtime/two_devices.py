"""Run as a script: MirroredStrategy over two CPU devices against one device."""

import sys
from pathlib import Path

import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

import keras
import numpy as np

from nlpcli.config import TrainOptions
from nlpcli.runtime.datasets import to_device
from nlpcli.runtime.step import TrainStep
from tests.tiny_task import make_batch, make_model, make_optimizer


def train(strategy: tf.distribute.Strategy, accumulate: int) -> list[np.ndarray]:
    keras.utils.set_random_seed(3)
    options = TrainOptions(lr=1e-3, head_lr=1e-2, ema=0.9)
    with strategy.scope():
        model = make_model()
        optimizer = make_optimizer(model, options)
        step = TrainStep(model, optimizer, strategy, 1.0, False, None)
    for number in range(1, 6):
        batch = make_batch(number, rows=8)
        rows = 8 // accumulate
        micro = [
            to_device({k: v[i : i + rows] for k, v in batch.items()}, strategy)
            for i in range(0, 8, rows)
        ]
        step(micro, 1e-2, optimizer.host_scalars(number))
    return [v.numpy() for v in [*model.trainable_variables, *optimizer.averages]]


mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
one = train(tf.distribute.get_strategy(), 1)
for parts in (1, 2):
    two = train(mirrored, parts)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-4, atol=5e-6)
print("same weights")
