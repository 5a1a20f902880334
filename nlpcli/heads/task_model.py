"""Models: a backbone, a bridge where the task needs one, and what reads its states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from nlpcli.heads.crf import CrfHead
from nlpcli.text.batching import Features

Batch = Mapping[str, Any]


class Head(Protocol):
    """Hidden states to logits, and the loss of those logits.

    ``loss`` gives a (total, weight) pair of float32 scalars: the step adds both
    over micro-batches and devices before it divides, so that accumulation and
    distribution change nothing.
    """

    name: str

    def __call__(self, hidden_states: Any, mask: Any, training: bool = False) -> Any:
        """(batch, length, hidden) -> logits."""

    def loss(self, labels: Any, logits: Any, mask: Any) -> tuple[Any, Any]:
        """(total, weight)."""


class Parameter(NamedTuple):
    """A trainable variable and how it learns.

    ``depth``: blocks from the top one down to it; None for what starts fresh.
    ``decays``: weight decay acts on it.
    """

    variable: Any
    depth: int | None
    decays: bool


class BackboneModel(keras.Model):
    """What the engine asks of a model beside its outputs and its loss.

    ``filled`` are names of the parts that published weights had. ``whole_batches``:
    the rows of a batch belong together, so no batch is cut in lanes. ``axes``: along
    which its stacks walk.
    """

    whole_batches = False
    axes: tuple[str, ...] = ("tokens",)

    def __init__(self, backbone: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.filled: set[str] = set()

    @property
    def stacks(self) -> list[Any]:
        """The stacks of blocks that it walks through."""
        return [self.backbone]

    def own_ways(self) -> list[str]:
        """What it does that a published model of its parts does not."""
        return []

    def decoding(self) -> dict[str, np.ndarray]:
        """What a decoder needs of it beside its logits."""
        return {}

    def stages(
        self, batch: Features, forward: Callable[[Features], Mapping[str, np.ndarray]]
    ) -> list[Features]:
        """What it is called with, one after the other, to answer a batch."""
        return [batch]

    def published_parts(self) -> dict[str, Any]:
        """Layers beside the backbone that a published model may have, by part."""
        return {}

    def parameters(self) -> list[Parameter]:
        """The trainable variables, in their order, and how each learns.

        Embeddings lie below the lowest block, published parts beside the top one.
        Matrices decay, biases and norms do not.
        """
        blocks = [block for stack in self.stacks for block in stack.blocks]
        depths: dict[int, int | None] = dict.fromkeys(
            map(id, self.backbone.trainable_variables), len(blocks)
        )
        for depth, block in enumerate(reversed(blocks)):
            depths |= dict.fromkeys(map(id, block.trainable_variables), depth)
        depths |= dict.fromkeys(map(id, self.head_variables()), None)
        return [
            Parameter(v, depths.get(id(v), 0), len(v.shape) > 1)
            for v in self.trainable_variables
        ]

    def head_variables(self) -> list[Any]:
        """Trainable variables of what starts fresh: they learn at the head's rate."""
        known = list(self.backbone.variables)
        for name, layer in self.published_parts().items():
            known += layer.variables if name in self.filled else []
        own = {id(variable) for variable in known}
        return [v for v in self.trainable_variables if id(v) not in own]


class TaskModel(BackboneModel):
    """One batch of features to the logits of every head.

    Features: token_ids, padding_mask (batch, tokens), optionally segment_ids, what
    the bridge reads, and ``labels_key`` of each head. ``mask_key`` names the mask
    of the states that the heads see; ``published`` are published_parts.
    """

    def __init__(
        self,
        backbone: Any,
        heads: Mapping[str, Head],
        labels: Mapping[str, str],
        bridge: Any = None,
        mask_key: str = "padding_mask",
        published: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        self.published = dict(published or {})
        self.bridge = bridge
        self.heads = dict(heads)
        self.labels_key = dict(labels)
        self.mask_key = mask_key
        self.built = True

    def decoding(self) -> dict[str, np.ndarray]:
        """The scores of a CRF's chain."""
        chains = [head for head in self.heads.values() if isinstance(head, CrfHead)]
        names = ("transitions", "start_scores", "end_scores")
        return {
            k: v for c in chains for k, v in zip(names, c.parameters(), strict=True)
        }

    def published_parts(self) -> dict[str, Any]:
        return self.published

    def call(self, inputs: Batch, training: bool = False) -> dict[str, Any]:
        states = self.states(inputs, training)
        mask = inputs[self.mask_key]
        return {
            name: head(states, mask, training=training)
            for name, head in self.heads.items()
        }

    def states(self, inputs: Batch, training: bool = False) -> Any:
        """What the heads see: (batch, length, hidden)."""
        states = self.backbone(
            inputs["token_ids"],
            inputs.get("segment_ids"),
            inputs["padding_mask"],
            training=training,
        )
        if self.bridge is None:
            return states
        return self.bridge(
            states,
            inputs,
            token_embedding=self.backbone.token_embedding,
            training=training,
        )

    def task_loss(self, inputs: Batch, logits: Mapping[str, Any]) -> tuple[Any, Any]:
        """Sum over heads of (total, weight); heads of one model share the weight."""
        total: Any = 0.0
        weight: Any = 0.0
        for name, head in self.heads.items():
            part, weight = head.loss(
                inputs[self.labels_key[name]], logits[name], inputs[self.mask_key]
            )
            total = total + part
        return total, weight
