"""GPT-2 (Radford et al. 2019): Chinese ones on BERT's vocabulary, and CPM-LM.

Norms before attention and feed-forward and after the last block, learnt positions, GELU
by the tanh formula; the output is the token table, without a bias. Published kernels of
Hugging Face are (in, out), with query, key and value in one (Conv1D); files may hold
the masks (attn.bias) and a copy of the token table (lm_head). The names that begin with
``gpt/`` are bert4keras's of CPM-LM (bojone/CPM_LM_bert4keras).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nlpcli.backbones import naming
from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.families.bert import google_gelu
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short

NAMES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "hidden_act": "activation_function",
    "layer_norm_eps": "layer_norm_epsilon",
    "hidden_dropout_prob": "resid_pdrop",
    "attention_probs_dropout_prob": "attn_pdrop",
}
# What no decoder of this kind has.
BARE = {
    "type_vocab_size": 0,
    "max_relative_position": 0,
    "causal": True,
    "output_bias": False,
}
_DEFAULTS = {
    "n_positions": 1024,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
}
# Keys that change what is computed, and the value that changes nothing.
_NEVER = {"scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
_HEAD = r"^lm_head\.weight$"
_BUFFERS = r"\.attn\.(bias|masked_bias)$"


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    refuse(raw, origin, _NEVER)
    fixed: dict[str, Any] = {
        **BARE,
        "embedding_norm": False,
        "norm_place": "pre",
        "final_norm": True,
        "scaled_attention": raw.get("scale_attn_weights", True) is not False,
        "output": tied(raw, default=True),
    }
    if dialect == "tf":  # bert4keras's, under BERT's names
        values = {"layer_norm_eps": 1e-5, **raw}
        return google_gelu(
            TransformerConfig.published(values, origin, {}, fixed), dialect
        )
    values = with_defaults(raw, _DEFAULTS)
    return TransformerConfig.published(values, origin, NAMES, fixed)


def with_defaults(
    raw: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """A configuration of GPT's with what it may leave out."""
    values = {**defaults, **{k: v for k, v in raw.items() if v is not None}}
    if isinstance(values.get("n_embd"), int):
        values.setdefault("n_inner", 4 * values["n_embd"])
    return values


def refuse(raw: Mapping[str, Any], origin: str, never: Mapping[str, Any]) -> None:
    """Raise CheckpointError for a value under which something else is computed."""
    problems = [
        f"{origin}: {key}: expected {want!r}, got {short(repr(raw[key]))}, which is "
        "not computed here"
        for key, want in never.items()
        if key in raw and raw[key] != want
    ]
    if problems:
        raise CheckpointError("\n".join(problems))


def tied(raw: Mapping[str, Any], default: bool) -> str:
    """Whether the output is the token table, or a table of its own."""
    return "tied" if raw.get("tie_word_embeddings", default) else "own"


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    return {
        "architectures": ["GPT2" + writer(config, parts, "LMHeadModel")],
        "model_type": "gpt2",
        **renamed(config, NAMES),
        "embd_pdrop": config.hidden_dropout_prob,
        "scale_attn_weights": config.scaled_attention,
        "tie_word_embeddings": config.output == "tied",
    }


def writer(config: TransformerConfig, parts: Collection[str], name: str) -> str:
    """The end of the name of transformers' class: with an output where it is known."""
    return name if config.output == "tied" or "mlm" in parts else "Model"


def renamed(config: TransformerConfig, names: Mapping[str, str]) -> dict[str, Any]:
    """The sizes under published names."""
    values = {**NAMES, **names}
    keys = ("vocab_size", "initializer_range", *values)
    return {names.get(key, key): getattr(config, key) for key in keys}


