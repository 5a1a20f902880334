"""Reading ``tf_model.h5``: the weights that transformers 4 saved from TensorFlow.

The layout is that of Keras 2's ``save_weights``: an attribute ``layer_names``, for each
layer a group, the tensors as plain datasets below it. Their places in the group are the
names of the variables, from which transformers made PyTorch's names by rule; so is it
done here, and every table for Hugging Face files reads them.

HDF5 files come from strangers. They may lead to other files (links, virtual datasets,
data kept elsewhere), ask for plug-ins (filters) or say any size. Only what transformers
writes is taken: hard links, numbers that lie in this file in one piece.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.checkpoints.safetensors import (
    LONGEST_NAME,
    MOST_AXES,
    Tensor,
    long_name,
    read_tensor,
)
from nlpcli.checkpoints.source import Shape
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.files.plain_file import open_plain

NAME = "tf_model.h5"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_NAMES = 100_000
DEEPEST = 32

_ENDINGS = {"kernel": "weight", "embeddings": "weight", "gamma": "weight"} | {
    "beta": "bias"
}
# What h5py raises for files that are damaged or made to be odd.
_READER_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError)


class H5Source:
    """The tensors of ``tf_model.h5`` under PyTorch's names and in PyTorch's shapes."""

    container = "h5"
    dialect = "hf"

    def __init__(self, path: str | Path) -> None:
        """path: a file; raises CheckpointError for one that transformers did not write.

        Only its structure is read, and the file is closed again.
        """
        path = Path(path)
        self.label = str(path)
        self.files = [path]
        self._tensors: dict[str, Tensor] = {}
        self._again: dict[str, list[Tensor]] = {}
        turned = set()
        for name, tensor in read_structure(path):
            known = torch_name(name)
            if known in self._tensors:
                self._again.setdefault(known, []).append(tensor)
            else:
                self._tensors[known] = tensor
            if _is_turned(name, tensor.shape):
                turned.add(known)
        self.turned: Collection[str] = turned
        for name, others in self._again.items():
            if any(tensor.shape != self._tensors[name].shape for tensor in others):
                raise CheckpointError(
                    f"{path}: {_short(name)} stands twice, in different shapes"
                )

    def describe(self) -> dict[str, Shape]:
        """Shape of every tensor, by PyTorch's name."""
        return {
            name: tensor.shape[::-1] if name in self.turned else tensor.shape
            for name, tensor in self._tensors.items()
        }

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float16"."""
        return long_name(self._tensors[name].dtype)

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 comes as float32, other types as stored.

        A table may stand in the file twice, since two layers share it. Raises
        CheckpointError where they are not the same.
        """
        value = read_tensor(name, self._tensors[name])
        for other in self._again.get(name, ()):
            if not np.array_equal(value, read_tensor(name, other)):
                raise self._differs(name)
        return value.T if name in self.turned else value

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows of a tensor that is not turned, as ``read`` gives them."""
        value = read_tensor(name, self._tensors[name].rows(start, stop))
        for other in self._again.get(name, ()):
            if not np.array_equal(value, read_tensor(name, other.rows(start, stop))):
                raise self._differs(name)
        return value

    def _differs(self, name: str) -> CheckpointError:
        return CheckpointError(
            f"{self.label}: {_short(name)} stands twice, with different numbers"
        )


def torch_name(name: str) -> str:
    """PyTorch's name of a variable of a TensorFlow model of transformers.

    ``tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0`` is
    ``bert.encoder.layer.0.output.dense.weight``: the model's own name in front goes,
    ``_._`` parts a list from its number, of ``mlm___cls`` the end counts.
    """
    levels = name.removesuffix(":0").replace("_._", "/").split("/")
    levels = [level.rsplit("___", 1)[-1] for level in levels if level]
    *scopes, last = levels[1:] or levels or [""]
    return ".".join([*scopes, _ENDINGS.get(last, last)])


def _is_turned(name: str, shape: Shape) -> bool:
    """Whether PyTorch has a tensor the other way round: (out, in)."""
    return len(shape) > 1 and name.removesuffix(":0").rsplit("/", 1)[-1] == "kernel"


