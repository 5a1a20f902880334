"""From pieces to characters: tagging by character whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout

PLACES = 8


class CharacterLift(keras.layers.Layer):
    """A state for each character, from the piece that covers it.

    Sum of the piece's hidden state, the embedding of the character itself (its row
    of the backbone's token table, projected) and its place in the piece, normed;
    then residual convolutions of width 3 over the characters. So an entity may
    begin inside a word. ``token_width``: of the token table, 0 for hidden_size.
    hidden_states: (batch, tokens, hidden); returns
    (batch, characters, hidden).
    """

    def __init__(
        self,
        hidden_size: int,
        convolutions: int = 1,
        dropout: float = 0.1,
        token_width: int = 0,
        name: str = "characters",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        policy = self.dtype_policy
        self.hidden_size = hidden_size
        self.projection = Dense(
            token_width or hidden_size, hidden_size, name="projection", dtype=policy
        )
        self.places = keras.layers.Embedding(
            PLACES, hidden_size, name="places", dtype=policy
        )
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-6, name="norm", dtype=policy
        )
        self.dropout = Dropout(dropout, dtype=policy)
        self.convolutions = [
            Dense(
                3 * hidden_size, hidden_size, name=f"convolution_{index}", dtype=policy
            )
            for index in range(convolutions)
        ]
        self.build()

    def build(self, input_shape: Any = None) -> None:
        self.norm.build((None, None, self.hidden_size))
        for part in (self.projection, *self.convolutions):
            part.build()
        self.places.build((None, None))
        self.built = True

    def call(
        self,
        hidden_states: Any,
        inputs: Mapping[str, Any],
        token_embedding: keras.layers.Embedding,
        training: bool = False,
    ) -> Any:
        tokens = ops.shape(hidden_states)[1]
        mask = ops.cast(inputs["char_mask"], hidden_states.dtype)[..., None]
        # A product with one-hot rows: static shapes, and a gradient that is a
        # product too, so the same bits on every run.
        chooser = ops.one_hot(
            inputs["char_to_token"], tokens, dtype=hidden_states.dtype
        )
        states = ops.matmul(chooser, hidden_states)
        states += self.projection(token_embedding(inputs["char_ids"]))
        states += self.places(ops.minimum(inputs["char_places"], PLACES - 1))
        states = self.dropout(self.norm(states), training=training) * mask
        for convolution in self.convolutions:
            states = (states + ops.gelu(convolution(_neighbours(states)))) * mask
        return states


class PieceStates(keras.layers.Layer):
    """The state of the piece that covers a character, and no more: no weights.

    hidden_states: (batch, tokens, hidden); returns (batch, characters, hidden).
    """

    def call(
        self,
        hidden_states: Any,
        inputs: Mapping[str, Any],
        token_embedding: keras.layers.Embedding,
        training: bool = False,
    ) -> Any:
        index = ops.cast(inputs["char_to_token"], "int32")[..., None]
        return ops.take_along_axis(hidden_states, index, axis=1)


def _neighbours(states: Any) -> Any:
    """Each state beside the one before and the one after: (..., hidden * 3).

    A width-3 convolution as one matrix product.
    """
    padded = ops.pad(states, ((0, 0), (1, 1), (0, 0)))
    return ops.concatenate([padded[:, :-2], states, padded[:, 2:]], axis=-1)
