"""CDial-GPT (Wang et al. 2020, arXiv 2008.03946), in the form of the first GPT.

Token and position, no norm; norms after attention and feed-forward, none at the end;
the output is the token table, without a bias. "gelu" is the tanh formula here, in
transformers too. A token's speaker is told by adding the row of [speaker1] or
[speaker2], of the token table itself: the tokens of segments 0 and 1 where the
vocabulary has them. The names that begin with ``gpt/`` are bert4keras's
(bojone/CDial-GPT-tf), whose rows 0 and 1 changed places, as its vocabulary says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families import gpt2
from nlpcli.backbones.families.bert import google_gelu
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule

_NAMES = {**gpt2.NAMES, "hidden_act": "afn"}
_FIXED = {
    **gpt2.BARE,
    "embedding_norm": False,
    "segment_tokens": "[speaker1] [speaker2]",
}
_DEFAULTS = {"n_positions": 512, "afn": "gelu", "layer_norm_epsilon": 1e-5}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    fixed = {**_FIXED, "output": gpt2.tied(raw, default=True)}
    if dialect == "tf":  # bert4keras's, under BERT's names
        values = {"layer_norm_eps": 1e-5, **raw}
        return google_gelu(
            TransformerConfig.published(values, origin, {}, fixed), dialect
        )
    given = {key: value for key, value in raw.items() if key != "n_inner"}
    values = gpt2.with_defaults(given, _DEFAULTS)
    if values["afn"] == "gelu":
        values["afn"] = "gelu_new"
    return TransformerConfig.published(values, origin, _NAMES, fixed)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = gpt2.renamed(config, _NAMES)
    if values["afn"] == "gelu_new":
        values["afn"] = "gelu"
    del values["n_inner"]
    return {
        "architectures": ["OpenAIGPT" + gpt2.writer(config, parts, "LMHeadModel")],
        "model_type": "openai-gpt",
        **values,
        "embd_pdrop": config.hidden_dropout_prob,
        "tie_word_embeddings": config.output == "tied",
    }


def _claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    if gpt2.has(names, "tokens_embed.weight"):
        return "names of the first GPT"
    if gpt2.norm_after(names) and any(n.startswith("gpt/") for n in names):
        return "names begin with 'gpt/'"
    return None


_PREFIX = "transformer."


FAMILY = Family(
    name="openai-gpt",
    model_types=("openai-gpt",),
    marks=(),
    read=read,
    tables={
        "backbone": {
            "hf": gpt2.table(
                _PREFIX,
                [
                    Rule(
                        "token_embedding/embeddings",
                        f"{_PREFIX}tokens_embed.weight",
                        vocab_axis=0,
                    ),
                    Rule(
                        "position_embedding/embeddings",
                        f"{_PREFIX}positions_embed.weight",
                    ),
                    *gpt2.blocks(_PREFIX),
                ],
            ),
            "tf": gpt2.gpt_tf([], ("token_embedding", "position_embedding")),
        },
        "mlm": gpt2.own_output(),
    },
    publish=publish,
    rank=35,  # before GPT-2, whose blocks have the same names
    claims=_claims,
    unlike=("ForSequenceClassification", "ForTokenClassification"),
)
