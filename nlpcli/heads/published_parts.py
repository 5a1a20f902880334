"""Layers beside a backbone that published models have, by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nlpcli.heads.discriminator import Discriminator
from nlpcli.heads.language_model import language_model_head
from nlpcli.layers.dense import Dense

# What messages call them, and how each is made for sizes of a stack.
PARTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "mlm": ("output head", language_model_head),
    "pooler": (
        "pooler",
        lambda config: _dense(config, "pooler", config.hidden_size),
    ),
    "nsp": ("head for the next sentence", lambda config: _dense(config, "nsp", 2)),
    "sop": ("head for sentence order", lambda config: _dense(config, "sop", 2)),
    "discriminator": (
        "discriminator",
        lambda config: Discriminator(config.hidden_size, config.hidden_act),
    ),
}


class PublishedHead(NamedTuple):
    """A head as a class of transformers has it.

    task: the end of the class's name, "ForTokenClassification". layers: its name of
    each dense layer -> ours. labels: in the order of the logits. more: further keys of
    its configuration. lost: what that class does otherwise.
    """

    task: str
    layers: Mapping[str, Any]
    labels: Sequence[str]
    more: Mapping[str, Any] = {}
    lost: Sequence[str] = ()


class UnpublishedHead(NamedTuple):
    """A head that no class of transformers has.

    told: what is lost. advice: what makes one of the class ``task``, for families that
    have that as BERT has.
    """

    told: str
    advice: str
    task: str


def _dense(config: Any, name: str, units: int) -> Dense:
    layer = Dense(config.hidden_size, units, name=name)
    layer.build()
    return layer
