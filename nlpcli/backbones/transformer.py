"""The one Transformer stack: its configuration, its blocks, its variables.

Families (bert.py ...) differ by the values they put into TransformerConfig and by
the checkpoint rules they bring, never by asking for their own name in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import keras
from keras import ops

from nlpcli.errors import CheckpointError
from nlpcli.files.json_file import short
from nlpcli.layers import masks
from nlpcli.layers.attention import Cache, SelfAttention
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.feed_forward import ACTIVATIONS, FeedForward
from nlpcli.layers.positions import distance_ids


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and choices, under the names of published config files."""

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

    @property
    def longest(self) -> int | None:
        """Most tokens of a sequence; None where positions are relative."""
        return None if self.max_relative_position else self.max_position_embeddings

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], origin: str) -> TransformerConfig:
        """Read a published configuration; keys that are not ours are ignored.

        Raises CheckpointError with every missing or absurd value.
        """
        problems = []
        known: dict[str, Any] = {}
        for item in fields(cls):
            kind: Any = _KINDS[str(item.type)]
            if item.name not in values:
                if item.name in _REQUIRED:
                    problems.append(f"{origin}: missing key {item.name}")
                continue
            value: Any = values[item.name]
            came = short(repr(value))
            least, most = _BOUNDS.get(item.name, (1, MOST_ROWS))
            if type(value) not in kind:  # a truth value is no number
                problems.append(
                    f"{origin}: {item.name}: expected {item.type}, got {came}"
                )
            elif item.type == "int" and not least <= value <= most:
                problems.append(
                    f"{origin}: {item.name}: expected a positive size, got {came} "
                    f"(at most {most})"
                )
            elif item.type == "float" and not least <= value < most:
                problems.append(
                    f"{origin}: {item.name}: expected a number from {least} to below "
                    f"{most}, got {came}"
                )
            else:
                known[item.name] = value
        if not problems:
            config = cls(**known)
            if config.hidden_size % config.num_attention_heads:
                problems.append(
                    f"{origin}: hidden_size {config.hidden_size} is not a multiple of "
                    f"num_attention_heads {config.num_attention_heads}"
                )
            if config.hidden_act not in ACTIVATIONS:
                problems.append(
                    f"{origin}: hidden_act: expected one of "
                    f"{', '.join(ACTIVATIONS)}, got {short(repr(config.hidden_act))}"
                )
        if problems:
            raise CheckpointError("\n".join(problems))
        return config

    def to_dict(self) -> dict[str, Any]:
        """The values as a plain dict."""
        return asdict(self)


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
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
}
_REQUIRED = {
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
}


