"""How many rows a step may take, and how many steps a run has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from nlpcli.config import RunConfig
from nlpcli.engine.examples import TrainingWindows
from nlpcli.errors import ConfigError
from nlpcli.text.batching import Bound, Sizes


def row_bound(
    config: RunConfig, windows: TrainingWindows, buckets: Sequence[Sizes]
) -> Bound:
    """The rows of a step's batch; raises ConfigError for a window that fits none."""
    lengths = tuple(bucket["tokens"] for bucket in buckets)
    bound = Bound(config.train.batch_size, config.train.batch_tokens, lengths)
    longest = max(windows.lengths)
    padded = int(bound.padded([longest])[0])
    if bound.tokens is not None and padded > bound.tokens:
        raise ConfigError(
            [
                f"train.batch_tokens: expected at least {padded}, which the longest "
                f"window ({longest} tokens) is padded to, got {bound.tokens}; raise "
                "it or lower data.max_length"
            ]
        )
    return bound


def total_steps(config: RunConfig, windows: TrainingWindows) -> int:
    """How many batches the run has, as its seed shuffles them."""
    options = config.train
    most = options.max_steps
    if options.batch_size is not None:
        steps = -(-windows.count // options.batch_size) * options.epochs
        return steps if most is None else min(steps, most)
    batches = (
        batch
        for epoch in range(options.epochs)
        for batch in windows.epoch_lengths(epoch)
    )
    return sum(1 for _ in islice(batches, most))
