"""What an answer may be: small functions over the next token, inside the loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops


class Context(NamedTuple):
    """What a constraint may look at.

    prompt: the padded features of the prompts, (batch, ...) each; step: () int32,
    tokens before this one; limit: (batch,) int32, most tokens with the end token.
    """

    prompt: Mapping[str, Any]
    step: Any
    limit: Any


class Constraint(Protocol):
    """Runs inside the compiled loop: keras.ops, static shapes, no Python branches.

    Its state is a nest of arrays (batch, width, ...) that follow their hypothesis
    when beams are reordered; () where there is none. The end token is a token like
    others: a constraint says when it is allowed.
    """

    def start(self, prompt: Mapping[str, Any], width: int) -> Any:
        """The state before the first token."""

    def allowed(self, state: Any, context: Context) -> Any:
        """bool that broadcasts to (batch, width, vocabulary)."""

    def advance(self, state: Any, context: Context, tokens: Any) -> Any:
        """The state after ``tokens``, (batch, width) int32."""


class Forbid:
    """Tokens that never come: unknown and special ones, but for the end token."""

    def __init__(self, token_ids: Iterable[int], vocab_size: int) -> None:
        allowed = np.ones(vocab_size, bool)
        allowed[list(token_ids)] = False
        self._allowed = allowed

    def start(self, prompt: Mapping[str, Any], width: int) -> Any:
        return ()

    def allowed(self, state: Any, context: Context) -> Any:
        return ops.convert_to_tensor(self._allowed)[None, None]

    def advance(self, state: Any, context: Context, tokens: Any) -> Any:
        return state
