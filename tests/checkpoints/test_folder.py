"""Which weights of a folder are opened, and what is written is read by others."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nlpcli.checkpoints.folder import open_checkpoint, tensorflow_prefixes
from nlpcli.checkpoints.hf_folder import write_hf_folder
from nlpcli.checkpoints.rules import Rule
from nlpcli.checkpoints.storage import missing_files
from nlpcli.errors import CheckpointError, NotFoundError, UsageError

RULES = [Rule("a/kernel", "a.weight", transpose=True), Rule("a/bias", "a.bias")]
VALUES = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/bias": np.ones(3, np.float32),
}


class Vocabulary:
    """A tokenizer as far as a folder needs one."""

    def save(self, folder):
        (folder / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")


def test_a_folder_is_written_whole(tmp_path):
    config = {"model_type": "bert", "note": "中文"}
    folder = write_hf_folder(tmp_path / "out", VALUES, RULES, config, Vocabulary())
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "model.safetensors", "vocab.txt",
    ]  # fmt: skip
    tensors = load_file(folder / "model.safetensors")
    np.testing.assert_array_equal(tensors["a.weight"], VALUES["a/kernel"].T)
    assert b'"format":"pt"' in (folder / "model.safetensors").read_bytes()[:200]
    assert json.loads((folder / "config.json").read_text("utf-8")) == config
    (plain := tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == plain.stat().st_mode


def test_nothing_is_written_when_something_is_wrong(tmp_path):
    with pytest.raises(CheckpointError, match="a/bias"):
        write_hf_folder(tmp_path / "out", {"a/kernel": VALUES["a/kernel"]}, RULES, {})

    class Broken:
        def save(self, folder):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_hf_folder(tmp_path / "out", VALUES, RULES, {}, Broken())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        write_hf_folder(tmp_path / "out", VALUES, RULES, {})


def test_safetensors_come_before_others(tmp_path):
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"never read")
    (tmp_path / "bert_model.ckpt.index").write_bytes(b"never read")
    source = open_checkpoint(tmp_path, [lambda path: pytest.fail("not asked")])
    assert source.container == "safetensors"
    assert open_checkpoint(tmp_path / "model.safetensors").read("x") == [0]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tf_model.h5"])
def test_an_opener_is_asked_before_other_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"never read")
    asked = []
    opened = open_checkpoint(
        tmp_path, [lambda path: asked.append(path), lambda path: "a source"]
    )
    assert opened == "a source" and asked == [tmp_path]


def test_what_is_no_checkpoint_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="no such file or folder"):
        open_checkpoint(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match=r"no weights; expected model.safetensors"):
        open_checkpoint(tmp_path)
    (tmp_path / "flax_model.msgpack").touch()
    with pytest.raises(NotFoundError, match=r"found only flax_model.msgpack \(a Flax"):
        open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        open_checkpoint(tmp_path / "flax_model.msgpack")
    (tmp_path / "bert_model.ckpt.index").touch()
    with pytest.raises(CheckpointError, match="holds a TensorFlow checkpoint"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "bert_model.ckpt",
        "bert_model.ckpt.index",
        "bert_model.ckpt.meta",
        "bert_model.ckpt.data-00000-of-00001",
    ],
)
def test_tensorflow_checkpoints_by_any_of_their_names(tmp_path, name):
    (tmp_path / "bert_model.ckpt.index").touch()
    prefix = tmp_path / "bert_model.ckpt"
    assert tensorflow_prefixes(tmp_path / name) == [prefix]
    assert tensorflow_prefixes(tmp_path / "other.ckpt") == []


def test_a_checkpoint_without_its_index_is_told(tmp_path):
    (tmp_path / "bert_model.ckpt.data-00000-of-00001").touch()
    with pytest.raises(NotFoundError, match=r"bert_model\.ckpt\.index, .* is missing"):
        open_checkpoint(tmp_path)
    assert "bert_model.ckpt.index" in missing_files(tmp_path)
