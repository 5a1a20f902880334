"""Names of weights that families share: BERT's, under any prefix.

Ours are relative to the backbone (``mlm/``, ``nsp/`` and ``pooler/`` to the model that
has them). Linear weights of Hugging Face files and ours are (out, in), Google's (in,
out), but for the next-sentence matrix, (2, hidden) (google-research/bert
run_pretraining.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nlpcli.checkpoints.table import Rule, RuleTable

Tables = dict[str, RuleTable]  # by dialect

_SPELLINGS = (
    ("LayerNorm.gamma", "LayerNorm.weight"),
    ("LayerNorm.beta", "LayerNorm.bias"),
)
# Buffers, and the output layer of the MLM head, which is tied: its weight is the
# token table, its bias a second name of the head's own.
_BUFFERS = (
    r"embeddings\.(position_ids|token_type_ids)$",
    r"relative_positions_encoding\.positions_encoding$",
    r"encoder\.embed_positions\.weight$",
    r"^((cls\.)?predictions|lm_head)\.decoder\.(weight|bias)$",
    r"^generator_lm_head\.weight$",
)
EMBEDDINGS = {
    "token_embedding": "word_embeddings",
    "segment_embedding": "token_type_embeddings",
    "position_embedding": "position_embeddings",
    "task_embedding": "task_type_embeddings",
}
# A layer by its parts: ours -> (the Hugging Face part, Google's part).
_DENSE = {
    "attention/output": ("attention.output.dense", "attention/output/dense"),
    "feed_forward/intermediate": ("intermediate.dense", "intermediate/dense"),
    "feed_forward/output": ("output.dense", "output/dense"),
}
_NORMS = {
    "attention_norm": ("attention.output", "attention/output"),
    "feed_forward_norm": ("output", "output"),
}


def hf_table(prefix: str, rules: Iterable[Rule]) -> RuleTable:
    """Rules of Hugging Face names; the prefix may be missing from a file."""
    return RuleTable(
        tuple(rules), prefix=prefix, spellings=_SPELLINGS, ignorable=_BUFFERS
    )


def tf_table(rules: Iterable[Rule]) -> RuleTable:
    """Rules of Google's names."""
    return RuleTable(tuple(rules))


def dense_hf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A dense layer of Hugging Face's."""
    return (
        Rule(f"{ours}/kernel", f"{theirs}.weight"),
        Rule(f"{ours}/bias", f"{theirs}.bias"),
    )


def dense_tf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A dense layer of Google's."""
    return (
        Rule(f"{ours}/kernel", f"{theirs}/kernel", transpose=True),
        Rule(f"{ours}/bias", f"{theirs}/bias"),
    )


def norm_hf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A layer norm of Hugging Face's."""
    return Rule(f"{ours}/gamma", f"{theirs}.weight"), Rule(
        f"{ours}/beta", f"{theirs}.bias"
    )


def norm_tf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A layer norm of Google's."""
    return (
        Rule(f"{ours}/gamma", f"{theirs}/LayerNorm/gamma"),
        Rule(f"{ours}/beta", f"{theirs}/LayerNorm/beta"),
    )


def encoder(
    hf: str,
    tf: str,
    tables: Iterable[str] = (
        "token_embedding",
        "segment_embedding",
        "position_embedding",
    ),
    projection: tuple[str, str] | None = None,
    tables_at: str | None = None,
) -> Tables:
    """An encoder with BERT's names under other prefixes, as ``bert.`` and ``bert/``.

    ``tables``: those of embeddings that it has. ``projection``: what Hugging Face and
    Google call the dense layer that makes embeddings as wide as hidden states.
    ``tables_at``: Google's prefix of the embeddings, where it is another.
    """
    tables, (first, second) = tuple(tables), projection or ("", "")
    at = tf if tables_at is None else tables_at
    rules = [
        *embeddings_hf(hf, tables),
        *_layers_hf(hf),
        *(spare(dense_hf("embedding_projection", f"{hf}{first}")) if first else ()),
    ]
    googles = [
        *embeddings_tf(at, tables),
        *_layers_tf(tf),
        *(spare(dense_tf("embedding_projection", f"{tf}{second}")) if second else ()),
    ]
    return {"hf": hf_table(hf, rules), "tf": tf_table(googles)}


def spare(rules: Iterable[Rule]) -> list[Rule]:
    """Rules of what a model of some sizes has."""
    return [replace(rule, spare=True) for rule in rules]


