"""Two stacks over one token table: one reads, the other writes about what it read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from nlpcli.backbones.config import TransformerConfig
from nlpcli.backbones.transformer import Source, Transformer
from nlpcli.layers import masks
from nlpcli.layers.look import Cache, Look


class EncoderDecoder(keras.layers.Layer):
    """An encoder and a decoder whose blocks look at the encoder's states (T5).

    token_ids: (batch, length) int32, what is read; answer_ids: (batch, answer), what is
    written, each token behind its past; masks: bool of the same shapes. Returns the
    decoder's states, (batch, answer, hidden).
    """

    def __init__(
        self, config: TransformerConfig, name: str = "backbone", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.config = config
        self.build()

    def build(self, input_shape: Any = None) -> None:
        # In here, so that the paths of both stacks begin with this layer's name.
        config, policy = self.config, self.dtype_policy
        self.token_embedding = keras.layers.Embedding(
            config.vocab_size,
            config.width,
            embeddings_initializer=keras.initializers.TruncatedNormal(
                stddev=config.initializer_range
            ),
            name="token_embedding",
            dtype=policy,
        )
        self.token_embedding.build((None, None))
        self.encoder = Transformer(
            config,
            name="encoder",
            token_embedding=self.token_embedding,
            dtype=policy,
        )
        self.decoder = Transformer(
            replace(config, num_hidden_layers=config.num_decoder_layers, causal=True),
            name="decoder",
            token_embedding=self.token_embedding,
            crossed=True,
            dtype=policy,
        )
        self.built = True

    @property
    def stacks(self) -> list[Transformer]:
        """Both stacks, in the order of a walk."""
        return [self.encoder, self.decoder]

    @property
    def output_table(self) -> Any:
        """What a tied head compares states with."""
        return self.decoder.output_table

    def call(
        self,
        token_ids: Any,
        answer_ids: Any,
        padding_mask: Any,
        answer_mask: Any,
        training: bool = False,
        token_vectors: Any = None,
    ) -> Any:
        source = self.source(token_ids, padding_mask, training)
        hidden_states, _ = self.decoder.walk(
            answer_ids,
            look=Look(masks.causal(None, answer_mask)),
            source=source,
            token_vectors=token_vectors,
            training=training,
        )
        return hidden_states

    def source(
        self, token_ids: Any, padding_mask: Any, training: bool = False
    ) -> Source:
        """What the decoder looks at: keys and values for each of its blocks, made once
        whatever is written."""
        states = self.encoder(token_ids, None, padding_mask, training=training)
        read = [block.read(states) for block in self.decoder.road]
        return self.source_of(read, padding_mask)

    def source_of(self, read: list[Cache], padding_mask: Any) -> Source:
        """The same of keys and values that were made before."""
        places = ops.maximum(ops.cumsum(ops.cast(padding_mask, "int32"), axis=1) - 1, 0)
        return Source(read, masks.padding(padding_mask), places)
