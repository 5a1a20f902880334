"""Reading safetensors: one file, or shards with an index.

Headers come from strangers, so every promise of theirs is checked before a byte of
data is touched. The data is then a plain array at a known offset; reading it here
also gives bfloat16, which numpy has no type for.

Format: 8 bytes little-endian header length, a JSON header, the data
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np

from nlpcli.checkpoints.source import Shape
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import NotJson, parse_json_object, read_json_object, short
from nlpcli.files.plain_file import open_plain

LARGEST_HEADER = 100_000_000
MOST_AXES = 8
LONGEST_NAME = 1000
INDEX = "model.safetensors.index.json"

_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_LONG_NAMES = {"BF16": "bfloat16", "BOOL": "bool"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies: ``start`` counts from the beginning of the file."""

    path: Path
    dtype: str
    shape: Shape
    start: int

    @property
    def length(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * np.dtype(_NUMPY[self.dtype]).itemsize

    def rows(self, start: int, stop: int) -> Tensor:
        """Where some of its rows lie."""
        row = math.prod(self.shape[1:]) * np.dtype(_NUMPY[self.dtype]).itemsize
        shape = (stop - start, *self.shape[1:])
        return replace(self, shape=shape, start=self.start + start * row)


class SafetensorsSource:
    """The tensors of ``model.safetensors``, of another such file, or of shards."""

    container = "safetensors"
    dialect = "hf"
    turned: Collection[str] = ()

    def __init__(self, path: str | Path) -> None:
        """path: a file, an index, or a folder that has one of them.

        Raises NotFoundError for missing files, CheckpointError for broken ones.
        """
        path = Path(path)
        if path.is_dir():
            path = path / (INDEX if (path / INDEX).exists() else "model.safetensors")
        if not path.exists():
            raise NotFoundError(f"{path}: no such file; expected safetensors")
        self.label = str(path)
        if path.name.endswith(".index.json"):
            self.files, self._tensors = _read_shards(path)
        else:
            self.files, self._tensors = [path], read_header(path)

    def describe(self) -> dict[str, Shape]:
        """Shape of every tensor, by name."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float16"."""
        return long_name(self._tensors[name].dtype)

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 and bfloat16 come as float32, other types as stored."""
        return read_tensor(name, self._tensors[name])

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of the tensor, as ``read`` gives them."""
        return read_tensor(name, self._tensors[name].rows(start, stop))


def read_tensor(name: str, tensor: Tensor) -> np.ndarray:
    """The numbers of a file at a place; float16 and bfloat16 come as float32.

    A copy of its own, not a map of the file: one that shrinks meanwhile is an error
    (CheckpointError), where a map would end the process.
    """
    count = math.prod(tensor.shape)
    try:
        value = np.empty(tensor.shape, _NUMPY[tensor.dtype])
        if count:
            with open_plain(tensor.path) as stream:
                stream.seek(tensor.start)
                reader = cast(BufferedReader, stream)
                got = reader.readinto(value.reshape(-1).view(np.uint8).data)
            if got != tensor.length:
                raise CheckpointError(
                    f"{tensor.path}: {name} ends before its promised end"
                )
    except OSError as error:
        raise CheckpointError(f"{tensor.path}: {error.strerror}") from error
    except MemoryError as error:  # a file with holes may be larger than the disk
        raise CheckpointError(
            f"{tensor.path}: {name}: {count} numbers are more than fit in memory"
        ) from error
    if tensor.dtype == "F16":
        return value.astype(np.float32)
    if tensor.dtype == "BF16":
        wide = value.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return value


def long_name(dtype: str) -> str:
    """A type of the format as messages say it: "BF16" is "bfloat16"."""
    return _LONG_NAMES.get(dtype) or np.dtype(_NUMPY[dtype]).name


def read_header(path: Path) -> dict[str, Tensor]:
    """Name, type, shape and place of every tensor of one file.

    Raises CheckpointError, in one line, when anything in it cannot be true.
    """
    try:
        with open_plain(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            first = stream.read(8)
            length = int.from_bytes(first, "little")
            if len(first) < 8:
                raise _Absurd(f"{size} bytes are too few for a header")
            if length > LARGEST_HEADER:
                raise _Absurd(
                    f"a header of {length} bytes, expected {LARGEST_HEADER} at most"
                )
            if 8 + length > size:
                raise _Absurd(
                    f"truncated: a header of {length} bytes in a file of {size}"
                )
            header = parse_json_object(stream.read(length))
        tensors = {
            name: _tensor(path, name, entry, 8 + length)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        _check_places(tensors, 8 + length, size)
    except (_Absurd, NotJson) as problem:
        raise CheckpointError(
            f"{path}: not a whole safetensors file: {problem}"
        ) from problem
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read, {error.strerror}") from error
    return tensors


class _Absurd(Exception):
    """What is wrong with a header."""


def _tensor(path: Path, name: str, entry: Any, data: int) -> Tensor:
    if len(name) > LONGEST_NAME:
        raise _Absurd(f"{_short(name)} is a name of {len(name)} characters")
    if not isinstance(entry, dict):
        raise _Absurd(f"{_short(name)} is described by {_short(entry)}")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _NUMPY:
        raise _Absurd(
            f"{_short(name)} has type {_short(dtype)}, expected one of "
            f"{', '.join(_NUMPY)}"
        )
    shape = _sizes(name, entry, "shape")
    places = _sizes(name, entry, "data_offsets")
    if len(places) != 2:
        raise _Absurd(f"{_short(name)} has data_offsets {_short(places)}")
    itemsize = np.dtype(_NUMPY[dtype]).itemsize
    if math.prod(size or 1 for size in shape) * itemsize >= 2**63:
        raise _Absurd(f"{_short(name)} has shape {_short(shape)}")
    length = math.prod(shape) * itemsize
    if places[1] - places[0] != length:
        raise _Absurd(
            f"{_short(name)} needs {length} bytes and has {places[1] - places[0]}"
        )
    return Tensor(path, dtype, tuple(shape), data + places[0])


def _sizes(name: str, entry: Mapping[str, Any], key: str) -> list[int]:
    """A short list of sizes that numpy can hold."""
    value = entry.get(key)
    if (
        not isinstance(value, list)
        or len(value) > MOST_AXES
        or not all(type(item) is int and 0 <= item < 2**63 for item in value)
    ):
        raise _Absurd(f"{_short(name)} has {key} {_short(value)}")
    return value


def _check_places(tensors: Mapping[str, Tensor], data: int, size: int) -> None:
    """Tensors lie end to end, from the header to the end of the file."""
    end = data
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].start):
        if math.prod(tensor.shape) == 0:
            continue
        if tensor.start < end:
            raise _Absurd(f"{_short(name)} overlaps the tensor before it")
        if tensor.start > end:
            raise _Absurd(f"{tensor.start - end} unnamed bytes before {_short(name)}")
        end += tensor.length
    if end > size:
        raise _Absurd(f"truncated: {end} bytes promised, {size} there")
    if end < size:
        raise _Absurd(f"{size - end} bytes after the last tensor")


def _read_shards(index: Path) -> tuple[list[Path], dict[str, Tensor]]:
    """All tensors of the shards that ``model.safetensors.index.json`` names."""
    weight_map = read_weight_map(index)
    files = sorted({index.parent / name for name in weight_map.values()})
    missing = [path.name for path in files if not path.exists()]
    if missing:
        raise NotFoundError(f"{index}: shards not there: {', '.join(missing)}")
    headers = {path.name: read_header(path) for path in files}
    gaps = [
        f"{index}: expected {name} in {shard}, it has none"
        for name, shard in weight_map.items()
        if name not in headers[shard]
    ]
    if gaps:
        raise CheckpointError("\n".join(gaps))
    return files, {name: headers[shard][name] for name, shard in weight_map.items()}


def read_weight_map(index: Path) -> dict[str, str]:
    """Tensor name -> shard, from an index; shards are plain names beside it."""
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: expected a weight_map of tensors to shards")
    for shard in weight_map.values():
        if not isinstance(shard, str) or not _is_plain_name(shard):
            raise CheckpointError(
                f"{index}: expected the name of a file beside it, got {_short(shard)}"
            )
    return weight_map


def _is_plain_name(name: str) -> bool:
    return name not in ("", "..") and Path(name).name == name


def _short(value: Any) -> str:
    return short(" ".join(repr(value).split()))
