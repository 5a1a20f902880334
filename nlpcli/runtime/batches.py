"""How rows become batches: sorted, cut, padded, run, and put back in their order.

What is compiled for a shape decides how a batch is shaped; a ``Plan`` says it once,
for training and for prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nlpcli.text.batching import (
    Bound,
    Features,
    Field,
    Ranges,
    Sizes,
    collate,
    cut_falling,
    cut_sorted,
    halves,
    next_power,
    padded_sizes,
    round_up,
    sizes_of,
)

if TYPE_CHECKING:
    from nlpcli.runtime.device import Device

Rows = Sequence[Any] | np.ndarray

# Padded tokens of a batch: those of 32 rows of 128. 64 rows of 500 through 12 layers of
# 384 took 14.7 s and 2242 MiB at once, 10.7 s and 1305 MiB so (two cores, AVX-512).
AT_ONCE = 4096
PROMPTS = (16, 32, 64, 128, 256, 512)  # lengths of prompts and of answers


@dataclass(frozen=True)
class Plan:
    """How batches are cut and padded for what runs them.

    buckets: sizes that are compiled. static: the axes that are padded to a bucket's;
    None is all of them, others go to the longest row's. full: a batch gets all the rows
    of its bound. lanes: batches side by side, or halves of one in training. parts: the
    pieces into which its rows can be dealt. micro: those that training takes one after
    another. compact: what is empty of a sparse field is left out.
    """

    fields: Mapping[str, Field]
    bound: Bound
    buckets: Sequence[Sizes] = ()
    static: tuple[str, ...] | None = ()
    full: bool = False
    lanes: int = 1
    parts: int = 1
    micro: int = 1
    compact: bool = False

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        """The padded sizes of a batch of rows with these sizes."""
        return padded_sizes(sizes, self.buckets, self.static)

    def rows_of(self, count: int, shape: Sizes) -> int:
        """How many rows a batch of ``count`` is filled up to."""
        most = int(self.bound.most([shape["tokens"]])[0]) if self.full else 1
        return -(-max(most, count) // self.parts) * self.parts

    def cuts(self, lengths: Sequence[int]) -> Ranges:
        """Ranges of sorted rows, the longest first, that are a batch each."""
        most = self.bound.most(lengths)
        return cut_falling(most) if self.full else cut_sorted(lengths, most)

    def pad(self, features: Sequence[Features]) -> Features:
        """One batch of rows."""
        shape = self.shape_of([sizes_of(item, self.fields) for item in features])
        rows = self.rows_of(len(features), shape)
        return collate(features, self.fields, shape, rows, self.compact)


class Runner(Protocol):
    """What runs the batches of a plan of its own; no TensorFlow is asked for."""

    def plan(self, fields: Mapping[str, Field], batch_size: int) -> Plan:
        """How rows become batches of at most ``batch_size`` for it."""

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        """The model's outputs for a padded batch."""

    def decoding(self) -> Mapping[str, np.ndarray]:
        """What of the model a decoder needs beside them."""


def training_plan(
    fields: Mapping[str, Field],
    bound: Bound,
    buckets: Sequence[Sizes],
    model: Any,
    device: Device,
    accumulate: int,
    blocks: bool,
) -> Plan:
    """How a training's batches are padded and dealt out.

    ``blocks``: single blocks are compiled, along the model's ``axes``.
    """
    whole = accumulate == device.replicas == 1
    # Micro-batches are for those short of memory: they go one by one.
    cut = accumulate == 1 and not blocks and not model.whole_batches
    lanes = device.lanes if cut else 1
    return Plan(
        fields,
        bound,
        buckets,
        static=None if device.xla else model.axes if blocks else (),
        full=device.xla or blocks or not whole,
        lanes=lanes,
        parts=accumulate * device.replicas,
        micro=accumulate,
        # A compact batch has shapes of its own, and its rows cannot be dealt out.
        compact=whole and lanes == 1 and not device.xla,
    )


class _Part(NamedTuple):
    """Rows that are padded together."""

    rows: list[int]
    shape: Sizes
    height: int


