"""Reading ``pytorch_model.bin`` through torch's weights-only loader.

Such a file is a pickle, and a pickle can run code. torch's weights-only unpickler
admits tensors and plain containers and refuses everything else; nothing here ever
falls back to the other one.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.checkpoints.safetensors import read_weight_map
from nlpcli.checkpoints.source import Shape
from nlpcli.errors import CheckpointError, NotFoundError

INDEX = "pytorch_model.bin.index.json"
OLDEST_TORCH = (2, 6)  # before it, weights_only=True could be tricked: CVE-2025-32434


class TorchSource:
    """The tensors of ``pytorch_model.bin`` or of its shards, all read at once."""

    container = "torch"
    dialect = "hf"

    def __init__(self, path: str | Path) -> None:
        """path: a file, an index, or a folder that has one of them.

        Raises NotFoundError when a file or torch is missing, CheckpointError for a
        file that is no weights-only pickle.
        """
        path = Path(path)
        if path.is_dir():
            path = path / (INDEX if (path / INDEX).is_file() else "pytorch_model.bin")
        self.label = str(path)
        self.files = [path]
        if path.name.endswith(".index.json"):
            shards = set(read_weight_map(path).values())
            self.files = sorted(path.parent / name for name in shards)
        for file in self.files:
            if not file.is_file():
                raise NotFoundError(f"{file}: no such file; expected a torch file")
        self._tensors: dict[str, Any] = {}
        for file in self.files:
            self._tensors.update(_read(file))

    def describe(self) -> dict[str, Shape]:
        """Shape of every tensor, by name."""
        return {name: tuple(t.shape) for name, t in self._tensors.items()}

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float16"."""
        return str(self._tensors[name].dtype).removeprefix("torch.")

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 and bfloat16 come as float32, other types as stored."""
        tensor = self._tensors[name].detach()
        if tensor.is_floating_point():
            tensor = tensor.float()
        return tensor.contiguous().numpy()


def _read(path: Path) -> dict[str, Any]:
    torch = _import_torch(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it thinks aloud before it refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
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
    return {str(n): t for n, t in content.items() if isinstance(t, torch.Tensor)}


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
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
