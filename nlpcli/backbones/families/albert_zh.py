"""ALBERT as brightmart's albert_zh has it: a model of its own under ALBERT's name.

(github.com/brightmart/albert_zh, modeling.py; files without "google" in their name.)
The token table alone is narrow: it is multiplied by ``word_embeddings_2``, without a
bias, before wide positions and segments are added and normed, where Google projects the
normed sum. One block is shared by all layers under BERT's names (``layer_shared``), or
each layer has its own (``layer_0`` ...). The head for masked tokens is as wide as
hidden states and is compared with the product of both tables. GELU is the tanh form.

Trap: its xlarge code norms before each part (modeling_preln.py) under the very same
names, so a file does not tell; ``"ln_type": "preln"`` in the configuration does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.errors import CheckpointError

_NORMED = {"postln": "post", "preln": "pre", None: "post"}
_SHARED = "layer_shared"


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    place = raw.get("ln_type")
    if not isinstance(place, str | None) or place not in _NORMED:
        raise CheckpointError(
            f"{origin}: ln_type: expected postln or preln, got {place!r:.80}"
        )
    values = {"embedding_size": 128, "num_hidden_groups": 1, **raw}
    known = {"embedding_size", "num_hidden_groups"}
    fixed: dict[str, Any] = {
        "max_relative_position": 0,
        "projected": "tokens",
        "norm_place": _NORMED[place],
    }
    if dialect != "hf":  # the file tells, its configuration never does
        fixed["num_hidden_groups"] = 1 if dialect == "tf" else 0
    config = TransformerConfig.published(values, origin, {}, fixed, known)
    return google_gelu(config, dialect)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    for name in ("max_relative_position", "projected", "norm_place"):
        values.pop(name, None)
    return {
        "model_type": "albert-zh",
        **values,
        "num_hidden_groups": config.num_hidden_groups or config.num_hidden_layers,
        "ln_type": f"{config.norm_place}ln",
    }


def _dialect(names: Collection[str], given: str) -> str:
    shared = any(f"/{_SHARED}/" in name for name in names)
    return "tf-layers" if given == "tf" and not shared else given


def _backbone() -> naming.Tables:
    bert = naming.encoder("bert.", "bert/")
    names = "embeddings{}word_embeddings_2"
    hf = Rule("embedding_projection/kernel", f"bert.{names.format('.')}.weight")
    tf = Rule(
        "embedding_projection/kernel", f"bert/{names.format('/')}", transpose=True
    )
    layers = bert["tf"] + RuleTable((tf,))
    return {
        "hf": bert["hf"] + RuleTable((hf,)),
        "tf": RuleTable(tuple(map(_shared, layers.rules))),
        "tf-layers": layers,
    }


def _shared(rule: Rule) -> Rule:
    """The rule of a block that all layers share."""
    names = tuple(name.replace("layer_{i}", _SHARED) for name in rule.sources)
    return replace(rule, ours=rule.ours.replace("{i}", "0"), theirs=names)


def _twice(tables: naming.Tables) -> naming.Tables:
    return {**tables, "tf-layers": tables["tf"]}


FAMILY = Family(
    name="albert-zh",
    model_types=("albert-zh",),
    marks=((r"[./]word_embeddings_2(\.weight)?$", "a token table of two factors"),),
    read=read,
    tables={
        "backbone": _backbone(),
        "pooler": _twice(naming.pooler("bert.", "bert/")),
        "mlm": _twice(naming.masked_head()),
        "sop": _twice(naming.sentence_head("sop")),
    },
    publish=publish,
    rank=10,
    dialect=_dialect,
    foreign="brightmart's ALBERT, which transformers has not",
)
