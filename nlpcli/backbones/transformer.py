"""The one Transformer stack: its embeddings, its blocks, the walk through them.

Families differ by the values they put into TransformerConfig and by the checkpoint
rules they bring, never by asking for their own name in here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from nlpcli.backbones.block import TransformerBlock
from nlpcli.backbones.config import TransformerConfig
from nlpcli.layers import masks
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.look import Cache, Crossed, Look
from nlpcli.layers.norms import norm
from nlpcli.layers.positions import (
    Buckets,
    Distances,
    Plain,
    Rotary,
    hierarchical_rows,
)
from nlpcli.layers.quantized import Quantized, keep_int8


class Source(NamedTuple):
    """What another stack made, as crossed blocks look at it.

    read: keys and values for each block in the order of a walk; mask: bool, (batch, 1,
    1, places); positions: (batch, places).
    """

    read: list[Cache]
    mask: Any
    positions: Any


class Transformer(keras.layers.Layer):
    """Embeddings and blocks: token ids to hidden states.

    token_ids, segment_ids: (batch, length) int32; padding_mask: (batch, length)
    bool. Returns (batch, length, hidden). Built at once, so that variable paths
    begin with its own name whoever wraps it later. ``token_embedding``: a table that
    is another's; ``crossed``: its blocks look at another stack, too.
    """

    def __init__(
        self,
        config: TransformerConfig,
        pooler: bool = False,
        name: str = "backbone",
        token_embedding: Any = None,
        crossed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        policy = self.dtype_policy
        self.token_embedding: Any = token_embedding
        if token_embedding is None:
            self.token_embedding = self._table(
                config.vocab_size, "token_embedding", config.width
            )
        rows = config.type_vocab_size
        self.segment_embedding = self._table(rows, "segment_embedding")
        rows = config.max_position_embeddings if config.has_position_table else 0
        self.position_embedding = self._table(rows, "position_embedding")
        rows = config.task_type_vocab_size
        self.task_embedding = self._table(rows, "task_embedding")
        self.embedding_norm: Any = (
            norm(config.norm, config.layer_norm_eps, "embedding_norm", policy)
            if config.embedding_norm
            else None
        )
        self.embedding_dropout = Dropout(config.hidden_dropout_prob, dtype=policy)
        self.embedding_projection: Dense | None = (
            Dense(
                config.width,
                config.hidden_size,
                config.initializer_range,
                bias=config.projected == "sum",
                name="embedding_projection",
                dtype=policy,
            )
            if config.is_projected
            else None
        )
        self.relative_table = self._bucket_table()
        self.scheme = self._scheme()
        self.blocks = [
            TransformerBlock(config, self.scheme, crossed, name=name, dtype=policy)
            for name in config.block_names
        ]
        self.final_norm: Any = (
            norm(config.norm, config.layer_norm_eps, "final_norm", policy)
            if config.final_norm
            else None
        )
        self.final_dropout: Dropout | None = (
            Dropout(config.hidden_dropout_prob, dtype=policy)
            if config.inner_dropout
            else None
        )
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
        # The machine's way of walking through a block; None is TransformerBlock.walk.
        self.block_runner: Callable[..., Any] | None = None
        # Rows of the token table that tell segments 0, 1 ..., where tokens do.
        self.segment_rows: np.ndarray | None = None
        self.int8_output: Quantized | None = None
        self.build()

    @property
    def road(self) -> list[TransformerBlock]:
        """The blocks in the order of a walk; shared ones come more than once."""
        config, inner = self.config, self.config.inner_group_num
        groups = config.num_hidden_groups or config.num_hidden_layers
        layers = config.num_hidden_layers // groups
        return [
            block
            for group in range(groups)
            for block in self.blocks[group * inner : (group + 1) * inner] * layers
        ]

    @property
    def output_table(self) -> Any:
        """What a tied output compares with: the rows of the token table, as wide as
        what is added to them."""
        if self.int8_output is not None:
            return self.int8_output
        table = self.token_embedding.embeddings
        projection = self.embedding_projection
        if projection is None or self.config.projected == "sum":
            return table
        kernel = ops.cast(projection.kernel, table.dtype)
        return ops.matmul(table, ops.transpose(kernel))

    def output_to_int8(self) -> None:
        """Keep what a tied output compares with in int8; tokens are still looked up in
        the token table."""
        self.int8_output = keep_int8(self, self.output_table, "output")

    def _table(
        self, rows: int, name: str, width: int = 0
    ) -> keras.layers.Embedding | None:
        """A table of embeddings, None without rows."""
        if not rows:
            return None
        return keras.layers.Embedding(
            rows,
            width or self.config.summed_width,
            embeddings_initializer=keras.initializers.TruncatedNormal(
                stddev=self.config.initializer_range
            ),
            name=name,
            dtype=self.dtype_policy,
        )

    def _bucket_table(self) -> keras.layers.Embedding | None:
        config = self.config
        if config.positions != "buckets":
            return None
        return keras.layers.Embedding(
            config.relative_buckets,
            config.num_attention_heads,
            embeddings_initializer=keras.initializers.TruncatedNormal(
                stddev=config.initializer_range
            ),
            name="relative_table",
            dtype=self.dtype_policy,
        )

    def _scheme(self) -> Plain:
        """How positions act inside attention."""
        config = self.config
        size = config.head_size or config.hidden_size // config.num_attention_heads
        if config.max_relative_position:
            return Distances(size, config.max_relative_position)
        if config.positions.startswith("rotary"):
            halves = config.positions == "rotary_halves"
            return Rotary(config.key_size or size, config.rope_theta, halves)
        if (table := self.relative_table) is not None:
            return Buckets(
                lambda: table.embeddings,
                config.relative_buckets,
                config.relative_max_distance,
                both=not config.causal,
            )
        return Plain()

    def build(self, input_shape: Any = None) -> None:
        config = self.config
        for embedding in (
            self.token_embedding,
            self.segment_embedding,
            self.position_embedding,
            self.task_embedding,
            self.relative_table,
        ):
            if embedding is not None and not embedding.built:
                embedding.build((None, None))
        if self.embedding_norm is not None:
            self.embedding_norm.build((None, None, config.summed_width))
        if self.embedding_projection is not None:
            self.embedding_projection.build()
        for block in self.blocks:
            block.build()
        if self.final_norm is not None:
            self.final_norm.build((None, None, config.hidden_size))
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
        if padding_mask is None and self.config.causal:
            padding_mask = ops.ones(ops.shape(token_ids), "bool")
        if attention_mask is None:
            attention_mask = self.attention_mask(padding_mask)
        hidden_states, _ = self.walk(
            token_ids,
            segment_ids,
            look=Look(attention_mask),
            token_vectors=token_vectors,
            training=training,
        )
        return hidden_states

    def attention_mask(self, padding_mask: Any) -> Any:
        """Who may look at whom in a batch: at every real token, or those before.

        Boolean, also because Keras casts float arguments to half precision.
        """
        if padding_mask is None:
            return None
        if self.config.causal:
            return masks.causal(None, padding_mask)
        return masks.padding(padding_mask)

    def walk(
        self,
        token_ids: Any,
        segment_ids: Any = None,
        position_ids: Any = None,
        *,
        look: Look,
        caches: Sequence[Cache] | None = None,
        place_positions: Any = None,
        source: Source | None = None,
        token_vectors: Any = None,
        training: bool = False,
    ) -> tuple[Any, list[Any]]:
        """Through embeddings and blocks, with what each block is asked to keep.

        Token, segment and position ids: (batch, length). ``caches``: keys and values of
        each block, with positions ``place_positions`` (batch, places); those of the
        tokens are written from ``look.slot`` on, and nothing else in them is moved;
        length and places are static then. ``source``: what crossed blocks look at.
        """
        if position_ids is None:
            position_ids = ops.arange(ops.shape(token_ids)[1], dtype="int32")[None]
        hidden_states = self.embed(
            token_ids,
            segment_ids,
            position_ids=position_ids,
            token_vectors=token_vectors,
            training=training,
        )
        look = look._replace(
            places=self.scheme.prepare(
                position_ids, place_positions, hidden_states.dtype
            )
        )
        across: Any = ()
        if source is not None and self.config.cross_position_bias:
            across = self.scheme.prepare(
                position_ids, source.positions, hidden_states.dtype
            )
        walk = self.block_runner or TransformerBlock.walk
        kept = []
        for index, block in enumerate(self.road):
            here = look if caches is None else look._replace(cache=caches[index])
            if source is not None:
                crossed = Crossed(*source.read[index], source.mask, across)
                here = here._replace(crossed=crossed)
            hidden_states, memory = walk(block, hidden_states, here, training)
            kept.append(memory)
        if self.final_norm is not None:
            hidden_states = self.final_norm(hidden_states)
        if self.final_dropout is not None:
            hidden_states = self.final_dropout(hidden_states, training=training)
        return hidden_states, kept

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
        hidden_states = token_vectors
        if hidden_states is None:
            hidden_states = self.token_embedding(token_ids)
        projection = self.embedding_projection
        if projection is not None and self.config.projected == "tokens":
            hidden_states = projection(hidden_states)
        if self.position_embedding is not None:
            hidden_states += self._position_rows(position_ids)
        if self.segment_embedding is not None:
            if segment_ids is None or self.config.type_vocab_size == 1:
                segment_ids = ops.zeros((1, 1), "int32")  # one row tells nothing
            hidden_states += self.segment_embedding(segment_ids)
        elif self.segment_rows is not None and segment_ids is not None:
            rows = ops.take(ops.convert_to_tensor(self.segment_rows), segment_ids)
            hidden_states += self.token_embedding(rows)
        if self.task_embedding is not None:
            hidden_states += self.task_embedding(ops.zeros((1, 1), "int32"))
        if self.embedding_norm is not None:
            hidden_states = self.embedding_norm(hidden_states)
        hidden_states = self.embedding_dropout(hidden_states, training=training)
        if projection is not None and self.config.projected == "sum":
            hidden_states = projection(hidden_states)
        return hidden_states

    def _position_rows(self, position_ids: Any) -> Any:
        table: Any = self.position_embedding
        config = self.config
        if not config.hierarchical_positions:
            return table(position_ids + config.position_offset)
        rows = table.embeddings[config.position_offset :]
        found = hierarchical_rows(rows, position_ids, config.hierarchical_positions)
        return ops.cast(found, self.compute_dtype)

    def pool(self, hidden_states: Any) -> Any:
        """tanh of a dense layer over the first token: (batch, hidden)."""
        if self.pooler is None:
            raise ValueError("the backbone was built without a pooler")
        return ops.tanh(self.pooler(hidden_states[:, 0]))
