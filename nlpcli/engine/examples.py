"""Files to examples to windows: what training and evaluation read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.errors import DataError
from nlpcli.samples import sample
from nlpcli.text.batching import Features, Sizes, length_grouped, sizes_of

logger = logging.getLogger("nlpcli")

CHUNK = 512


@dataclass
class ExampleFile:
    """One data file, read again at each pass; bad lines stop it or are counted."""

    recipe: Any
    path: Any
    skip_bad: bool = False
    limit: int | None = None
    skipped: int = 0
    told: bool = False

    def __iter__(self) -> Iterator[Any]:
        self.skipped = 0
        items = self.recipe.read(self.path)
        for item in islice(items, self.limit):
            if not isinstance(item, DataError):
                yield item
            elif self.skip_bad:
                self.skipped += 1
                logger.debug("skipped: %s", item)
            else:
                raise item
        if self.skipped and not self.told:
            self.told = True
            lines = "line" if self.skipped == 1 else "lines"
            logger.warning("%s: %d bad %s skipped", self.path, self.skipped, lines)


@dataclass
class Split:
    """The examples of a file that a seeded draw keeps for one side.

    ``held_out`` is the share of lines that belong to the development side.
    """

    source: ExampleFile
    held_out: float
    seed: int
    dev: bool

    def __iter__(self) -> Iterator[Any]:
        rng = np.random.default_rng([self.seed, 7])
        for example in self.source:
            if (rng.random() < self.held_out) == self.dev:
                yield example


def dev_source(config: RunConfig, recipe: Any) -> tuple[str, Iterable[Any]]:
    """Name and examples of a run's development data.

    ``data.dev``, else the shipped sample's when that is what trains, else the share
    ``data.dev_ratio`` of the training file that training leaves out.
    """
    options = config.data
    if held_out(config) == 0.0:
        path = options.dev or sample(config.recipe, "dev")
        return str(path), ExampleFile(recipe, path, options.skip_bad)
    source = ExampleFile(recipe, options.train, options.skip_bad, options.limit)
    name = f"{options.train} (the share {options.dev_ratio} held out)"
    return name, Split(source, options.dev_ratio, config.seed, dev=True)


def held_out(config: RunConfig) -> float:
    """The share of the training file that is development data."""
    if config.data.dev is not None or config.data.train is None:
        return 0.0
    return config.data.dev_ratio


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """Lists of up to ``size`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class TrainingWindows:
    """The windows of the training examples, in memory or streamed from disk.

    An epoch is a seeded sequence of batches, the same each time it is asked for,
    so a resumed run skips to where it was.
    """

    def __init__(self, recipe: Any, examples: Iterable[Any], config: RunConfig) -> None:
        self.recipe = recipe
        self.examples = examples
        self.config = config
        self.sizes: list[Sizes] = []
        self.cached: list[Features] | None = []
        self.count = 0
        self.example_count = 0
        self.windowed = 0
        self.sample: Features | None = None
        for chunk in chunks(examples):
            self._scan(chunk)
        if self.count == 0:
            raise DataError(
                f"{config.data.train}: expected training examples, got none "
                "(no line with text)"
            )

    def _scan(self, chunk: Sequence[Any]) -> None:
        self.example_count += len(chunk)
        for windows in self.recipe.encode(chunk, gold=True):
            self.windowed += len(windows) > 1
            for window in windows:
                self.count += 1
                self.sample = self.sample or window.features
                if len(self.sizes) < self.config.data.cache_examples:
                    self.sizes.append(sizes_of(window.features, self.recipe.fields))
                if self.cached is not None:
                    self.cached.append(window.features)
                    if len(self.cached) > self.config.data.cache_examples:
                        self.cached = None

    def epoch(self, epoch: int) -> Iterator[list[Features]]:
        """Batches of unpadded features, each a whole epoch's share once."""
        rng = np.random.default_rng([self.config.seed, epoch])
        if self.cached is not None:
            yield from self._group(self.cached, rng)
            return
        buffer: list[Features] = []
        for chunk in chunks(self.examples):
            for windows in self.recipe.encode(chunk, gold=True):
                buffer += [window.features for window in windows]
            if len(buffer) >= self.config.data.shuffle_buffer:
                yield from self._group(buffer, rng)
                buffer = []
        if buffer:
            yield from self._group(buffer, rng)

    def _group(
        self, features: Sequence[Features], rng: np.random.Generator
    ) -> Iterator[list[Features]]:
        lengths = [len(item["token_ids"]) for item in features]
        for indices in length_grouped(lengths, self.config.train.batch_size, rng):
            yield [features[i] for i in indices]
