"""Zhuiyi's tiny and small RoBERTa and SimBERT: BERT with a narrow token table.

(github.com/ZhuiyiTechnology/pretrained-models; bert4keras 0.11 reads them.) BERT's
TensorFlow names, and ``bert/encoder/embedding_hidden_mapping_in`` after the norm and
dropout of the embeddings. The forms with a "+" have queries and keys wider than values
(``attention_key_size``). Their "RoBERTa" is BERT without the second sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu
from nlpcli.backbones.family import Family

_NAMES = {"key_size": "attention_key_size", "head_size": "attention_head_size"}
_MAPPING = "embedding_hidden_mapping_in"


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    fixed = {"max_relative_position": 0}
    known = {"embedding_size"}
    config = TransformerConfig.published(raw, origin, _NAMES, fixed, known)
    if config.embedding_size == config.hidden_size:
        config = replace(config, embedding_size=0)
    return google_gelu(config, dialect)


def claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    bert = [n for n in names if n.startswith(("bert/encoder/", "bert.encoder."))]
    if raw.get("model_type", "bert") not in ("bert", "zhuiyi"):
        return None  # a RoFormer with a narrow table
    if any(_MAPPING in name for name in bert) and not any("group_" in n for n in bert):
        return "BERT's names, and a projection behind the token table"
    if bert and ("attention_key_size" in raw or "attention_head_size" in raw):
        return "BERT's names, queries and keys of their own width"
    return None


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    del values["max_relative_position"]
    told = {_NAMES.get(name, name): value for name, value in values.items()}
    return {"model_type": "zhuiyi", **told}


FAMILY = Family(
    name="zhuiyi",
    model_types=("zhuiyi",),
    marks=(),
    read=read,
    tables={
        "backbone": naming.encoder(
            "bert.", "bert/", projection=(f"encoder.{_MAPPING}", f"encoder/{_MAPPING}")
        ),
        "pooler": naming.pooler("bert.", "bert/"),
        "mlm": naming.masked_head(),
        "nsp": naming.sentence_head(),
    },
    publish=publish,
    rank=40,
    claims=claims,
    foreign="a BERT with a projection behind its token table, which transformers has "
    "not",
)
