"""Unpadded features to rectangular batches of few shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Features = dict[str, np.ndarray]
Sizes = dict[str, int]
Ranges = list[tuple[int, int]]  # half-open

MANY = 2**30


@dataclass(frozen=True)
class Field:
    """How one feature pads: the name of each axis (None is fixed) and the filler.

    ``tokens``: it holds ids of the vocabulary. ``sparse``: the model does not ask whose
    it is, so that a compact batch leaves out what is empty.
    """

    axes: tuple[str | None, ...]
    pad: int | float | bool = 0
    tokens: bool = False
    sparse: bool = False


@dataclass(frozen=True)
class Bound:
    """How many rows a batch may hold: by number, by padded tokens, or by both.

    ``lengths``: those that batches are padded to, ascending; a row beyond them takes
    the next power of two. None where a batch is padded to its own longest row.
    """

    rows: int | None = None
    tokens: int | None = None
    lengths: tuple[int, ...] | None = None

    def padded(self, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
        """The length of a batch whose longest row has each of ``lengths``."""
        padded = np.array(lengths, np.int64)
        if self.lengths is None:
            return padded
        index = np.searchsorted(self.lengths, padded)
        beyond = index == len(self.lengths)
        padded[~beyond] = np.array(self.lengths, np.int64)[index[~beyond]]
        padded[beyond] = [next_power(int(length)) for length in padded[beyond]]
        return padded

    def most(self, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
        """The rows of a batch whose longest has each of ``lengths``, at least one."""
        most = np.full(len(lengths), MANY if self.rows is None else self.rows)
        if self.tokens is None:
            return most
        room = self.tokens // np.maximum(self.padded(lengths), 1)
        return np.maximum(np.minimum(most, room), 1)


def sizes_of(features: Features, fields: Mapping[str, Field]) -> Sizes:
    """The length of every named axis of one example."""
    sizes: Sizes = {}
    for name, array in features.items():
        for axis, length in zip(fields[name].axes, array.shape, strict=True):
            if axis is not None:
                sizes[axis] = max(sizes.get(axis, 0), length)
    return sizes


def collate(
    features: Sequence[Features],
    fields: Mapping[str, Field],
    sizes: Sizes,
    rows: int | None = None,
    compact: bool = False,
) -> Features:
    """Pad examples to ``sizes`` and stack them into ``rows`` rows.

    Rows beyond the examples hold only filler, so their masks are all False.
    Each array of the result: (rows, *padded shape); of a sparse field, where the batch
    is ``compact``, only as many quarters of the rows as it needs.
    """
    rows = len(features) if rows is None else rows
    batch: Features = {}
    for name, first in features[0].items():
        field = fields[name]
        shape = [
            length if axis is None else sizes[axis]
            for axis, length in zip(field.axes, first.shape, strict=True)
        ]
        arrays, count = [example[name] for example in features], rows
        if compact and field.sparse:
            arrays = [array for array in arrays if array.size]
            quarter = max(rows // 4, 1)
            count = min(-(-max(len(arrays), 1) // quarter) * quarter, rows)
        out = np.full((count, *shape), field.pad, dtype=first.dtype)
        for row, array in enumerate(arrays):
            place: Any = (row, *(slice(n) for n in array.shape))
            out[place] = array
        batch[name] = out
    return batch


def round_up(sizes: Iterable[Sizes], multiple: int = 8) -> Sizes:
    """The smallest shape that holds all, each axis a multiple of ``multiple``."""
    out: Sizes = {}
    for item in sizes:
        for axis, length in item.items():
            out[axis] = max(out.get(axis, 1), length)
    return {axis: -(-length // multiple) * multiple for axis, length in out.items()}


def choose_buckets(
    sizes: Sequence[Sizes], count: int, main: str = "tokens", multiple: int = 8
) -> list[Sizes]:
    """At most ``count`` shapes that waste the least padding on the main axis.

    Exact: dynamic programming over the distinct (rounded) lengths. The other axes
    take the maximum inside their bucket, and never shrink from one to the next.
    """
    groups: dict[int, list[Sizes]] = {}
    for item in sizes:
        groups.setdefault(round_up([item], multiple)[main], []).append(item)
    lengths = sorted(groups)
    weights = np.array([len(groups[length]) for length in lengths], np.float64)
    before = np.concatenate([[0.0], np.cumsum(weights)])
    total = len(lengths)
    cost = np.full((count + 1, total + 1), np.inf)
    cost[:, 0] = 0.0
    cut = np.zeros((count + 1, total + 1), np.int64)
    for used in range(1, count + 1):
        for end in range(1, total + 1):
            options = (
                cost[used - 1, :end] + (before[end] - before[:end]) * (lengths[end - 1])
            )
            cut[used, end] = int(np.argmin(options))
            cost[used, end] = options[cut[used, end]]
    ends: list[int] = []
    used, end = count, total
    while end > 0:
        ends.append(end)
        end, used = int(cut[used, end]), used - 1
    buckets: list[Sizes] = []
    start = 0
    floor: Sizes = {}
    for end in reversed(ends):
        inside = [item for k in lengths[start:end] for item in groups[k]]
        floor = round_up([*inside, floor] if floor else inside, multiple)
        buckets.append(floor)
        start = end
    return buckets


def fit(sizes: Sizes, buckets: Sequence[Sizes]) -> int | None:
    """Index of the first (smallest) bucket that holds ``sizes``, or None."""
    for index, bucket in enumerate(buckets):
        if all(length <= bucket.get(axis, 0) for axis, length in sizes.items()):
            return index
    return None


def padded_sizes(
    sizes: Sequence[Sizes], buckets: Sequence[Sizes], static: tuple[str, ...] | None
) -> Sizes:
    """How far to pad a batch: its own longest, but on ``static`` axes the bucket's.

    None means all axes. A batch beyond every bucket takes the next power of two.
    """
    longest = round_up(sizes, 1)
    axes = tuple(longest) if static is None else static
    wanted = {axis: longest[axis] for axis in axes}
    index = fit(wanted, buckets)
    bucket = (
        {axis: next_power(length) for axis, length in wanted.items()}
        if index is None
        else buckets[index]
    )
    return {**longest, **{axis: bucket[axis] for axis in axes}}


def next_power(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


def cut_sorted(
    lengths: Sequence[int], most: int | np.ndarray, overhead: int = 64
) -> Ranges:
    """Ranges of at most ``most`` rows that cost the least in all.

    lengths: sorted, either way. most: one for all, or for each row the rows of a batch
    of which it is the longest. A batch costs its padded positions and ``overhead``
    more, so neighbours of unlike length part where that saves more than a batch
    costs. Exact, by dynamic programming.
    """
    ranked = np.asarray(lengths, np.int64)
    caps = np.broadcast_to(most, ranked.shape)
    cost = np.zeros(len(ranked) + 1)
    begin = np.zeros(len(ranked) + 1, np.int64)
    widest = int(caps.max(initial=1))
    for end in range(1, len(ranked) + 1):
        starts = np.arange(max(0, end - widest), end)
        counts = end - starts
        longest = np.maximum(ranked[starts], ranked[end - 1])
        options = cost[starts] + counts * longest + overhead
        options[counts > np.minimum(caps[starts], caps[end - 1])] = np.inf
        best = int(np.argmin(options))
        cost[end], begin[end] = options[best], starts[best]
    ranges: Ranges = []
    end = len(ranked)
    while end > 0:
        ranges.append((int(begin[end]), end))
        end = int(begin[end])
    return ranges[::-1]


def cut_rising(most: np.ndarray) -> Ranges:
    """Full ranges of rows sorted by length, the shortest first.

    most: for each row, the rows of a batch of which it is the longest; never rises.
    """
    reach = np.arange(len(most)) - most
    ranges: Ranges = []
    start = 0
    while start < len(most):
        end = int(np.searchsorted(reach, start - 1, side="right"))
        ranges.append((start, end))
        start = end
    return ranges


def cut_falling(most: np.ndarray) -> Ranges:
    """Full ranges of rows sorted by length, the longest first; ``most`` as there."""
    ranges: Ranges = []
    start = 0
    while start < len(most):
        end = min(start + int(most[start]), len(most))
        ranges.append((start, end))
        start = end
    return ranges


def halves(lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """Indices of the shorter and of the longer rows, padded to nearly the same size.

    At least two rows; neither half is empty.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    ranked = [lengths[i] for i in order]
    cut = min(
        range(1, len(order)),
        key=lambda at: max(at * ranked[at - 1], (len(order) - at) * ranked[-1]),
    )
    return order[:cut], order[cut:]


def length_grouped(
    lengths: Sequence[int] | np.ndarray,
    most: int | np.ndarray,
    rng: np.random.Generator,
    window: int = 50,
) -> Iterator[list[int]]:
    """Shuffled index batches whose members have similar lengths.

    Shuffle, sort inside windows of ``window`` batches, cut, shuffle the batches.
    most: one for all, or for each row the rows of a batch of which it is the longest.
    """
    ranks, caps = np.asarray(lengths), np.broadcast_to(most, len(lengths))
    order = rng.permutation(len(ranks))
    span = int(caps.mean()) * window if len(caps) else 1
    batches: list[np.ndarray] = []
    for start in range(0, len(order), span):
        part = order[start : start + span]
        ranked = part[np.argsort(ranks[part], kind="stable")]
        batches += [ranked[a:b] for a, b in cut_rising(caps[ranked])]
    for index in rng.permutation(len(batches)):
        yield batches[index].tolist()
