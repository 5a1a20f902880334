"""From a configuration, or a run folder, to tokenizer, recipe and model."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import bert
from nlpcli.backbones.bert_rules import (
    MLM_RULES,
    POOLER_RULES,
    RULES,
    check_run_sizes,
    check_sizes,
)
from nlpcli.backbones.transformer import Transformer, TransformerConfig
from nlpcli.checkpoints.download import resolve_model
from nlpcli.checkpoints.folder import open_checkpoint
from nlpcli.checkpoints.rows import Rows
from nlpcli.checkpoints.rules import resolve, stream
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.checkpoints.source import Source
from nlpcli.checkpoints.table import RuleTable
from nlpcli.config import BackboneOptions, RunConfig
from nlpcli.errors import CheckpointError, ConfigError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.json_file import read_json_object, short
from nlpcli.progress import SILENT, Progress
from nlpcli.recipe import find_recipe
from nlpcli.runtime import weights
from nlpcli.runtime.tf_checkpoint import open_tf_checkpoint
from nlpcli.tasks.protocol import Buckets, Model, Recipe, Setup
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import extend, load_tokenizer, subset, tiny_tokenizer
from nlpcli.text.tokenizers.vocab import check_rows

logger = logging.getLogger("nlpcli")

LONGEST_BUCKET = 2**16  # tokens that a batch is padded to


@dataclass
class Start:
    """What a run starts from: published weights, or none for the built-in encoder.

    ``rows`` says which rows of the published token table the model has.
    """

    source: Source | None
    config: TransformerConfig
    tokenizer: Tokenizer
    rows: Rows


def open_start(
    config: RunConfig, offline: bool = False, progress: Progress = SILENT
) -> Start:
    """Find the model that ``backbone.model`` names; read its config and tokenizer."""
    name = config.backbone.model
    if name == "tiny":
        tokenizer = tiny_tokenizer()
        size = len(tokenizer.vocab.tokens)
        start = Start(None, _built_in(config.backbone, size), tokenizer, Rows())
    else:
        folder = resolve_model(name, offline=offline, progress=progress)
        source = open_source(folder)
        model_config, _ = bert.read_config(folder, source.dialect)
        model_config = _lowest_layers(model_config, config.backbone)
        tokenizer = load_tokenizer(folder, config.tokenizer.kind)
        start = Start(source, model_config, tokenizer, Rows())
        check_rows(tokenizer.vocab, model_config.vocab_size, name)
        check_sizes(model_config.to_dict(), source)
        _refuse_built_in_keys(config.backbone)
    if config.backbone.dropout is not None:
        start.config = replace(
            start.config,
            hidden_dropout_prob=config.backbone.dropout,
            attention_probs_dropout_prob=config.backbone.dropout,
        )
    longest = start.config.longest
    if longest is not None and config.data.max_length > longest:
        raise ConfigError(
            [
                f"data.max_length: expected at most {longest} (the positions of "
                f"{name}), got {config.data.max_length}"
            ]
        )
    if config.tokenizer.extra_tokens:
        kept = np.arange(len(start.tokenizer.vocab.tokens))
        start.tokenizer, compound = extend(
            start.tokenizer, config.tokenizer.extra_tokens
        )
        start.rows = Rows(kept, compound)
        size = len(start.tokenizer.vocab.tokens)
        start.config = replace(start.config, vocab_size=size)
    return start


def _built_in(options: BackboneOptions, vocab_size: int) -> TransformerConfig:
    """The encoder that starts from random weights, at the sizes asked for."""
    hidden = options.hidden_size or bert.TINY.hidden_size
    head = bert.TINY.hidden_size // bert.TINY.num_attention_heads
    if hidden % head:
        raise ConfigError(
            [f"backbone.hidden_size: expected a multiple of {head}, got {hidden}"]
        )
    return replace(
        bert.TINY,
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=hidden // head,
        num_hidden_layers=options.num_hidden_layers or bert.TINY.num_hidden_layers,
        max_relative_position=bert.NEZHA_DISTANCE if options.relative_positions else 0,
    )


def _refuse_built_in_keys(options: BackboneOptions) -> None:
    """Sizes belong to the built-in encoder; a published one has its own."""
    given = {
        "hidden_size": options.hidden_size,
        "relative_positions": options.relative_positions or None,
    }
    problems = [
        f"backbone.{name}: expected none, since backbone.model is {options.model}, "
        f"whose weights have their own, got {value}"
        for name, value in given.items()
        if value is not None
    ]
    if problems:
        raise ConfigError(problems)


def _lowest_layers(
    config: TransformerConfig, options: BackboneOptions
) -> TransformerConfig:
    """A published encoder cut to its lowest blocks, where that is asked for."""
    wanted, there = options.num_hidden_layers, config.num_hidden_layers
    if wanted is None:
        return config
    if wanted > there:
        raise ConfigError(
            [
                f"backbone.num_hidden_layers: expected at most {there} (those of "
                f"{options.model}), got {wanted}"
            ]
        )
    return replace(config, num_hidden_layers=wanted)


def open_source(folder: Path) -> Source:
    """The published weights of a folder, in any format that nlpcli reads."""
    return open_checkpoint(folder, openers=[open_tf_checkpoint])


def prune(start: Start, used: Iterable[int]) -> np.ndarray:
    """Keep only the token rows that are used (and the special ones); the ids kept."""
    tokenizer, kept = subset(start.tokenizer, used)
    old = len(start.tokenizer.vocab.tokens) - len(start.rows.compound)
    start.rows = Rows(
        kept[kept < old], [start.rows.compound[i - old] for i in kept[kept >= old]]
    )
    start.tokenizer = tokenizer
    start.config = replace(start.config, vocab_size=len(tokenizer.vocab.tokens))
    return kept


def open_recipe(
    config: RunConfig, tokenizer: Tokenizer, backbone: TransformerConfig
) -> Recipe[Any]:
    """The recipe of a run, made for its vocabulary and its encoder."""
    setup = Setup(config, tokenizer, backbone)
    recipe: Recipe[Any] = find_recipe(config.recipe).load().build_recipe(setup)
    return recipe


# Rules, and what messages say, of the layers beside a backbone that a file may have.
_PARTS = {"mlm": (MLM_RULES, "output head"), "pooler": (POOLER_RULES, "pooler")}


@weights.values_later()
def build_model(recipe: Recipe[Any], start: Start) -> Model:
    """Backbone (with its pretrained weights), bridge and heads."""
    backbone = Transformer(start.config)
    model = recipe.build(backbone)
    if start.source is not None:
        used: set[str] = set()
        for part, layer in model.published_parts().items():
            rules, name = _PARTS[part]
            own = fill_layer(layer, rules, start.source, start.rows)
            if own:
                model.filled.add(part)
                used |= own
            else:
                label = start.source.label
                logger.info("%s: no %s in it: it starts fresh", label, name)
        fill_backbone(backbone, start.source, start.rows, used)
    return model


def fill_layer(
    layer: Any, tables: Mapping[str, RuleTable], source: Source, rows: Rows
) -> set[str]:
    """The published weights of a layer beside the backbone, where the file has them.

    Returns the file's names that it took: none where it starts fresh.
    """
    variables = {v.path: v for v in layer.trainable_variables}
    rules = tables[source.dialect]
    shapes = {path: tuple(v.shape) for path, v in variables.items()}
    plan = resolve(rules, shapes, source, rows)
    if plan.gaps:
        return set()
    values = stream(
        rules,
        shapes,
        source,
        kept_rows=rows.kept,
        compound_rows=rows.compound,
        others=plan.unused,
    )
    for path, blocks in values:
        weights.fill(variables[path], blocks)
    return {name for _, names in plan.mapping.values() for name in names}


def fill_backbone(
    backbone: Transformer,
    source: Source,
    rows: Rows | None = None,
    others: Collection[str] = (),
) -> None:
    """Fill a backbone from published weights: all of it or a CheckpointError.

    ``others``: the file's names that layers beside it took; what is left over is told.
    """
    rows = rows or Rows()
    variables = backbone_variables(backbone)
    values = stream(
        RULES[source.dialect],
        {path: tuple(v.shape) for path, v in variables.items()},
        source,
        kept_rows=rows.kept,
        compound_rows=rows.compound,
        others=others,
    )
    for path, blocks in values:
        weights.fill(variables[path], blocks)


def backbone_variables(backbone: Transformer) -> dict[str, Any]:
    """Variables by path, without the backbone's own name in front."""
    return {
        path.split("/", 1)[1]: variable
        for path, variable in weights.learnt_variables(backbone).items()
    }