def blocks(prefix: str) -> list[Rule]:
    """GPT's names of a block, which its relatives share."""
    h, ours = f"{prefix}h.{{i}}.", "layer_{i}/"
    return [
        *conv1d(f"{ours}attention/qkv", f"{h}attn.c_attn"),
        *conv1d(f"{ours}attention/output", f"{h}attn.c_proj"),
        *naming.norm_hf(f"{ours}attention_norm", f"{h}ln_1"),
        *conv1d(f"{ours}feed_forward/intermediate", f"{h}mlp.c_fc"),
        *conv1d(f"{ours}feed_forward/output", f"{h}mlp.c_proj"),
        *naming.norm_hf(f"{ours}feed_forward_norm", f"{h}ln_2"),
    ]


def conv1d(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A dense layer whose kernel is (in, out)."""
    return (
        Rule(f"{ours}/kernel", f"{theirs}.weight", transpose=True),
        Rule(f"{ours}/bias", f"{theirs}.bias"),
    )


def table(prefix: str, rules: list[Rule]) -> RuleTable:
    """Rules of GPT's names, with the buffers that its files may hold."""
    return RuleTable(tuple(rules), prefix=prefix, ignorable=(_BUFFERS, _HEAD))


def gpt_tf(final: list[Rule], tables: tuple[str, ...]) -> RuleTable:
    """bert4keras's names, BERT's under ``gpt/transformer``.

    Norms have the names that BERT's have after attention and feed-forward; those of
    GPT-2 stand before them.
    """
    spelt = naming.encoder("", "gpt/", tables)["tf"].rules
    old, new = "/encoder/", "/transformer/"
    rules = [
        replace(rule, theirs=tuple(name.replace(old, new) for name in rule.sources))
        for rule in spelt
        if not rule.ours.startswith("embedding_norm")
    ]
    return naming.tf_table([*rules, *final])


def own_output(name: str = "lm_head.weight") -> naming.Tables:
    """A table of the output's own, where it is not tied."""
    return {"hf": RuleTable((Rule("mlm/table/kernel", name, vocab_axis=0),))}


def has(names: Collection[str], ending: str) -> bool:
    """Whether a name of a file is that one, under any prefix."""
    return any(name == ending or name.endswith(f".{ending}") for name in names)


def norm_after(names: Collection[str]) -> bool:
    """Whether norms stand after attention, in bert4keras's names."""
    return "gpt/transformer/layer_0/attention/output/LayerNorm/gamma" in names


def _claims(raw: Mapping[str, Any], names: Collection[str]) -> str | None:
    if raw.get("model_type", "gpt2") not in FAMILY.model_types:
        return None
    if has(names, "h.0.attn.c_attn.weight"):
        return "GPT-2's names"
    if any(name.startswith("gpt/") for name in names) and not norm_after(names):
        return "names begin with 'gpt/', norms before attention"
    return None


def _norms_before(rules: RuleTable) -> RuleTable:
    """bert4keras's GPT-2: attention/input/LayerNorm and input/LayerNorm."""
    old, new = "/output/LayerNorm", "/input/LayerNorm"
    return naming.tf_table(
        replace(rule, theirs=tuple(name.replace(old, new) for name in rule.sources))
        if rule.ours.startswith("layer_")
        else rule
        for rule in rules.rules
    )


_PREFIX = "transformer."
FAMILY = Family(
    name="gpt2",
    model_types=("gpt2",),
    marks=(),
    read=read,
    tables={
        "backbone": {
            "hf": table(
                _PREFIX,
                [
                    Rule(
                        "token_embedding/embeddings",
                        f"{_PREFIX}wte.weight",
                        vocab_axis=0,
                    ),
                    Rule("position_embedding/embeddings", f"{_PREFIX}wpe.weight"),
                    *blocks(_PREFIX),
                    *naming.norm_hf("final_norm", f"{_PREFIX}ln_f"),
                ],
            ),
            "tf": _norms_before(
                gpt_tf(
                    [*naming.norm_tf("final_norm", "gpt/output")],
                    ("token_embedding", "position_embedding"),
                )
            ),
        },
        "mlm": own_output(),
    },
    publish=publish,
    rank=40,
    claims=_claims,
    unlike=("ForSequenceClassification",),
)
