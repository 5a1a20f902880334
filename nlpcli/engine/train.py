"""Training: from a resolved configuration to a finished run folder."""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from nlpcli.config import RunConfig
from nlpcli.config.loader import to_dict
from nlpcli.engine import build
from nlpcli.engine.examples import (
    ExampleFile,
    TrainingWindows,
    chunks,
    dev_source,
    held_out,
    held_out_name,
    training_split,
)
from nlpcli.engine.loop import Loop
from nlpcli.engine.run_dir import RunDir, default_out
from nlpcli.engine.state import Fingerprint, fingerprint, refuse_changes
from nlpcli.engine.steps import row_bound, total_steps
from nlpcli.errors import DataError, NotFoundError, UsageError
from nlpcli.files.home import at_home
from nlpcli.progress import SILENT, Progress
from nlpcli.records.lines import STDIN
from nlpcli.runtime import weights
from nlpcli.runtime.device import compiles_steps, open_device
from nlpcli.tasks.protocol import Recipe
from nlpcli.text.batching import choose_buckets

logger = logging.getLogger("nlpcli")

PRETRAINED_RATE = 5e-5
FRESH_RATE = 1e-3


@dataclass(frozen=True)
class TrainResult:
    """Where a run is and how it went."""

    run: Path
    scores: dict[str, Any]
    seconds: float
    steps: int
    status: str
    stopped_by: signal.Signals = signal.SIGINT  # when the status is "interrupted"


@dataclass
class Prepared:
    """Everything decided before the first step."""

    start: build.Start
    recipe: Recipe[Any]
    windows: TrainingWindows
    dev: list[Any]
    buckets: list[dict[str, int]]
    steps: int
    data: dict[str, Fingerprint]


def train(
    config: RunConfig,
    out: Path | None = None,
    force: bool = False,
    resume: Path | None = None,
    offline: bool = False,
    progress: Progress = SILENT,
    accept_changes: bool = False,
) -> TrainResult:
    """Train, score on dev, keep best/ and last/.

    With ``resume`` the run's own configuration counts and training goes on where
    last/ was written; that its data or the code changed is a ConfigError, unless
    ``accept_changes``. Raises the errors of nlpcli.errors; what was already written
    stays whole.
    """
    started = time.monotonic()
    meet: Callable[[Mapping[str, Fingerprint]], None] | None = None
    if resume is not None:
        run = RunDir.open(resume)
        if run.config.recipe != config.recipe:
            raise NotFoundError(
                f"{resume}: expected a run of {config.recipe}, found one of "
                f"{run.config.recipe}"
            )
        if run.finished:
            raise UsageError(f"{resume}: the run is finished; nothing to resume")
        config = run.config
        meet = partial(refuse_changes, run, accepted=accept_changes)
    elif out is not None:
        RunDir(out, config).refuse_used(force)
        RunDir(out, config).refuse_sources(_sources(config))
    device = open_device(config.runtime, config.seed)
    prepared = prepare(config, offline, progress, meet)
    rows, parts = config.train.batch_size, config.train.accumulate * device.replicas
    if rows is not None and rows % parts:
        raise UsageError(
            f"train.batch_size: expected a multiple of accumulate x replicas "
            f"({config.train.accumulate} x {device.replicas}), got {rows}"
        )
    config = _with_rate(config, prepared.start)
    with device.strategy.scope():
        model = build.build_model(prepared.recipe, prepared.start)
    with ExitStack() as stack:
        if not device.chief:
            run = _scratch_run(config, resume, stack)
        elif resume is None:
            run = RunDir.create(
                out or default_out(config.recipe),
                _with_whole_paths(config),
                force,
                prepared.data,
            )
        stack.enter_context(run.lock())
        with device.strategy.scope():
            loop = Loop(config, run, device, model, prepared, progress)
        if resume is None:
            run.write_environment(
                {
                    **device.describe(),
                    "seed": config.seed,
                    "parameters": weights.total_size(model.trainable_variables),
                    "buckets": prepared.buckets,
                    "padding": round(loop.padding, 4),
                }
            )
        status, scores = loop.run_all(resume is not None)
    return TrainResult(
        run.path,
        scores,
        time.monotonic() - started,
        loop.state.step,
        status,
        loop.stopped_by,
    )


