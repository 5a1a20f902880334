"""Examples to answers: windows, batches of like length, decoder, merge, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from nlpcli.text.batching import collate, sizes_of


def answer_all(
    recipe: Any, forward: Any, examples: Sequence[Any], batch_size: int
) -> list[dict[str, Any]]:
    """An answer for each example, in order.

    Windows of all examples are sorted by length, longest first, and batched, so
    padding is small and the largest batch meets the memory first. As many batches
    as ``forward`` has lanes run, and are decoded, side by side.
    """
    windows = recipe.encode(examples, gold=False)
    flat = [(owner, window) for owner, owned in enumerate(windows) for window in owned]
    sizes = [sizes_of(window.features, recipe.fields) for _, window in flat]
    order = sorted(
        range(len(flat)), key=lambda i: tuple(sizes[i].values()), reverse=True
    )
    lengths = [sizes[i]["tokens"] for i in order]
    batches = [order[a:b] for a, b in forward.ranges(lengths, batch_size)]

    def answer(chosen: list[int]) -> list[Any]:
        batch = collate(
            [flat[i][1].features for i in chosen],
            recipe.fields,
            forward.shape_of([sizes[i] for i in chosen]),
            forward.rows_of(batch_size),
        )
        found: list[Any] = recipe.predict(forward, batch)
        return found

    parts: list[Any] = [None] * len(flat)
    answers = side_by_side(answer, batches, forward.lanes)
    for chosen, found in zip(batches, answers, strict=True):
        for i, part in zip(chosen, found, strict=False):
            parts[i] = part
    owned: list[list[Any]] = [[] for _ in examples]
    for (owner, window), part in zip(flat, parts, strict=True):
        owned[owner].append((window.window, part))
    return [
        recipe.merge(example, own) for example, own in zip(examples, owned, strict=True)
    ]


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
