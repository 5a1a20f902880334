"""LLaMA, Mistral, Qwen2 and Qwen3: the decoders of today in one form.

RMS norms before attention and feed-forward and at the end, rotary positions over the
halves of a head (LLaMA's rotate_half, not RoFormer's neighbours), fewer key heads than
queries, a gated SiLU (Touvron et al. 2023, arXiv 2302.13971). Qwen2 has biases on
query, key and value; Qwen3 norms each head of query and key and has a head size of its
own. The output is the token table or a table of its own, as ``tie_word_embeddings``
says. A window of attention is exact up to its length, so there the positions end.
Stretched positions (rope_scaling) are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families import gpt2
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short

logger = logging.getLogger("nlpcli")

_NAMES = {
    "layer_norm_eps": "rms_norm_eps",
    "attention_probs_dropout_prob": "attention_dropout",
    "head_size": "head_dim",
}
_FIXED = {
    **gpt2.BARE,
    "embedding_norm": False,
    "norm": "rms",
    "norm_place": "pre",
    "final_norm": True,
    "gated": True,
    "positions": "rotary_halves",
    "hidden_dropout_prob": 0.0,
}
# What a configuration may leave out.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"max_position_embeddings": 2048},
    "mistral": {"max_position_embeddings": 131072, "num_key_value_heads": 8},
    "qwen2": {"max_position_embeddings": 32768},
    "qwen3": {"max_position_embeddings": 32768, "head_dim": 128},
}
_ALL = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_dropout": 0.0}
_NEVER = {"mlp_bias": False, "partial_rotary_factor": 1.0}
_KINDS = {"full_attention", "sliding_attention"}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    kind = raw.get("model_type", "llama")
    gpt2.refuse(raw, origin, _NEVER)
    given = {k: v for k, v in raw.items() if v is not None}
    values = {**_ALL, **_DEFAULTS.get(kind, {}), **given}
    values["rope_theta"] = _theta(values, origin)
    _shorten(values, kind, origin)
    biased = bool(values.get("attention_bias")) and kind != "qwen2"
    fixed = {
        **_FIXED,
        "qkv_bias": biased or kind == "qwen2",
        "dense_bias": biased,
        "feed_forward_bias": False,
        "query_key_norm": kind == "qwen3",
        "output": gpt2.tied(values, default=False),
    }
    known = {"num_key_value_heads", "rope_theta"}
    return TransformerConfig.published(values, origin, _NAMES, fixed, known)


def _theta(values: Mapping[str, Any], origin: str) -> Any:
    """The base of the angles; CheckpointError where positions are stretched."""
    stated = [values.get(key) for key in ("rope_parameters", "rope_scaling")]
    theta = values.get("rope_theta", 10000.0)
    for told in stated:
        if not told:
            continue
        kind = told.get("rope_type", told.get("type")) if isinstance(told, dict) else 0
        part = told.get("partial_rotary_factor", 1.0) if isinstance(told, dict) else 0
        if kind != "default" or part != 1.0:
            raise CheckpointError(
                f"{origin}: rotary positions: expected the plain ones, got "
                f"{short(repr(told))}, which nlpcli does not compute"
            )
        theta = told.get("rope_theta", theta)
    return theta


def _shorten(values: dict[str, Any], kind: str, origin: str) -> None:
    """Let positions end where a window of attention would begin to matter."""
    kinds = values.get("layer_types", [])
    if not isinstance(kinds, list) or not all(x in _KINDS for x in map(str, kinds)):
        raise CheckpointError(
            f"{origin}: layer_types: expected full_attention or sliding_attention, got "
            f"{short(repr(kinds))}"
        )
    window, longest = values.get("sliding_window"), values["max_position_embeddings"]
    if kind != "mistral" and not values.get("use_sliding_window"):
        window = window if "sliding_attention" in kinds else None
    if not isinstance(window, int) or not isinstance(longest, int):
        return
    if 0 < window < longest:
        told = "%s: its attention has a window of %d tokens: texts end there"
        logger.info(told, origin, window)
        values["max_position_embeddings"] = window


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    kind, name = _kind(config)
    values = config.to_dict()
    keys = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "hidden_act",
        "initializer_range",
    )
    heads = config.num_attention_heads
    return {
        "architectures": [name + gpt2.writer(config, parts, "ForCausalLM")],
        "model_type": kind,
        **{key: values[key] for key in keys},
        "num_key_value_heads": config.num_key_value_heads or heads,
        "head_dim": config.head_size or config.hidden_size // heads,
        "rms_norm_eps": config.layer_norm_eps,
        "attention_dropout": config.attention_probs_dropout_prob,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_bias": config.dense_bias,
        "tie_word_embeddings": config.output == "tied",
    }


def _kind(config: TransformerConfig) -> tuple[str, str]:
    """The model_type of these parts, and how transformers' classes begin."""
    if config.query_key_norm:
        return "qwen3", "Qwen3"
    if config.qkv_bias and not config.dense_bias:
        return "qwen2", "Qwen2"
    return "llama", "Llama"


def _claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    """These names are others' too, which the configuration tells."""
    if raw.get("model_type", "llama") not in FAMILY.model_types:
        return None
    if gpt2.has(names, "layers.0.self_attn.q_proj.weight") and gpt2.has(
        names, "layers.0.mlp.gate_proj.weight"
    ):
        return "LLaMA's names"
    return None


_PREFIX = "model."


def _rules() -> RuleTable:
    layer, ours = f"{_PREFIX}layers.{{i}}.", "layer_{i}/"
    attention, inner = f"{layer}self_attn.", f"{layer}mlp."
    qkv = [f"{attention}{part}_proj" for part in "qkv"]
    norms = {
        "attention_norm": f"{layer}input_layernorm",
        "feed_forward_norm": f"{layer}post_attention_layernorm",
    }
    return RuleTable(
        (
            Rule(
                "token_embedding/embeddings",
                f"{_PREFIX}embed_tokens.weight",
                vocab_axis=0,
            ),
            Rule(f"{ours}attention/qkv/kernel", tuple(f"{x}.weight" for x in qkv)),
            Rule(
                f"{ours}attention/qkv/bias",
                tuple(f"{x}.bias" for x in qkv),
                varies=True,
            ),
            Rule(f"{ours}attention/output/kernel", f"{attention}o_proj.weight"),
            Rule(
                f"{ours}attention/output/bias", f"{attention}o_proj.bias", varies=True
            ),
            *(
                Rule(
                    f"{ours}attention/{name}_norm/gamma",
                    f"{attention}{name[0]}_norm.weight",
                    varies=True,
                )
                for name in ("query", "key")
            ),
            *(Rule(f"{ours}{k}/gamma", f"{v}.weight") for k, v in norms.items()),
            Rule(
                f"{ours}feed_forward/intermediate/kernel",
                (f"{inner}gate_proj.weight", f"{inner}up_proj.weight"),
            ),
            Rule(f"{ours}feed_forward/output/kernel", f"{inner}down_proj.weight"),
            Rule("final_norm/gamma", f"{_PREFIX}norm.weight"),
        ),
        prefix=_PREFIX,
        ignorable=(r"rotary_emb\.inv_freq$", r"^lm_head\.weight$"),
    )


FAMILY = Family(
    name="llama",
    model_types=("llama", "mistral", "qwen2", "qwen3"),
    marks=(),
    read=read,
    tables={"backbone": {"hf": _rules()}, "mlm": gpt2.own_output()},
    publish=publish,
    rank=40,
    claims=_claims,
    unlike=("ForSequenceClassification", "ForTokenClassification"),
)
