"""A run opened for use: its recipe, its model, and what runs them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nlpcli.config import AskedPrecision, Precision, Quantize, RunConfig, Xla
from nlpcli.config.loader import resolve, with_task_sets
from nlpcli.engine import build
from nlpcli.engine.run_dir import RunDir, choose_run
from nlpcli.errors import CheckpointError, UsageError
from nlpcli.heads.published_parts import PARTS
from nlpcli.heads.sequence_model import SequenceModel
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.device import Device, open_device
from nlpcli.runtime.forward import Forward
from nlpcli.runtime.quantize import to_int8
from nlpcli.runtime.timing import auto_precision
from nlpcli.tasks.protocol import Buckets, Model, Recipe, Writes


@dataclass(frozen=True)
class Untrained:
    """Published weights in a run's place, and the configuration they answer under."""

    path: Path
    config: RunConfig


@dataclass
class LoadedRun:
    """A run, ready to answer.

    ``checked``: its precision was chosen for it, and its answers have to agree.
    """

    run: RunDir | Untrained
    recipe: Recipe[Any]
    model: Model
    device: Device
    buckets: Buckets
    seconds: float
    checked: bool = False

    @cached_property
    def forward(self) -> Forward:
        """Prediction through the run's model."""
        device = self.device
        return Forward(
            self.model,
            device.xla,
            self.buckets,
            device.lanes,
            held=device.held,
            checked=self.checked,
        )


def open_run(
    run: RunDir | Path | None = None,
    recipe: str | None = None,
    precision: AskedPrecision | None = None,
    xla: Xla | None = None,
    sets: Sequence[str] = (),
    answers: bool = False,
    quantize: Quantize | None = None,
) -> LoadedRun:
    """Load ``run``, or the newest finished run of ``recipe``, or the shipped model.

    ``precision``: None is the run's own; "auto" too where that is not float32.
    ``sets`` change how it answers: ``task.key=value``. ``answers``: it does not write,
    where each token is a walk of its own. Raises NotFoundError when there is no run or
    when it is of another recipe, UsageError where ``quantize`` is asked of a model that
    does not write token after token.
    """
    started = time.perf_counter()
    opened = choose_run(run, recipe)
    config = with_task_sets(opened.config, sets)
    chosen = precision == "auto" and config.runtime.precision == "float32"
    if chosen:
        precision = auto_precision() if xla != "on" else "float32"
    if precision is None or precision == "auto":
        precision = config.runtime.precision
    options = replace(
        config.runtime,
        precision=precision,
        xla=xla or config.runtime.xla,
        strategy="one",
    )
    device = open_device(options, config.seed, answers)
    loaded = build.load_run(config, opened.folder("best"))
    _quantize(loaded.model, quantize, opened.path)
    return LoadedRun(
        opened,
        loaded.recipe,
        loaded.model,
        device,
        loaded.buckets,
        time.perf_counter() - started,
        chosen and precision != "float32",
    )


def open_model(
    folder: Path,
    recipe: str,
    precision: Precision | None = None,
    sets: Sequence[str] = (),
    quantize: Quantize | None = None,
) -> LoadedRun:
    """Load published weights as they are, for a recipe that needs no training.

    Raises CheckpointError where they lack what the recipe's model has; ``quantize`` as
    for ``open_run``.
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
    _quantize(model, quantize, folder)
    seconds = time.perf_counter() - started
    return LoadedRun(Untrained(folder, config), made, model, device, [], seconds)


def _quantize(model: Model, quantize: Quantize | None, path: Path) -> None:
    """Put a model that writes into int8 where that is asked."""
    if quantize is None:
        return
    if not isinstance(model, SequenceModel):
        raise UsageError(
            f"{path}: expected a model that writes token after token for "
            f"--quantize {quantize}"
        )
    to_int8(model)


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
