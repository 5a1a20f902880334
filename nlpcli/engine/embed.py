"""Texts to vectors: a run that embeds, or a published encoder as it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nlpcli.config import AskedPrecision, RuntimeOptions, Xla
from nlpcli.engine.loaded import open_run
from nlpcli.engine.published import open_published
from nlpcli.engine.run_dir import RunDir
from nlpcli.engine.vectors import BATCH_SIZE, TextVectors, reading_digest
from nlpcli.errors import CheckpointError, ConfigError, NotFoundError
from nlpcli.heads.similarity import EmbeddingModel
from nlpcli.layers.pooling import pooling_of
from nlpcli.runtime import weights
from nlpcli.runtime.device import open_device
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.timing import auto_precision
from nlpcli.tasks.protocol import Embeds
from nlpcli.text.sentences import SentenceReader
from nlpcli.text.tokenizers.load import load_tokenizer

POOLINGS = ("cls", "pooler", "mean")


class Embedder(TextVectors):
    """A model and how it reads texts; ``open`` makes one.

    Same fingerprint, same vectors (up to rounding): it is a hash of all that they
    depend on, weights, pooling, prefix, vocabulary and longest text.
    """

    def __init__(
        self,
        model: Any,
        reader: SentenceReader,
        forward: Forward,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__(reader, forward, int(model.dimension), batch_size)
        self.model = model

    @classmethod
    def open(
        cls,
        source: RunDir | Path | None = None,
        recipe: str | None = None,
        pooling: str | None = None,
        prefix: str | None = None,
        batch_size: int = BATCH_SIZE,
        precision: AskedPrecision = "auto",
        xla: Xla | None = None,
    ) -> Embedder:
        """Load a run folder or a model folder; None is the newest run of ``recipe``.

        A run has its own pooling and prefix. A bare encoder takes those given, else
        those of its config.json (``pooling``, ``query_prefix``), else the mean and
        none. Raises NotFoundError for what is neither, or a run without vectors, and
        ConfigError for a pooling or prefix that cannot be.
        """
        if not isinstance(source, Path) or (source / "run.json").is_file():
            if pooling is not None or prefix is not None:
                raise ConfigError(
                    ["pooling, prefix: expected none, since a run has its own"]
                )
            return cls._of_run(source, recipe, batch_size, precision, xla)
        chosen = precision == "auto"
        if precision == "auto":
            precision = auto_precision() if xla != "on" else "float32"
        runtime = RuntimeOptions(precision=precision, xla=xla or "auto", strategy="one")
        checked = chosen and precision != "float32"
        return cls._of_encoder(source, pooling, prefix, batch_size, runtime, checked)

    @classmethod
    def _of_run(
        cls,
        run: RunDir | Path | None,
        recipe: str | None,
        batch_size: int,
        precision: AskedPrecision,
        xla: Xla | None,
    ) -> Embedder:
        loaded = open_run(run, recipe, precision, xla, answers=True)
        if not isinstance(loaded.recipe, Embeds):
            raise NotFoundError(
                f"{loaded.run.path}: a run of {loaded.run.config.recipe}, which makes "
                "no sentence vectors"
            )
        reader = loaded.recipe.reader
        return cls(loaded.model, reader, loaded.forward, batch_size)

    @classmethod
    @weights.values_later()
    def _of_encoder(
        cls,
        folder: Path,
        pooling: str | None,
        prefix: str | None,
        batch_size: int,
        runtime: RuntimeOptions,
        checked: bool,
    ) -> Embedder:
        if not folder.is_dir():
            raise NotFoundError(f"{folder}: expected a run or a model folder")
        device = open_device(runtime, seed=0, answers=True)
        published = open_published(folder)
        config, raw = published.config, published.raw
        kind = pooling or raw.get("pooling", "mean")
        prefix = raw.get("query_prefix", "") if prefix is None else prefix
        if kind not in POOLINGS:
            raise ConfigError(
                [f"{folder}: pooling: expected one of {', '.join(POOLINGS)}, {kind!r}"]
            )
        if not isinstance(prefix, str):
            raise ConfigError(
                [f"{folder}: query_prefix: expected text, got {prefix!r}"]
            )
        kind = pooling_of(kind, config.causal, f"{folder}: pooling")
        published.check_sizes()
        backbone = published.family.build(replace(config, hidden_dropout_prob=0.0))
        model = EmbeddingModel(backbone, kind)
        used: set[str] = set()
        if (pooler := model.pooling.pooler) is not None:
            found = published.fill_part("pooler", pooler)
            if found is None:
                raise CheckpointError(f"{folder}: expected a pooler, found none")
            used = found
        published.fill_backbone(backbone, others=used)
        reader = SentenceReader(load_tokenizer(folder), config.longest or 512, prefix)
        forward = Forward(
            model,
            device.xla,
            (),
            device.lanes,
            held=device.held,
            checked=checked,
        )
        return cls(model, reader, forward, batch_size)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that name the model behind the vectors."""
        digest = reading_digest(self.reader, self.model.pooling.kind)
        parts = (self.model.backbone, self.model.pooling, self.model.whitening)
        for part in filter(None, parts):
            for path, variable in sorted(weights.learnt_variables(part).items()):
                digest.update(path.encode())
                digest.update(np.ascontiguousarray(variable, np.float32).data)
        return digest.hexdigest()
