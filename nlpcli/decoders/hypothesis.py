"""What a decoder gives back for a prompt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Hypothesis(NamedTuple):
    """One answer: token ids without the end token, and how it came about.

    score: sum of the model's log-probabilities of its tokens, the end included
    (natural log), whatever penalties and filters went into the choice;
    finish_reason: "end" when the model ended it, "length" when room ran out;
    satisfied: False when at some place no token met the constraints.
    """

    token_ids: np.ndarray
    score: float
    finish_reason: str
    satisfied: bool

    @property
    def steps(self) -> int:
        """How many log-probabilities its score sums up."""
        return len(self.token_ids) + (self.finish_reason == "end")

    @property
    def mean(self) -> float:
        """Its score by log-probability."""
        return self.score / max(self.steps, 1)
