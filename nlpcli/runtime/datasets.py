"""Batches on their way to the devices: cut for each replica."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from nlpcli.runtime.batches import Plan
from nlpcli.text.batching import Features


def to_device(
    batch: Features | list[Features], strategy: tf.distribute.Strategy
) -> Any:
    """Padded batches as tensors; under distribution, rows cut among all replicas.

    Every worker makes the same batches and takes its own rows, so that n replicas
    do exactly what one device does.
    """
    if isinstance(batch, list):
        return [to_device(part, strategy) for part in batch]
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return {name: tf.constant(array) for name, array in batch.items()}

    def rows_of(context: Any) -> dict[str, tf.Tensor]:
        index = context.replica_id_in_sync_group
        return {
            name: tf.constant(
                array[index * len(array) // replicas :][: len(array) // replicas]
            )
            for name, array in batch.items()
        }

    return strategy.experimental_distribute_values_from_function(rows_of)


def signature(plan: Plan, sample: Features) -> Any:
    """What a step's micro-batches of any size look like; None where sizes are fixed.

    ``sample``: unpadded features.
    """
    if plan.static is None:
        return None
    part = {
        name: tf.TensorSpec(
            (
                None,
                *(
                    None if axis else length
                    for axis, length in zip(
                        plan.fields[name].axes, array.shape, strict=True
                    )
                ),
            ),
            array.dtype,
        )
        for name, array in sample.items()
    }
    return part if plan.lanes == 1 else [part] * plan.lanes
