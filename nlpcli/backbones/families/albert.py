"""ALBERT (Lan et al. 2019, arXiv 1909.11942): a narrow token table, shared layers.

Two dialects: Hugging Face's, and Google's TensorFlow names, where the second half of
the feed-forward lies under its first (``ffn_1/intermediate/output``). Files of
brightmart's own code are another family (albert_zh.py). Groups of layers share one
block, or several that come one after another (inner groups). Google computes GELU by
the tanh formula. The projection comes after norm and dropout, and has a bias.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule
from nlpcli.errors import CheckpointError

INNER = 4  # blocks of a group that have names here; files have one
_DEFAULTS = {"embedding_size": 128, "num_hidden_groups": 1, "inner_group_num": 1}
_TABLES = ("token_embedding", "segment_embedding", "position_embedding")
# Ours -> the Hugging Face part, Google's part.
_DENSE = {
    "attention/output": ("attention.dense", "attention_1/output/dense"),
    "feed_forward/intermediate": ("ffn", "ffn_1/intermediate/dense"),
    "feed_forward/output": ("ffn_output", "ffn_1/intermediate/output/dense"),
}
_NORMS = {
    "attention_norm": ("attention.LayerNorm", "LayerNorm"),
    "feed_forward_norm": ("full_layer_layer_norm", "LayerNorm_1"),
}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    defaults = {**_DEFAULTS, "hidden_act": "gelu_new" if dialect == "hf" else "gelu"}
    fixed = {"max_relative_position": 0}
    config = TransformerConfig.published(
        {**defaults, **raw}, origin, {}, fixed, set(_DEFAULTS)
    )
    if config.width == config.hidden_size:
        raise CheckpointError(
            f"{origin}: expected an embedding_size below hidden_size, got "
            f"{config.width} for both"
        )
    if config.inner_group_num > INNER:
        raise CheckpointError(
            f"{origin}: inner_group_num: expected at most {INNER}, got "
            f"{config.inner_group_num}"
        )
    return google_gelu(config, dialect)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    del values["max_relative_position"]
    head = "Model"
    if "mlm" in parts:
        head = "ForPreTraining" if "sop" in parts else "ForMaskedLM"
    return {
        "architectures": [f"Albert{head}"],
        "model_type": "albert",
        "inner_group_num": config.inner_group_num,
        **values,
    }


def _layers(ours: str, hf: str, tf: str) -> tuple[list[Rule], list[Rule]]:
    """Rules of one block in both dialects."""
    first = naming.fused_hf(ours, f"{hf}.attention")
    second = naming.fused_tf(ours, f"{tf}/attention_1/self")
    for part, (theirs, googles) in _DENSE.items():
        first += naming.dense_hf(f"{ours}/{part}", f"{hf}.{theirs}")
        second += naming.dense_tf(f"{ours}/{part}", f"{tf}/{googles}")
    for part, (theirs, googles) in _NORMS.items():
        first += naming.norm_hf(f"{ours}/{part}", f"{hf}.{theirs}")
        second += [
            Rule(f"{ours}/{part}/gamma", f"{tf}/{googles}/gamma"),
            Rule(f"{ours}/{part}/beta", f"{tf}/{googles}/beta"),
        ]
    return first, second


def _backbone() -> naming.Tables:
    mapping = "encoder{}embedding_hidden_mapping_in"
    hf = [
        *naming.embeddings_hf("albert.", _TABLES),
        *naming.dense_hf("embedding_projection", f"albert.{mapping.format('.')}"),
    ]
    tf = [
        *naming.embeddings_tf("bert/", _TABLES),
        *naming.dense_tf("embedding_projection", f"bert/{mapping.format('/')}"),
    ]
    for place in range(INNER):
        first, second = _layers(
            f"layer_{{i}}_{place}" if place else "layer_{i}",
            f"albert.encoder.albert_layer_groups.{{i}}.albert_layers.{place}",
            f"bert/encoder/transformer/group_{{i}}/inner_group_{place}",
        )
        hf += naming.spare(first) if place else first
        tf += naming.spare(second) if place else second
    return {"hf": naming.hf_table("albert.", hf), "tf": naming.tf_table(tf)}


def _head(rules: Iterable[Rule], part: str) -> naming.Tables:
    googles = {"mlm": naming.masked_head(), "sop": naming.sentence_head("sop")}
    return {"hf": naming.hf_table("albert.", rules), "tf": googles[part]["tf"]}


FAMILY = Family(
    name="albert",
    model_types=("albert",),
    marks=(
        (r"^albert[./]", "names begin with 'albert'"),
        (
            r"albert_layer_groups|/transformer/group_\d+/inner_group_\d+/",
            "groups of shared layers",
        ),
    ),
    read=read,
    tables={
        "backbone": _backbone(),
        "pooler": {
            "hf": naming.hf_table(
                "albert.", naming.dense_hf("pooler", "albert.pooler")
            ),
            "tf": naming.pooler("", "bert/")["tf"],
        },
        "mlm": _head(
            (
                *naming.dense_hf("mlm/transform", "predictions.dense"),
                *naming.norm_hf("mlm/norm", "predictions.LayerNorm"),
                Rule("mlm/bias", "predictions.bias", vocab_axis=0),
            ),
            "mlm",
        ),
        "sop": _head(naming.dense_hf("sop", "sop_classifier.classifier"), "sop"),
    },
    publish=publish,
    rank=20,
)
