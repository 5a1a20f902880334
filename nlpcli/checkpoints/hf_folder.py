"""Writing a folder that transformers loads: weights, configuration, tokenizer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nlpcli.atomic import explained, sync_folder, sync_tree
from nlpcli.checkpoints.rules import Rules, dump
from nlpcli.errors import UsageError


class Saves(Protocol):
    """A tokenizer, as far as this file needs one."""

    def save(self, folder: Path) -> None:
        """Write its files."""


def write_hf_folder(
    destination: str | Path,
    values: Mapping[str, np.ndarray],
    rules: Rules,
    config: Mapping[str, Any],
    tokenizer: Saves | None = None,
) -> Path:
    """Write model.safetensors, config.json and the tokenizer's files, or nothing.

    values: our path -> array. Raises CheckpointError when they do not fit the rules
    and UsageError when the destination exists.
    """
    from safetensors.numpy import save_file

    destination = Path(destination)
    if destination.exists():
        raise UsageError(f"{destination}: exists")
    tensors = dump(rules, values)
    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(
            tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent)
        )
        try:
            weights = partial / "model.safetensors"
            # transformers refuses files without this mark.
            save_file(tensors, weights, metadata={"format": "pt"})
            text = json.dumps(dict(config), ensure_ascii=False, indent=2)
            (partial / "config.json").write_text(text + "\n", encoding="utf-8")
            if tokenizer is not None:
                tokenizer.save(partial)
            _as_usual(partial)
            sync_tree(partial)
            partial.rename(destination)
            sync_folder(destination.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return destination


def _as_usual(folder: Path) -> None:
    """The permissions a plain mkdir gives; those of temporary folders are private."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
