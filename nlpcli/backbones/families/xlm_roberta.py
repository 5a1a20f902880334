"""XLM-RoBERTa's form (Conneau et al. 2019, arXiv 1911.02116): E5 large, BGE-M3, and
RoBERTa itself where its tokenizer can be read.

BERT's blocks with one row of segments and positions from the row behind that of padding
(514 rows are 512 positions). Its head always computes the erf GELU, whatever the
configuration says (transformers 5, XLMRobertaLMHead). HFL's Chinese "RoBERTa" are BERTs
and not of this form; files in BPE are refused by their tokenizer, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short

MOST_PADDING = 14  # rows before that of padding, which no file has more of


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    padding = raw.get("pad_token_id", 1)
    if type(padding) is not int or not 0 <= padding <= MOST_PADDING:
        raise CheckpointError(
            f"{origin}: pad_token_id: expected a number from 0 to {MOST_PADDING}, the "
            f"row of positions before the first, got {short(repr(padding))}"
        )
    fixed = {
        "max_relative_position": 0,
        "position_offset": padding + 1,
        "head_act": "gelu",
    }
    return TransformerConfig.published(raw, origin, {}, fixed)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    for name in ("max_relative_position", "position_offset", "head_act"):
        values.pop(name, None)
    head = "ForMaskedLM" if "mlm" in parts else "Model"
    return {
        "architectures": [f"XLMRoberta{head}"],
        "model_type": "xlm-roberta",
        "pad_token_id": config.position_offset - 1,
        **values,
    }


_HEAD = naming.hf_table(
    "roberta.",
    (
        *naming.dense_hf("mlm/transform", "lm_head.dense"),
        *naming.norm_hf("mlm/norm", "lm_head.layer_norm"),
        Rule("mlm/bias", "lm_head.bias", vocab_axis=0),
    ),
)

FAMILY = Family(
    name="xlm-roberta",
    model_types=("xlm-roberta", "roberta"),
    marks=((r"^roberta\.", "names begin with 'roberta.'"),),
    read=read,
    tables={
        "backbone": {"hf": naming.encoder("roberta.", "")["hf"]},
        "pooler": {"hf": naming.pooler("roberta.", "")["hf"]},
        "mlm": {"hf": _HEAD},
    },
    publish=publish,
    rank=30,
    unlike=("ForSequenceClassification",),
)
