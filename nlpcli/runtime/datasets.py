"""Batches on their way to the devices: made ahead, cut for each replica."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

from nlpcli.runtime.batches import Plan
from nlpcli.text.batching import Features

Item = TypeVar("Item")
_END = object()


def prefetch(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """Run an iterator in a thread, ``depth`` items ahead, in order.

    An exception in the iterator is raised here, in its place; closing this
    generator stops the thread.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # noqa: BLE001 - handed to the consumer
            put((_END, error))

    threading.Thread(target=work, daemon=True, name="nlpcli-prefetch").start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()


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
