"""RoFormer (Su et al. 2021, arXiv 2104.09864): BERT with rotary positions.

Neighbours are turned, (0, 1), (2, 3) ...; ``encoder.embed_positions`` of Hugging Face
files is a buffer of sines and cosines. Zhuiyi's TensorFlow files have BERT's names and
no table of positions, as NEZHA's have: only the configuration can say which it is, so
``"model_type": "roformer"`` has to stand in it (their own bert_config.json is BERT's).
bert4keras trained them: its "gelu" is the erf form, unlike Google's, and its norms add
1e-7. RoFormer-Sim (SimBERT v2) is one with a pooler, which transformers has not: it
leaves those two tensors. Its Hugging Face configuration says ``is_decoder``, which is
causal in transformers, but was written for junnyu's code, where a prompt is read both
ways: ``pooler_activation``, a word of that code alone, tells. ``rotary_value`` (values
turned too, in the English small ones) and cross-attention are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short

EPSILON = 1e-7  # bert4keras's, where a TensorFlow file's configuration names none
MOST_POSITIONS = 2**16
_TABLES = ("token_embedding", "segment_embedding")
_REFUSED = ("rotary_value", "add_cross_attention")


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    check_norm(raw, origin, "layer_norm")
    return sizes(raw, origin, dialect, {})


def check_norm(raw: Mapping[str, Any], origin: str, expected: str) -> None:
    """Raise CheckpointError where the configuration is that of the other version."""
    given = raw.get("norm_type", expected)
    if given != expected:
        raise CheckpointError(
            f"{origin}: norm_type: expected {expected}, as the file's names say, got "
            f"{short(repr(given))}"
        )


def sizes(
    raw: Mapping[str, Any], origin: str, dialect: str, parts: Mapping[str, Any]
) -> TransformerConfig:
    """The configuration of either version; ``parts`` are what it always has."""
    for key in _REFUSED:
        if raw.get(key):
            given = short(repr(raw[key]))
            raise CheckpointError(f"{origin}: {key}: expected false, got {given}")
    values = {key: value for key, value in raw.items() if value is not None}
    if dialect == "tf":
        values.setdefault("layer_norm_eps", EPSILON)
    fixed = {
        "positions": "rotary",
        "max_relative_position": 0,
        "causal": raw.get("is_decoder") is True and "pooler_activation" not in raw,
        **parts,
    }
    known = {"embedding_size"}
    config = TransformerConfig.published(values, origin, {}, fixed, known)
    same = config.embedding_size == config.hidden_size
    return replace(config, embedding_size=0) if same else config


def told(raw: Mapping[str, Any]) -> bool:
    """Whether a configuration says rotary positions."""
    return (
        raw.get("model_type") in ("roformer", "roformer_v2")
        or raw.get("use_rotary_position") is True
        or raw.get("position_embedding_type") == "rotary"
    )


def claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    """BERT's names, and no table of positions, under a configuration that tells."""
    has_words = any("word_embeddings" in name for name in names)
    has_places = any("position_embeddings" in name for name in names)
    if told(raw) and has_words and not has_places:
        return "rotary positions in its configuration"
    return None


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    ending = "ForMaskedLM" if "mlm" in parts else "Model"
    if config.causal:
        ending = "ForCausalLM"
    return {
        "architectures": [f"RoFormer{ending}"],
        "model_type": "roformer",
        "rotary_value": False,
        "is_decoder": config.causal,
        **own_values(config),
        "embedding_size": config.width,
    }


def buffers(config: TransformerConfig) -> dict[str, np.ndarray]:
    """Sines and cosines of the positions that transformers has room for.

    Left out where they are absurdly many: it makes them itself then.
    """
    size = config.hidden_size // config.num_attention_heads
    if config.max_position_embeddings > MOST_POSITIONS:
        return {}
    places = np.arange(config.max_position_embeddings, dtype=np.float64)[:, None]
    angles = places / 10000.0 ** (np.arange(0, size, 2, dtype=np.float64) / size)
    table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return {"roformer.encoder.embed_positions.weight": table.astype(np.float32)}


def own_values(config: TransformerConfig) -> dict[str, Any]:
    """The sizes under their published names."""
    ours = {"max_relative_position", "positions", "causal", "embedding_size"}
    return {key: value for key, value in config.to_dict().items() if key not in ours}


_PROJECTION = ("embeddings_project", "encoder/embedding_hidden_mapping_in")
BACKBONE = naming.encoder("roformer.", "bert/", _TABLES, _PROJECTION)

FAMILY = Family(
    name="roformer",
    model_types=("roformer",),
    marks=((r"^roformer\.", "names begin with 'roformer.'"),),
    read=read,
    tables={
        "backbone": BACKBONE,
        "pooler": naming.pooler("roformer.", "bert/"),
        "mlm": naming.masked_head(),
    },
    publish=publish,
    rank=45,
    claims=claims,
    buffers=buffers,
    unlike=("ForSequenceClassification",),
)
