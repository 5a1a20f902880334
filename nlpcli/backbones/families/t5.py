"""T5 1.0 and 1.1, mT5, T5-PEGASUS (Raffel et al. 2020, arXiv 1910.10683).

Files: Hugging Face's, and TensorFlow's in the names of mesh (``layer_norm/scale``, in
mT5 and T5-PEGASUS ``rms_norm/scale``; bias tables turned). What differs unseen:

- The first T5 has a plain feed-forward and scores against the token table, scaled by
  d^-0.5; 1.1 and mT5 have a gated one and a table of their own without the scale.
  transformers 5 writes ``tie_word_embeddings: true`` whatever is in the file, so the
  file tells whether there is a table.
- A configuration in bert4keras's keys is for what bert4keras computes: always scaled,
  GELU by erf, a position bias in cross-attention (``cross_position_bias: false`` in the
  file for none). T5-PEGASUS was trained so (Su, kexue.fm/archives/8209); its PyTorch
  copies are mT5 in form.
- UMT5 has a bias table in each block and is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import product
from typing import Any

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.family import Family
from nlpcli.checkpoints.table import Rule, RuleTable
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.files.json_file import short

_FIXED = {
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "max_relative_position": 0,
    "embedding_norm": False,
    "qkv_bias": False,
    "dense_bias": False,
    "scaled_attention": False,
    "positions": "buckets",
    "norm": "rms",
    "norm_place": "pre",
    "final_norm": True,
    "output_bias": False,
    "inner_dropout": True,
}
_NAMES = {
    "hidden_size": "d_model",
    "head_size": "d_kv",
    "intermediate_size": "d_ff",
    "num_hidden_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "num_attention_heads": "num_heads",
    "relative_buckets": "relative_attention_num_buckets",
    "relative_max_distance": "relative_attention_max_distance",
    "hidden_dropout_prob": "dropout_rate",
    "attention_probs_dropout_prob": "dropout_rate",
    "layer_norm_eps": "layer_norm_epsilon",
    "decoder_start": "decoder_start_token_id",
    "hidden_act": "feed_forward_proj",
}
_OF_BERT4KERAS = {
    "head_size": "attention_head_size",
    "key_size": "attention_key_size",
    "num_decoder_layers": "num_hidden_layers",
}
_DEFAULTS = {"layer_norm_epsilon": 1e-6, "dropout_rate": 0.1, "d_kv": 64}


def read(raw: Mapping[str, Any], origin: str, dialect: str) -> TransformerConfig:
    kind = raw.get("model_type")
    if kind not in (None, "t5", "mt5"):
        raise CheckpointError(
            f"{origin}: model_type: expected t5 or mt5, got {short(repr(kind))}, whose "
            "blocks differ from T5's"
        )
    own = not dialect.endswith(_TIED)
    if "d_model" not in raw and "hidden_size" in raw:
        return _as_bert4keras(raw, origin, own)
    told = raw.get("feed_forward_proj", "relu")
    values: dict[str, Any] = {**_DEFAULTS, **raw}
    first, _, last = told.rpartition("-") if isinstance(told, str) else ("", "", told)
    if first not in ("", "gated"):
        raise CheckpointError(
            f"{origin}: feed_forward_proj: expected an activation or gated- and one, "
            f"got {short(repr(told))}"
        )
    values["feed_forward_proj"] = "gelu_new" if told == "gated-gelu" else last
    if values.get("num_decoder_layers") is None:
        values["num_decoder_layers"] = values.get("num_layers")
    if values.get("decoder_start_token_id") is None:
        values["decoder_start_token_id"] = -1
    scaled = kind != "mt5" and raw.get(
        "scale_decoder_outputs", raw.get("tie_word_embeddings") is not False
    )
    fixed = {
        **_FIXED,
        "gated": first == "gated",
        # A scaled file with a table of scores has a copy of the token table.
        "output": "own" if own and not scaled else "tied",
        "output_scale": _scale(raw.get("d_model")) if scaled else 1.0,
    }
    return TransformerConfig.published(values, origin, _NAMES, fixed)


def _as_bert4keras(raw: Mapping[str, Any], origin: str, own: bool) -> TransformerConfig:
    act = raw.get("hidden_act", "relu")
    gated = isinstance(act, list)
    values = {
        **raw,
        "hidden_act": act[0] if gated and act else act,
        "cross_position_bias": raw.get("cross_position_bias", True),
    }
    fixed = {
        **_FIXED,
        "layer_norm_eps": 1e-6,
        "gated": gated,
        "output": "own" if own else "tied",
        "output_scale": _scale(raw.get("hidden_size")),
    }
    return TransformerConfig.published(
        values, origin, _OF_BERT4KERAS, fixed, {"cross_position_bias"}
    )


def _scale(size: Any) -> float:
    return size**-0.5 if isinstance(size, int) and size > 0 else 1.0


def publish(config: TransformerConfig, parts: Collection[str]) -> dict[str, Any]:
    if config.cross_position_bias:
        raise UsageError(
            "--to hf: transformers' T5 has no position bias in cross-attention, this "
            "model has one"
        )
    act = config.hidden_act
    gated = {"gelu_new": "gelu", "gelu": "gelu_python"}.get(act, act)
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        "vocab_size": config.vocab_size,
        **{
            theirs: getattr(config, ours)
            for ours, theirs in _NAMES.items()
            if getattr(config, ours) != -1
        },
        "d_kv": config.head_size or config.hidden_size // config.num_attention_heads,
        "feed_forward_proj": f"gated-{gated}" if config.gated else act,
        "tie_word_embeddings": config.output_scale != 1.0,
    }


_PLAIN, _TIED = "-plain", "-tied"  # no gate; no table of scores


def dialect(names: Collection[str], given: str) -> str:
    gated = any("/wi_0" in name or ".wi_0." in name for name in names)
    own = any(name in _HEADS for name in names)
    return given + ("" if gated else _PLAIN) + ("" if own else _TIED)


def written(config: TransformerConfig) -> str:
    gated, own = config.gated, config.output == "own"
    return "hf" + ("" if gated else _PLAIN) + ("" if own else _TIED)


_HEADS = ("lm_head.weight", "decoder/logits/kernel")
_COPIES = (
    r"^(en|de)coder\.embed_tokens\.weight$",
    r"EncDecAttention\.relative_attention_bias\.weight$",  # of no use, as there
)
_RMS = (
    ("coder/rms_norm/scale", "coder/final_layer_norm/scale"),
    ("rms_norm/scale", "layer_norm/scale"),
)
_SELF, _CROSS, _DENSE = "SelfAttention", "EncDecAttention", "DenseReluDense"


def _stack(
    name: str, block: str, step: str, end: str, inner: tuple[str, ...], turned: bool
) -> Iterable[Rule]:
    """One stack. ``block``, ``step``, ``end``: how a file writes a block, a part of
    one, and the end of a matrix' name; inner: the matrices of the feed-forward."""
    theirs = f"{name}{block}"
    ours = f"{name}/layer_{{i}}"
    sep = step[-1]
    scale = "weight" if sep == "." else "scale"
    last = 2 if name == "decoder" else 1

    def part(number: int, *names: str) -> str:
        return theirs + step.format(number) + sep.join(names)

    def dense(path: str, *names: str) -> Rule:
        return Rule(f"{ours}/{path}/kernel", tuple(names), transpose=turned)

    def gain(path: str, number: int) -> Rule:
        return Rule(f"{ours}/{path}/gamma", part(number, "layer_norm", scale))

    heads = [part(0, _SELF, x) + end for x in "qkvo"]
    kernel = ".weight" if sep == "." else "/kernel"
    yield dense("attention/qkv", *heads[:3])
    yield dense("attention/output", heads[3])
    yield gain("attention_norm", 0)
    if name == "decoder":
        heads = [part(1, _CROSS, x) + end for x in "qkvo"]
        yield dense("cross_attention/query", heads[0])
        yield dense("cross_attention/key_value", *heads[1:3])
        yield dense("cross_attention/output", heads[3])
        yield gain("cross_norm", 1)
    yield dense(
        "feed_forward/intermediate", *(part(last, _DENSE, x) + kernel for x in inner)
    )
    yield dense("feed_forward/output", part(last, _DENSE, "wo") + kernel)
    yield gain("feed_forward_norm", last)
    first = theirs.replace("{i}", "0").replace("{iii}", "000") + step.format(0)
    yield Rule(
        f"{name}/relative_table/embeddings",
        f"{first}{_SELF}{sep}relative_attention_bias{end}",
        transpose=turned,
    )
    yield Rule(f"{name}/final_norm/gamma", f"{name}{sep}final_layer_norm{sep}{scale}")


