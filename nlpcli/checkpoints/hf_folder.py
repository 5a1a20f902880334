"""Writing a folder that transformers loads: weights, configuration, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nlpcli.checkpoints.rules import Rules, dump
from nlpcli.errors import UsageError
from nlpcli.files.swap import replace_folder


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
    force: bool = False,
    check: Callable[[Path], None] | None = None,
) -> Path:
    """Write model.safetensors, config.json and the tokenizer's files, or nothing.

    values: our path -> array. ``check`` sees the finished folder before it takes its
    place, and may raise. Raises CheckpointError when the values do not fit the rules,
    UsageError when the destination exists (unless ``force``, and it is a folder).
    """
    from safetensors.numpy import save_file

    destination = Path(destination)
    if destination.exists() and not (force and destination.is_dir()):
        hint = "; --force replaces it" if destination.is_dir() else ""
        raise UsageError(f"{destination}: expected a new folder, this exists{hint}")
    tensors = dump(rules, values)

    def write(folder: Path) -> None:
        # transformers refuses files without this mark.
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        text = json.dumps(dict(config), ensure_ascii=False, indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
        if check is not None:
            check(folder)

    destination.parent.mkdir(parents=True, exist_ok=True)
    replace_folder(destination, write)
    return destination
