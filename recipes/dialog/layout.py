"""Turns as token sequences: [CLS] u1 [SEP] u2 [SEP] ..., cut where they are too long.

The segment of a turn is its number modulo 2, [CLS] has that of the first turn and a
[SEP] that of the turn it ends (Su 2020, kexue.fm/archives/7718). Where turns are
dropped from the left their number is even when it can be, so that the two speakers
keep their segments. A dialogue read backwards begins with segment 1, by which the
model knows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlpcli.text.batching import Features
from nlpcli.text.sequences import lay_out, prompt_features, training_features
from nlpcli.text.tokenizers.vocab import Vocab

FORWARD, BACKWARD = 0, 1  # segment of the first turn


def prompt_of(turns: Sequence[np.ndarray], vocab: Vocab, longest: int) -> Features:
    """The turns that fit into ``longest`` tokens, the last ones, to be replied to.

    turns: ids of each turn, one turn or more. A last turn that is too long by itself
    loses its beginning.
    """
    kept = list(turns[recent([len(turn) + 1 for turn in turns], longest - 1) :])
    kept[-1] = kept[-1][-max(longest - 2, 1) :]
    ids, owners = lay_out(vocab, kept)
    return prompt_features(ids, owners.clip(0) % 2, next_segment=len(kept) % 2)


def windows_of(
    turns: Sequence[np.ndarray],
    learn: Sequence[bool],
    vocab: Vocab,
    longest: int,
    first_segment: int = FORWARD,
) -> list[Features]:
    """Training windows of at most ``longest`` tokens; each turn is learnt in one.

    learn: for each turn whether it is a target, its [SEP] with it. A turn of more
    than half a window loses its end and with it the [SEP] as a target. A window
    without targets is left out.
    """
    room = longest // 2 - 2
    short = [turn[:room] for turn in turns]
    found = []
    for first, start, last in stretches([len(turn) + 1 for turn in short], longest - 1):
        ids, owners = lay_out(vocab, short[first:last])
        # By turn, and last for [CLS], whose owner is -1.
        wanted = [learn[i] and i >= start for i in range(first, last)] + [False]
        whole = [len(turn) <= room for turn in turns[first:last]] + [True]
        ends = ids == vocab.end_id
        targets = np.array(wanted)[owners] & (np.array(whole)[owners] | ~ends)
        if targets.any():
            segments = (owners.clip(0) + first_segment) % 2
            found.append(training_features(ids, segments, targets))
    return found


def pair_of(
    given: np.ndarray, told: np.ndarray, vocab: Vocab, longest: int
) -> Features:
    """[CLS] given [SEP] told [SEP], read backwards, to score what is told."""
    room = max((longest - 3) // 2, 1)
    ids, owners = lay_out(vocab, [given[:room], told[-room:]])
    return training_features(ids, (owners.clip(0) + BACKWARD) % 2, owners == 1)


def recent(costs: Sequence[int], room: int, last: int | None = None) -> int:
    """The first of the turns that fit into ``room``, an even number if it can be.

    last: the turn that they end with, in any case (None: the last of all).
    """
    first = last = len(costs) - 1 if last is None else last
    total = costs[last]
    while first > 0 and total + costs[first - 1] <= room:
        first -= 1
        total += costs[first]
    return first + 1 if first % 2 and first < last else first


def stretches(costs: Sequence[int], room: int) -> list[tuple[int, int, int]]:
    """Cut a dialogue so that each turn is learnt once, after what fits before it.

    (first, start, last): of the turns [first, last) those from ``start`` on are
    learnt; what stands before them takes up to half of the room.
    """
    found = []
    first = start = 0
    while start < len(costs):
        if start:
            first = recent(costs, max(room // 2, costs[start]), start)
        last = start + 1
        total = sum(costs[first:last])
        while last < len(costs) and total + costs[last] <= room:
            total += costs[last]
            last += 1
        found.append((first, start, last))
        start = last
    return found
