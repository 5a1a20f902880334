"""A run as a folder that other tools load, checked before it is handed over."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import RULES
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.hf_folder import write_hf_folder
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import load
from nlpcli.engine import build
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.runtime import weights
from nlpcli.runtime.device import open_device

CHECK_TEXTS = ("王小明在北京大学读书。", "《平凡的世界》出版于1986年,作者是路遥。")


def export_run(
    run: Path, destination: Path, to: str = "hf", force: bool = False
) -> dict[str, Any]:
    """Write the backbone of a run as a Hugging Face folder, with its tokenizer.

    The folder is read back and its hidden states compared with the run's; a
    difference above 1e-4 raises CheckpointError and leaves nothing behind.
    """
    if to != "hf":
        raise UsageError(f"--to: expected hf, got {to!r}")
    if destination.exists() and not force:
        raise UsageError(f"{destination}: exists; give --force to replace it")
    opened = RunDir.open(run)
    open_device(opened.config.runtime, opened.config.seed)
    loaded = build.load_run(opened.config, opened.folder("best"))
    backbone = loaded.model.backbone
    values = {
        path: np.asarray(variable)
        for path, variable in build.relative(
            weights.learnt_variables(backbone)
        ).items()
    }
    partial = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_hf_folder(
            partial,
            values,
            RULES["hf"],
            bert.published_config(backbone.config),
            loaded.recipe.tokenizer,
        )
        difference = _parity(loaded, partial)
        if difference > 1e-4:
            raise CheckpointError(
                f"{destination}: hidden states differ by {difference:.2e} after "
                "export; expected at most 1e-4"
            )
        if destination.exists():
            shutil.rmtree(destination)
        partial.rename(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {
        "destination": str(destination),
        "to": to,
        "max_difference": difference,
        "tensors": len(values),
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _parity(loaded: build.Loaded, folder: Path) -> float:
    config, _, dialect = bert.read_config(folder)
    copy = Transformer(config)
    variables = build.relative(weights.learnt_variables(copy))
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    values = load(RULES[dialect], shapes, open_checkpoint(folder))
    for path, variable in variables.items():
        variable.assign(values[path])
    vocab = loaded.recipe.tokenizer.vocab
    worst = 0.0
    for text in CHECK_TEXTS:
        ids = loaded.recipe.tokenizer.encode(text).token_ids
        row = np.concatenate([[vocab.cls_id], ids, [vocab.sep_id]])[None]
        real = np.ones(row.shape, bool)
        ours, theirs = (
            np.asarray(model(row.astype(np.int32), padding_mask=real))
            for model in (loaded.model.backbone, copy)
        )
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst
