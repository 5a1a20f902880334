"""The sizes and parts of a stack, under the names of published configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.layers.choices import ACTIVATIONS, NORMS


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and parts; what is not said is BERT's.

    embedding_size: width of the token table, 0 for hidden_size; projected: what then
    becomes as wide as hidden states, "sum" (all embeddings, normed) or "tokens" (the
    rows of the token table, without a bias). head_size, key_size and
    num_key_value_heads as in SelfAttention. positions: "absolute" (a learnt
    table), "rotary" (neighbours), "rotary_halves", "buckets" or "none";
    max_relative_position: NEZHA's distances instead. position_offset: rows of the table
    before that of the first token. hierarchical_positions: alpha of the decomposition
    that makes more rows of the table, 0 for none. norm_place: "post", "pre", or
    "between" (GPT2_ML). num_hidden_groups: blocks that all layers share, 0 for one
    each; inner_group_num: blocks in a group. feed_forward_bias: where dense layers have
    one. segment_tokens: names of the tokens that tell segments 0, 1 ..., from the token
    table itself. attention: "softmax" or "linear" (of elu + 1 of queries and keys).
    output: how hidden states become scores of tokens, "transform" (BERT's head), "tied"
    or "own" (a table of its own). head_act: that of the transform, "" for hidden_act.
    num_decoder_layers: blocks of a second stack that writes about the states of the
    first, 0 for none; cross_position_bias: it knows how far they are (bert4keras);
    decoder_start: the token before its first, -1 for the vocabulary's begin or else
    pad. inner_dropout: inside the feed-forward and behind the final norm too.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    max_relative_position: int = 0
    embedding_size: int = 0
    projected: str = "sum"
    embedding_norm: bool = True
    task_type_vocab_size: int = 0
    head_size: int = 0
    key_size: int = 0
    num_key_value_heads: int = 0
    qkv_bias: bool = True
    dense_bias: bool = True
    feed_forward_bias: bool = True
    scaled_attention: bool = True
    query_key_norm: bool = False
    causal: bool = False
    segment_tokens: str = ""
    attention: str = "softmax"
    positions: str = "absolute"
    position_offset: int = 0
    hierarchical_positions: float = 0.0
    rope_theta: float = 10000.0
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm: str = "layer"
    norm_place: str = "post"
    final_norm: bool = False
    gated: bool = False
    num_hidden_groups: int = 0
    inner_group_num: int = 1
    output: str = "transform"
    head_act: str = ""
    output_bias: bool = True
    output_scale: float = 1.0
    num_decoder_layers: int = 0
    cross_position_bias: bool = False
    decoder_start: int = -1
    inner_dropout: bool = False

    @property
    def width(self) -> int:
        """Numbers in a row of the token table."""
        return self.embedding_size or self.hidden_size

    @property
    def is_projected(self) -> bool:
        """Whether something stands between the token table and hidden states."""
        return self.width != self.hidden_size or self.projected == "tokens"

    @property
    def block_names(self) -> list[str]:
        """Names of the blocks: layer_0, and layer_0_1 ... for others of its group."""
        inner = range(self.inner_group_num)
        return [
            f"layer_{group}_{place}" if place else f"layer_{group}"
            for group in range(self.num_hidden_groups or self.num_hidden_layers)
            for place in inner
        ]

    @property
    def summed_width(self) -> int:
        """Numbers in a row of the other tables, which are added to the tokens'."""
        return self.hidden_size if self.projected == "tokens" else self.width

    @property
    def num_blocks(self) -> int:
        """Blocks with weights of their own."""
        groups = self.num_hidden_groups or self.num_hidden_layers
        return groups * self.inner_group_num + self.num_decoder_layers

    @property
    def has_position_table(self) -> bool:
        """Whether positions are rows of a learnt table."""
        return self.positions == "absolute" and not self.max_relative_position

    @property
    def scored_positions(self) -> bool:
        """Whether positions add to the score of a query and a key."""
        return self.positions == "buckets" or self.max_relative_position > 0

    @property
    def longest(self) -> int | None:
        """Most tokens of a sequence; None where positions have no end."""
        if self.max_relative_position or self.positions in ("rotary", "buckets"):
            return None
        rows = self.max_position_embeddings - self.position_offset
        return rows * rows if self.hierarchical_positions else rows

    @property
    def shares(self) -> dict[str, tuple[int, ...]]:
        """Rows of fused kernels, by the part's name, that come from each of its
        tensors; a part that is not named has equal shares."""
        heads = self.num_attention_heads
        size = self.head_size or self.hidden_size // heads
        keys, key = self.num_key_value_heads or heads, self.key_size or size
        pair = (keys * key, keys * size)
        return {"qkv": (heads * key, *pair), "key_value": pair}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str) -> TransformerConfig:
        """Read a configuration under our names; other keys are ignored.

        Raises CheckpointError with every missing or absurd value.
        """
        return cls.published(values, origin, {}, {}, {f.name for f in fields(cls)})

    @classmethod
    def published(
        cls,
        values: Mapping[str, Any],
        origin: str,
        names: Mapping[str, str],
        fixed: Mapping[str, Any],
        known: frozenset[str] | set[str] = frozenset(),
    ) -> TransformerConfig:
        """Read a published configuration of a family.

        ``names``: its names of our keys where they differ; ``fixed``: what the family
        always has; ``known``: further keys it has under our names, beside the sizes of
        BERT. Raises CheckpointError as ``from_dict``.
        """
        problems = []
        given: dict[str, Any] = {}
        for item in fields(cls):
            key = names.get(item.name, item.name)
            if item.name in fixed or not (
                item.name in _SIZES or item.name in names or item.name in known
            ):
                continue
            value: Any = values.get(key)
            if key not in values:
                if item.name in _REQUIRED:
                    problems.append(f"{origin}: missing key {key}")
                continue
            if problem := _problem(item.name, str(item.type), value):
                problems.append(f"{origin}: {key}: {problem}")
            else:
                given[item.name] = value
        if problems:
            raise CheckpointError("\n".join(problems))
        config = cls(**{**given, **fixed})
        if problem := _mismatch(config, names):
            raise CheckpointError(f"{origin}: {problem}")
        return config

    def to_dict(self) -> dict[str, Any]:
        """The values as a plain dict, parts that are BERT's left out."""
        values = asdict(self)
        return {
            item.name: values[item.name]
            for item in fields(self)
            if item.name in _SIZES or values[item.name] != item.default
        }


