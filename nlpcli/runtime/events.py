"""TensorBoard event files, without the tensorboard package."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf


class EventWriter:
    """Scalars as TensorBoard reads them: records of Event messages."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        path = folder / f"{name}.{os.urandom(8).hex()}"
        path.touch(exist_ok=False)  # TensorFlow would follow a link of that name
        self._writer = tf.io.TFRecordWriter(os.fsencode(path))
        self._write(tf.compat.v1.Event(file_version="brain.Event:2"))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write named values at a step and flush."""
        summary = tf.compat.v1.Summary(
            value=[
                tf.compat.v1.Summary.Value(tag=tag, simple_value=value)
                for tag, value in values.items()
            ]
        )
        self._write(tf.compat.v1.Event(step=step, summary=summary))

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, event: tf.compat.v1.Event) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
        self._writer.flush()
