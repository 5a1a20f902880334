"""A run as a folder that other tools load, checked before it is handed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones.family import Family
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.hf_folder import refuse_destination, write_hf_folder
from nlpcli.engine import build
from nlpcli.engine.published import backbone_variables, open_published
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.runtime import weights
from nlpcli.runtime.device import open_device

CHECK_TEXTS = ("王小明在北京大学读书。", "《平凡的世界》出版于1986年,作者是路遥。")
TOLERANCE = 1e-4


def export_run(
    run: RunDir | Path, destination: Path, to: str = "hf", force: bool = False
) -> dict[str, Any]:
    """Write the backbone of a run as a Hugging Face folder, with its tokenizer.

    The folder is read back and its hidden states compared with the run's before it
    takes its place; a difference above 1e-4 raises CheckpointError. UsageError for a
    model that transformers does not have, and for a destination that exists; ``force``
    replaces an earlier export, never the run.
    """
    if to != "hf":
        raise UsageError(f"--to: expected hf, got {to!r}")
    opened = choose_run(run, None)
    sources = [opened.path, opened.folder("best")]
    refuse_destination(destination, force, sources)
    open_device(opened.config.runtime, opened.config.seed)
    loaded = build.load_run(opened.config, opened.folder("best"))
    family = loaded.family
    _refuse_foreign(opened, family, loaded.model)
    backbone, tokenizer = loaded.model.backbone, loaded.recipe.tokenizer
    differences = []

    def check(folder: Path) -> None:
        published = open_published(folder)
        copy = published.family.build(published.config)
        published.fill_backbone(copy)
        differences.append(_largest_difference(backbone, copy, tokenizer))
        if differences[0] > TOLERANCE:
            raise CheckpointError(
                f"{destination}: expected hidden states within {TOLERANCE} of the "
                f"run's, got a difference of {differences[0]:.2e}"
            )

    values = {
        path: np.asarray(variable)
        for path, variable in backbone_variables(backbone).items()
    }
    config = {
        **family.publish(backbone.config, ("backbone",)),
        "pad_token_id": tokenizer.vocab.pad_id,
    }
    rules = family.tables["backbone"]["hf"]
    write_hf_folder(
        destination,
        values,
        rules,
        config,
        tokenizer,
        force,
        check,
        sources,
        backbone.config.shares,
        family.buffers(backbone.config),
    )
    return {
        "destination": str(destination),
        "to": to,
        "max_difference": differences[0],
        "parameters": weights.total_size(values.values()),
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _refuse_foreign(run: RunDir, family: Family, model: Any) -> None:
    """What a run may be that transformers cannot load."""
    if not isinstance(model.backbone, Transformer):
        kind = "no Transformer: it is the non-autoregressive model of convolutions"
    elif family.foreign is not None:
        kind = family.foreign
    elif model.backbone.config.attention == "linear":
        kind = "linear attention"
    else:
        return
    raise UsageError(
        f"--to hf: expected a run whose encoder transformers has, {run.path} has {kind}"
    )


def _largest_difference(one: Transformer, other: Transformer, tokenizer: Any) -> float:
    vocab = tokenizer.vocab
    worst = 0.0
    for text in CHECK_TEXTS:
        ids = tokenizer.encode(text).token_ids
        row = np.concatenate([[vocab.require("begin")], ids, [vocab.end_id]])[None]
        real = np.ones(row.shape, bool)
        first, second = (
            np.asarray(model(row.astype(np.int32), padding_mask=real))
            for model in (one, other)
        )
        worst = max(worst, float(np.abs(first - second).max()))
    return worst
