"""From a configuration, or a run folder, to tokenizer, recipe and model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.atomic import write_atomic
from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import RULES
from nlpcli.backbones.transformer import Transformer, TransformerConfig
from nlpcli.checkpoints.download import resolve_model
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rules import load
from nlpcli.config import RunConfig
from nlpcli.errors import ConfigError
from nlpcli.recipe import find_recipe
from nlpcli.runtime import weights
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint
from nlpcli.text.tokenizer import (
    Tokenizer,
    extend,
    load_tokenizer,
    subset,
    tiny_tokenizer,
)


@dataclass
class Rows:
    """Which rows of the file's token table the model has (None is all of them).

    ``kept`` are row numbers; each entry of ``compound`` is a list of row numbers
    whose mean starts one more row.
    """

    kept: np.ndarray | None = None
    compound: list[list[int]] | None = None


@dataclass
class Start:
    """What a run starts from: a model folder or the built-in tiny encoder."""

    folder: Path | None
    config: TransformerConfig
    dialect: str
    tokenizer: Tokenizer
    rows: Rows


def open_start(config: RunConfig, offline: bool = False) -> Start:
    """Find the model that ``backbone.model`` names; read its config and tokenizer."""
    if config.backbone.model == "tiny":
        tokenizer = tiny_tokenizer()
        start = Start(None, bert.TINY, "built-in", tokenizer, Rows())
        start.config = replace(
            start.config, vocab_size=len(tokenizer.vocab.tokens)
        )
    else:
        folder = resolve_model(config.backbone.model, offline=offline)
        model_config, _, dialect = bert.read_config(folder)
        tokenizer = load_tokenizer(folder, config.tokenizer.kind)
        start = Start(folder, model_config, dialect, tokenizer, Rows())
    if config.backbone.dropout is not None:
        start.config = replace(
            start.config,
            hidden_dropout_prob=config.backbone.dropout,
            attention_probs_dropout_prob=config.backbone.dropout,
        )
    if config.data.max_length > start.config.max_position_embeddings:
        raise ConfigError(
            [
                f"data.max_length: expected at most "
                f"{start.config.max_position_embeddings} (the positions of "
                f"{config.backbone.model}), got {config.data.max_length}"
            ]
        )
    if config.tokenizer.extra_tokens:
        start.tokenizer, compound = extend(
            start.tokenizer, config.tokenizer.extra_tokens
        )
        start.rows.compound = compound
        start.config = replace(
            start.config, vocab_size=len(start.tokenizer.vocab.tokens)
        )
    return start


def prune(start: Start, used: Iterable[int]) -> None:
    """Keep only the token rows that are used (and the special ones)."""
    old_size = start.config.vocab_size
    extra = len(start.rows.compound or [])
    tokenizer, kept = subset(start.tokenizer, sorted(set(used)))
    compound = start.rows.compound
    if compound:
        first = old_size - extra
        compound = [compound[i - first] for i in kept if i >= first]
        kept = np.array([i for i in kept if i < first], np.int64)
    start.tokenizer = tokenizer
    start.rows = Rows(np.asarray(kept), compound)
    start.config = replace(start.config, vocab_size=len(tokenizer.vocab.tokens))


def open_recipe(config: RunConfig, tokenizer: Tokenizer) -> Any:
    """The recipe object of a run."""
    return find_recipe(config.recipe).load().build_recipe(config, tokenizer)


def build_model(recipe: Any, start: Start) -> Any:
    """Backbone (with its pretrained weights), bridge and heads."""
    backbone = Transformer(start.config)
    if start.folder is not None:
        load_pretrained(backbone, start)
    return recipe.build(backbone)


def load_pretrained(backbone: Transformer, start: Start) -> None:
    """Fill a backbone from a published folder: all of it or an error."""
    assert start.folder is not None  # noqa: S101 - a caller's promise, not input
    source = open_checkpoint(start.folder, openers=[open_tf_checkpoint])
    variables = {
        path.split("/", 1)[1]: variable
        for path, variable in weights.learnt_variables(backbone).items()
    }
    values = load(
        RULES[start.dialect],
        {path: tuple(v.shape) for path, v in variables.items()},
        source,
        kept_rows=start.rows.kept,
        compound_rows=start.rows.compound,
    )
    for path, variable in variables.items():
        variable.assign(values[path])


def write_model(
    folder: Path,
    recipe: Any,
    config: TransformerConfig,
    variables: Mapping[str, Any],
    buckets: list[dict[str, int]],
) -> None:
    """Everything needed to answer again: weights, config, vocabulary, labels."""
    weights.save_arrays(folder / "model.safetensors", variables)
    write_atomic(
        folder / "config.json",
        json.dumps(bert.published_config(config), ensure_ascii=False, indent=2) + "\n",
    )
    write_atomic(
        folder / "task.json",
        json.dumps({"task": recipe.state(), "buckets": buckets}, ensure_ascii=False)
        + "\n",
    )
    recipe.tokenizer.save(folder)


@dataclass
class Loaded:
    """A trained model, ready to answer."""

    recipe: Any
    model: Any
    buckets: list[dict[str, int]]


def load_run(config: RunConfig, folder: Path) -> Loaded:
    """Rebuild the model of a run from its best/ (or last/) folder alone."""
    recipe = open_recipe(config, load_tokenizer(folder))
    state = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    recipe.restore(state["task"])
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    backbone_config = TransformerConfig.from_dict(raw, str(folder / "config.json"))
    model = recipe.build(Transformer(backbone_config))
    weights.assign(weights.learnt_variables(model), folder / "model.safetensors")
    return Loaded(recipe, model, state["buckets"])


def relative(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables by path without the backbone's own name in front."""
    return {path.split("/", 1)[1]: variable for path, variable in variables.items()}
