"""NEZHA (Wei et al. 2019, arXiv 1909.00204): BERT with fixed relative positions.

Its files have BERT's names and no position table, with ``bert/`` (Huawei's TensorFlow
files) or ``bert.`` in front; those of transformers 4 begin with ``nezha.``, which is
what is written, though transformers 5 has no NEZHA. Its configuration says
``use_relative_position`` or ``max_relative_position``. The distances' vectors are
sinusoids and no weights: some files hold them, one table a layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu, head_class
from nlpcli.backbones.family import Family

DISTANCE = 64  # beyond it all distances are one
_TABLES = ("token_embedding", "segment_embedding")


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    values = {"max_relative_position": DISTANCE, **raw}
    return google_gelu(TransformerConfig.published(values, origin, {}, {}), dialect)


def claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    told = raw.get("use_relative_position") or "max_relative_position" in raw
    if raw.get("model_type") == "nezha":
        told = True
    has_words = any("word_embeddings" in name for name in names)
    has_places = any("position_embeddings" in name for name in names)
    if told and has_words and not has_places:
        return "BERT's names, relative positions in its configuration"
    return None


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    return {
        "architectures": [f"Nezha{head_class(parts)}"],
        "model_type": "nezha",
        **config.to_dict(),
    }


def _dialect(names: Collection[str], given: str) -> str:
    return "hf-bert" if any(n.startswith("bert.") for n in names) else given


def _tables(nezha: naming.Tables, bert: naming.Tables) -> naming.Tables:
    return {**nezha, "hf-bert": bert["hf"]}


FAMILY = Family(
    name="nezha",
    model_types=("nezha",),
    marks=((r"^nezha\.", "names begin with 'nezha.'"),),
    read=read,
    tables={
        "backbone": _tables(
            naming.encoder("nezha.", "bert/", _TABLES),
            naming.encoder("bert.", "", _TABLES),
        ),
        "pooler": _tables(naming.pooler("nezha.", "bert/"), naming.pooler("bert.", "")),
        "mlm": _tables(naming.masked_head(), naming.masked_head()),
        "nsp": _tables(naming.sentence_head(), naming.sentence_head()),
    },
    publish=publish,
    rank=50,
    claims=claims,
    dialect=_dialect,
    foreign="NEZHA, which transformers 5 has not",
)
