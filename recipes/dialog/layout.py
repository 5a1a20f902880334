"""Turns as token sequences: [CLS] u1 [SEP] u2 [SEP] ..., cut where they are too long.

The segment of a turn is its number modulo 2, [CLS] has that of the first turn and a
[SEP] that of the turn it ends (Su 2020, kexue.fm/archives/7718). Where turns are
dropped from the left their number is even when it can be, so that the two speakers
keep their segments. A dialogue read backwards begins with segment 1, by which the
model knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nlpcli.text.batching import Features
from nlpcli.text.sequences import prompt_features, training_features
from nlpcli.text.tokenizers.vocab import Vocab

FORWARD, BACKWARD = 0, 1  # segment of the first turn


class Stretch(NamedTuple):
    """Turns [first, last) of a dialogue; those from ``start`` on are learnt."""

    first: int
    start: int
    last: int


def prompt_of(turns: Sequence[np.ndarray], vocab: Vocab, longest: int) -> Features:
    """The turns that fit into ``longest`` tokens, the last ones, to be replied to.

    turns: ids of each turn, one turn or more. A last turn that is too long by itself
    loses its beginning.
    """
    kept = list(turns[recent([len(turn) + 1 for turn in turns], longest - 1) :])
    kept[-1] = kept[-1][-max(longest - 2, 1) :]
    ids, segments, _ = lay_out(kept, vocab, FORWARD)
    return prompt_features(ids, segments, 1 - int(segments[-1]))


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
    cut = [len(turn) > room for turn in turns]
    short = [turn[:room] for turn in turns]
    found = []
    for first, start, last in stretches([len(turn) + 1 for turn in short], longest - 1):
        ids, segments, owners = lay_out(short[first:last], vocab, first_segment)
        targets = np.zeros(len(ids), bool)
        for turn in range(start, last):
            if learn[turn]:
                places = np.flatnonzero(owners == turn - first)
                targets[places[: len(places) - cut[turn]]] = True
        if targets.any():
            found.append(training_features(ids, segments, targets))
    return found


def pair_of(
    given: np.ndarray, told: np.ndarray, vocab: Vocab, longest: int
) -> Features:
    """[CLS] given [SEP] told [SEP], read backwards, to score what is told."""
    room = max((longest - 3) // 2, 1)
    ids, segments, owners = lay_out([given[:room], told[-room:]], vocab, BACKWARD)
    return training_features(ids, segments, owners == 1)


def lay_out(
    turns: Sequence[np.ndarray], vocab: Vocab, first_segment: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token ids, segment ids and the number of each token's turn (-1 for [CLS])."""
    ids, owners = [vocab.cls_id], [-1]
    for number, turn in enumerate(turns):
        ids += [*turn.tolist(), vocab.sep_id]
        owners += [number] * (len(turn) + 1)
    numbers = np.array(owners, np.int32)
    segments = (np.maximum(numbers, 0) + first_segment) % 2
    return np.array(ids, np.int32), segments.astype(np.int32), numbers


def recent(costs: Sequence[int], room: int) -> int:
    """The first of the last turns that fit into ``room``, an even number if it can be.

    The last turn is always among them.
    """
    first = len(costs) - 1
    used = costs[first]
    while first > 0 and used + costs[first - 1] <= room:
        first -= 1
        used += costs[first]
    return first + 1 if first % 2 and first + 1 < len(costs) else first


def stretches(costs: Sequence[int], room: int) -> list[Stretch]:
    """Cut a dialogue so that each turn is learnt once, after what fits before it.

    A window after the first begins with turns that were learnt already, in up to half
    of its room.
    """
    found = []
    first = start = 0
    while start < len(costs):
        last = start + 1
        used = sum(costs[first:last])
        while last < len(costs) and used + costs[last] <= room:
            used += costs[last]
            last += 1
        found.append(Stretch(first, start, last))
        start = last
        if start < len(costs):
            first = _context(costs[: start + 1], room)
    return found


def _context(costs: Sequence[int], room: int) -> int:
    """Where a window begins whose first turn to learn is the last of ``costs``."""
    return recent(costs, max(room // 2, costs[-1]))
