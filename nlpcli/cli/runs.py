"""``nlpcli runs``: what was trained, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_runs
from nlpcli.cli.options import Json
from nlpcli.errors import UsageError

if TYPE_CHECKING:
    from nlpcli.engine.exported import Engine, ExportDir
    from nlpcli.engine.run_dir import RunDir
    from nlpcli.recipe import RecipeEntry

COLUMNS = ["run", "recipe", "model", "status", "score", "time", "started"]

app = verb(
    "runs",
    help="Runs with their scores; curves in the terminal.",
    epilog="Examples:\n  nlpcli runs\n  nlpcli runs show runs/NAME\n"
    "  nlpcli runs list --json",
)


def chosen_run(run: Path | None, recipe: str | None) -> RunDir:
    """The run that was named, the newest finished one of ``recipe``, or the shipped
    one, opened; NotFoundError before a model is loaded, so a slip costs no wait."""
    from nlpcli.engine.run_dir import choose_run

    return choose_run(run, recipe)


def chosen_export(
    run: Path | None, recipe: str, engine: Engine | None
) -> ExportDir | None:
    """The export that --run names, None where it names none.

    Raises UsageError for an engine where there is none to run.
    """
    from nlpcli.engine.exported import ExportDir, is_export

    if run is not None and is_export(run):
        return ExportDir.open(run, recipe)
    if engine is not None:
        raise UsageError(
            f"--engine {engine}: expected an export (`nlpcli export {recipe} DST --to "
            f"{engine}`) as --run DST, got {run or 'none'}"
        )
    return None


def chosen_weights(
    entry: RecipeEntry, run: Path | None, model: str | None, offline: bool
) -> tuple[RunDir | None, Path | None]:
    """The run that answers, or the folder of published weights that does: a recipe
    without the verb train takes a model as it is.

    Raises UsageError for the one in the other's place, NotFoundError as the loading of
    either does.
    """
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.cli.console import open_progress

    if "train" in entry.verbs:
        if model is not None:
            raise UsageError(
                f"--model: recipe {entry.name} answers from what was trained (--run)"
            )
        return chosen_run(run, entry.name), None
    if run is not None or model is None:
        wrong = "--run: " if run is not None else ""
        raise UsageError(
            f"{wrong}recipe {entry.name} takes a model as it is, without training: "
            "expected --model NAME|DIR"
        )
    folder = resolve_model(model, offline=offline, progress=open_progress())
    return None, Path(folder)


@app.callback(invoke_without_command=True)
def runs(context: typer.Context, as_json: Json = False) -> None:
    """List the runs when no verb follows."""
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list", cls=Command, help="List the runs, newest first.")
def list_(as_json: Json = False) -> None:
    """Print the runs."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import table
    from nlpcli.engine.run_dir import list_runs

    rows = [_row(summary.path, vars(summary)) for summary in list_runs()]
    if as_json:
        print_json(rows)
    elif rows:
        print_text(table([_shown(row) for row in rows], COLUMNS))
    else:
        print_text("no runs yet; `nlpcli train RECIPE` makes one")


@app.command(
    "show",
    cls=Command,
    help="Show a run: its scores, its loss and score curves.",
    epilog="Examples:\n  nlpcli runs show runs/NAME\n"
    "  nlpcli runs show runs/NAME --json",
)
def show(
    run: Annotated[Path, typer.Argument(metavar="DIR", autocompletion=complete_runs)],
    as_json: Json = False,
) -> None:
    """Print one run."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.scores import score_table
    from nlpcli.cli.table import pairs
    from nlpcli.engine.run_dir import RunDir, summary

    opened = RunDir.open(run)
    row, scores = _row(run, vars(summary(run))), opened.read_scores()
    metrics = opened.read_metrics(every=False)
    if as_json:
        print_json({**row, "scores": scores, "metrics": metrics})
        return
    parts = [pairs(_shown(row)), *([score_table(scores)] if scores else [])]
    print_text("\n\n".join(parts + _curves(metrics)))


def _row(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    names = ("recipe", "model", "status", "score_name", "score", "steps", "seconds")
    row = {"run": str(path), **{name: known.get(name) for name in names}}
    return {**row, "started": known.get("started", "")}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: the score with its name, the time in words."""
    from nlpcli.cli.console import duration
    from nlpcli.cli.table import cell

    score = row["score"]
    return {
        **{name: row[name] for name in ("run", "recipe", "model", "status")},
        "score": None if score is None else f"{row['score_name']} {cell(score)}",
        "steps": row["steps"],
        "time": None if row["seconds"] is None else duration(row["seconds"]),
        "started": _local_time(row["started"]),
    }


def _local_time(stamp: str) -> str:
    try:
        return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):
        return stamp


def _curves(metrics: list[dict[str, Any]]) -> list[str]:
    """The loss of training, then each score of the development data."""
    from nlpcli.cli.curves import curve
    from nlpcli.cli.output import stdout_columns, stdout_has

    series: dict[str, list[tuple[float, float]]] = {}
    for row in metrics:
        values = {"loss": row.get("loss")}
        values |= {f"dev {name}": value for name, value in row.get("dev", {}).items()}
        for name, value in values.items():
            ratio = name == "loss" or isinstance(value, float)
            if ratio and value is not None:
                series.setdefault(name, []).append((row["step"], value))
    columns, unicode = stdout_columns(), stdout_has("⣿")
    return [
        curve(f"{name} by step", points, columns, unicode=unicode)
        for name, points in series.items()
    ]
