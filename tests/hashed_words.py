"""A stand-in for the model of an index: sums of one random direction a character."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 16


class HashedWords:
    """Embeds by characters; ``seed`` makes another model, ``seconds`` a slow one."""

    dimension = WIDTH

    def __init__(self, seed: int = 0, seconds: float = 0.0) -> None:
        self.seed = seed
        self.seconds = seconds
        self.embedded: list[str] = []

    @classmethod
    def open(cls, source: Path, **options: Any) -> HashedWords:
        """A folder with a file ``seed``; options as the real one has."""
        numbers = (source / "seed").read_text().split()
        return cls(int(numbers[0]), *map(float, numbers[1:]))

    @property
    def fingerprint(self) -> str:
        return f"{self.seed:032x}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        time.sleep(self.seconds)
        self.embedded += texts
        rows = np.array([self._row(text) for text in texts], np.float32)
        rows = rows.reshape(len(texts), WIDTH)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _row(self, text: str) -> np.ndarray:
        total = np.full(WIDTH, 1e-3)
        for character in text:
            digest = hashlib.blake2b(f"{self.seed}{character}".encode(), digest_size=8)
            seed = int.from_bytes(digest.digest(), "big")
            total += np.random.default_rng(seed).standard_normal(WIDTH)
        return total
