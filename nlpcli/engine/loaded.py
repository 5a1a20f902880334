"""A run folder opened for use: its recipe, its model, and what answers with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlpcli.config import Precision, Xla
from nlpcli.config.loader import with_task_sets
from nlpcli.engine import build
from nlpcli.engine.answers import answer_all
from nlpcli.engine.run_dir import RunDir, newest_finished
from nlpcli.errors import DataError, NotFoundError
from nlpcli.runtime.decoding import Decoding
from nlpcli.runtime.device import Device, open_device
from nlpcli.runtime.forward import Forward
from nlpcli.samples import shipped_run

Answer = Callable[[Sequence[Any]], list[dict[str, Any]]]


@dataclass
class LoadedRun:
    """A run, ready to answer."""

    run: RunDir
    recipe: Any
    model: Any
    device: Device
    buckets: list[dict[str, int]]
    seconds: float


def open_run(
    run: Path | None = None,
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
    opened = RunDir.open(run) if run is not None else _newest(recipe or "")
    config = opened.config
    if recipe is not None and config.recipe != recipe:
        raise NotFoundError(
            f"{opened.path}: expected a run of {recipe}, found one of {config.recipe}"
        )
    config = with_task_sets(config, sets)
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


def answering(
    recipe: Any, model: Any, device: Device, forward: Forward, batch_size: int
) -> Answer:
    """How a recipe's examples with gold become answers, for scores.

    A recipe that predicts is scored by that. One with ``fit`` first fits what is no
    weight of training, such as whitening. Generated answers also carry ``nll`` (the
    sum of -log p of the gold targets) and ``target_tokens``.
    """
    if hasattr(recipe, "predict"):

        def answer(examples: Sequence[Any]) -> list[dict[str, Any]]:
            return answer_all(recipe, forward, examples, batch_size)

        def fitted(examples: Sequence[Any]) -> list[dict[str, Any]]:
            recipe.fit(answer)
            return answer(examples)

        return fitted if hasattr(recipe, "fit") else answer
    decode = decoding(recipe, model, batch_size)
    return lambda examples: _generated(recipe, decode, examples)


def decoding(recipe: Any, model: Any, batch_size: int) -> Decoding:
    """The decoder of a generative recipe."""
    return Decoding(model, recipe.fields, recipe.tokenizer.vocab.sep_id, batch_size)


def forward_of(loaded: LoadedRun) -> Forward:
    """Prediction through a run's model."""
    device = loaded.device
    return Forward(loaded.model, device.xla, loaded.buckets, device.lanes)


def _newest(recipe: str) -> RunDir:
    try:
        return newest_finished(recipe)
    except NotFoundError:
        shipped = shipped_run(recipe)
        if shipped is None:
            raise
        return RunDir.open(shipped)


def _generated(
    recipe: Any, decode: Decoding, examples: Sequence[Any]
) -> list[dict[str, Any]]:
    answers = recipe.generate(decode, examples, recipe.generation)
    owned = [
        [window.features for window in windows]
        for windows in recipe.encode(examples, gold=True)
    ]
    losses = iter(decode.loss([features for own in owned for features in own]))
    out: list[dict[str, Any]] = []
    for answer, own in zip(answers, owned, strict=True):
        parts = [next(losses) for _ in own]
        if isinstance(answer, DataError):
            answer = {"outputs": []}
        nll, count = sum(p[0] for p in parts), sum(p[1] for p in parts)
        out.append({**answer, "nll": nll, "target_tokens": count})
    return out
