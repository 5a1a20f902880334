"""The names of BERT's weights in Hugging Face files and in Google's TensorFlow files.

Ours are relative to the backbone (``mlm/`` and ``nsp/`` to the model that has them).
Linear weights of Hugging Face files and ours are (out, in), Google's (in, out), but for
the next-sentence matrix, (2, hidden) (google-research/bert run_pretraining.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nlpcli.checkpoints.families import Family
from nlpcli.checkpoints.rules import resolve
from nlpcli.checkpoints.source import Shape, Source
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.errors import CheckpointError

_OURS = "backbone/"  # before each path, where a run keeps it
MOST_GAPS = 100  # lines of a message; twelve wrong layers are 192

_FOREIGN = {
    "roberta.": (
        "the RoBERTa or XLM-R form (positions begin at 2, another tokenizer), which is "
        "not BERT; the Chinese RoBERTa-wwm files are BERT and have names with 'bert.'"
    ),
    "albert.": "ALBERT, recognised but not supported yet",
    "electra.": "ELECTRA, recognised but not supported yet",
    "electra/": "ELECTRA, recognised but not supported yet",
    "nezha.": "NEZHA, recognised but not supported yet",
    "roformer.": "RoFormer, recognised but not supported yet",
    "bert/encoder/transformer/group_0": "ALBERT, recognised but not supported yet",
    "bert/encoder/layer_shared": "ALBERT (brightmart's), recognised, not supported yet",
    "bert/encoder/embedding_hidden_mapping_in": (
        "factorised embeddings (Zhuiyi's tiny and small), not supported yet"
    ),
}


def _hf(*rules: Rule) -> RuleTable:
    return RuleTable(
        rules,
        prefix="bert.",
        spellings=(
            ("LayerNorm.gamma", "LayerNorm.weight"),
            ("LayerNorm.beta", "LayerNorm.bias"),
        ),
        # Buffers, and the output layer of the MLM head, which is tied: its weight is
        # the token table, its bias a second name of cls.predictions.bias.
        ignorable=(
            r"embeddings\.(position_ids|token_type_ids)$",
            r"^cls\.predictions\.decoder\.(weight|bias)$",
        ),
        foreign=_FOREIGN,
    )


def _tf(*rules: Rule) -> RuleTable:
    return RuleTable(rules, foreign=_FOREIGN)


def _dense_hf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/kernel", f"{theirs}.weight"),
        Rule(f"{ours}/bias", f"{theirs}.bias"),
    )


def _dense_tf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/kernel", f"{theirs}/kernel", transpose=True),
        Rule(f"{ours}/bias", f"{theirs}/bias"),
    )


def _norm_hf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/gamma", f"{theirs}.LayerNorm.weight"),
        Rule(f"{ours}/beta", f"{theirs}.LayerNorm.bias"),
    )


def _norm_tf(ours: str, theirs: str) -> tuple[Rule, Rule]:
    return (
        Rule(f"{ours}/gamma", f"{theirs}/LayerNorm/gamma"),
        Rule(f"{ours}/beta", f"{theirs}/LayerNorm/beta"),
    )


def _fused(theirs: str, ending: str) -> tuple[str, ...]:
    return tuple(theirs.format(part, ending) for part in ("query", "key", "value"))


_EMBEDDINGS = {
    "token_embedding": "word_embeddings",
    "segment_embedding": "token_type_embeddings",
    "position_embedding": "position_embeddings",
}
_LAYER_HF = "bert.encoder.layer.{i}"
_LAYER_TF = "bert/encoder/layer_{i}"
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
_QKV_HF = "bert.encoder.layer.{{i}}.attention.self.{}.{}"
_QKV_TF = "bert/encoder/layer_{{i}}/attention/self/{}/{}"

RULES: dict[str, RuleTable] = {
    "hf": _hf(
        *(
            Rule(
                f"{ours}/embeddings",
                f"bert.embeddings.{theirs}.weight",
                vocab_axis=0 if ours == "token_embedding" else None,
            )
            for ours, theirs in _EMBEDDINGS.items()
        ),
        *_norm_hf("embedding_norm", "bert.embeddings"),
        Rule("layer_{i}/attention/qkv/kernel", _fused(_QKV_HF, "weight")),
        Rule("layer_{i}/attention/qkv/bias", _fused(_QKV_HF, "bias")),
        *(
            rule
            for ours, (theirs, _) in _DENSE.items()
            for rule in _dense_hf(f"layer_{{i}}/{ours}", f"{_LAYER_HF}.{theirs}")
        ),
        *(
            rule
            for ours, (theirs, _) in _NORMS.items()
            for rule in _norm_hf(f"layer_{{i}}/{ours}", f"{_LAYER_HF}.{theirs}")
        ),
    ),
    "tf": _tf(
        *(
            Rule(
                f"{ours}/embeddings",
                f"bert/embeddings/{theirs}",
                vocab_axis=0 if ours == "token_embedding" else None,
            )
            for ours, theirs in _EMBEDDINGS.items()
        ),
        *_norm_tf("embedding_norm", "bert/embeddings"),
        Rule(
            "layer_{i}/attention/qkv/kernel", _fused(_QKV_TF, "kernel"), transpose=True
        ),
        Rule("layer_{i}/attention/qkv/bias", _fused(_QKV_TF, "bias")),
        *(
            rule
            for ours, (_, theirs) in _DENSE.items()
            for rule in _dense_tf(f"layer_{{i}}/{ours}", f"{_LAYER_TF}/{theirs}")
        ),
        *(
            rule
            for ours, (_, theirs) in _NORMS.items()
            for rule in _norm_tf(f"layer_{{i}}/{ours}", f"{_LAYER_TF}/{theirs}")
        ),
    ),
}

POOLER_RULES: dict[str, RuleTable] = {
    "hf": _hf(*_dense_hf("pooler", "bert.pooler.dense")),
    "tf": _tf(*_dense_tf("pooler", "bert/pooler/dense")),
}

MLM_RULES: dict[str, RuleTable] = {
    "hf": _hf(
        *_dense_hf("mlm/transform", "cls.predictions.transform.dense"),
        *_norm_hf("mlm/norm", "cls.predictions.transform"),
        Rule("mlm/bias", "cls.predictions.bias", vocab_axis=0),
    ),
    "tf": _tf(
        *_dense_tf("mlm/transform", "cls/predictions/transform/dense"),
        *_norm_tf("mlm/norm", "cls/predictions/transform"),
        Rule("mlm/bias", "cls/predictions/output_bias", vocab_axis=0),
    ),
}

NSP_RULES: dict[str, RuleTable] = {
    "hf": _hf(*_dense_hf("nsp", "cls.seq_relationship")),
    "tf": _tf(
        Rule("nsp/kernel", "cls/seq_relationship/output_weights"),
        Rule("nsp/bias", "cls/seq_relationship/output_bias"),
    ),
}


def expected_shapes(config: Mapping[str, Any]) -> dict[str, dict[str, Shape]]:
    """Paths and shapes that a published configuration promises, by part.

    Parts are backbone, pooler, mlm and nsp. Raises ValueError for a configuration that
    lacks a size or has an absurd one.
    """
    vocab, hidden = _size(config, "vocab_size"), _size(config, "hidden_size")
    inner = _size(config, "intermediate_size")
    backbone: dict[str, Shape] = {
        "token_embedding/embeddings": (vocab, hidden),
        "segment_embedding/embeddings": (_size(config, "type_vocab_size", 2), hidden),
        **_norm_shapes("embedding_norm", hidden),
    }
    if not config.get("max_relative_position"):
        longest = _size(config, "max_position_embeddings", 512)
        backbone["position_embedding/embeddings"] = (longest, hidden)
    for index in range(_size(config, "num_hidden_layers", most=1000)):
        layer = f"layer_{index}"
        backbone |= {
            **_dense_shapes(f"{layer}/attention/qkv", hidden, 3 * hidden),
            **_dense_shapes(f"{layer}/attention/output", hidden, hidden),
            **_norm_shapes(f"{layer}/attention_norm", hidden),
            **_dense_shapes(f"{layer}/feed_forward/intermediate", hidden, inner),
            **_dense_shapes(f"{layer}/feed_forward/output", inner, hidden),
            **_norm_shapes(f"{layer}/feed_forward_norm", hidden),
        }
    return {
        "backbone": backbone,
        "pooler": _dense_shapes("pooler", hidden, hidden),
        "mlm": {
            **_dense_shapes("mlm/transform", hidden, hidden),
            **_norm_shapes("mlm/norm", hidden),
            "mlm/bias": (vocab,),
        },
        "nsp": _dense_shapes("nsp", hidden, 2),
    }


def check_sizes(config: Mapping[str, Any], source: Source) -> None:
    """Raise CheckpointError where a configuration is not that of the weights.

    To be asked before a model is built: a configuration may ask for any memory.
    """
    shapes = expected_shapes(config)["backbone"]
    gaps = resolve(RULES[source.dialect], shapes, source).gaps
    if gaps:
        raise CheckpointError(_some(gaps))


def check_run_sizes(config: Mapping[str, Any], source: Source) -> int:
    """How many numbers of a backbone a run's weights leave out.

    A run keeps our own paths, and no block where its model uses none. Raises
    CheckpointError where what it has is not what its configuration says.
    """
    found = {
        path.removeprefix(_OURS): shape
        for path, shape in source.describe().items()
        if path.startswith(_OURS)
    }
    shapes = expected_shapes(config)["backbone"]
    missing = {path: shape for path, shape in shapes.items() if path not in found}
    gaps = [
        f"{source.label}: {_OURS}{path}: expected {shape}, file has {found[path]}"
        for path, shape in shapes.items()
        if found.get(path, shape) != shape
    ]
    if any(path.startswith("layer_") for path in found):
        gaps += [
            f"{source.label}: {_OURS}{path}: expected {shape}, file has none"
            for path, shape in missing.items()
        ]
    if gaps:
        raise CheckpointError(_some(gaps))
    return sum(map(math.prod, missing.values()))


def _some(gaps: list[str]) -> str:
    """Gaps as lines, the first ones of very many."""
    more = len(gaps) - MOST_GAPS
    return "\n".join(gaps[:MOST_GAPS] + ([f"... and {more} more"] if more > 0 else []))


def _size(
    config: Mapping[str, Any],
    key: str,
    default: int | None = None,
    most: int = 10_000_000,
) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or not 0 < value <= most:
        raise ValueError(f"{key}: expected a size up to {most}, got {value!r}")
    return value


def _dense_shapes(path: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{path}/kernel": (outputs, inputs), f"{path}/bias": (outputs,)}


def _norm_shapes(path: str, size: int) -> dict[str, Shape]:
    return {f"{path}/gamma": (size,), f"{path}/beta": (size,)}


BERT = Family(
    name="bert",
    parts={
        "backbone": RULES,
        "pooler": POOLER_RULES,
        "mlm": MLM_RULES,
        "nsp": NSP_RULES,
    },
    shapes=expected_shapes,
)
