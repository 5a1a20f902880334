"""pytorch_model.bin: tensors come through, code does not."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from nlpcli.checkpoints import torch_bin
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.torch_bin import TorchSource
from nlpcli.errors import CheckpointError, NotFoundError


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_values_and_types(tmp_path, torch):
    tensors = {
        "a": torch.randn(2, 3),
        "b": torch.randn(4).half(),
        "c": torch.randn(4).bfloat16(),
        "d": torch.arange(3),
        "turned": torch.randn(2, 3).T,
    }
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    source = open_checkpoint(tmp_path)
    assert source.describe() == {n: tuple(t.shape) for n, t in tensors.items()}
    assert source.dtype("c") == "bfloat16"
    for name, tensor in tensors.items():
        expected = tensor.float() if tensor.is_floating_point() else tensor
        np.testing.assert_array_equal(source.read(name), expected.numpy())
    assert source.read("c").dtype == np.float32


@pytest.mark.parametrize("zipped", [True, False])
def test_old_and_new_files(tmp_path, torch, zipped):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(TorchSource(path).read("a"), [1, 1])


def test_shards(tmp_path, torch):
    for number, name in enumerate("ab"):
        torch.save({name: torch.full((2,), number)}, tmp_path / f"part-{number}.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part-0.bin", "b": "part-1.bin"}}))
    source = open_checkpoint(tmp_path)
    np.testing.assert_array_equal(source.read("b"), [1, 1])


def test_a_file_is_mapped_and_let_go_one_at_a_time(tmp_path, torch, monkeypatch):
    """What was read of a map counts as memory until the map goes."""
    for number, name in enumerate("ab"):
        made = {f"{name}{i}": torch.full((8, 4), 10.0 * number + i) for i in range(4)}
        torch.save(made, tmp_path / f"part-{number}.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    places = {f"{n}{i}": f"part-{k}.bin" for k, n in enumerate("ab") for i in range(4)}
    index.write_text(json.dumps({"weight_map": places}))
    monkeypatch.setattr(torch_bin, "MOST_MAPPED", 2 * 8 * 4 * 4)
    loaded = []
    load = torch.load
    monkeypatch.setattr(
        torch,
        "load",
        lambda path, **how: (
            loaded.append((path.name, how["mmap"])) or load(path, **how)
        ),
    )
    source = TorchSource(tmp_path)
    read = {name: source.read(name) for name in sorted(places)}
    for name, value in read.items():
        expected = 10.0 * (name[0] == "b") + int(name[1])
        np.testing.assert_array_equal(value, np.full((8, 4), expected))
        assert value.flags.owndata, "no view of the map"
    names = [name for name, mapped in loaded if mapped]
    assert names == ["part-0.bin", "part-1.bin", "part-0.bin", "part-0.bin"] + [
        "part-1.bin"
    ] * (len(loaded) - 4)
    assert 5 <= len(loaded) <= 7
    np.testing.assert_array_equal(source.read_rows("b3", 2, 4), np.full((2, 4), 13))


class Bomb:
    """Writes a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("by_torch", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, torch, by_torch):
    path, trace = tmp_path / "pytorch_model.bin", tmp_path / "it-ran"
    if by_torch:
        torch.save({"a": torch.ones(1), "b": Bomb(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"b": Bomb(trace)}))
    with pytest.raises(CheckpointError, match="weights-only loader") as caught:
        TorchSource(path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + b"\0" * 40])
def test_broken_files_are_one_line(tmp_path, torch, content):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights-only loader") as caught:
        TorchSource(path)
    assert "\n" not in str(caught.value)


def test_a_list_is_no_checkpoint(tmp_path, torch):
    torch.save([torch.ones(1)], tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="expected a dict of tensors, got list"):
        TorchSource(tmp_path)


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(NotFoundError, match=r"pip install 'nlpcli\[torch\]'"):
        open_checkpoint(tmp_path)


def test_an_old_torch_is_refused(tmp_path, torch, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(NotFoundError, match="CVE-2025-32434"):
        open_checkpoint(tmp_path)


def test_torch_s_advice_to_load_it_all_the_same_is_not_repeated(tmp_path, torch):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": Path("x")}, path)
    with pytest.raises(CheckpointError, match="Unsupported global") as caught:
        TorchSource(path)
    assert not any(
        x in str(caught.value) for x in ("Re-running", "weights_only", "Ple")
    )