class Transformer(keras.layers.Layer):
    """Embeddings and post-norm blocks: token ids to hidden states.

    token_ids, segment_ids: (batch, length) int32; padding_mask: (batch, length)
    bool. Returns (batch, length, hidden). Built at once, so that variable paths
    begin with its own name whoever wraps it later.
    """

    def __init__(
        self,
        config: TransformerConfig,
        pooler: bool = False,
        name: str = "backbone",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        policy = self.dtype_policy
        self.token_embedding = self._embedding(config.vocab_size, "token_embedding")
        self.segment_embedding = self._embedding(
            config.type_vocab_size, "segment_embedding"
        )
        self.position_embedding: keras.layers.Embedding | None = (
            None
            if config.max_relative_position
            else self._embedding(config.max_position_embeddings, "position_embedding")
        )
        self.embedding_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_eps, name="embedding_norm", dtype=policy
        )
        self.embedding_dropout = Dropout(config.hidden_dropout_prob, dtype=policy)
        self.blocks = [
            TransformerBlock(config, name=f"layer_{index}", dtype=policy)
            for index in range(config.num_hidden_layers)
        ]
        self.pooler: Dense | None = (
            Dense(
                config.hidden_size,
                config.hidden_size,
                config.initializer_range,
                name="pooler",
                dtype=policy,
            )
            if pooler
            else None
        )
        # The machine's way of running a block (block, states, mask, training).
        self.block_runner: Callable[..., Any] | None = None
        # The same for TransformerBlock.read.
        self.block_reader: Callable[..., Any] | None = None
        self.build()

    def _embedding(self, rows: int, name: str) -> keras.layers.Embedding:
        return keras.layers.Embedding(
            rows,
            self.config.hidden_size,
            embeddings_initializer=keras.initializers.TruncatedNormal(
                stddev=self.config.initializer_range
            ),
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Any = None) -> None:
        shape = (None, None, self.config.hidden_size)
        for embedding in (
            self.token_embedding,
            self.segment_embedding,
            self.position_embedding,
        ):
            if embedding is not None:
                embedding.build((None, None))
        self.embedding_norm.build(shape)
        for block in self.blocks:
            block.build(shape)
        if self.pooler is not None:
            self.pooler.build()
        self.built = True

    def call(
        self,
        token_ids: Any,
        segment_ids: Any = None,
        padding_mask: Any = None,
        training: bool = False,
        attention_mask: Any = None,
        token_vectors: Any = None,
    ) -> Any:
        if attention_mask is None:
            attention_mask = self.attention_mask(padding_mask)
        hidden_states = self.embed(
            token_ids, segment_ids, training, token_vectors=token_vectors
        )
        for block in self.blocks:
            if self.block_runner is not None:
                hidden_states = self.block_runner(
                    block, hidden_states, attention_mask, training
                )
            else:
                hidden_states = block(
                    hidden_states, attention_mask=attention_mask, training=training
                )
        return hidden_states

    def attention_mask(self, padding_mask: Any) -> Any:
        """Who may look at whom in a batch: every query at every real token.

        Boolean, also because Keras casts float arguments to half precision.
        """
        return None if padding_mask is None else masks.padding(padding_mask)

    def read(
        self, token_ids: Any, segment_ids: Any, position_ids: Any, attention_mask: Any
    ) -> tuple[Any, list[Cache]]:
        """Hidden states, and each block's keys and values as a cache has them.

        Token, segment and position ids: (batch, length); attention_mask as in
        SelfAttention. Without dropout.
        """
        hidden_states = self.embed(token_ids, segment_ids, position_ids=position_ids)
        caches = []
        for block in self.blocks:
            read = self.block_reader or TransformerBlock.read
            hidden_states, key, value = read(block, hidden_states, attention_mask)
            caches.append((key, value))
        return hidden_states, caches

    def extend(
        self,
        token_ids: Any,
        segment_ids: Any,
        position_ids: Any,
        caches: Sequence[Cache],
        attention_mask: Any,
        slot: Any,
        place_positions: Any,
    ) -> tuple[Any, list[Cache]]:
        """Hidden states of one more token for each hypothesis, and the new caches.

        token_ids ...: (batch, width), static; their keys and values are written from
        place ``slot`` of the caches on, and nothing else in them is moved.
        attention_mask: (batch, 1, places, width), which places each hypothesis sees;
        place_positions: (batch, places).
        """
        hidden_states = self.embed(token_ids, segment_ids, position_ids=position_ids)
        most = self.config.max_relative_position
        distances = distance_ids(position_ids, place_positions, most) if most else None
        written = []
        for block, (keys, values) in zip(self.blocks, caches, strict=True):
            query, key, value = block.attention.project(hidden_states)
            keys = ops.slice_update(keys, (0, slot, 0), _by_head(key))
            values = ops.slice_update(values, (0, slot, 0), _by_head(value))
            attended = block.attention.attend_cached(
                query, (keys, values), attention_mask, distances
            )
            hidden_states = block.finish(hidden_states, attended)
            written.append((keys, values))
        return hidden_states, written

    def embed(
        self,
        token_ids: Any,
        segment_ids: Any = None,
        training: bool = False,
        position_ids: Any = None,
        token_vectors: Any = None,
    ) -> Any:
        """Sum of the embeddings, normed: (batch, length) -> (batch, length, hidden).

        ``token_vectors`` stand in for the embeddings of the tokens.
        """
        if position_ids is None:
            position_ids = ops.arange(ops.shape(token_ids)[1], dtype="int32")[None]
        if token_vectors is None:
            token_vectors = self.token_embedding(token_ids)
        hidden_states = token_vectors
        if self.position_embedding is not None:
            hidden_states += self.position_embedding(position_ids)
        if segment_ids is None:
            segment_ids = ops.zeros((1, 1), "int32")
        hidden_states += self.segment_embedding(segment_ids)
        return self.embedding_dropout(
            self.embedding_norm(hidden_states), training=training
        )

    def pool(self, hidden_states: Any) -> Any:
        """tanh of a dense layer over the first token: (batch, hidden)."""
        if self.pooler is None:
            raise ValueError("the backbone was built without a pooler")
        return ops.tanh(self.pooler(hidden_states[:, 0]))


class TransformerBlock(keras.layers.Layer):
    """Attention and feed-forward, each with residual, dropout and post-norm.

    hidden_states: (batch, length, hidden); attention_mask as in SelfAttention.
    """

    def __init__(self, config: TransformerConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.attention = SelfAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.attention_probs_dropout_prob,
            config.initializer_range,
            config.max_relative_position,
            name="attention",
            dtype=policy,
        )
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_eps, name="attention_norm", dtype=policy
        )
        self.feed_forward = FeedForward(
            config.hidden_size,
            config.intermediate_size,
            config.hidden_act,
            config.initializer_range,
            name="feed_forward",
            dtype=policy,
        )
        self.feed_forward_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_eps, name="feed_forward_norm", dtype=policy
        )
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=policy)

    def build(self, input_shape: Any) -> None:
        for part in (
            self.attention,
            self.attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            part.build(input_shape)

    def call(
        self, hidden_states: Any, attention_mask: Any = None, training: bool = False
    ) -> Any:
        attended = self.attention(
            hidden_states, attention_mask=attention_mask, training=training
        )
        return self.finish(hidden_states, attended, training)

    def read(self, hidden_states: Any, attention_mask: Any) -> tuple[Any, Any, Any]:
        """Without dropout; also keys and values, (batch x heads, length, head size)."""
        query, key, value = self.attention.project(hidden_states)
        attended = self.attention.attend(query, key, value, attention_mask)
        finished = self.finish(hidden_states, attended)
        return finished, _by_head(key), _by_head(value)

    def finish(self, hidden_states: Any, attended: Any, training: bool = False) -> Any:
        """All that comes after attention."""
        hidden_states = self.attention_norm(
            hidden_states + self.dropout(attended, training=training)
        )
        transformed = self.dropout(self.feed_forward(hidden_states), training=training)
        return self.feed_forward_norm(hidden_states + transformed)


def _by_head(x: Any) -> Any:
    """(batch, heads, ...) to (batch x heads, ...)."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))
