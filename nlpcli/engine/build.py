"""From a configuration, or a run folder, to tokenizer, recipe and model."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.backbones import family_of
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import TINY
from nlpcli.backbones.families.nezha import DISTANCE
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.download import resolve_model
from nlpcli.checkpoints.rows import Rows
from nlpcli.checkpoints.safetensors import SafetensorsSource
from nlpcli.config import BackboneOptions, RunConfig
from nlpcli.engine.pruning import pruned
from nlpcli.engine.published import (
    Published,
    check_run_sizes,
    open_published,
)
from nlpcli.engine.restored import open_recipe, refuse_longer, restore
from nlpcli.engine.shapes import backbone_shapes
from nlpcli.errors import CheckpointError, ConfigError
from nlpcli.files.atomic import write_atomic
from nlpcli.files.json_file import read_json_object, short
from nlpcli.heads.published_parts import PARTS
from nlpcli.progress import SILENT, Progress
from nlpcli.recipe import find_recipe
from nlpcli.runtime import weights
from nlpcli.tasks.protocol import Buckets, Model, Recipe, Writes
from nlpcli.text.tokenizers.encoding import Tokenizer
from nlpcli.text.tokenizers.load import extend, load_tokenizer, tiny_tokenizer
from nlpcli.text.tokenizers.vocab import check_rows

logger = logging.getLogger("nlpcli")


@dataclass
class Start:
    """What a run starts from: published weights, or none for the built-in encoder.

    ``rows`` says which rows of the published token table the model has.
    """

    published: Published | None
    family: Family
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
        sizes = _built_in(config.backbone, size)
        start = Start(None, _family_of(sizes), sizes, tokenizer, Rows())
    else:
        folder = resolve_model(name, offline=offline, progress=progress)
        published = open_published(folder)
        sizes = _lowest_layers(published.config, config.backbone)
        published = published.with_config(sizes)
        tokenizer = load_tokenizer(folder, config.tokenizer.kind)
        start = Start(published, published.family, sizes, tokenizer, Rows())
        _refuse_writing(config.recipe, start.family)
        check_rows(tokenizer.vocab, sizes.vocab_size, name)
        published.check_sizes()
        if untold := published.untold_blocks():
            logger.warning("%s: the others are not read", untold)
        _refuse_built_in_keys(config.backbone)
    if config.backbone.dropout is not None:
        start.config = replace(
            start.config,
            hidden_dropout_prob=config.backbone.dropout,
            attention_probs_dropout_prob=config.backbone.dropout,
        )
    start.config = _with_parts(start.config, config.backbone)
    refuse_longer(start.config, name, config.data.max_length)
    if config.tokenizer.extra_tokens:
        kept = np.arange(len(start.tokenizer.vocab.tokens))
        start.tokenizer, compound = extend(
            start.tokenizer, config.tokenizer.extra_tokens
        )
        start.rows = Rows(kept, compound)
        size = len(start.tokenizer.vocab.tokens)
        start.config = replace(start.config, vocab_size=size)
    return start


def _refuse_writing(recipe: str, family: Family) -> None:
    """Raise ConfigError where all that a recipe does is write, and a family cannot."""
    verbs = find_recipe(recipe).verbs
    if family.refuses is not None and "generate" in verbs and "predict" not in verbs:
        raise ConfigError([f"backbone.model: {family.refuses}"])


def _family_of(sizes: TransformerConfig) -> Family:
    """The family of the built-in encoder."""
    found = family_of("nezha" if sizes.max_relative_position else "bert")
    if found is None:
        raise LookupError("no family bert: nlpcli is installed in part")
    return found


def _built_in(options: BackboneOptions, vocab_size: int) -> TransformerConfig:
    """The encoder that starts from random weights, at the sizes asked for."""
    hidden = options.hidden_size or TINY.hidden_size
    head = TINY.hidden_size // TINY.num_attention_heads
    if hidden % head:
        raise ConfigError(
            [f"backbone.hidden_size: expected a multiple of {head}, got {hidden}"]
        )
    return replace(
        TINY,
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=hidden // head,
        num_hidden_layers=options.num_hidden_layers or TINY.num_hidden_layers,
        max_relative_position=DISTANCE if options.relative_positions else 0,
    )


def _with_parts(
    config: TransformerConfig, options: BackboneOptions
) -> TransformerConfig:
    """Sizes with the parts that a configuration puts in the place of a model's own."""
    problems = []
    alpha, linear = options.hierarchical_positions, options.attention == "linear"
    if alpha is not None and not config.has_position_table:
        problems.append(
            f"backbone.hierarchical_positions: expected none, since {options.model} "
            f"has no table of positions, got {alpha}"
        )
    if linear and config.scored_positions:
        problems.append(
            f"backbone.attention: expected softmax, since the positions of "
            f"{options.model} are scores of pairs, got linear"
        )
    if problems:
        raise ConfigError(problems)
    return replace(
        config,
        hierarchical_positions=alpha or config.hierarchical_positions,
        attention=options.attention if linear else config.attention,
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
    groups = config.num_hidden_groups
    if not groups:
        return replace(config, num_hidden_layers=wanted)
    each = there // groups
    if wanted > each and wanted % each:
        raise ConfigError(
            [
                f"backbone.num_hidden_layers: expected at most {each} or a multiple of "
                f"it (the layers of a group of {options.model}), got {wanted}"
            ]
        )
    return replace(
        config, num_hidden_layers=wanted, num_hidden_groups=max(1, wanted // each)
    )


def prune(start: Start, used: Iterable[int]) -> np.ndarray:
    """Keep only the token rows that are used (and the special ones); the ids kept."""
    old = len(start.tokenizer.vocab.tokens) - len(start.rows.compound)
    start.tokenizer, start.config, kept = pruned(start.tokenizer, start.config, used)
    start.rows = Rows(
        kept[kept < old], [start.rows.compound[i - old] for i in kept[kept >= old]]
    )
    return kept


@weights.values_later()
def build_model(recipe: Recipe[Any], start: Start) -> Model:
    """Backbone (with its pretrained weights), bridge and heads.

    Raises ConfigError for a model that writes and a family that cannot.
    """
    backbone = start.family.build(start.config)
    model = recipe.build(backbone)
    writes = isinstance(recipe, Writes) and "mlm" in model.published_parts()
    if start.family.refuses is not None and writes:
        raise ConfigError([f"backbone.model: {start.family.refuses}"])
    if start.published is not None:
        published = start.published.with_config(start.config)
        used: set[str] = set()
        for part, layer in model.published_parts().items():
            own = published.fill_part(part, layer, start.rows)
            if own is None:
                label, name = published.source.label, PARTS[part][0]
                logger.info("%s: no %s in it: it starts fresh", label, name)
            else:
                model.filled.add(part)
                used |= own
        published.fill_backbone(backbone, start.rows, used)
    return model


def write_model(
    folder: Path,
    recipe: Recipe[Any],
    family: Family,
    config: TransformerConfig,
    variables: Mapping[str, Any],
    buckets: Buckets,
) -> None:
    """Everything needed to answer again: weights, config, vocabulary, labels."""
    weights.save_arrays(folder / "model.safetensors", variables)
    write_settings(folder, recipe, family, config, buckets)


def write_settings(
    folder: Path,
    recipe: Recipe[Any],
    family: Family,
    config: TransformerConfig,
    buckets: Buckets,
) -> None:
    """What is needed to answer again beside the weights."""
    write_atomic(
        folder / "config.json",
        json.dumps({"model_type": family.name, **config.to_dict()}, indent=2) + "\n",
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
    family: Family
    buckets: Buckets


@weights.values_later()
def load_run(config: RunConfig, folder: Path) -> Loaded:
    """Rebuild the model of a run from its best/ (or last/) folder alone."""
    raw = read_json_object(folder / "config.json", CheckpointError)
    origin = str(folder / "config.json")
    backbone_config = TransformerConfig.from_dict(raw, origin)
    model_type = raw.get("model_type", "bert")
    family = family_of(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise CheckpointError(
            f"{origin}: model_type: expected a family that nlpcli reads, got "
            f"{short(repr(model_type))}"
        )
    tokenizer = load_tokenizer(folder)
    check_rows(tokenizer.vocab, backbone_config.vocab_size, str(folder))
    recipe = open_recipe(config, tokenizer, backbone_config)
    buckets = restore(recipe, folder / "task.json")
    source = SafetensorsSource(folder / "model.safetensors")
    unused = check_run_sizes(backbone_shapes(family, backbone_config, source), source)
    with weights.at_most(unused, source):
        model = recipe.build(family.build(backbone_config))
    weights.assign(weights.learnt_variables(model), folder / "model.safetensors")
    return Loaded(recipe, model, family, buckets)