def read_structure(path: Path) -> list[tuple[str, Tensor]]:
    """Each variable's name and where its numbers lie, in the order of the file.

    Raises CheckpointError, in one line, for what is no file of such weights.
    """
    with open_plain(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        begin = stream.read(len(SIGNATURE))
    if begin != SIGNATURE:
        raise CheckpointError(
            f"{path}: not an HDF5 file: expected {SIGNATURE!r}, it begins with "
            f"{begin!r}"
        )
    import h5py

    try:
        # no lock: a model may lie where none can be had
        with h5py.File(path, "r", locking=False) as file:
            found = [
                (name, _tensor(path, name, dataset, size))
                for name, dataset in _variables(file)
            ]
        _check_places(found)
    except _Odd as problem:
        raise CheckpointError(
            f"{path}: not a {NAME} of transformers: {problem}"
        ) from problem
    except _READER_ERRORS as error:
        raise CheckpointError(
            f"{path}: not a whole HDF5 file: {_reason(error)}"
        ) from error
    return [(name, _flat_bias(name, tensor)) for name, tensor in found]


class _Odd(Exception):
    """What is in a file that transformers does not write."""


def _variables(file: Any) -> Iterator[tuple[str, Any]]:
    """Names and datasets below the groups of the layers, reached by hard links alone.

    The groups are walked: a list of names may say one long name a million times, and
    is read at once. Hard links may lead in circles, so what is visited is counted.
    """
    import h5py

    if "layer_names" not in file.attrs and "layer_names0" not in file.attrs:
        raise _Odd(_other_kind(file))
    total = 0
    waiting: list[tuple[list[str], Any]] = [([], h5py.h5g.open(file.id, b"/"))]
    while waiting:
        levels, group = waiting.pop()
        for name in _children(group):
            total += 1
            if total > MOST_NAMES or len(levels) > DEEPEST:
                raise _Odd(f"more than {MOST_NAMES} groups, or {DEEPEST} in each other")
            child = h5py.h5o.open(group, name)
            below = [*levels, name.decode("utf-8")]
            if isinstance(child, h5py.h5g.GroupID):
                waiting.append((below, child))
            elif isinstance(child, h5py.h5d.DatasetID):
                yield "/".join(below[1:] or below), child  # without the layer's group
            else:
                raise _Odd(f"{_short('/'.join(below))} is neither group nor dataset")


def _children(group: Any) -> list[bytes]:
    """The names in a group."""
    import h5py

    names: list[bytes] = []

    def see(name: bytes, link: Any) -> str | None:
        shown = _short(name[: 2 * LONGEST_NAME].decode("utf-8", "replace"))
        if link.type != h5py.h5l.TYPE_HARD:
            return f"{shown} is a link elsewhere"
        if len(name) > LONGEST_NAME or len(names) >= MOST_NAMES:
            return f"{shown} is a name of {len(name)} bytes, one of {len(names) + 1}"
        names.append(name)
        return None

    # in native order: another is made by gathering all names first
    native = h5py.h5.ITER_NATIVE
    wrong, _ = group.links.iterate(see, order=native, info=True)
    if wrong is not None:
        raise _Odd(wrong)
    return names


def _other_kind(file: Any) -> str:
    """What a file without the list of layers looks like."""
    if "model_config" in file.attrs or "model_weights" in file:
        return "it is a whole Keras model, expected weights alone"
    if "layers" in file or "_layer_checkpoint_dependencies" in file:
        return "it is a weights file of Keras 3"
    return "expected an attribute layer_names, it has none"


def _tensor(path: Path, name: str, dataset: Any, size: int) -> Tensor:
    """Where a dataset lies; its layout is asked before its shape.

    The shape of a virtual dataset depends on the files that it is made of.
    """
    import h5py

    plan = dataset.get_create_plist()
    layouts = {
        h5py.h5d.COMPACT: "stored beside its description",
        h5py.h5d.CHUNKED: "stored in chunks",
        h5py.h5d.VIRTUAL: "made of other files",
    }
    layout = plan.get_layout()
    if layout != h5py.h5d.CONTIGUOUS:
        what = layouts.get(layout, "stored in an unknown way")
        raise _Odd(f"{_short(name)} is {what}, expected one piece")
    if plan.get_external_count() or plan.get_nfilters():
        raise _Odd(f"{_short(name)} is kept in other files or packed")
    dtype = _dtype(name, dataset.get_type())
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL:
        raise _Odd(f"{_short(name)} has no numbers")
    shape = tuple(map(int, space.get_simple_extent_dims()))
    start = dataset.get_offset()
    tensor = Tensor(path, dtype, shape, int(start or 0))
    if len(shape) > MOST_AXES or tensor.length >= 2**63:
        raise _Odd(f"{_short(name)} has shape {_short(shape)}")
    if tensor.length and (start is None or tensor.start + tensor.length > size):
        raise _Odd(
            f"{_short(name)} of shape {_short(shape)} needs {tensor.length} bytes, "
            "which are not there"
        )
    return tensor


def _dtype(name: str, kind: Any) -> str:
    import h5py

    known = {
        "F32": h5py.h5t.IEEE_F32LE,
        "F16": h5py.h5t.IEEE_F16LE,
        "F64": h5py.h5t.IEEE_F64LE,
        "I32": h5py.h5t.STD_I32LE,
        "I64": h5py.h5t.STD_I64LE,
    }
    for dtype, one in known.items():
        if kind.equal(one):
            return dtype
    raise _Odd(f"{_short(name)} is not of numbers that transformers writes")


def _check_places(found: list[tuple[str, Tensor]]) -> None:
    """No two tensors share their numbers: a small file would be any size."""
    end, before = 0, ""
    for name, tensor in sorted(found, key=lambda item: item[1].start):
        if tensor.length == 0:
            continue
        if tensor.start < end:
            raise _Odd(f"{_short(name)} overlaps {_short(before)}")
        end, before = tensor.start + tensor.length, name


def _flat_bias(name: str, tensor: Tensor) -> Tensor:
    """TensorFlow's GPT-2 has biases of shape (1, n)."""
    if name.removesuffix(":0").endswith("/bias") and tensor.shape[:-1] == (1,):
        return Tensor(tensor.path, tensor.dtype, tensor.shape[1:], tensor.start)
    return tensor


def _reason(error: Exception) -> str:
    """What HDF5 says, without what it was asked to do."""
    text = " ".join(str(error).split())
    start = text.find("(") + 1
    inner = text[start:-1] if start and text.endswith(")") else ""
    return _short(inner or text or type(error).__name__)


def _short(value: Any) -> str:
    return short(" ".join(str(value).split()))
