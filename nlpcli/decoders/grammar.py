"""A grammar of one's own for each prompt: its automaton as features of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from nlpcli.decoders.automaton import DEAD, END, PADDING, START, Automaton
from nlpcli.decoders.constraints import Context
from nlpcli.text.batching import Features, Field

GRAMMAR_FIELDS = {
    "edge_source": Field(("edges",), PADDING),
    "edge_token": Field(("edges",)),
    "edge_target": Field(("edges",), DEAD),
    "edge_depth": Field(("edges",)),
    "edge_cost": Field(("edges",)),
    "max_depth": Field(()),
}


def grammar_features(automaton: Automaton) -> Features:
    """The edges of one automaton, to stand beside the features of its prompt."""
    return {
        "edge_source": automaton.source,
        "edge_token": automaton.token,
        "edge_target": automaton.target,
        "edge_depth": automaton.depth,
        "edge_cost": automaton.cost,
        "max_depth": np.asarray(automaton.max_depth, np.int32),
    }


class GrammarConstraint:
    """Only tokens of edges from which the answer can still end in time.

    Runs what ``nlpcli.decoders.automaton`` defines, with the features of
    ``grammar_features``. State: (state, depth), (batch, width) int32 each. Behind a
    token that no edge has, and behind the end, nothing is allowed any more.
    """

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def start(self, prompt: Mapping[str, Any], width: int) -> Any:
        shape = (ops.shape(prompt["edge_source"])[0], width)
        return (
            ops.broadcast_to(ops.cast(START, "int32"), shape),
            ops.zeros(shape, "int32"),
        )

    def allowed(self, state: Any, context: Context) -> Any:
        prompt = context.prompt
        places, depth = state
        after = depth[..., None] + _edges(prompt, "edge_depth")
        target = _edges(prompt, "edge_target")
        remaining = (context.limit - context.step)[:, None, None]
        open_ = _all(
            _edges(prompt, "edge_source") == places[..., None],
            after >= 0,
            after <= prompt["max_depth"][:, None, None],
            ops.logical_or(target != END, after == 0),
            _edges(prompt, "edge_cost") + after < remaining,
        )
        return self._marked(open_, _edges(prompt, "edge_token"))

    def advance(self, state: Any, context: Context, tokens: Any) -> Any:
        prompt = context.prompt
        places, depth = state
        taken = ops.logical_and(
            _edges(prompt, "edge_source") == places[..., None],
            _edges(prompt, "edge_token") == tokens[..., None],
        )
        target = ops.where(taken, _edges(prompt, "edge_target"), DEAD)
        change = ops.where(taken, _edges(prompt, "edge_depth"), 0)
        return ops.max(target, axis=-1), depth + ops.sum(change, axis=-1)

    def _marked(self, open_: Any, tokens: Any) -> Any:
        """The tokens of the open edges, (batch, width, vocabulary) bool."""
        batch, width, edges = open_.shape
        room = self.vocab_size + 1  # with a place for edges that are not open
        rows = ops.reshape(ops.arange(batch * width) * room, (batch, width, 1))
        index = ops.where(open_, tokens, self.vocab_size) + rows
        marks = ops.scatter(
            ops.reshape(index, (-1, 1)),
            ops.ones((batch * width * edges,), "int32"),
            (batch * width * room,),
        )
        return ops.reshape(marks, (batch, width, room))[..., : self.vocab_size] > 0


def _edges(prompt: Mapping[str, Any], name: str) -> Any:
    return prompt[name][:, None]


def _all(*conditions: Any) -> Any:
    met = conditions[0]
    for condition in conditions[1:]:
        met = ops.logical_and(met, condition)
    return met
