"""Scores of whatever answers, on a file of gold data; nothing of TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nlpcli.config import RunConfig
from nlpcli.engine.examples import ExampleFile, chunks, dev_source
from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.files.named import refuse_existing, write_lines
from nlpcli.progress import SILENT, Progress
from nlpcli.tasks.protocol import Answer, Recipe

CHUNK = 2048


@dataclass(frozen=True)
class Scored:
    """A recipe, the configuration of its run, what answers its examples with gold, and
    the folder that this came from."""

    recipe: Recipe[Any]
    config: RunConfig
    answer: Callable[[Sequence[Any]], list[Answer]]
    path: Path


@dataclass(frozen=True)
class Gold:
    """Data to score on: None is the run's development data.

    ``predictions`` is a file that gets each example's text, gold and answer:
    UsageError when it exists, unless ``force`` replaces it. ``longest``: bytes of a
    line, otherwise the run's ``data.longest_line``.
    """

    data: Path | None = None
    predictions: Path | None = None
    skip_bad: bool = False
    force: bool = False
    longest: int | None = None


DEV = Gold()


def score(
    scored: Scored, gold: Gold, started: float, progress: Progress = SILENT
) -> dict[str, Any]:
    """The recipe's scores, with counts, seconds since ``started`` (of
    ``time.monotonic``) and where they come from."""
    recipe, config, predictions = scored.recipe, scored.config, gold.predictions
    longest = gold.longest or config.data.longest_line
    config = replace(config, data=replace(config.data, longest_line=longest))
    source: Iterable[Any]
    if gold.data is None:
        name, source = dev_source(config, recipe)
    else:
        name = str(gold.data)
        source = ExampleFile(recipe, gold.data, gold.skip_bad, longest=longest)
    refuse_existing(predictions, gold.force, name, config.data.train)
    examples: list[Any] = []
    answers: list[Answer] = []
    progress.start(f"evaluate {config.recipe}", None)
    try:
        for chunk in chunks(source, CHUNK):
            examples += chunk
            answers += scored.answer(chunk)
            progress.update(len(examples))
    finally:
        progress.finish()
    if not examples:
        raise DataError(f"{name}: expected examples, got none")
    scores = recipe.score(examples, answers)
    if predictions is not None:
        rows = (
            {"text": example.text, "gold": recipe.gold(example), **answer}
            for example, answer in zip(examples, answers, strict=True)
        )
        write_lines(predictions, (dumps(row) + "\n" for row in rows), gold.force)
    return {
        **scores,
        "examples": len(examples),
        "skipped": getattr(source, "skipped", 0),
        "seconds": round(time.monotonic() - started, 2),
        "run": str(scored.path),
        "data": name,
    }
