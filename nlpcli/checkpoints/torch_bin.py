"""Reading ``pytorch_model.bin`` through torch's weights-only loader.

Such a file is a pickle, and a pickle can run code. torch's weights-only unpickler
admits tensors and plain containers and refuses everything else; nothing here ever
falls back to the other one. What it admits may still ask for more memory than the file
has bytes: packed members, buffers made by their length, tensors of one number repeated.
"""

from __future__ import annotations

import os
import pickletools
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nlpcli.checkpoints.safetensors import read_weight_map
from nlpcli.checkpoints.source import Shape
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import short
from nlpcli.files.plain_file import open_plain

INDEX = "pytorch_model.bin.index.json"
OLDEST_TORCH = (2, 6)  # before it, weights_only=True could be tricked: CVE-2025-32434
LONGEST_PICKLE = 16 * 2**20  # of the names and shapes; BERT's is 30 KB
MOST_MAPPED = 2**26  # bytes read of a map before it is let go
_ADVICE = re.compile(r"\bRe-running|This file can still|Please (?:use|file)")
_ZIP = b"PK\3\4"
_PICKLES = 5  # before the data of a file that is no zip
# Called with a length alone, these make something of that length.
_MAKERS = re.compile(r"\bbytearray$|Tensor$|_no_storage$|_wrapper_subclass$")


class TorchSource:
    """The tensors of ``pytorch_model.bin`` or of its shards, one file open at a time.

    A file of torch 1.6 or later is mapped into memory, and let go from time to time:
    what was read of a map counts as memory until then.
    """

    container = "torch"
    dialect = "hf"
    turned: Collection[str] = ()

    def __init__(self, path: str | Path) -> None:
        """path: a file, an index, or a folder that has one of them.

        Raises NotFoundError when a file or torch is missing, CheckpointError for a
        file that is no weights-only pickle.
        """
        path = Path(path)
        if path.is_dir():
            path = path / (INDEX if (path / INDEX).exists() else "pytorch_model.bin")
        self.label = str(path)
        self.files = [path]
        if path.name.endswith(".index.json"):
            shards = set(read_weight_map(path).values())
            self.files = sorted(path.parent / name for name in shards)
        for file in self.files:
            if not file.exists():
                raise NotFoundError(f"{file}: no such file; expected a torch file")
        self._places: dict[str, Path] = {}
        self._shapes: dict[str, Shape] = {}
        self._dtypes: dict[str, str] = {}
        self._open: tuple[Path, dict[str, Any]] | None = None
        self._read = 0
        for file in self.files:
            for name, tensor in self._opened(file).items():
                self._places[name] = file
                self._shapes[name] = tuple(tensor.shape)
                self._dtypes[name] = str(tensor.dtype).removeprefix("torch.")

    def describe(self) -> dict[str, Shape]:
        """Shape of every tensor, by name."""
        return dict(self._shapes)

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float16"."""
        return self._dtypes[name]

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 and bfloat16 come as float32, other types as stored."""
        return self._numbers(self._opened(self._places[name])[name])

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of the tensor, as ``read`` gives them."""
        return self._numbers(self._opened(self._places[name])[name][start:stop])

    def _opened(self, path: Path) -> dict[str, Any]:
        if self._open is None or self._open[0] != path or self._read > MOST_MAPPED:
            self._open = None  # before the next: never two files at once
            self._open = (path, _read(path))
            self._read = 0
        return self._open[1]

    def _numbers(self, tensor: Any) -> np.ndarray:
        """A copy, which does not hold the file's map."""
        self._read += tensor.numel() * tensor.element_size()
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.float()
        return np.array(tensor.numpy(), order="C")


def _read(path: Path) -> dict[str, Any]:
    torch = _import_torch(path)
    with open_plain(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        zipped = stream.read(4) == _ZIP
        stream.seek(0)
        _refuse_bombs(path, stream, size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it thinks aloud before it refuses
            content = torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipped
            )
    except Exception as error:  # torch raises whatever its unpickler met
        raise CheckpointError(
            f"{path}: refused by torch's weights-only loader: {_first_line(error)}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(
            f"{path}: expected a dict of tensors, got {type(content).__name__}"
        )
    tensors = {str(n): t for n, t in content.items() if isinstance(t, torch.Tensor)}
    _refuse_expanded(path, tensors, size)
    return tensors


def _refuse_bombs(path: Path, stream: BinaryIO, size: int) -> None:
    """Raise CheckpointError for a file that unfolds to more than it is."""
    zipped = stream.read(4) == _ZIP
    stream.seek(0)
    if not zipped:
        # what is no pickle at all the loader tells better
        with suppress(ValueError, EOFError, LookupError):
            _refuse_makers(path, _names(path, stream, _PICKLES))
        return
    try:
        with zipfile.ZipFile(stream) as members:
            found = members.infolist()
            unfolded = sum(one.file_size for one in found)
            if unfolded > size or any(one.compress_type for one in found):
                raise CheckpointError(
                    f"{path}: expected tensors as torch saves them, got packed ones"
                )
            for one in found:
                if one.filename.endswith(".pkl"):
                    with members.open(one) as content:
                        _refuse_makers(path, _names(path, content, 1))
    except (ValueError, EOFError, LookupError, RuntimeError, zipfile.BadZipFile) as e:
        raise CheckpointError(
            f"{path}: refused before torch's weights-only loader: {_first_line(e)}"
        ) from e


def _names(path: Path, stream: Any, pickles: int) -> Iterator[str]:
    """What the pickles at a stream's beginning look up: "module name"."""
    for _ in range(pickles):
        for code, value, place in pickletools.genops(stream):
            if (place or 0) > LONGEST_PICKLE:
                raise CheckpointError(
                    f"{path}: expected at most {LONGEST_PICKLE} bytes that describe "
                    "tensors, got more"
                )
            if code.name == "GLOBAL":
                yield str(value)


def _refuse_makers(path: Path, names: Iterator[str]) -> None:
    for name in names:
        if _MAKERS.search(name):
            raise CheckpointError(
                f"{path}: expected a pickle of tensors, it asks for {short(name)!r}"
            )


def _refuse_expanded(path: Path, tensors: Mapping[str, Any], size: int) -> None:
    """Raise CheckpointError where tensors hold more numbers than the file has."""
    total = 0
    for name, tensor in tensors.items():
        kind = f"{tensor.layout}, {tensor.device}".replace("torch.", "")
        if kind != "strided, cpu" or tensor.is_quantized or tensor.is_nested:
            raise CheckpointError(
                f"{path}: {short(name)}: expected plain numbers, got a tensor that is "
                f"{kind}"
            )
        total += tensor.numel() * tensor.element_size()
        # twice: one table may stand under the names of two layers that share it
        if total > 2 * size:
            raise CheckpointError(
                f"{path}: {short(name)}: a tensor of shape {tuple(tensor.shape)} in a "
                f"file of {size} bytes"
            )


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise NotFoundError(
            f"{path}: needs torch to be read: pip install 'nlpcli[torch]', or fetch "
            "model.safetensors instead"
        ) from error
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < OLDEST_TORCH:
        raise NotFoundError(
            f"{path}: needs torch 2.6 or later, this is {torch.__version__}: the "
            "weights-only loader before it could be made to run code (CVE-2025-32434)"
        )
    return torch


def _first_line(error: Exception) -> str:
    """What went wrong, without torch's advice to load the file all the same."""
    told, _, reason = str(error).partition("WeightsUnpickler error:")
    said = _ADVICE.split(reason or told)[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
