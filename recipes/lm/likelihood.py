"""Likelihoods: of possible answers beside each other, of a long text in windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from nlpcli.errors import DataError
from nlpcli.tasks.protocol import Answer, Decode
from nlpcli.text.batching import Features
from nlpcli.text.sequences import training_features


class Choice(NamedTuple):
    """A possible answer to a line."""

    number: int
    name: str
    features: Features


def choose(
    decode: Decode, choices: Sequence[Choice], longest: int | None, num: int
) -> dict[int, Answer | DataError]:
    """The ``num`` likeliest answers to each line, and how likely each choice is.

    By log p of all tokens of an answer and of what the template has behind it; the
    probabilities are among the choices. A DataError for a line that is too long.
    """
    answers: dict[int, Answer | DataError] = {}
    known = list[Choice]()
    for number, group in groupby(choices, key=lambda choice: choice.number):
        own = list(group)
        if error := _unfit(own, longest):
            answers[number] = error
        else:
            known += own
    losses = iter(decode.token_losses([choice.features for choice in known]))
    for number, group in groupby(known, key=lambda choice: choice.number):
        names = [choice.name for choice in group]
        scores = np.array([-next(losses).sum(dtype=np.float64) for _ in names])
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        order = np.argsort(-scores, kind="stable").tolist()
        answers[number] = {
            "outputs": [
                {
                    "text": names[i],
                    "score": round(float(scores[i]), 4),
                    "finish_reason": "choice",
                    "probability": round(float(chances[i]), 4),
                }
                for i in order[:num]
            ],
            "choices": {names[i]: round(float(chances[i]), 4) for i in order},
        }
    return answers


def _unfit(choices: Sequence[Choice], longest: int | None) -> DataError | None:
    most = max(len(choice.features["token_ids"]) for choice in choices)
    if longest is not None and most > longest:
        return DataError(
            f"expected at most {longest} tokens (the positions of the model), got "
            f"{most} with an answer"
        )
    for choice in choices:
        if not len(choice.features["target_ids"]):
            return DataError(f"the choice {choice.name!r}: expected text, got no token")
    return None


def windows_of(ids: np.ndarray, window: int, stride: int) -> list[Features]:
    """A text as windows, each token the target of one: all but the first.

    A window has ``window`` tokens at most and begins ``stride`` after the one before;
    what that one has measured is context.
    """
    windows = []
    done = 1
    for start in range(0, len(ids), stride):
        part = ids[start : start + window]
        if start + len(part) > done:
            learn = np.arange(start, start + len(part)) >= done
            windows.append(training_features(part, np.zeros(len(part)), learn))
            done = start + len(part)
        if done >= len(ids):
            break
    return windows


def total_of(losses: np.ndarray) -> float:
    """-log p of a sequence from those of its tokens."""
    return float(losses.sum(dtype=np.float64))
