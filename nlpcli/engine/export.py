"""A run as a folder that other tools load, checked before it is handed over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.encoder_decoder import EncoderDecoder
from nlpcli.backbones.family import Family
from nlpcli.backbones.transformer import Transformer
from nlpcli.checkpoints.hf_folder import refuse_destination, write_hf_folder
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.engine import build
from nlpcli.engine.convert import token_ids
from nlpcli.engine.published import backbone_variables, open_published
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.files.named import refuse_within
from nlpcli.heads.published_parts import PublishedHead, UnpublishedHead
from nlpcli.runtime import weights
from nlpcli.runtime.device import open_device
from nlpcli.tasks.protocol import Exports, Model, Recipe, Writes
from nlpcli.text.sequences import lay_out

logger = logging.getLogger("nlpcli")

CHECK_TEXTS = ("王小明在北京大学读书。", "《平凡的世界》出版于1986年,作者是路遥。")
TOLERANCE = 1e-4


def export_run(
    run: RunDir | Path, destination: Path, force: bool = False
) -> dict[str, Any]:
    """Write a run as a Hugging Face folder, with its tokenizer.

    Its backbone, what published models have beside one (an output head, a pooler), and
    its own head where transformers has a class for it; else what is lost is told. The
    folder is read back and its hidden states compared with the run's before it takes
    its place; a difference above 1e-4 raises CheckpointError. UsageError for a model
    that transformers does not have, and for a destination that exists; ``force``
    replaces an earlier export, never the run.
    """
    opened = choose_run(run, None)
    sources = [opened.path, opened.folder("best")]
    refuse_destination(destination, force, sources)
    refuse_within(destination, [opened.path / "best", opened.path / "last"])
    open_device(opened.config.runtime, opened.config.seed)
    loaded = build.load_run(opened.config, opened.folder("best"))
    family, recipe, model = loaded.family, loaded.recipe, loaded.model
    _refuse_foreign(opened, family, model)
    backbone, tokenizer = model.backbone, recipe.tokenizer
    head = _head(recipe, model, family)
    dialect = family.written(backbone.config)
    layers = {
        part: layer
        for part, layer in model.published_parts().items()
        if layer.variables and dialect in family.tables.get(part, {})
    }  # a tied output has no variables, and no tensors in a file
    differences = []

    def check(folder: Path) -> None:
        published = open_published(folder)
        copy = published.family.build(published.config)
        published.fill_backbone(copy, others=published.source.describe())
        differences.append(_largest_difference(backbone, copy, tokenizer))
        if differences[0] > TOLERANCE:
            raise CheckpointError(
                f"{destination}: expected hidden states within {TOLERANCE} of the "
                f"run's, got a difference of {differences[0]:.2e}"
            )

    values = {
        path: np.asarray(variable)
        for path, variable in [
            *backbone_variables(backbone).items(),
            *((v.path, v) for part in layers.values() for v in part.variables),
            *_head_variables(head),
        ]
    }
    parts = ["backbone", *layers]
    rules = reduce(add, (family.tables[part][dialect] for part in parts))
    config = {
        **token_ids(tokenizer.vocab, backbone.config),
        **family.publish(backbone.config, parts),
    }
    if not isinstance(recipe, Writes):
        config["architectures"] = [_bare(name) for name in config["architectures"]]
    if isinstance(head, PublishedHead):
        rules = rules + RuleTable(_head_rules(head))
        config |= _head_config(family, backbone.config, head)
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
    lost = _lost(recipe, model, head)
    for line in lost:
        logger.warning("%s: not in it: %s", destination, line)
    return {
        "destination": str(destination),
        "to": "hf",
        "architecture": config["architectures"][0],
        "lost": lost,
        "max_difference": differences[0],
        "parameters": weights.total_size(values.values()),
        "files": sorted(path.name for path in destination.iterdir()),
    }


def _head(recipe: Any, model: Any, family: Family) -> PublishedHead | str | None:
    """The head as transformers has it, or what is lost; None where there is none."""
    if not isinstance(recipe, Exports):
        return None
    head = recipe.published_head(model)
    if isinstance(head, UnpublishedHead):
        useful = head.task not in family.unlike
        return f"{head.told} ({head.advice})" if useful else head.told
    if head.task in family.unlike:
        return f"the head, since transformers has none or another for {family.name}"
    return head


def _bare(architecture: str) -> str:
    """The class without the output that a decoder would write with."""
    for end in ("LMHeadModel", "ForCausalLM"):
        if architecture.endswith(end):
            return architecture.removesuffix(end) + "Model"
    return architecture


def _head_variables(head: PublishedHead | str | None) -> Iterator[tuple[str, Any]]:
    """What a head has, under the names that its rules have."""
    if isinstance(head, PublishedHead):
        for name, layer in head.layers.items():
            yield f"{name}/kernel", layer.kernel
            yield f"{name}/bias", layer.bias


def _head_rules(head: PublishedHead) -> tuple[Rule, ...]:
    return tuple(rule for name in head.layers for rule in naming.dense_hf(name, name))


def _head_config(
    family: Family, config: TransformerConfig, head: PublishedHead
) -> dict[str, Any]:
    bare = _bare(family.publish(config, ("backbone",))["architectures"][0])
    return {
        "architectures": [bare.removesuffix("Model") + head.task],
        "id2label": {str(i): label for i, label in enumerate(head.labels)},
        "label2id": {label: i for i, label in enumerate(head.labels)},
        **head.more,
    }


def _lost(
    recipe: Recipe[Any], model: Model, head: PublishedHead | str | None
) -> list[str]:
    """What of a run transformers does not have."""
    if isinstance(head, str):
        return [head]
    if isinstance(recipe, Writes):
        return list(model.own_ways())
    return list(head.lost) if head is not None else ["what lies over the encoder"]


def _refuse_foreign(run: RunDir, family: Family, model: Any) -> None:
    """What a run may be that transformers cannot load."""
    if not isinstance(model.backbone, Transformer | EncoderDecoder):
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


def _largest_difference(one: Any, other: Any, tokenizer: Any) -> float:
    worst = 0.0
    for text in CHECK_TEXTS:
        row, _ = lay_out(tokenizer.vocab, [tokenizer.encode(text).token_ids])
        first, second = (_states(backbone, row[None]) for backbone in (one, other))
        worst = max(worst, float(np.abs(first - second).max()))
    return worst


def _states(backbone: Any, row: np.ndarray) -> np.ndarray:
    """What a backbone makes of a text; a decoder writes it about itself."""
    real = np.ones(row.shape, bool)
    if isinstance(backbone, EncoderDecoder):
        return np.asarray(backbone(row, row, real, real))
    return np.asarray(backbone(row, padding_mask=real))
