"""A run as a folder that other tools load, checked before it is handed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import RULES
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.hf_folder import refuse_destination, write_hf_folder
from nlpcli.engine import build
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
    _refuse_foreign(opened, loaded.model)
    backbone, tokenizer = loaded.model.backbone, loaded.recipe.tokenizer
    differences = []

    def check(folder: Path) -> None:
        copy = Transformer(bert.read_config(folder, "hf")[0])
        build.fill_backbone(copy, build.open_source(folder))
        differences.append(_largest_difference(backbone, copy, tokenizer))
        if differences[0] > TOLERANCE:
            raise CheckpointError(
                f"{destination}: expected hidden states within {TOLERANCE} of the "
                f"run's, got a difference of {differences[0]:.2e}"
            )

    values = {
        path: np.asarray(variable)
        for path, variable in build.backbone_variables(backbone).items()
    }
    config = bert.published_config(backbone.config, pad_token_id=tokenizer.vocab.pad_id)
    write_hf_folder(
        destination, values, RULES["hf"], config, tokenizer, force, check, sources
    )
    return {
        "destination": str(destination),
        "to": to,
        "max_difference": differences[0],
        "parameters": weights.total_size(values.values()),
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _refuse_foreign(run: RunDir, model: Any) -> None:
    """transformers has BERT; what else a run may be it cannot load."""
    backbone = model.backbone
    if not isinstance(backbone, Transformer):
        kind = "no Transformer: it is the non-autoregressive model of convolutions"
    elif backbone.config.max_relative_position:
        kind = "one with relative positions (NEZHA), which transformers 5 has not"
    else:
        return
    raise UsageError(
        f"--to hf: expected a run with an encoder of BERT's form, {run.path} has {kind}"
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
