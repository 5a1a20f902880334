"""Writing a folder that transformers loads: weights, configuration, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nlpcli.checkpoints.rules import Rules, dump
from nlpcli.checkpoints.table import Shares
from nlpcli.errors import NlpcliError
from nlpcli.files.atomic import explained, open_to_others
from nlpcli.files.json_file import read_json_object
from nlpcli.files.named import refuse_sources
from nlpcli.files.swap import publish_folder, refuse_other

_NEEDED = {"config.json", "model.safetensors"}
_OWN = {*_NEEDED, "vocab.txt", "tokenizer.json", "tokenizer_config.json"}


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
    sources: Iterable[Path] = (),
    shares: Shares = {},  # noqa: B006 - never changed
    buffers: Mapping[str, np.ndarray] = {},
) -> Path:
    """Write model.safetensors, config.json and the tokenizer's files, or nothing.

    values: our path -> array; buffers: what the file holds beside. ``check`` sees the
    finished folder before it takes its place, and may raise. Raises CheckpointError
    when the values do not fit the rules, and UsageError as ``refuse_destination`` does.
    """
    from safetensors.numpy import save_file

    destination = Path(destination)
    refuse_destination(destination, force, sources)
    tensors = {**dump(rules, values, shares), **buffers}

    def write(folder: Path) -> None:
        # transformers refuses files without this mark.
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        open_to_others(folder / "model.safetensors")
        text = json.dumps(dict(config), ensure_ascii=False, indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
            if "type_vocab_size" not in config:
                _without_segments(folder / "tokenizer_config.json")
        if check is not None:
            check(folder)

    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
    publish_folder(destination, write, _is_ours, force)
    return destination


def _without_segments(settings: Path) -> None:
    """Let transformers' tokenizer give no segments to a model that has none.

    GPT-2 adds a token's vector for each, LLaMA and T5 refuse them.
    """
    if settings.exists():
        told = read_json_object(settings)
        told["model_input_names"] = ["input_ids", "attention_mask"]
        text = json.dumps(told, ensure_ascii=False, indent=2)
        settings.write_text(text + "\n", encoding="utf-8")


def refuse_destination(
    destination: Path, force: bool, sources: Iterable[Path] = ()
) -> None:
    """Raise UsageError when the destination exists.

    ``force`` replaces an empty folder and one that holds a model as nlpcli writes it
    and no more, but none that is or holds one of ``sources`` or its files.
    """
    read = [file for s in sources for file in (s, *(s.iterdir() if s.is_dir() else ()))]
    refuse_sources(destination, read)
    refuse_other(destination, _is_ours, force)


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty or holds what this file writes, and no more."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    files = list(folder.iterdir())
    names = {file.name for file in files if file.is_file() and not file.is_symlink()}
    if len(names) < len(files) or not names <= _OWN:
        return False
    if not names:
        return True
    with suppress(NlpcliError):
        config = read_json_object(folder / "config.json")
        return names >= _NEEDED and "model_type" in config
    return False
