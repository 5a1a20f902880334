"""Folders whose names are no UTF-8 (a name in GBK) reach TensorFlow as they are."""

import os

import numpy as np

from nlpcli.runtime.events import EventWriter
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint, write_tf_checkpoint

NAME = os.fsdecode("训练".encode("gbk"))


def test_event_files(tmp_path):
    writer = EventWriter(tmp_path / NAME)
    writer.scalars(1, {"loss": 0.5})
    writer.close()
    (events,) = (tmp_path / NAME).iterdir()
    assert events.stat().st_size > 0


def test_checkpoints(tmp_path):
    values = {"bert/x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_tf_checkpoint(tmp_path / NAME / "model.ckpt", values)
    source = open_tf_checkpoint(tmp_path / NAME)
    assert source is not None
    np.testing.assert_array_equal(source.read("bert/x"), values["bert/x"])
