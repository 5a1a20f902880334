"""A share of the training texts that whitening is fitted to, the same in any order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import blake2b

MOST = 20_000


class Corpus:
    """The texts with the smallest hashes: a fair draw, without repetition.

    Adding the same text again, in another pass or process, changes nothing.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._heap: list[tuple[int, str]] = []
        self._kept: set[str] = set()

    def add(self, texts: Iterable[str]) -> None:
        """Look at more texts."""
        for text in texts:
            if text in self._kept:
                continue
            # Negated: the heap's first is the largest hash, the next to go.
            item = (-_hash(text), text)
            if len(self._heap) < self.most:
                heapq.heappush(self._heap, item)
                self._kept.add(text)
            elif item[0] > self._heap[0][0]:
                self._kept.add(text)
                self._kept.discard(heapq.heapreplace(self._heap, item)[1])

    def texts(self) -> list[str]:
        """What was drawn, in an order of its own."""
        return [text for _, text in sorted(self._heap)]


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
