"""``nlpcli evaluate RECIPE``: a score table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from nlpcli.cli.command import AnswerCommand, task_sets, verb
from nlpcli.cli.options import (
    AsItIs,
    BatchSize,
    EngineOption,
    EvaluatedPrecision,
    Force,
    Json,
    LongestLine,
    Offline,
    QuantizeOption,
    Recipe,
    RunOrExport,
    TaskSets,
)
from nlpcli.errors import UsageError

EXAMPLES = """\
Examples:
  nlpcli evaluate ner --data test.jsonl
  nlpcli evaluate ner --run runs/rbt3 --data test.jsonl --json
  nlpcli evaluate ner --data test.jsonl --predictions answers.jsonl
  nlpcli evaluate ner --run ner-int8 --data test.jsonl      (an export)
  nlpcli evaluate lm --model path/to/gpt2 --data novel.txt
  nlpcli evaluate math-qa --data test.jsonl --set task.grammar=false"""

app = verb("evaluate")


@app.command("evaluate", cls=AnswerCommand, epilog=EXAMPLES)
def evaluate(
    context: typer.Context,
    recipe: Recipe,
    run: RunOrExport = None,
    engine: EngineOption = None,
    model: AsItIs = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FILE", help="Gold data; the run's dev file if not given."
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="Write text, gold and answer of each example, a JSON line each.",
        ),
    ] = None,
    per_label: Annotated[
        bool, typer.Option("--per-label/--no-per-label", help="A row for each label.")
    ] = True,
    sets: TaskSets = None,
    batch_size: BatchSize = 32,
    precision: EvaluatedPrecision = None,
    quantize: QuantizeOption = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count and skip bad lines.")
    ] = False,
    longest_line: LongestLine = None,
    as_json: Json = False,
    offline: Offline = False,
    force: Force = False,
) -> None:
    """Score a trained run on a data file."""
    from nlpcli.cli.console import open_progress, quiet_imports
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.runs import chosen_export, chosen_weights
    from nlpcli.cli.scores import score_table
    from nlpcli.engine.scoring import Gold
    from nlpcli.files.named import refuse_existing
    from nlpcli.recipe import find_recipe

    entry = find_recipe(recipe)
    refuse_existing(predictions, force, data)
    if data is None and "train" not in entry.verbs:
        raise UsageError(f"recipe {entry.name}: expected --data FILE")
    export = chosen_export(run, entry.name, engine)
    told = task_sets(context, sets)
    gold = Gold(data, predictions, skip_bad, force, longest_line)
    progress = open_progress()
    if export is not None:
        if quantize is not None or model is not None:
            wrong = "--model" if quantize is None else "--quantize"
            raise UsageError(f"{wrong}: does not go together with an export ({run})")
        from nlpcli.engine.exported import ExportedRun, evaluate_export

        started = time.monotonic()
        exported = ExportedRun(export, engine, batch_size, precision, told)
        scores = evaluate_export(exported, gold, started, progress)
    else:
        chosen, folder = chosen_weights(entry, run, model, offline)
        with quiet_imports():
            from nlpcli.engine.evaluate import evaluate_run

        scores = evaluate_run(
            chosen,
            entry.name,
            gold,
            batch_size=batch_size,
            progress=progress,
            sets=told,
            model=folder,
            precision=precision,
            quantize=quantize,
        )
    if not per_label:
        scores.pop("per_label", None)
    if as_json:
        print_json(scores, predictions)
    else:
        print_text(score_table(scores), predictions)