def embeddings_hf(prefix: str, tables: Iterable[str]) -> list[Rule]:
    """Tables of embeddings and their norm in Hugging Face files."""
    return [
        *_embeddings(f"{prefix}embeddings.{{}}.weight", tables),
        *norm_hf("embedding_norm", f"{prefix}embeddings.LayerNorm"),
    ]


def embeddings_tf(prefix: str, tables: Iterable[str]) -> list[Rule]:
    """Tables of embeddings and their norm in Google's files."""
    return [
        *_embeddings(f"{prefix}embeddings/{{}}", tables),
        *norm_tf("embedding_norm", f"{prefix}embeddings"),
    ]


def _embeddings(theirs: str, tables: Iterable[str]) -> list[Rule]:
    return [
        Rule(
            f"{ours}/embeddings",
            theirs.format(EMBEDDINGS[ours]),
            vocab_axis=0 if ours == "token_embedding" else None,
            spare=ours == "task_embedding",
        )
        for ours in tables
    ]


def _layers_hf(prefix: str) -> list[Rule]:
    layer = f"{prefix}encoder.layer.{{i}}"
    rules = []
    rules += fused_hf("layer_{i}", f"{layer}.attention.self")
    for ours, (theirs, _) in _DENSE.items():
        rules += dense_hf(f"layer_{{i}}/{ours}", f"{layer}.{theirs}")
    for ours, (theirs, _) in _NORMS.items():
        rules += norm_hf(f"layer_{{i}}/{ours}", f"{layer}.{theirs}.LayerNorm")
    return rules


def _layers_tf(prefix: str) -> list[Rule]:
    layer = f"{prefix}encoder/layer_{{i}}"
    rules = []
    rules += fused_tf("layer_{i}", f"{layer}/attention/self")
    for ours, (_, theirs) in _DENSE.items():
        rules += dense_tf(f"layer_{{i}}/{ours}", f"{layer}/{theirs}")
    for ours, (_, theirs) in _NORMS.items():
        rules += norm_tf(f"layer_{{i}}/{ours}", f"{layer}/{theirs}")
    return rules


_QKV = ("query", "key", "value")


def fused_hf(layer: str, theirs: str) -> list[Rule]:
    """Queries, keys and values of a layer of Hugging Face's."""
    return [
        Rule(
            f"{layer}/attention/qkv/{ours}",
            tuple(f"{theirs}.{part}.{ending}" for part in _QKV),
        )
        for ours, ending in (("kernel", "weight"), ("bias", "bias"))
    ]


def fused_tf(layer: str, theirs: str) -> list[Rule]:
    """Queries, keys and values of a layer of Google's."""
    return [
        Rule(
            f"{layer}/attention/qkv/{ending}",
            tuple(f"{theirs}/{part}/{ending}" for part in _QKV),
            transpose=ending == "kernel",
        )
        for ending in ("kernel", "bias")
    ]


def pooler(hf: str, tf: str) -> Tables:
    """The dense layer over the first token."""
    return {
        "hf": hf_table(hf, dense_hf("pooler", f"{hf}pooler.dense")),
        "tf": tf_table(dense_tf("pooler", f"{tf}pooler/dense")),
    }


def masked_head(hf: str = "") -> Tables:
    """BERT's head for masked tokens."""
    return {
        "hf": hf_table(
            hf,
            (
                *dense_hf("mlm/transform", "cls.predictions.transform.dense"),
                *norm_hf("mlm/norm", "cls.predictions.transform.LayerNorm"),
                Rule("mlm/bias", "cls.predictions.bias", vocab_axis=0),
            ),
        ),
        "tf": tf_table(
            (
                *dense_tf("mlm/transform", "cls/predictions/transform/dense"),
                *norm_tf("mlm/norm", "cls/predictions/transform"),
                Rule("mlm/bias", "cls/predictions/output_bias", vocab_axis=0),
            )
        ),
    }


def sentence_head(ours: str = "nsp") -> Tables:
    """BERT's head for the next sentence, or another about two sentences."""
    return {
        "hf": hf_table("", dense_hf(ours, "cls.seq_relationship")),
        "tf": tf_table(
            (
                Rule(f"{ours}/kernel", "cls/seq_relationship/output_weights"),
                Rule(f"{ours}/bias", "cls/seq_relationship/output_bias"),
            )
        ),
    }
