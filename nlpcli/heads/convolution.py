"""Sequence labelling by gated convolutions: a token for every place at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from nlpcli.heads.task_model import BackboneModel
from nlpcli.layers.dense import Dense
from nlpcli.layers.dropout import Dropout

Batch = Mapping[str, Any]
DILATIONS = (1, 2, 4)


class ConvolutionModel(BackboneModel):
    """Non-autoregressive: each place of the source classifies its own target.

    (Su's couplets, archives/6270; dilated as in his DGCNN, archives/5409.) Of the
    backbone only the token vectors are used. Features: token_ids, padding_mask, and
    to learn target_ids, target_mask, all (batch, tokens).
    Logits: {"targets": (batch, tokens, vocabulary)} float32.
    """

    def __init__(
        self,
        backbone: Any,
        width: int,
        layers: int,
        dropout: float,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(TokenVectors(backbone), **kwargs)
        config = backbone.config
        self.label_smoothing = label_smoothing
        self.dropout = Dropout(dropout)
        self.entrance = Dense(config.width, width, name="entrance")
        self.convolutions = [
            GatedConvolution(
                width, DILATIONS[index % len(DILATIONS)], name=f"convolution_{index}"
            )
            for index in range(layers)
        ]
        self.scores = Dense(width, config.vocab_size, name="scores", dtype="float32")
        parts: list[Any] = [self.entrance, *self.convolutions, self.scores]
        for part in parts:
            part.build()
        self.built = True

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        mask = inputs["padding_mask"]
        vectors = self.dropout(self.backbone(inputs["token_ids"]), training=training)
        states = self.entrance(vectors)
        for convolution in self.convolutions:
            states = convolution(states, mask)
        return {"targets": self.scores(ops.cast(states, "float32"))}

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """(total, weight): cross-entropy summed over targets, and their number."""
        weights = ops.cast(inputs["target_mask"], "float32")
        logp = ops.log_softmax(logits["targets"], axis=-1)
        index = ops.cast(inputs["target_ids"], "int32")[..., None]
        loss = -ops.take_along_axis(logp, index, axis=-1)[..., 0]
        if self.label_smoothing:
            uniform = -ops.mean(logp, axis=-1)
            loss += self.label_smoothing * (uniform - loss)
        return ops.sum(loss * weights), ops.sum(weights)


class TokenVectors(keras.layers.Layer):
    """The token table of a backbone, without its blocks: (..., tokens) ids to vectors.

    It keeps the names under which the engine looks into a backbone.
    """

    blocks = road = ()

    def __init__(self, backbone: Any) -> None:
        super().__init__(name=backbone.name, dtype=backbone.dtype_policy)
        self.config = backbone.config
        self.token_embedding = backbone.token_embedding
        self.built = True

    def call(self, token_ids: Any) -> Any:
        return self.token_embedding(token_ids)


class GatedConvolution(keras.layers.Layer):
    """x (1 - g) + h g, where h and the gate g are convolutions of width 3 over x.

    x: (batch, tokens, width); masked places stay zero, so padding changes nothing.
    """

    def __init__(self, width: int, dilation: int, name: str) -> None:
        super().__init__(name=name)
        self.width = width
        self.dilation = dilation
        self.both = Dense(3 * width, 2 * width, name="both", dtype=self.dtype_policy)

    def build(self, input_shape: Any = None) -> None:
        self.both.build()
        self.built = True

    def call(self, states: Any, mask: Any) -> Any:
        real = ops.cast(mask, states.dtype)[..., None]
        states = states * real
        hidden, gate = ops.split(self.both(self._neighbours(states)), 2, axis=-1)
        gate = ops.sigmoid(gate)
        return (states * (1.0 - gate) + hidden * gate) * real

    def _neighbours(self, states: Any) -> Any:
        """Each state between those ``dilation`` before and after it."""
        far, length = self.dilation, ops.shape(states)[1]
        padded = ops.pad(states, ((0, 0), (far, far), (0, 0)))
        parts = [padded[:, i * far : i * far + length] for i in range(3)]
        return ops.concatenate(parts, axis=-1)
