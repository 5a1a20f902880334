"""Unpadded features to rectangular batches of few shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Features = dict[str, np.ndarray]
Sizes = dict[str, int]


@dataclass(frozen=True)
class Field:
    """How one feature pads: the name of each axis (None is fixed) and the filler."""

    axes: tuple[str | None, ...]
    pad: int | float | bool = 0


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
) -> Features:
    """Pad examples to ``sizes`` and stack them into ``rows`` rows.

    Rows beyond the examples hold only filler, so their masks are all False.
    Each array of the result: (rows, *padded shape).
    """
    rows = len(features) if rows is None else rows
    batch: Features = {}
    for name, first in features[0].items():
        field = fields[name]
        shape = [
            length if axis is None else sizes[axis]
            for axis, length in zip(field.axes, first.shape, strict=True)
        ]
        out = np.full((rows, *shape), field.pad, dtype=first.dtype)
        for row, example in enumerate(features):
            array = example[name]
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
    wanted = round_up([{axis: longest[axis] for axis in axes}])
    index = fit(wanted, buckets)
    bucket = (
        {axis: 2 ** (length - 1).bit_length() for axis, length in wanted.items()}
        if index is None
        else buckets[index]
    )
    return {**longest, **{axis: bucket[axis] for axis in axes}}


def length_grouped(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator, window: int = 50
) -> Iterator[list[int]]:
    """Shuffled index batches whose members have similar lengths.

    Shuffle, sort inside windows of ``window`` batches, cut, shuffle the batches.
    """
    order = rng.permutation(len(lengths))
    span = batch_size * window
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        part = order[start : start + span]
        ranked = part[np.argsort([lengths[i] for i in part], kind="stable")]
        batches += [
            ranked[at : at + batch_size].tolist()
            for at in range(0, len(ranked), batch_size)
        ]
    for index in rng.permutation(len(batches)):
        yield batches[index]
