"""Scores of tokens from hidden states: the head of a language model."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from nlpcli.layers.dense import Dense, product
from nlpcli.layers.feed_forward import ACTIVATIONS
from nlpcli.layers.norms import norm
from nlpcli.layers.quantized import Quantized


class LanguageModelHead(keras.layers.Layer):
    """Scores against the token embeddings, or against a table of its own.

    ``transform``: dense, activation and norm first, as BERT has it for masked tokens
    (Devlin et al. 2019, arXiv 1810.04805). ``width``: of the table's rows, 0 for
    hidden_size. ``own``: the table is the head's. ``scale`` is on what is compared.
    hidden_states: (batch, length, hidden); logits: (batch, length, vocabulary) float32.
    The token table is passed in, so that it stays one variable.
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        activation: str,
        layer_norm_eps: float = 1e-12,
        *,
        width: int = 0,
        transform: bool = True,
        bias: bool = True,
        own: bool = False,
        scale: float = 1.0,
        norm_kind: str = "layer",
        name: str = "mlm",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.vocab_size = vocab_size
        self.width = width or hidden_size
        self.has_bias = bias
        self.scale = scale
        self.activation = ACTIVATIONS[activation]
        policy = self.dtype_policy
        self.transform: Dense | None = None
        self.norm: Any = None
        if transform:
            self.transform = Dense(
                hidden_size, self.width, name="transform", dtype=policy
            )
            self.norm = norm(norm_kind, layer_norm_eps, "norm", policy)
        self.own: Dense | None = (
            Dense(self.width, vocab_size, bias=False, name="table", dtype=policy)
            if own
            else None
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if self.transform is not None:
            self.transform.build()
            self.norm.build((None, None, self.width))
        if self.own is not None:
            self.own.build()
        if self.has_bias:
            self.bias = self.add_weight(
                shape=(self.vocab_size,), initializer="zeros", name="bias"
            )
        self.built = True

    def call(self, hidden_states: Any, token_table: Any = None) -> Any:
        states = hidden_states
        if self.transform is not None:
            states = self.norm(self.activation(self.transform(states)))
        if self.scale != 1.0:
            states = states * ops.cast(self.scale, states.dtype)
        table = token_table if self.own is None else self.own.kernel
        if not isinstance(table, Quantized):
            table = ops.cast(table, states.dtype)
        batch, length = ops.shape(states)[:2]
        flat = ops.reshape(states, (-1, self.width))
        scores = ops.cast(product(flat, table), "float32")
        if self.has_bias:
            scores = scores + ops.cast(self.bias, "float32")
        return ops.reshape(scores, (batch, length, self.vocab_size))


def language_model_head(config: Any, policy: Any = None) -> LanguageModelHead:
    """The head that goes with a stack of these sizes and parts."""
    return LanguageModelHead(
        config.hidden_size,
        config.vocab_size,
        config.head_act or config.hidden_act,
        config.layer_norm_eps,
        width=config.summed_width
        if config.output == "transform"
        else config.hidden_size,
        transform=config.output == "transform",
        bias=config.output_bias,
        own=config.output == "own",
        scale=config.output_scale,
        norm_kind=config.norm,
        dtype=policy,
    )
