"""A published model, whatever its format, as a Hugging Face folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import BERT
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.hf_folder import write_hf_folder
from nlpcli.checkpoints.rules import RuleTable, load, resolve
from nlpcli.errors import UsageError
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint
from nlpcli.text.tokenizer import load_tokenizer


def convert_model(
    source: Path, destination: Path, force: bool = False
) -> dict[str, Any]:
    """Write the backbone and every head that is all there, in float32.

    Returns what was written. Raises CheckpointError that lists the gaps of the
    backbone, and UsageError for a destination that exists; the folder appears whole.
    """
    if destination.exists():
        if not force:
            raise UsageError(f"{destination}: exists already; --force replaces it")
        if not destination.is_dir() or destination.resolve() == source.resolve():
            raise UsageError(f"{destination}: expected another folder than {source}")
    config, raw, _ = bert.read_config(source)
    tokenizer = load_tokenizer(source)
    checkpoint = open_checkpoint(source, openers=[open_tf_checkpoint])
    shapes = BERT.shapes({**raw, **config.to_dict()})
    values: dict[str, np.ndarray] = {}
    rules = RuleTable(())
    parts = []
    for part, dialects in BERT.parts.items():
        theirs = dialects[checkpoint.dialect]
        if part != "backbone" and resolve(theirs, shapes[part], checkpoint).gaps:
            continue
        values |= load(theirs, shapes[part], checkpoint)
        rules += dialects["hf"]
        parts.append(part)
    published = {**bert.published_config(config), "architectures": [_class(parts)]}
    beside = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        write_hf_folder(beside, values, rules, published, tokenizer)
        if destination.exists():
            shutil.rmtree(destination)
        beside.rename(destination)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {
        "source": str(source),
        "destination": str(destination),
        "format": checkpoint.container,
        "parts": parts,
        "parameters": sum(value.size for value in values.values()),
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _class(parts: list[str]) -> str:
    """The class of transformers that has these parts."""
    if "mlm" in parts:
        return "BertForPreTraining" if "nsp" in parts else "BertForMaskedLM"
    return "BertModel"
