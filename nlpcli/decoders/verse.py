"""The rules of a second line as a constraint inside the compiled loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from nlpcli.decoders.constraints import Context


class VerseConstraint:
    """Only what the form of recipes.couplet.verse allows, then the end.

    Reads the prompt features of ``verse_features``. ``candidates``: (vocabulary,)
    bool, the tokens that may stand where the answer is free; ``tones``: (vocabulary,)
    their classes, without which the demands on tones do not count.
    State: the tokens so far (batch, width, first), and which tokens the two lines
    have (batch, width, vocabulary).
    """

    def __init__(
        self, candidates: np.ndarray, end_id: int, tones: np.ndarray | None = None
    ) -> None:
        self.candidates = candidates
        self.end_id = end_id
        self.tones = tones

    def start(self, prompt: Mapping[str, Any], width: int) -> Any:
        first = prompt["first_ids"]
        batch, length = ops.shape(first)
        ids = ops.arange(len(self.candidates))
        used = ops.any(first[:, :, None] == ids, axis=1)
        return (
            ops.zeros((batch, width, length), "int32"),
            ops.broadcast_to(used[:, None], (batch, width, len(self.candidates))),
        )

    def allowed(self, state: Any, context: Context) -> Any:
        tokens, used = state
        place = ops.minimum(context.step, tokens.shape[-1] - 1)

        def here(name: str) -> Any:
            return ops.take(context.prompt[name], place, axis=1)[:, None]

        ids = ops.arange(len(self.candidates))
        ended = (context.step >= context.prompt["answer_length"])[:, None]
        mark, origin = here("punctuation"), here("repeat_of")
        again = ops.take_along_axis(tokens, origin[..., None], axis=2)[..., 0]
        only = ops.where(mark, here("first_ids"), again)
        only = ops.where(ended, self.end_id, only)
        forced = ops.logical_or(ops.logical_or(ended, mark), origin < context.step)
        free = ops.logical_and(
            ops.convert_to_tensor(self.candidates), ops.logical_not(used)
        )
        if self.tones is not None:
            free = ops.logical_and(free, self._in_tone(here("tone")))
        return ops.where(forced[..., None], only[..., None] == ids, free)

    def advance(self, state: Any, context: Context, tokens: Any) -> Any:
        before, used = state
        here = ops.arange(before.shape[-1]) == context.step
        new = tokens[..., None] == ops.arange(len(self.candidates))
        return ops.where(here, tokens[..., None], before), ops.logical_or(used, new)

    def _in_tone(self, demand: Any) -> Any:
        """demand: (batch, 1) -> (batch, 1, vocabulary); free tokens always are."""
        tones = ops.convert_to_tensor(self.tones)
        agrees = ops.logical_or(tones == 0, tones == demand[..., None])
        return ops.logical_or(agrees, demand[..., None] == 0)
