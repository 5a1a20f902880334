"""Which file of a folder holds the weights, and a Source that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlpcli.checkpoints import h5, safetensors, torch_bin
from nlpcli.checkpoints.h5 import H5Source
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.checkpoints.source import Opener, Source
from nlpcli.checkpoints.torch_bin import TorchSource
from nlpcli.errors import CheckpointError, NotFoundError

_SAFE = ("model.safetensors", safetensors.INDEX)
_TORCH = ("pytorch_model.bin", torch_bin.INDEX)
_OTHERS = {
    "tf_model.h5.index.json": "shards of tf_model.h5",
    "flax_model.msgpack": "a Flax file",
    "rust_model.ot": "a rust-bert file",
    "model_state.pdparams": "a PaddlePaddle file",
}


def open_checkpoint(path: str | Path, openers: Sequence[Opener] = ()) -> Source:
    """The weights of a folder, or of one file, whatever format they have.

    Safetensors first, then what ``openers`` recognise (each answers None for a path
    that is not its own), then tf_model.h5, then a torch file: the first that needs no
    package beside ours. Raises NotFoundError when no weights are
    there, CheckpointError when they cannot be read.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        if path.name.endswith((".bin", ".pt", ".pth", ".bin.index.json")):
            return TorchSource(path)
        if path.name.endswith((".safetensors", ".safetensors.index.json")):
            return SafetensorsSource(path)
        if path.name.endswith((".h5", ".hdf5")):
            return H5Source(path)
    elif path.is_dir() and any((path / name).exists() for name in _SAFE):
        return SafetensorsSource(path)
    for opener in openers:
        source = opener(path)
        if source is not None:
            return source
    if path.is_dir() and (path / h5.NAME).exists():
        return H5Source(path / h5.NAME)
    if path.is_dir() and any((path / name).exists() for name in _TORCH):
        return TorchSource(path)
    if not path.exists():
        raise NotFoundError(f"{path}: no such file or folder")
    raise _nothing(path)


def tensorflow_prefixes(path: Path) -> list[Path]:
    """Prefixes of TensorFlow checkpoints in a folder, or of the one ``path`` names.

    A checkpoint is PREFIX.index with PREFIX.data-00000-of-00001 beside it.
    """
    if path.is_dir():
        return sorted(index.with_suffix("") for index in path.glob("*.index"))
    name = path.name
    for ending in (".index", ".meta"):
        name = name.removesuffix(ending)
    prefix = path.with_name(name.split(".data-", 1)[0])
    return [prefix] if prefix.with_name(prefix.name + ".index").exists() else []


def _nothing(path: Path) -> NotFoundError | CheckpointError:
    expected = (
        f"model.safetensors, {h5.NAME}, pytorch_model.bin or a TensorFlow checkpoint"
    )
    if not path.is_dir():
        return CheckpointError(f"{path}: not a checkpoint; expected {expected}")
    if tensorflow_prefixes(path):
        return CheckpointError(
            f"{path}: holds a TensorFlow checkpoint, which cannot be read here"
        )
    if data := sorted(path.glob("*.data-?????-of-?????")):
        index = data[0].name.split(".data-", 1)[0] + ".index"
        return NotFoundError(
            f"{path}: no weights; {data[0].name} is there, {index}, which says what it "
            "holds, is missing"
        )
    there = [f"{n} ({what})" for n, what in _OTHERS.items() if (path / n).is_file()]
    return NotFoundError(
        f"{path}: no weights; expected {expected}"
        + (f", found only {', '.join(there)}" if there else "")
    )
