"""The BERT family: BERT, RoBERTa-wwm, MacBERT, WoBERT, RBT, and E5/BGE in its form.

NEZHA (Wei et al. 2019, arXiv 1909.00204) is BERT with fixed relative positions: the
same names in its files, no position table.

Two published formats: Google's TensorFlow checkpoint (bert_config.json) and the
Hugging Face folder (config.json). Google's code computes GELU by the tanh formula
where its config says "gelu"; transformers computes the erf form for the same word,
so the format decides which one a model gets.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from nlpcli.backbones.transformer import TransformerConfig
from nlpcli.errors import CheckpointError, NotFoundError
from nlpcli.files.json_file import read_json_object, short

FAMILY = "bert"
NEZHA_DISTANCE = 64  # beyond it all distances are one

TINY = TransformerConfig(
    vocab_size=0,
    hidden_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=512,
    max_position_embeddings=512,
)


def read_config(folder: Path, dialect: str) -> tuple[TransformerConfig, dict[str, Any]]:
    """The configuration of a model folder, and its raw keys.

    ``dialect`` is that of the weights beside it, "hf" or "tf". Raises NotFoundError
    when there is none, CheckpointError when it is not BERT's.
    """
    names = ("config.json", "bert_config.json")
    paths = [folder / name for name in (names if dialect == "hf" else names[::-1])]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise NotFoundError(
            f"{folder}: expected config.json (Hugging Face) or bert_config.json "
            "(Google), found neither"
        )
    raw = read_json_object(path)
    family = raw.get("model_type", FAMILY)
    relative = family == "nezha" or bool(raw.get("use_relative_position"))
    if family != FAMILY and not relative:
        raise CheckpointError(
            f"{path}: model_type: expected 'bert', got {short(repr(family))} "
            "(other families are not supported yet)"
        )
    if relative:
        raw = {"max_relative_position": NEZHA_DISTANCE, **raw}
    config = TransformerConfig.from_dict(raw, str(path))
    if dialect == "tf" and config.hidden_act == "gelu":
        config = replace(config, hidden_act="gelu_new")
    return config, raw


def published_config(config: TransformerConfig, **others: Any) -> dict[str, Any]:
    """A config.json that transformers reads as the same model.

    transformers 5 has no NEZHA; its configuration is written as transformers 4 had it.
    """
    nezha = config.longest is None
    values = config.to_dict()
    if not nezha:
        del values["max_relative_position"]
    return {
        "architectures": ["NezhaModel" if nezha else "BertModel"],
        "model_type": "nezha" if nezha else FAMILY,
        **({} if nezha else {"position_embedding_type": "absolute"}),
        **values,
        **others,
    }