def micro_batches(features: Sequence[Features], plan: Plan) -> list[Any]:
    """The padded pieces that a training step takes, one after another.

    Each is a batch, or a list of the batches that go side by side. The whole is the
    same update, however it is cut.
    """
    parts = _parts([sizes_of(item, plan.fields) for item in features], plan)
    padded = [
        collate(
            [features[i] for i in part.rows],
            plan.fields,
            part.shape,
            part.height,
            plan.compact,
        )
        for part in parts
    ]
    if plan.lanes == 1:
        return _slices(padded[0], parts[0].height, plan.micro)
    return [padded if len(padded) > 1 else _slices(padded[0], 2, 2)]


def padding_share(batches: Iterable[Sequence[int] | np.ndarray], plan: Plan) -> float:
    """The share of filler among the tokens of batches of rows with these lengths."""
    real = padded = 0
    for lengths in batches:
        parts = _parts([{"tokens": int(length)} for length in lengths], plan)
        padded += sum(part.height * part.shape["tokens"] for part in parts)
        real += int(np.sum(lengths))
    return 1.0 - real / max(padded, 1)


def _parts(sizes: Sequence[Sizes], plan: Plan) -> list[_Part]:
    every = list(range(len(sizes)))
    if plan.lanes == 1:
        shape = plan.shape_of(sizes)
        return [_Part(every, shape, plan.rows_of(len(sizes), shape))]
    if len(sizes) == 1:  # a lone row gets a row of filler for its partner
        return [_Part(every, round_up(sizes, 1), 2)]
    return [
        _Part(half, round_up([sizes[i] for i in half], 1), len(half))
        for half in halves([size["tokens"] for size in sizes])
    ]


def _slices(batch: Features, rows: int, count: int) -> list[Features]:
    size = rows // count
    return [
        {name: array[at : at + size] for name, array in batch.items()}
        for at in range(0, rows, size)
    ]


def in_batches(
    features: Sequence[Features], plan: Plan, work: Callable[[Features], Rows]
) -> list[Any]:
    """What ``work`` gives for each row, in order."""
    return in_order(
        [sizes_of(item, plan.fields) for item in features],
        plan.cuts,
        lambda chosen: work(plan.pad([features[i] for i in chosen])),
        plan.lanes,
    )


def in_order(
    sizes: Sequence[Sizes],
    cuts: Callable[[Sequence[int]], Ranges],
    run: Callable[[list[int]], Rows],
    lanes: int = 1,
) -> list[Any]:
    """What ``run`` gives for each row, in order, of a few chosen ones at a time.

    Rows are sorted by length, longest first, so padding is small and the largest batch
    meets the memory first. As many batches as there are lanes run side by side.
    """
    order = sorted(
        range(len(sizes)), key=lambda i: tuple(sizes[i].values()), reverse=True
    )
    batches = [order[a:b] for a, b in cuts([sizes[i]["tokens"] for i in order])]
    found: list[Any] = [None] * len(order)
    results = side_by_side(run, batches, lanes)
    for chosen, rows in zip(batches, results, strict=True):
        for i, row in zip(chosen, rows, strict=False):
            found[i] = row
    return found


def side_by_side(
    work: Callable[[Any], Any], items: Iterable[Any], lanes: int
) -> Iterator[Any]:
    """``work`` of each item, in order; ``lanes`` of them at a time.

    Where one fails, those not yet begun are dropped.
    """
    if lanes == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(lanes, "nlpcli-lane") as pool:
        futures: list[Future[Any]] = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def pad_prompts(
    prompts: Sequence[Features],
    fields: Mapping[str, Field],
    most: int,
    least: int = 1,
) -> Features:
    """Prompts of a compiled decoder: a lone one, or ``most`` rows; ``least`` tokens."""
    longest = round_up([{"tokens": least}, *(sizes_of(p, fields) for p in prompts)], 1)
    # What is one for all, as the start of a decoder, stays one.
    sizes = {
        axis: 1 if length == 1 else prompt_length(length)
        for axis, length in longest.items()
    }
    return collate(prompts, fields, sizes, 1 if len(prompts) == 1 else most)


def prompt_length(length: int) -> int:
    """The length that one of a prompt or an answer is padded to."""
    return next((size for size in PROMPTS if size >= length), next_power(length))
