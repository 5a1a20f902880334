"""Scores of a trained run on a data file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nlpcli.config import Quantize
from nlpcli.engine.answers import answering
from nlpcli.engine.examples import ExampleFile, chunks, dev_source
from nlpcli.engine.loaded import decoding, open_model, open_run
from nlpcli.engine.run_dir import RunDir
from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.files.named import refuse_existing, write_lines
from nlpcli.progress import SILENT, Progress

CHUNK = 2048


def evaluate_run(
    run: RunDir | Path | None,
    recipe: str,
    data: Path | None = None,
    predictions: Path | None = None,
    batch_size: int | None = None,
    skip_bad: bool = False,
    progress: Progress = SILENT,
    sets: Sequence[str] = (),
    force: bool = False,
    longest: int | None = None,
    model: Path | None = None,
    quantize: Quantize | None = None,
) -> dict[str, Any]:
    """The recipe's scores, with counts, seconds and where they come from.

    ``run`` None is the newest finished run; ``data`` None is the run's development
    data. ``model``: published weights in a run's place. ``predictions`` is a file that
    gets each example's text, gold and answer: UsageError when it exists, unless
    ``force`` replaces it. ``sets`` are assignments to keys of ``task`` that stand over
    the run's; ``longest``: bytes of a line, otherwise the run's ``data.longest_line``;
    ``quantize``: as for ``open_run``.
    """
    started = time.monotonic()
    loaded = (
        open_run(run, recipe, sets=sets, quantize=quantize)
        if model is None
        else open_model(model, recipe, sets=sets, quantize=quantize)
    )
    size = batch_size or 32
    decode = decoding(loaded.recipe, loaded.forward, loaded.device, size)
    answer = answering(loaded.recipe, loaded.forward, decode, size)
    config = loaded.run.config
    longest = longest or config.data.longest_line
    config = replace(config, data=replace(config.data, longest_line=longest))
    source: Iterable[Any]
    if data is None:
        name, source = dev_source(config, loaded.recipe)
    else:
        name = str(data)
        source = ExampleFile(loaded.recipe, data, skip_bad, longest=longest)
    refuse_existing(predictions, force, name, config.data.train)
    examples: list[Any] = []
    answers: list[dict[str, Any]] = []
    progress.start(f"evaluate {recipe}", None)
    try:
        for chunk in chunks(source, CHUNK):
            examples += chunk
            answers += answer(chunk)
            progress.update(len(examples))
    finally:
        progress.finish()
    if not examples:
        raise DataError(f"{name}: expected examples, got none")
    scores = loaded.recipe.score(examples, answers)
    if predictions is not None:
        rows = (
            {"text": example.text, "gold": loaded.recipe.gold(example), **answer}
            for example, answer in zip(examples, answers, strict=True)
        )
        write_lines(predictions, (dumps(row) + "\n" for row in rows), force)
    return {
        **scores,
        "examples": len(examples),
        "skipped": getattr(source, "skipped", 0),
        "seconds": round(time.monotonic() - started, 2),
        "run": str(loaded.run.path),
        "data": name,
    }
