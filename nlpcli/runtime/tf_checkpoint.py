"""TensorFlow checkpoints in Google's naming: read by name, without a graph.

TensorFlow is imported only when there is such a checkpoint to read or to write.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.checkpoints.folder import tensorflow_prefixes
from nlpcli.checkpoints.source import Shape
from nlpcli.errors import CheckpointError
from nlpcli.files.atomic import explained, sync_tree
from nlpcli.files.plain_file import kind_of, read_plain
from nlpcli.runtime.tf_index import check_index

_NOT_WEIGHTS = re.compile(
    r"(^|/)(adam_[mv]|lamb_[mv]|Adam|Adam_1|LAMB|LAMB_1|Adafactor|Momentum|RMSProp"
    r"|slot_v[rc]?|_?global_step|beta[12]_power|loss_scale|good_steps"
    r"|current_learning_rate|save_counter)(:0)?$"
    r"|(^|/)[^/]*_slot_(v[rc]?|m)$|(^|/)(AdamWeightDecayOptimizer|Optimizer)[^/]*/"
    r"|\.OPTIMIZER_SLOT|^_CHECKPOINTABLE_OBJECT_GRAPH$"
)

# What TensorFlow's reader raises for damaged files, beside its own errors.
_READER_ERRORS = (ValueError, RuntimeError, LookupError, OSError)


def open_tf_checkpoint(path: Path) -> TfCheckpointSource | None:
    """The TensorFlow checkpoint of a folder or prefix; None when there is none.

    Raises CheckpointError when a folder has several and nothing says which one.
    """
    prefixes = tensorflow_prefixes(Path(path))
    if not prefixes:
        return None
    if len(prefixes) > 1:
        prefixes = [p for p in prefixes if p.name == _stated(Path(path))] or prefixes
    if len(prefixes) > 1:
        names = ", ".join(prefix.name for prefix in prefixes)
        raise CheckpointError(
            f"{path}: holds several checkpoints ({names}); name one of them"
        )
    return TfCheckpointSource(prefixes[0])


class TfCheckpointSource:
    """The weights of one checkpoint; optimizer slots and counters are left out."""

    container = "tensorflow"
    dialect = "tf"

    def __init__(self, prefix: str | Path) -> None:
        """prefix: the path without ``.index``; raises CheckpointError."""
        prefix = Path(prefix)
        self.label = str(prefix)
        self.files = sorted(prefix.parent.glob(prefix.name + ".index")) + sorted(
            prefix.parent.glob(prefix.name + ".data-*")
        )
        check_index(self.files[0], _size(self.files[1:]))
        tf = _tensorflow()
        try:
            self._reader = tf.compat.v1.train.NewCheckpointReader(os.fsencode(prefix))
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
        except (tf.errors.OpError, *_READER_ERRORS) as error:
            raise CheckpointError(f"{prefix}: {_first_line(error)}") from error
        names = [
            name
            for name in sorted(shapes)
            if not _NOT_WEIGHTS.search(name) and dtypes[name] != tf.string
        ]
        self._shapes = {name: tuple(map(int, shapes[name])) for name in names}
        self._dtypes = {name: dtypes[name].name for name in names}
        self.ignored = len(shapes) - len(names)

    def describe(self) -> dict[str, Shape]:
        """Shape of every weight, by name."""
        return dict(self._shapes)

    def dtype(self, name: str) -> str:
        """How the tensor is stored, e.g. "float32"."""
        return self._dtypes[name]

    def read(self, name: str) -> np.ndarray:
        """The tensor; float16 and bfloat16 come as float32, other types as stored."""
        tf = _tensorflow()
        try:
            value = self._reader.get_tensor(name)
        except (tf.errors.OpError, *_READER_ERRORS) as error:
            raise CheckpointError(
                f"{self.label}: {name}: {_first_line(error)}"
            ) from error
        half = self._dtypes[name] in ("float16", "bfloat16")
        return np.asarray(value, np.float32) if half else np.asarray(value)


def write_tf_checkpoint(prefix: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write PREFIX.index and PREFIX.data-*, whole or not at all."""
    tf = _tensorflow()
    prefix = Path(prefix)
    with explained(prefix):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=prefix.parent))
        try:
            names = sorted(tensors)
            tf.raw_ops.SaveV2(
                prefix=os.fsencode(partial / prefix.name),
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.constant(tensors[name]) for name in names],
            )
            sync_tree(partial)
            # The index makes a checkpoint exist, so it comes last.
            for path in sorted(partial.iterdir()):
                path.replace(prefix.parent / path.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _stated(folder: Path) -> str | None:
    """The newest checkpoint by the folder's own ``checkpoint`` file."""
    state = folder / "checkpoint"
    if not state.exists():
        return None
    text = read_plain(state).decode("utf-8", "replace")
    match = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
    return Path(match[1]).name if match else None


def _size(files: Sequence[Path]) -> int:
    """Bytes of plain files; CheckpointError for what is none."""
    for file in files:
        if not file.is_file():
            kind = kind_of(file.stat().st_mode)
            raise CheckpointError(f"{file}: expected a plain file, got {kind}")
    return sum(file.stat().st_size for file in files)


def _tensorflow() -> Any:
    import tensorflow

    return tensorflow


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
