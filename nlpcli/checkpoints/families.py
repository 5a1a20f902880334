"""Which family a checkpoint belongs to, by its configuration and its names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nlpcli.checkpoints.source import Shape
from nlpcli.checkpoints.table import RuleTable


@dataclass(frozen=True)
class Family:
    """What a supported family offers to inspection.

    parts: part ("backbone", "mlm" ...) -> dialect -> rules. shapes: the raw
    configuration -> part -> path -> shape; it raises ValueError when sizes are missing.
    """

    name: str
    parts: Mapping[str, Mapping[str, RuleTable]]
    shapes: Callable[[Mapping[str, Any]], dict[str, dict[str, Shape]]]


@dataclass(frozen=True)
class Guess:
    """A family and what made us think so."""

    family: str
    reason: str


# First match wins. BERT's own names are among those of its children, so it is last.
_MARKS = (
    ("albert", r"^albert\.", "names begin with 'albert.'"),
    ("albert", r"/transformer/group_0/", "Google's ALBERT names (group_0)"),
    ("albert", r"/layer_shared/|word_embeddings_2", "brightmart's ALBERT names"),
    ("electra", r"^electra[./]|^discriminator_predictions", "names begin with electra"),
    ("nezha", r"^nezha\.", "names begin with 'nezha.'"),
    ("roformer", r"^roformer\.|encoder\.embed_positions\.", "RoFormer's names"),
    ("roberta", r"^roberta\.", "names begin with 'roberta.' (BPE, not Chinese wwm)"),
    ("gpt2-ml", r"^newslm/|^emb_norm\.", "GPT2_ML's names"),
    ("t5", r"(en|de)coder[./]block[._/]\d+[./]layer", "T5's block names"),
    ("gpt2", r"^(transformer\.)?h\.\d+\.attn\.c_attn", "GPT-2's names (c_attn)"),
    ("uer", r"^embedding\.word\.embedding\.weight", "UER's names; convert it first"),
    ("keras", r"\.ATTRIBUTES/VARIABLE_VALUE$", "a TensorFlow 2 object checkpoint"),
    (
        "bert",
        r"^(bert[./])?(embeddings|encoder)[./].*(word_embeddings|attention[./]self)",
        "BERT's names",
    ),
)


def guess_family(config: Mapping[str, Any], names: Collection[str]) -> Guess | None:
    """The family by names, then by the configuration; None when neither says."""
    found = next(
        (
            Guess(family, reason)
            for family, pattern, reason in _MARKS
            if any(re.search(pattern, name) for name in names)
        ),
        None,
    )
    if found is not None and found.family == "bert":
        return _child_of_bert(config, names) or found
    if found is None and isinstance(config.get("model_type"), str):
        return Guess(config["model_type"], "config.json says so")
    return found


def _child_of_bert(config: Mapping[str, Any], names: Collection[str]) -> Guess | None:
    """Families that use BERT's names and differ in the parts that are not there."""
    if any("embedding_hidden_mapping_in" in name for name in names):
        return Guess("bert-factorised", "embedding_hidden_mapping_in (Zhuiyi's small)")
    if not any("position_embeddings" in name for name in names):
        if config.get("use_relative_position") or "max_relative_position" in config:
            return Guess("nezha", "BERT's names, relative positions in its config")
        if any("word_embeddings" in name for name in names):
            return Guess("nezha-or-roformer", "BERT's names without positions")
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type != "bert":
        return Guess(model_type, "BERT's names, but config.json says so")
    return None
