"""Rows through a program in batches of like length, and back in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from nlpcli.text.batching import Features, Field, Sizes, collate, round_up, sizes_of

Rows = Sequence[Any] | np.ndarray


class Plan(Protocol):
    """How batches must be cut and padded for what runs them."""

    lanes: int

    def ranges(self, lengths: Sequence[int], batch_size: int) -> list[tuple[int, int]]:
        """Cuts of sorted rows into batches of at most ``batch_size``."""

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        """The padded sizes of a batch."""

    def rows_of(self, batch_size: int) -> int | None:
        """The rows of each batch; None where it may have its own number."""


class Runner(Plan, Protocol):
    """What runs batches that are cut and padded as it says."""

    def __call__(self, batch: Features) -> dict[str, np.ndarray]:
        """The model's outputs for a padded batch."""

    def decoding(self) -> Mapping[str, np.ndarray]:
        """What of the model a decoder needs beside them."""


class Loose:
    """Batches of a fixed number of rows, each padded to its own longest."""

    lanes = 1

    def ranges(self, lengths: Sequence[int], batch_size: int) -> list[tuple[int, int]]:
        starts = range(0, len(lengths), batch_size)
        return [(at, min(at + batch_size, len(lengths))) for at in starts]

    def shape_of(self, sizes: Sequence[Sizes]) -> Sizes:
        return round_up(sizes, 1)

    def rows_of(self, batch_size: int) -> int | None:
        return None


def in_batches(
    features: Sequence[Features],
    fields: Mapping[str, Field],
    plan: Plan,
    batch_size: int,
    work: Callable[[Features], Rows],
) -> list[Any]:
    """What ``work`` gives for each row, in order.

    Rows are sorted by length, longest first, so padding is small and the largest batch
    meets the memory first. As many batches as the plan has lanes run side by side.
    """
    sizes = [sizes_of(item, fields) for item in features]
    order = sorted(
        range(len(sizes)), key=lambda i: tuple(sizes[i].values()), reverse=True
    )
    cuts = plan.ranges([sizes[i]["tokens"] for i in order], batch_size)
    batches = [order[a:b] for a, b in cuts]

    def run(chosen: list[int]) -> Rows:
        batch = collate(
            [features[i] for i in chosen],
            fields,
            plan.shape_of([sizes[i] for i in chosen]),
            plan.rows_of(batch_size),
        )
        return work(batch)

    found: list[Any] = [None] * len(order)
    results = side_by_side(run, batches, plan.lanes)
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
