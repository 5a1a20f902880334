"""GPT2_ML (imcaspar/gpt2-ml): the Chinese Grover, no GPT-2 but for its name.

Token and position, normed; x += attention(x); x = LN(x + feed-forward(LN(x))): the
residual passes by the norm between them. GELU is the erf form, epsilon 1e-5; the output
is the token table, without a bias. An answer has no end token: texts end at "。" or
where they are cut. TensorFlow names have layers of two digits; those of the PyTorch
copies are GPT-2's and an ``emb_norm``. GPT-2's code loads these and writes nonsense.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families import gpt2
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule

_FIXED = {**gpt2.BARE, "norm_place": "between", "layer_norm_eps": 1e-5}
_DEFAULTS = {"max_position_embeddings": 1024, "hidden_act": "gelu"}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    fixed = {**_FIXED, "output": "tied"}
    if "n_embd" not in raw:
        values = {**_DEFAULTS, **raw}
        return TransformerConfig.published(values, origin, {}, fixed)
    # a PyTorch copy, which says GPT-2 and its keys
    values = gpt2.with_defaults(raw, {"n_positions": 1024})
    values["activation_function"] = "gelu"
    names = {k: v for k, v in gpt2.NAMES.items() if k not in fixed}
    return TransformerConfig.published(values, origin, names, fixed)


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    values = config.to_dict()
    parts_of = ("embedding", "norm_place", "causal", "output", "max_relative")
    sizes = {k: v for k, v in values.items() if not k.startswith(parts_of)}
    return {"model_type": "gpt2_ml", **sizes}


def _claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    if any(name.startswith("newslm/") for name in names):
        return "names begin with 'newslm/'"
    if gpt2.has(names, "emb_norm.weight") and gpt2.has(names, "wte.weight"):
        return "GPT-2's names and a norm of the embeddings"
    return None


_PREFIX = "transformer."
_LAYER = "newslm/layer{ii}/"
_EMBEDDINGS = "newslm/embeddings/"


def _dense(ours: str, *theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/kernel", tuple(f"{t}/kernel" for t in theirs), transpose=True),
        Rule(f"{ours}/bias", tuple(f"{t}/bias" for t in theirs)),
    )


def _norm(ours: str, theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/gamma", f"{theirs}/gamma"),
        Rule(f"{ours}/beta", f"{theirs}/beta"),
    )


FAMILY = Family(
    name="gpt2_ml",
    model_types=("gpt2_ml",),
    marks=(),
    read=read,
    tables={
        "backbone": {
            "hf": gpt2.table(
                _PREFIX,
                [
                    Rule(
                        "token_embedding/embeddings",
                        f"{_PREFIX}wte.weight",
                        vocab_axis=0,
                    ),
                    Rule("position_embedding/embeddings", f"{_PREFIX}wpe.weight"),
                    *naming.norm_hf("embedding_norm", f"{_PREFIX}emb_norm"),
                    *gpt2.blocks(_PREFIX),
                ],
            ),
            "tf": naming.tf_table(
                [
                    Rule(
                        "token_embedding/embeddings",
                        f"{_EMBEDDINGS}word_embed",
                        vocab_axis=0,
                    ),
                    Rule("position_embedding/embeddings", f"{_EMBEDDINGS}pos_embed"),
                    *_norm("embedding_norm", f"{_EMBEDDINGS}LayerNorm_embed_norm"),
                    *_dense(
                        "layer_{i}/attention/qkv",
                        *(f"{_LAYER}{x}_layer" for x in ("query", "key", "value")),
                    ),
                    *_dense(
                        "layer_{i}/attention/output",
                        f"{_LAYER}context_projection_layer",
                    ),
                    *_norm("layer_{i}/attention_norm", f"{_LAYER}LayerNorm_mlp_ln0"),
                    *_dense(
                        "layer_{i}/feed_forward/intermediate", f"{_LAYER}intermediate"
                    ),
                    *_dense("layer_{i}/feed_forward/output", f"{_LAYER}output"),
                    *_norm("layer_{i}/feed_forward_norm", f"{_LAYER}LayerNorm_mlp_ln1"),
                ]
            ),
        },
    },
    publish=publish,
    rank=30,
    claims=_claims,
    foreign="GPT2_ML, which transformers has not",
)
