"""One block of the stack, and the one walk through it."""

from __future__ import annotations

from typing import Any

import keras

from nlpcli.backbones.config import TransformerConfig
from nlpcli.layers.attention import SelfAttention
from nlpcli.layers.cross_attention import CrossAttention
from nlpcli.layers.dropout import Dropout
from nlpcli.layers.feed_forward import FeedForward
from nlpcli.layers.island import island
from nlpcli.layers.linear_attention import LinearAttention
from nlpcli.layers.look import Cache, Look
from nlpcli.layers.norms import norm
from nlpcli.layers.positions import Plain


class TransformerBlock(keras.layers.Layer):
    """Attention and feed-forward, each with residual, dropout and norm.

    ``crossed``: between them attention to another stack.
    """

    def __init__(
        self,
        config: TransformerConfig,
        positions: Plain,
        crossed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy, epsilon = self.dtype_policy, config.layer_norm_eps
        self.place = config.norm_place
        self.hidden_size = config.hidden_size
        attention = LinearAttention if config.attention == "linear" else SelfAttention
        self.attention = attention(
            config.hidden_size,
            config.num_attention_heads,
            config.attention_probs_dropout_prob,
            config.initializer_range,
            positions,
            num_key_heads=config.num_key_value_heads,
            head_size=config.head_size,
            key_size=config.key_size,
            qkv_bias=config.qkv_bias,
            output_bias=config.dense_bias,
            scaled=config.scaled_attention,
            norm_epsilon=epsilon if config.query_key_norm else None,
            name="attention",
            dtype=policy,
        )
        self.attention_norm = norm(config.norm, epsilon, "attention_norm", policy)
        self.cross: CrossAttention | None = None
        self.cross_norm: Any = None
        if crossed:
            self.cross = CrossAttention(
                config.hidden_size,
                config.num_attention_heads,
                config.attention_probs_dropout_prob,
                config.initializer_range,
                positions if config.cross_position_bias else Plain(),
                num_key_heads=config.num_key_value_heads,
                head_size=config.head_size,
                key_size=config.key_size,
                qkv_bias=config.qkv_bias,
                output_bias=config.dense_bias,
                scaled=config.scaled_attention,
                name="cross_attention",
                dtype=policy,
            )
            self.cross_norm = norm(config.norm, epsilon, "cross_norm", policy)
        self.feed_forward = FeedForward(
            config.hidden_size,
            config.intermediate_size,
            config.hidden_act,
            config.initializer_range,
            config.gated,
            config.dense_bias and config.feed_forward_bias,
            config.hidden_dropout_prob if config.inner_dropout else 0.0,
            name="feed_forward",
            dtype=policy,
        )
        self.feed_forward_norm = norm(config.norm, epsilon, "feed_forward_norm", policy)
        self.dropout = Dropout(config.hidden_dropout_prob, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        shape = (None, None, self.hidden_size)
        for part in (
            self.attention,
            self.attention_norm,
            self.cross,
            self.cross_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            if part is not None:
                part.build(shape)
        self.built = True

    def walk(
        self, hidden_states: Any, look: Look, training: bool = False
    ) -> tuple[Any, Cache | None]:
        """Hidden states to hidden states, (batch, length, hidden), whether it trains,
        reads a prompt or writes the next token; and what ``look`` asks to be kept."""
        given = hidden_states
        if self.place == "pre":
            given = island(self.attention_norm, hidden_states)
        rows, kept = self.attention.walk(given, look, training)
        hidden_states = island(self._attended, rows, hidden_states, training)
        if self.cross is not None:
            hidden_states = self._across(self.cross, hidden_states, look, training)
        given = hidden_states
        if self.place == "pre":
            given = island(self.feed_forward_norm, hidden_states)
        elif self.place == "between":
            given = island(self.attention_norm, hidden_states)
        rows = self.feed_forward.walk(given, training)
        return island(self._transformed, rows, hidden_states, training), kept

    def _attended(self, rows: Any, hidden_states: Any, training: bool) -> Any:
        attended = self.attention.projection.finish(rows, hidden_states)
        hidden_states = hidden_states + self.dropout(attended, training=training)
        if self.place != "post":
            return hidden_states
        return self.attention_norm(hidden_states)

    def _transformed(self, rows: Any, hidden_states: Any, training: bool) -> Any:
        transformed = self.feed_forward.projection.finish(rows, hidden_states)
        hidden_states = hidden_states + self.dropout(transformed, training=training)
        if self.place == "pre":
            return hidden_states
        return self.feed_forward_norm(hidden_states)

    def read(self, states: Any) -> Cache:
        """Keys and values of another stack's states, (batch, places, hidden)."""
        if self.cross is None:
            raise ValueError(f"{self.path} looks at no other stack")
        return self.cross.read(states)

    def _across(
        self, cross: CrossAttention, hidden_states: Any, look: Look, training: bool
    ) -> Any:
        """A look at what is written about."""
        given = hidden_states
        if self.place == "pre":
            given = island(self.cross_norm, hidden_states)
        rows, _ = cross.walk(given, look, training)
        return island(self._crossed, rows, hidden_states, training)

    def _crossed(self, rows: Any, hidden_states: Any, training: bool) -> Any:
        attended = self.cross.projection.finish(rows, hidden_states)  # type: ignore[union-attr]
        hidden_states = hidden_states + self.dropout(attended, training=training)
        return hidden_states if self.place == "pre" else self.cross_norm(hidden_states)
