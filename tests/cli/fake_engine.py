"""An engine that records what it was asked, for tests of the verbs."""

from __future__ import annotations

import json
import signal
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nlpcli.cli.main import app
from nlpcli.errors import DataError, NotFoundError
from nlpcli.records.row import Row


@dataclass
class Engine:
    """What the fake engine was asked, and what it shall answer."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    status: str = "finished"
    stopped_by: int = signal.SIGINT
    error: BaseException | None = None

    def train(self, config: Any, **options: Any) -> Any:
        self.calls.append(("train", {"config": config, **options}))
        if self.error is not None:
            raise self.error
        options["progress"].start("train ner", 10)
        options["progress"].update(10, loss=0.1)
        options["progress"].finish()
        scores = {"f1": 0.5, "per_label": {"PER": {"f1": 0.5}}}
        return types.SimpleNamespace(
            run=Path("runs/x"),
            scores=scores,
            seconds=1.0,
            steps=10,
            status=self.status,
            stopped_by=self.stopped_by,
        )

    def plan_training(self, config: Any, **options: Any) -> Any:
        self.calls.append(("plan", {"config": config, **options}))
        return {"examples": 3, "labels": ["PER"], "buckets": [{"tokens": 8}]}

    def evaluate_run(self, run: Any, recipe: str, gold: Any, **options: Any) -> Any:
        asked = {"run": run, "recipe": recipe, **vars(gold), **options}
        self.calls.append(("evaluate", asked))
        row = {"precision": None, "f1": 0.25}
        return {**row, "per_label": {"PER": row}, "examples": 3, "run": str(run.path)}

    def export_run(self, run: Any, destination: Path, **options: Any) -> Any:
        self.calls.append(("export", {"run": run, **options}))
        return {"destination": str(destination), "max_difference": 1e-6}

    def predictor(
        self,
        run: Any,
        recipe: str,
        batch_size: int,
        precision: Any,
        xla: Any,
        sets: Any,
    ) -> Any:
        options = {"batch_size": batch_size, "precision": precision, "xla": xla}
        asked = {"run": run, "recipe": recipe, **options, "sets": list(sets)}
        self.calls.append(("predict", asked))
        return types.SimpleNamespace(predict=self.predict)

    def predict(self, rows: list[Row]) -> list[Any]:
        self.texts.append([row.get("text") for row in rows])
        return [answer_to(row) for row in rows]


def answer_to(row: Row) -> Any:
    try:
        return answer(row.string("text"))
    except DataError as error:
        return error


def answer(text: str) -> Any:
    if text == "boom":
        raise ZeroDivisionError("division by zero")
    if text == "odd":
        return DataError("cannot be answered")
    place = text.find("北京")
    if place < 0:
        return {"entities": []}
    return {
        "entities": [{"start": place, "end": place + 2, "label": "LOC", "text": "北京"}]
    }


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Engine]:
    """The verbs over a fake engine, in an empty folder."""
    fake = Engine()

    def module(name: str, **values: Any) -> None:
        made = types.ModuleType(name)
        made.__dict__.update(values)
        monkeypatch.setitem(sys.modules, name, made)

    def chosen(run: Path | None, recipe: str) -> Any:
        if run is not None and run.name == "none":
            raise NotFoundError(f"{run}: is no run")
        return types.SimpleNamespace(path=run or Path("runs/newest"))

    module("nlpcli.engine.train", train=fake.train, plan_training=fake.plan_training)
    module("nlpcli.engine.evaluate", evaluate_run=fake.evaluate_run)
    module("nlpcli.engine.export", export_run=fake.export_run)
    module("nlpcli.engine.predict", Predictor=fake.predictor)
    module("nlpcli.runtime.doctor", report=lambda: {"versions": {"keras": "3"}})
    module("nlpcli.engine.run_dir", choose_run=chosen)
    monkeypatch.chdir(folder)
    yield fake


def call(*words: str, stdin: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, list(words), input=stdin)


def rows(result: Any) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]
