"""BERT: also RoBERTa-wwm, MacBERT, WoBERT, RBT, and E5 and BGE in its form.

Two published formats: Google's TensorFlow checkpoint (bert_config.json) and the
Hugging Face folder (config.json). Google's code computes GELU by the tanh formula
where its config says "gelu"; transformers computes the erf form for the same word,
so the format decides which one a model gets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family

TINY = TransformerConfig(
    vocab_size=0,
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=512,
    max_position_embeddings=512,
)


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    config = TransformerConfig.published(raw, origin, {}, {"max_relative_position": 0})
    return google_gelu(config, dialect)


def google_gelu(config: TransformerConfig, dialect: str) -> TransformerConfig:
    """GELU as the code computes it that wrote a file of this dialect."""
    if dialect.startswith("tf") and config.hidden_act == "gelu":
        return replace(config, hidden_act="gelu_new")
    return config


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    del values["max_relative_position"]
    return {
        "architectures": [f"Bert{head_class(parts)}"],
        "model_type": "bert",
        "position_embedding_type": "absolute",
        **values,
    }


def head_class(parts: Collection[str]) -> str:
    """The end of the name of transformers' class that has these parts."""
    if "mlm" in parts:
        return "ForPreTraining" if "nsp" in parts else "ForMaskedLM"
    return "Model"


FAMILY = Family(
    name="bert",
    model_types=("bert",),
    marks=(
        (
            r"^(bert[./])?(embeddings|encoder)[./].*(word_embeddings|attention[./]self)",
            "BERT's names",
        ),
        (r"^(bert|cls)[./]", "BERT's names"),
    ),
    read=read,
    tables={
        "backbone": naming.encoder("bert.", "bert/"),
        "pooler": naming.pooler("bert.", "bert/"),
        "mlm": naming.masked_head(),
        "nsp": naming.sentence_head(),
    },
    publish=publish,
    rank=100,
)