def write_model(
    folder: Path,
    recipe: Recipe[Any],
    config: TransformerConfig,
    variables: Mapping[str, Any],
    buckets: Buckets,
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

    recipe: Recipe[Any]
    model: Model
    buckets: Buckets


@weights.values_later()
def load_run(config: RunConfig, folder: Path) -> Loaded:
    """Rebuild the model of a run from its best/ (or last/) folder alone."""
    raw = read_json_object(folder / "config.json", CheckpointError)
    backbone_config = TransformerConfig.from_dict(raw, str(folder / "config.json"))
    tokenizer = load_tokenizer(folder)
    check_rows(tokenizer.vocab, backbone_config.vocab_size, str(folder))
    recipe = open_recipe(config, tokenizer, backbone_config)
    buckets = _restore(recipe, folder / "task.json")
    source = SafetensorsSource(folder / "model.safetensors")
    unused = check_run_sizes(backbone_config.to_dict(), source)
    with weights.at_most(unused, source):
        model = recipe.build(Transformer(backbone_config))
    weights.assign(weights.learnt_variables(model), folder / "model.safetensors")
    return Loaded(recipe, model, buckets)


def _restore(recipe: Recipe[Any], path: Path) -> Buckets:
    """Give a recipe what it learnt, and return the sizes of its batches.

    Raises CheckpointError for a file that is not the recipe's.
    """
    state = read_json_object(path, CheckpointError)
    try:
        recipe.restore(state["task"])
        buckets = [{str(k): int(v) for k, v in b.items()} for b in state["buckets"]]
        if not all(0 < size <= LONGEST_BUCKET for b in buckets for size in b.values()):
            raise ValueError(f"buckets: expected sizes of 1 to {LONGEST_BUCKET}")
        return buckets
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        told = short(" ".join(str(error).split()))
        raise CheckpointError(
            f"{path}: not what this recipe keeps of a run: "
            f"{type(error).__name__}: {told}"
        ) from error