def _scratch_run(config: RunConfig, resume: Path | None, stack: ExitStack) -> RunDir:
    """Where a worker that is not the chief writes: a folder that goes with it."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nlpcli-worker-"))
    path = Path(folder) / "run"
    if resume is None:
        return RunDir.create(path, config)
    shutil.copytree(resume, path)
    return RunDir.open(path)


def prepare(
    config: RunConfig,
    offline: bool = False,
    progress: Progress = SILENT,
    meet: Callable[[Mapping[str, Fingerprint]], None] | None = None,
) -> Prepared:
    """Find the model, read the data once, plan buckets and steps.

    ``meet`` sees the fingerprints of the data before it is read, and may raise.
    """
    start = build.open_start(config, offline, progress)
    recipe = build.open_recipe(config, start.tokenizer, start.config)
    split = training_split(config, recipe)
    windows, dev = TrainingWindows(recipe, split, config), []
    others = None if held_out(config) else dev_source(config, recipe)
    data = _fingerprints(config, split.source, None if others is None else others[1])
    if meet is not None:
        meet(data)
    for chunk in chunks(split):
        windows.add([example for example, held in chunk if not held])
        dev += [example for example, held in chunk if held]
    _meet_dev(config, recipe, dev, others)
    if config.backbone.prune_vocab:
        kept = build.prune(start, {*windows.used, start.tokenizer.vocab.pad_id})
        recipe = build.open_recipe(config, start.tokenizer, start.config)
        windows.renumber(recipe, kept)
    windows.finish()
    few = compiles_steps(config.runtime)
    buckets = choose_buckets(
        windows.sizes,
        config.runtime.buckets or (8 if few else 20),
        multiple=8 if few else 4,
    )
    windows.bound = row_bound(config, windows, buckets)
    steps = total_steps(config, windows)
    return Prepared(start, recipe, windows, dev, buckets, steps, data)


def plan_training(config: RunConfig, offline: bool = False) -> dict[str, Any]:
    """What ``train --dry-run`` shows: data, labels, shapes, steps; nothing written."""
    prepared = prepare(config, offline=offline)
    open_device(config.runtime, config.seed)
    model = build.build_model(prepared.recipe, prepared.start)
    return {
        "config": to_dict(config),
        "examples": prepared.windows.example_count,
        "windows": prepared.windows.count,
        "windowed": prepared.windows.windowed,
        "dev_examples": len(prepared.dev),
        **prepared.recipe.state(),
        "buckets": prepared.buckets,
        "steps": prepared.steps,
        "parameters": weights.total_size(model.trainable_variables),
    }


def _with_rate(config: RunConfig, start: build.Start) -> RunConfig:
    if config.train.lr is not None:
        return config
    rate = FRESH_RATE if start.published is None else PRETRAINED_RATE
    return replace(config, train=replace(config.train, lr=rate))


def _with_whole_paths(config: RunConfig) -> RunConfig:
    """What the run keeps: it is resumed and evaluated from any working directory."""
    model = config.backbone.model
    if model != "tiny" and (folder := at_home(model)).is_dir():
        model = str(folder.absolute())
    return replace(
        config,
        backbone=replace(config.backbone, model=model),
        data=_whole_paths(config.data),
        task=_whole_paths(config.task),
    )


def _whole_paths(section: Any) -> Any:
    names = [item.name for item in fields(section) if item.metadata.get("path")]
    paths = {name: getattr(section, name) for name in names}
    whole = {name: str(Path(path).absolute()) for name, path in paths.items() if path}
    return replace(section, **whole)


def _meet_dev(
    config: RunConfig,
    recipe: Recipe[Any],
    dev: list[Any],
    others: tuple[str, Any] | None,
) -> None:
    """Put the development examples into ``dev``, which has those held out."""
    if others is None:
        name = held_out_name(config)
        del dev[config.data.dev_limit or len(dev) :]
    else:
        name, source = others
        source.recipe = recipe  # a pruned vocabulary made another one
        dev += islice(source, config.data.dev_limit)
    for example in dev:
        recipe.meet(example)
    if not dev:
        raise DataError(f"{name}: expected development examples, got none")


def _fingerprints(
    config: RunConfig, train: ExampleFile, dev: Any
) -> dict[str, Fingerprint]:
    """What the run learns from and is scored on, by key of the configuration."""
    read = {"data.train": train.source}
    if dev is not None:
        read["data.dev"] = dev.source
    read |= {key: path for key, path in _sources(config).items() if "task." in key}
    return {key: fingerprint(s) for key, s in read.items() if str(s) != STDIN}


def _sources(config: RunConfig) -> dict[str, str]:
    """Files and folders that a run is made from, by key of the configuration."""
    found = {"backbone.model": str(at_home(config.backbone.model))}
    for section in ("data", "task"):
        values = getattr(config, section)
        for item in fields(values):
            if item.metadata.get("path") and (path := getattr(values, item.name)):
                found[f"{section}.{item.name}"] = str(path)
    return found
