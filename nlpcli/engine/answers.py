"""Examples to answers: windows, batches of like length, decoder, merge, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nlpcli.text.batching import collate, sizes_of


def answer_all(
    recipe: Any, forward: Any, examples: Sequence[Any], batch_size: int
) -> list[dict[str, Any]]:
    """An answer for each example, in order.

    Windows of all examples are sorted by length, longest first, and batched, so
    padding is small and the largest batch meets the memory first.
    """
    windows = recipe.encode(examples, gold=False)
    flat = [(owner, window) for owner, owned in enumerate(windows) for window in owned]
    sizes = [sizes_of(window.features, recipe.fields) for _, window in flat]
    order = sorted(
        range(len(flat)), key=lambda i: tuple(sizes[i].values()), reverse=True
    )
    parts: list[Any] = [None] * len(flat)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = collate(
            [flat[i][1].features for i in chosen],
            recipe.fields,
            forward.shape_of([sizes[i] for i in chosen]),
            forward.rows_of(batch_size),
        )
        for i, answer in zip(chosen, recipe.predict(forward, batch), strict=False):
            parts[i] = answer
    owned: list[list[Any]] = [[] for _ in examples]
    for (owner, window), part in zip(flat, parts, strict=True):
        owned[owner].append((window.window, part))
    return [
        recipe.merge(example, own) for example, own in zip(examples, owned, strict=True)
    ]
