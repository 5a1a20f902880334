"""Texts to vectors, in the batches of whatever runs the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from nlpcli.runtime.batches import Runner, in_batches
from nlpcli.runtime.prefetch import prefetch
from nlpcli.text.batching import Features
from nlpcli.text.sentences import SentenceReader

CHUNK = 4096  # texts that are sorted by length together
BATCH_SIZE = 64


class TextVectors:
    """A reader of texts, and what makes a vector of ``dimension`` numbers of one."""

    def __init__(
        self,
        reader: SentenceReader,
        forward: Runner,
        dimension: int,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.reader = reader
        self.forward = forward
        self.dimension = dimension
        self.batch_size = batch_size
        self.fields = reader.fields()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, dimension) float32, each row of length 1, in order."""
        out = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), CHUNK):
            features = self.reader.features(texts[start : start + CHUNK])
            out[start : start + CHUNK] = self._vectors(features)
        return out

    def rows(self, texts: Sequence[str | None]) -> np.ndarray:
        """As ``encode``, but zeros for a text without characters, NaN for None."""
        out = np.zeros((len(texts), self.dimension), np.float32)
        real = [place for place, text in enumerate(texts) if text and text.strip()]
        out[real] = self.encode([texts[place] or "" for place in real])
        out[[place for place, text in enumerate(texts) if text is None]] = np.nan
        return out

    def stream(self, texts: Iterable[str], chunk: int = CHUNK) -> Iterator[np.ndarray]:
        """Vectors of the next ``chunk`` texts at a time; memory does not grow.

        The next texts are read and cut in pieces while the model works.
        """
        for features in prefetch(self._chunks(texts, chunk), depth=1):
            yield self._vectors(features)

    def _chunks(self, texts: Iterable[str], size: int) -> Iterator[list[Features]]:
        waiting = iter(texts)
        while some := list(islice(waiting, size)):
            yield self.reader.features(some)

    def _vectors(self, features: list[Features]) -> np.ndarray:
        rows = in_batches(
            features,
            self.forward.plan(self.fields, self.batch_size),
            lambda batch: self.forward(batch)["vectors"],
        )
        return np.array(rows, np.float32).reshape(len(rows), self.dimension)


def reading_digest(reader: SentenceReader, *more: Any) -> Any:
    """Of how texts are read, a hash that grows by what the model is."""
    tokenizer = reader.tokenizer
    told = (*more, reader.prefix, reader.longest, reader.characters, tokenizer.kind)
    text = repr((*told, tokenizer.vocab.tokens))
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16)
