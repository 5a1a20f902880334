"""RoFormer v2 (Su 2022, kexue.fm/archives/8998): RoFormer without what can be spared.

No biases anywhere, norms that divide by the root mean square and have no gain, and
tokens scored against their own table alone: so nothing of its head stands in a file.
The names are RoFormer's; that none is of a norm, or ``norm_type`` of the configuration,
tells them apart. transformers reads such a folder as RoFormer and draws the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families import roformer
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import RuleTable
from nlpcli.errors import CheckpointError

_SPARED = ("LayerNorm", "position_embeddings", "query/bias", "query.bias")
_PARTS = {
    "norm": "rms_plain",
    "qkv_bias": False,
    "dense_bias": False,
    "output": "tied",
    "output_bias": False,
}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    roformer.check_norm(raw, origin, "rms_norm")
    config = roformer.sizes(raw, origin, dialect, _PARTS)
    if config.embedding_size:
        raise CheckpointError(
            f"{origin}: embedding_size: expected {config.hidden_size} (hidden_size), "
            f"got {config.embedding_size}"
        )
    return config


def claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    """Names of an encoder without positions, norms or biases."""
    if any(part in name for name in names for part in _SPARED):
        return None
    if raw.get("norm_type") == "rms_norm" and roformer.told(raw):
        return "norm_type rms_norm in its configuration"
    has_words = any("word_embeddings" in name for name in names)
    has_blocks = any(re.search("attention.self.query", name) for name in names)
    if has_words and has_blocks:
        return "BERT's names without positions, norms and biases"
    return None


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    ours = {*_PARTS, "causal"}
    values = roformer.own_values(config)
    return {
        "architectures": ["RoFormerForMaskedLM"],
        "model_type": "roformer",
        "norm_type": "rms_norm",
        "use_bias": False,
        "rotary_value": False,
        "is_decoder": config.causal,
        **{key: value for key, value in values.items() if key not in ours},
        "embedding_size": config.width,
    }


def _bare(table: RuleTable) -> RuleTable:
    """The rules of kernels and tables."""
    rules = [
        rule
        for rule in table.rules
        if rule.ours.endswith(("/kernel", "/embeddings")) and not rule.spare
    ]
    return replace(table, rules=tuple(rules))


FAMILY = Family(
    name="roformer_v2",
    model_types=("roformer_v2",),
    marks=(),
    read=read,
    tables={"backbone": {d: _bare(t) for d, t in roformer.BACKBONE.items()}},
    publish=publish,
    rank=40,
    claims=claims,
    foreign="RoFormer v2, which transformers has not",
)