def _table(tf: bool, gated: bool) -> RuleTable:
    inner = ("wi_0", "wi_1") if gated else ("wi",)
    form = (
        ("/block_{iii}", "/layer_{:03}/", "")
        if tf
        else (".block.{i}", ".layer.{}.", ".weight")
    )
    tokens = "shared/embedding" if tf else "shared.weight"
    rules = [Rule("token_embedding/embeddings", tokens, vocab_axis=0)]
    for name in ("encoder", "decoder"):
        rules += _stack(name, *form, inner, tf)
    # A first T5 that has a table of scores has the token table twice.
    copies = () if gated else tuple(f"^{name}$" for name in _HEADS)
    return RuleTable(
        tuple(rules), spellings=_RMS if tf else (), ignorable=(*_COPIES, *copies)
    )


def _head(tf: bool) -> RuleTable:
    theirs = _HEADS[1] if tf else _HEADS[0]
    rule = Rule("mlm/table/kernel", theirs, transpose=tf, vocab_axis=0, spare=True)
    return RuleTable((rule,))


_DIALECTS = {
    form + gate + head: (form == "tf", not gate, not head)
    for form, gate, head in product(("hf", "tf"), ("", _PLAIN), ("", _TIED))
}


def _build(config: TransformerConfig) -> Any:
    from nlpcli.backbones.encoder_decoder import EncoderDecoder

    return EncoderDecoder(config)


FAMILY = Family(
    name="t5",
    model_types=("t5", "mt5"),
    marks=(
        (r"^encoder\.block\.0\.layer\.0\.SelfAttention\.", "T5's names"),
        (r"^encoder/block_000/layer_000/SelfAttention/", "T5's names"),
    ),
    read=read,
    tables={
        "backbone": {
            name: _table(tf, gated) for name, (tf, gated, _) in _DIALECTS.items()
        },
        "mlm": {name: _head(tf) for name, (tf, _, own) in _DIALECTS.items() if own},
    },
    publish=publish,
    rank=20,
    dialect=dialect,
    written=written,
    build=_build,
    unlike=("ForSequenceClassification", "ForTokenClassification"),
)