def _problem(name: str, kind: str, value: Any) -> str | None:
    """Why a value cannot be that of a key."""
    came = short(repr(value))
    least, most = _BOUNDS.get(name, (1, MOST_ROWS))
    if type(value) not in _KINDS[kind]:  # a truth value is no number
        return f"expected {kind}, got {came}"
    if kind == "int" and not least <= value <= most:
        return f"expected a positive size, got {came} (at most {most})"
    if kind == "float" and not least <= value < most:
        return f"expected a number from {least} to below {most}, got {came}"
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"expected one of {', '.join(_CHOICES[name])}, got {came}"
    return None


def _mismatch(config: TransformerConfig, names: Mapping[str, str]) -> str | None:
    """Why sizes do not go together."""

    def told(name: str) -> str:
        return names.get(name, name)

    heads = config.num_attention_heads
    if not config.head_size and config.hidden_size % heads:
        return (
            f"{told('hidden_size')} {config.hidden_size} is not a multiple of "
            f"{told('num_attention_heads')} {heads}"
        )
    if config.decoder_start >= config.vocab_size:
        return (
            f"{told('decoder_start')}: expected a token of {config.vocab_size}, got "
            f"{config.decoder_start}"
        )
    if config.attention == "linear" and config.scored_positions:
        return (
            f"{told('attention')} linear needs positions in the embeddings or turned "
            "into queries and keys, not scores of pairs"
        )
    keys, size = config.num_key_value_heads, config.key_size or config.head_size
    if keys and heads % keys:
        return (
            f"{told('num_attention_heads')} {heads} is not a multiple of "
            f"{told('num_key_value_heads')} {keys}"
        )
    if config.positions.startswith("rotary"):
        size = size or config.hidden_size // heads
        if size % 2:
            return f"heads of {size} numbers cannot be turned in pairs"
    rows, offset = config.max_position_embeddings, config.position_offset
    if offset and rows <= offset:
        return (
            f"{told('max_position_embeddings')} {rows}: expected more than the "
            f"{offset} rows before that of the first token"
        )
    groups = config.num_hidden_groups
    if groups and config.num_hidden_layers % groups:
        return (
            f"{told('num_hidden_layers')} {config.num_hidden_layers} is not a multiple "
            f"of {told('num_hidden_groups')} {groups}"
        )
    return None


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "hidden_act": ACTIVATIONS,
    "head_act": ("", *ACTIVATIONS),
    "projected": ("sum", "tokens"),
    "attention": ("softmax", "linear"),
    "positions": ("absolute", "rotary", "rotary_halves", "buckets", "none"),
    "norm": NORMS,
    "norm_place": ("post", "pre", "between"),
    "output": ("transform", "tied", "own"),
}
MOST_ROWS, MOST_LAYERS = 10_000_000, 1000
# Least and most; sizes without an entry are 1 to MOST_ROWS.
_BOUNDS: dict[str, tuple[float, float]] = {
    "num_hidden_layers": (1, MOST_LAYERS),
    "max_relative_position": (0, 4096),
    "layer_norm_eps": (0, 1),
    "hidden_dropout_prob": (0, 1),
    "attention_probs_dropout_prob": (0, 1),
    "initializer_range": (0, 100),
    "type_vocab_size": (0, MOST_ROWS),
    "embedding_size": (0, MOST_ROWS),
    "task_type_vocab_size": (0, MOST_ROWS),
    "head_size": (0, MOST_ROWS),
    "key_size": (0, MOST_ROWS),
    "num_key_value_heads": (0, MOST_ROWS),
    "position_offset": (0, 16),
    "hierarchical_positions": (0, 1),
    "rope_theta": (1, 1e12),
    "relative_buckets": (4, 4096),
    "relative_max_distance": (4, 2**20),
    "num_hidden_groups": (0, MOST_LAYERS),
    "inner_group_num": (1, MOST_LAYERS),
    "output_scale": (0, 100),
    "num_decoder_layers": (0, MOST_LAYERS),
    "decoder_start": (-1, MOST_ROWS),
}
_REQUIRED = {
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
}
_SIZES = _REQUIRED | {
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "max_relative_position",
}
