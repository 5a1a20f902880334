"""Scores of a trained run on a data file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlpcli.config import AskedPrecision, Quantize
from nlpcli.engine.answers import answering
from nlpcli.engine.loaded import decoding, open_model, open_run
from nlpcli.engine.run_dir import RunDir
from nlpcli.engine.scoring import DEV, Gold, Scored, score
from nlpcli.progress import SILENT, Progress
from nlpcli.recipe import find_recipe


def evaluate_run(
    run: RunDir | Path | None,
    recipe: str,
    gold: Gold = DEV,
    batch_size: int | None = None,
    progress: Progress = SILENT,
    sets: Sequence[str] = (),
    model: Path | None = None,
    precision: AskedPrecision | None = None,
    quantize: Quantize | None = None,
) -> dict[str, Any]:
    """The recipe's scores, with counts, seconds and where they come from.

    ``run`` None is the newest finished run. ``model``: published weights in a run's
    place. ``sets`` are assignments to keys of ``task`` that stand over the run's;
    ``precision`` and ``quantize``: as for ``open_run``.
    """
    started = time.monotonic()
    if model is None:
        answers = "predict" in find_recipe(recipe).verbs
        loaded = open_run(run, recipe, precision, None, sets, answers, quantize)
    else:
        asked = None if precision == "auto" else precision
        loaded = open_model(model, recipe, asked, sets, quantize)
    size = batch_size or 32
    decode = decoding(loaded.recipe, loaded.forward, loaded.device, size)
    answer = answering(loaded.recipe, loaded.forward, decode, size)
    scored = Scored(loaded.recipe, loaded.run.config, answer, loaded.run.path)
    return score(scored, gold, started, progress)
