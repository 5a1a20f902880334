"""A run opened for use: its recipe, its model, and what runs them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nlpcli.config import Precision, RunConfig, Xla
from nlpcli.config.loader import resolve, with_task_sets
from nlpcli.engine import build
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import CheckpointError
from nlpcli.heads.published_parts import PARTS
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.device import Device, open_device
from nlpcli.runtime.forward import Forward
from nlpcli.tasks.protocol import Buckets, Model, Recipe, Writes


@dataclass(frozen=True)
class Untrained:
    """Published weights in a run's place, and the configuration they answer under."""

    path: Path
    config: RunConfig


@dataclass
class LoadedRun:
    """A run, ready to answer."""

    run: RunDir | Untrained
    recipe: Recipe[Any]
    model: Model
    device: Device
    buckets: Buckets
    seconds: float

    @cached_property
    def forward(self) -> Forward:
        """Prediction through the run's model."""
        device = self.device
        return Forward(self.model, device.xla, self.buckets, device.lanes)


def open_run(
    run: RunDir | Path | None = None,
    recipe: str | None = None,
    precision: Precision | None = None,
    xla: Xla | None = None,
    sets: Sequence[str] = (),
) -> LoadedRun:
    """Load ``run``, or the newest finished run of ``recipe``, or the shipped model.

    ``sets`` change how it answers: ``task.key=value``. Raises NotFoundError when there
    is no run or when it is of another recipe.
    """
    started = time.perf_counter()
    opened = choose_run(run, recipe)
    config = with_task_sets(opened.config, sets)
    options = replace(
        config.runtime,
        precision=precision or config.runtime.precision,
        xla=xla or config.runtime.xla,
        strategy="one",
    )
    device = open_device(options, config.seed)
    loaded = build.load_run(config, opened.folder("best"))
    return LoadedRun(
        opened,
        loaded.recipe,
        loaded.model,
        device,
        loaded.buckets,
        time.perf_counter() - started,
    )


def open_model(
    folder: Path,
    recipe: str,
    precision: Precision | None = None,
    sets: Sequence[str] = (),
) -> LoadedRun:
    """Load published weights as they are, for a recipe that needs no training.

    Raises CheckpointError where they lack what the recipe's model has.
    """
    started = time.perf_counter()
    flags = {"backbone.model": str(folder), "runtime.precision": precision}
    given = {key: value for key, value in flags.items() if value is not None}
    config = with_task_sets(resolve(recipe, flags=given), sets)
    device = open_device(replace(config.runtime, strategy="one"), config.seed)
    start = build.open_start(config)
    made = build.open_recipe(config, start.tokenizer, start.config)
    model = build.build_model(made, start)
    for name, layer in model.published_parts().items():
        if layer.trainable_variables and name not in model.filled:
            raise CheckpointError(f"{folder}: expected an {PARTS[name][0]}, found none")
    seconds = time.perf_counter() - started
    return LoadedRun(Untrained(folder, config), made, model, device, [], seconds)


def decoding(
    recipe: Recipe[Any], forward: Forward, device: Device, batch_size: int
) -> Decoding | None:
    """The decoder of a recipe that generates, None for another."""
    if not isinstance(recipe, Writes):
        return None
    return Decoding(
        forward,
        recipe.fields,
        recipe.tokenizer.vocab.end_id,
        batch_size,
        compiled=device.compiled_decoding,
        stops=recipe.stops,
    )
