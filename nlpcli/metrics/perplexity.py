"""Perplexity of a language model, from totals over the corpus."""

from __future__ import annotations

import math
import sys

from nlpcli.errors import DivergedError

LARGEST = sys.float_info.max


def perplexity(negative_log_likelihood: float, tokens: int) -> float | None:
    """exp(total negative log-likelihood / tokens), the likelihood in nats.

    The totals of all batches go in: a mean of batch perplexities is another number.
    None without tokens. Beyond the largest float, an infinite total included, the
    answer is that float, since JSON has no infinity. Raises DivergedError for NaN.
    """
    if not tokens:
        return None
    mean = float(negative_log_likelihood) / tokens
    if math.isnan(mean):
        raise DivergedError(
            f"perplexity of {tokens} tokens: expected a negative log-likelihood, "
            f"got {negative_log_likelihood}"
        )
    try:
        return min(math.exp(mean), LARGEST)
    except OverflowError:
        return LARGEST
