"""Files to examples to windows: what training and evaluation read."""

from __future__ import annotations

import array
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nlpcli.config import RunConfig
from nlpcli.errors import DataError
from nlpcli.records.lines import LONGEST_LINE, reusable
from nlpcli.records.read import read
from nlpcli.samples import sample
from nlpcli.tasks.protocol import Recipe
from nlpcli.text.batching import Bound, Features, Sizes, length_grouped, sizes_of
from nlpcli.text.windows import Window

logger = logging.getLogger("nlpcli")

CHUNK = 512


@dataclass
class ExampleFile:
    """One data file, perhaps read at each pass; bad lines stop it or are counted.

    ``learning``: its lines must be fit to be learnt, not only to be scored;
    ``longest``: bytes of a line.
    """

    recipe: Recipe[Any]
    path: str | Path
    skip_bad: bool = False
    limit: int | None = None
    learning: bool = False
    longest: int = LONGEST_LINE
    skipped: int = 0
    told: bool = False

    def __post_init__(self) -> None:
        self.source = reusable(self.path)

    def __iter__(self) -> Iterator[Any]:
        self.skipped = 0
        items = read(self.recipe.form, self.source, self.longest)
        for item in islice(items, self.limit):
            try:
                if isinstance(item, DataError):
                    raise item
                self.recipe.admit(item, self.learning)
            except DataError as error:
                if not self.skip_bad:
                    raise
                self.skipped += 1
                logger.debug("skipped: %s", error)
            else:
                yield item
        if self.skipped and not self.told:
            self.told = True
            lines = "line" if self.skipped == 1 else "lines"
            logger.warning("%s: %d bad %s skipped", self.path, self.skipped, lines)


@dataclass
class Split:
    """The examples of a file, of which a seeded draw holds out a share."""

    source: ExampleFile
    held_out: float
    seed: int

    def __iter__(self) -> Iterator[tuple[Any, bool]]:
        """Each example, and whether it is held out."""
        rng = np.random.default_rng([self.seed, 7])
        for example in self.source:
            yield example, bool(rng.random() < self.held_out)

    def kept(self) -> Iterator[Any]:
        """What is not held out."""
        return (example for example, held in self if not held)


@dataclass
class HeldOut:
    """The examples that a split holds out."""

    split: Split

    def __iter__(self) -> Iterator[Any]:
        return (example for example, held in self.split if held)


def training_split(config: RunConfig, recipe: Recipe[Any]) -> Split:
    """The training file of a run, with the share that is development data."""
    options = config.data
    source = ExampleFile(
        recipe,
        options.train or sample(config.recipe, "train"),
        options.skip_bad,
        options.limit,
        learning=True,
        longest=options.longest_line,
    )
    return Split(source, held_out(config), config.seed)


def dev_source(config: RunConfig, recipe: Recipe[Any]) -> tuple[str, Iterable[Any]]:
    """Name and examples of a run's development data.

    ``data.dev``, else the shipped sample's when that is what trains, else the share
    ``data.dev_ratio`` of the training file that training leaves out.
    """
    options = config.data
    if held_out(config) == 0.0:
        path = options.dev or sample(config.recipe, "dev")
        source = ExampleFile(
            recipe, path, options.skip_bad, longest=options.longest_line
        )
        return str(path), source
    return held_out_name(config), HeldOut(training_split(config, recipe))


def held_out(config: RunConfig) -> float:
    """The share of the training file that is development data."""
    if config.data.dev is not None or config.data.train is None:
        return 0.0
    return config.data.dev_ratio


