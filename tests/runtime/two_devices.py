"""Run as a script: MirroredStrategy over two CPU devices against one device."""

import sys
from pathlib import Path
from types import SimpleNamespace

import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

import keras
import numpy as np

from nlpcli.config import TrainOptions
from nlpcli.runtime.batches import micro_batches, training_plan
from nlpcli.runtime.datasets import to_device
from nlpcli.text.batching import Bound, Field, length_grouped
from tests.tiny_task import make_batch, make_model, make_optimizer, make_step

FIELDS = {
    "token_ids": Field(("tokens",), 0),
    "padding_mask": Field(("tokens",), False),
    "labels": Field(("tokens",)),
}
BUCKETS = [{"tokens": 4}, {"tokens": 8}, {"tokens": 12}]
ROWS, TOKENS = Bound(8), Bound(None, 60, (4, 8, 12))


def batches(bound: Bound) -> list[list[dict[str, np.ndarray]]]:
    """Unpadded rows, as an epoch has them: the same for every worker."""
    whole = make_batch(1, rows=30)
    lengths = whole["padding_mask"].sum(1)
    rng = np.random.default_rng(0)
    return [
        [{name: v[i, : lengths[i]] for name, v in whole.items()} for i in chosen]
        for chosen in length_grouped(lengths, bound.most(lengths), rng)
    ]


def train(
    strategy: tf.distribute.Strategy, accumulate: int, bound: Bound
) -> list[np.ndarray]:
    keras.utils.set_random_seed(3)
    options = TrainOptions(lr=1e-3, head_lr=1e-2, ema=0.9)
    with strategy.scope():
        model = make_model()
        optimizer = make_optimizer(model, options)
        step = make_step(model, optimizer, strategy)
    replicas = strategy.num_replicas_in_sync
    device = SimpleNamespace(xla=False, lanes=1, replicas=replicas)
    plan = training_plan(FIELDS, bound, BUCKETS, model, device, accumulate, False)
    for number, batch in enumerate(batches(bound), 1):
        micro = micro_batches(batch, plan)
        assert len(micro) == accumulate
        assert all(len(piece["token_ids"]) % replicas == 0 for piece in micro)
        pieces = [to_device(piece, strategy) for piece in micro]
        step(pieces, 1e-2, optimizer.host_scalars(number))
    return [v.numpy() for v in [*model.trainable_variables, *optimizer.averages]]


mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for bound in (ROWS, TOKENS):
    one = train(tf.distribute.get_strategy(), 1, bound)
    for parts in (1, 2):
        two = train(mirrored, parts, bound)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=5e-4, atol=5e-6)
print("same weights")
