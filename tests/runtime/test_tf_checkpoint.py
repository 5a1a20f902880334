"""TensorFlow checkpoints: names, optimizer slots, damage."""

import json
import os

import numpy as np
import pytest

from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import load
from nlpcli.engine.inspect import inspect
from nlpcli.errors import CheckpointError
from nlpcli.runtime.tf_checkpoint import (
    TfCheckpointSource,
    open_tf_checkpoint,
    write_tf_checkpoint,
)
from tests.bert_family import RULES, expected_shapes
from tests.checkpoints.tiny_bert import CONFIG, SPECIAL, tf_tensors, write_hf

OPENERS = [open_tf_checkpoint]
SLOTS = (
    "global_step",
    "beta1_power",
    "bert/pooler/dense/kernel/adam_m",
    "bert/pooler/dense/kernel/adam_v",
    "bert/embeddings/word_embeddings/Adam",
    "bert/embeddings/word_embeddings/Adam_1",
    "bert/encoder/layer_0/output/dense/bias/lamb_m",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("google")
    slots = {name: np.zeros(2, np.float32) for name in SLOTS}
    write_tf_checkpoint(folder / "bert_model.ckpt", {**tf_tensors(), **slots})
    return folder


def test_values_come_back_and_slots_do_not(folder):
    source = open_checkpoint(folder, OPENERS)
    assert (source.container, source.dialect) == ("tensorflow", "tf")
    expected = tf_tensors()
    assert source.describe() == {n: v.shape for n, v in expected.items()}
    assert source.ignored == len(SLOTS)
    for name, value in expected.items():
        np.testing.assert_array_equal(source.read(name), value)
    assert source.dtype("bert/pooler/dense/bias") == "float32"
    assert sorted(path.name for path in source.files) == [
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
    ]


def test_both_dialects_load_the_same_numbers(folder, tmp_path):
    shapes = expected_shapes(CONFIG)["backbone"]
    google = load(RULES["tf"], shapes, open_checkpoint(folder, OPENERS))
    face = load(RULES["hf"], shapes, open_checkpoint(write_hf(tmp_path / "hf")))
    assert google.keys() == face.keys()
    for path, value in face.items():
        np.testing.assert_array_equal(google[path], value, err_msg=path)


def test_inspection_of_a_google_folder(folder):
    config = {key: value for key, value in CONFIG.items() if key != "model_type"}
    (folder / "bert_config.json").write_text(json.dumps(config))
    tokens = [*SPECIAL, *map(str, range(len(SPECIAL), 30))]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    for path in (folder, folder / "bert_model.ckpt", folder / "bert_model.ckpt.index"):
        report = inspect(path)
        assert (report.container, report.dialect) == ("tensorflow", "tf")
        assert report.family == "bert" and report.loads
        assert set(report.parts.values()) == {"complete"} and not report.unused


def test_half_precision_is_read_as_float32(tmp_path):
    import tensorflow as tf

    values = {
        "a": tf.constant([1.5], tf.bfloat16),
        "b": np.array([0.25], np.float16),
        "c": np.array([7], np.int64),
    }
    write_tf_checkpoint(tmp_path / "x", values)
    source = TfCheckpointSource(tmp_path / "x")
    assert source.dtype("a") == "bfloat16"
    assert [source.read(n).dtype for n in "abc"] == [np.float32, np.float32, np.int64]
    assert [source.read(n)[0] for n in "abc"] == [1.5, 0.25, 7]


def test_several_checkpoints_need_a_name_or_a_state_file(tmp_path):
    for name in ("model.ckpt-1", "model.ckpt-2"):
        write_tf_checkpoint(tmp_path / name, {"a": np.zeros(1, np.float32)})
    with pytest.raises(
        CheckpointError, match=r"several .*\(model.ckpt-1, model.ckpt-2"
    ):
        open_tf_checkpoint(tmp_path)
    assert open_tf_checkpoint(tmp_path / "model.ckpt-1").label.endswith("-1")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/model.ckpt-2"')
    assert open_tf_checkpoint(tmp_path).label == str(tmp_path / "model.ckpt-2")


def test_another_kind_of_folder_is_left_to_others(tmp_path):
    assert open_tf_checkpoint(tmp_path) is None
    assert open_tf_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["index", "no data", "short data"])
def test_damage_is_one_line(tmp_path, damage):
    prefix = tmp_path / "model.ckpt"
    write_tf_checkpoint(prefix, {"a": np.zeros(1000, np.float32)})
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    if damage == "index":
        (tmp_path / "model.ckpt.index").write_bytes(b"nonsense")
    elif damage == "no data":
        data.unlink()
    else:
        os.truncate(data, 100)
    with pytest.raises(CheckpointError) as caught:
        open_tf_checkpoint(tmp_path).read("a")
    assert str(prefix) in str(caught.value) and "\n" not in str(caught.value)


def test_writing_leaves_nothing_half(tmp_path, monkeypatch):
    write_tf_checkpoint(tmp_path / "x", {"a": np.zeros(1, np.float32)})
    before = sorted(path.name for path in tmp_path.iterdir())
    assert before == ["x.data-00000-of-00001", "x.index"]
    with pytest.raises((TypeError, ValueError)):
        write_tf_checkpoint(tmp_path / "x", {"a": object()})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