def held_out_name(config: RunConfig) -> str:
    """How messages call the held-out share."""
    return f"{config.data.train} (the share {config.data.dev_ratio} held out)"


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """Lists of up to ``size`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class _Held(NamedTuple):
    """A window that waits for its targets, until all labels are known."""

    features: Features
    example: Any
    window: Window


class TrainingWindows:
    """The windows of the training examples, in memory or streamed from disk.

    ``add`` takes the examples of the one pass, ``finish`` ends it. An epoch is then a
    seeded sequence of batches within ``bound``, the same each time it is asked for, so
    a resumed run skips to where it was.
    """

    def __init__(self, recipe: Recipe[Any], split: Split, config: RunConfig) -> None:
        self.recipe = recipe
        self.split = split
        self.config = config
        self.sizes: list[Sizes] = []
        self.cached: list[Features] | None = None
        self.bound = Bound(config.train.batch_size)
        self.lengths = array.array("i")  # tokens of each window
        self.numbers = array.array("i")  # windows of each example
        self.windowed = 0
        self.sample: Features | None = None
        self.used: set[int] = set()
        self._held: list[_Held] = []

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.lengths)

    @property
    def example_count(self) -> int:
        """How many examples they are of."""
        return len(self.numbers)

    @property
    def is_whole(self) -> bool:
        """Whether all windows of the pass are still held."""
        return self.count <= self.config.data.cache_examples

    def add(self, examples: Sequence[Any]) -> None:
        """Learn from the next examples, and hold their windows while there is room."""
        for example in examples:
            self.recipe.learn(example)
        most = max(self.config.data.cache_examples, 1)
        encoded = self.recipe.encode(examples, gold=True)
        for example, windows in zip(examples, encoded, strict=True):
            self.windowed += len(windows) > 1
            self.numbers.append(len(windows))
            for features, window in windows:
                self.lengths.append(len(features["token_ids"]))
                if self.config.backbone.prune_vocab:
                    self.used.update(*self._token_ids(features))
                if len(self._held) < most:
                    self._held.append(_Held(features, example, window))

    def renumber(self, recipe: Recipe[Any], kept: np.ndarray) -> None:
        """Go on with a recipe whose vocabulary has only the ids ``kept``."""
        whole = self.is_whole
        for example in [x.example for x in self._held] if whole else self.split.kept():
            recipe.learn(example)
        recipe.restore(self.recipe.state())
        self.recipe = self.split.source.recipe = recipe
        new = np.zeros(int(kept.max()) + 1, np.int32)
        new[kept] = np.arange(len(kept))
        for item in self._held:
            for name, values in item.features.items():
                if self.recipe.fields[name].tokens:
                    item.features[name] = new[values].astype(values.dtype)

    def finish(self) -> None:
        """All labels are known: add the targets; raises DataError for no windows."""
        if self.count == 0:
            raise DataError(
                f"{self.config.data.train}: expected training examples, got none "
                "(no line with text)"
            )
        done = [
            {**features, **self.recipe.targets(example, window)}
            for features, example, window in self._held
        ]
        self._held = []
        self.sample = done[0]
        if self.config.data.cache_examples:
            self.sizes = [sizes_of(item, self.recipe.fields) for item in done]
        self.cached = done if self.is_whole else None

    def epoch(self, epoch: int) -> Iterator[list[Features]]:
        """Batches of unpadded features, each a whole epoch's share once."""
        rng = np.random.default_rng([self.config.seed, epoch])
        for block in self._blocks():
            lengths = np.array([len(item["token_ids"]) for item in block])
            for indices in self._grouped(lengths, rng):
                yield [block[i] for i in indices]

    def epoch_lengths(self, epoch: int) -> Iterator[np.ndarray]:
        """The lengths of the windows of each batch of an epoch; nothing is encoded."""
        rng = np.random.default_rng([self.config.seed, epoch])
        lengths, start = np.array(self.lengths), 0
        for size in self._block_sizes():
            block = lengths[start : start + size]
            for indices in self._grouped(block, rng):
                yield block[indices]
            start += size

    def _grouped(
        self, lengths: np.ndarray, rng: np.random.Generator
    ) -> Iterator[list[int]]:
        return length_grouped(lengths, self.bound.most(lengths), rng)

    def _blocks(self) -> Iterator[list[Features]]:
        """What is shuffled together: all windows, or one buffer after another."""
        if self.cached is not None:
            yield self.cached
            return
        buffer: list[Features] = []
        for chunk in chunks(self.split.kept()):
            encoded = self.recipe.encode(chunk, gold=True)
            for example, windows in zip(chunk, encoded, strict=True):
                buffer += [
                    {**features, **self.recipe.targets(example, window)}
                    for features, window in windows
                ]
            if len(buffer) >= self.config.data.shuffle_buffer:
                yield buffer
                buffer = []
        if buffer:
            yield buffer

    def _block_sizes(self) -> Iterator[int]:
        """How many windows each of ``_blocks`` has."""
        if self.cached is not None:
            yield self.count
            return
        size = 0
        for start in range(0, len(self.numbers), CHUNK):
            size += sum(self.numbers[start : start + CHUNK])
            if size >= self.config.data.shuffle_buffer:
                yield size
                size = 0
        if size:
            yield size

    def _token_ids(self, features: Features) -> Iterator[list[int]]:
        for name, values in features.items():
            if self.recipe.fields[name].tokens:
                yield values.tolist()
