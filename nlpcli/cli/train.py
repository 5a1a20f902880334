"""``nlpcli train RECIPE``: learn, score on dev, keep best and last."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nlpcli.cli.command import RecipeCommand, verb
from nlpcli.cli.complete import complete_models, complete_runs
from nlpcli.cli.options import (
    ConfigFiles,
    Force,
    LongestLine,
    Recipe,
    Sets,
    Strategy,
)
from nlpcli.config import Precision

EXAMPLES = """\
Examples:
  nlpcli train ner                      the shipped sample, the built-in tiny encoder
  nlpcli train ner --model rbt3 --data train.jsonl --dev dev.jsonl --out runs/rbt3
  nlpcli train ner --model path/to/bert --precision bfloat16 --xla
  nlpcli train ner -c my.yaml --set train.accumulate=4 --dry-run
  nlpcli train ner --resume runs/rbt3

Ctrl-C saves last/ and exits with 130, SIGTERM with 143, a terminal that is closed
(SIGHUP) with 129; a second Ctrl-C or SIGTERM leaves at once.
--resume exits with 3 when data or nlpcli changed since; --accept-changes goes on."""

app = verb("train")


@app.command("train", cls=RecipeCommand, epilog=EXAMPLES)
def train(
    recipe: Recipe,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            help="Registry name or folder of the pretrained model.",
            autocompletion=complete_models,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="Training file."),
    ] = None,
    dev: Annotated[
        str | None,
        typer.Option("--dev", metavar="FILE", help="Development file."),
    ] = None,
    config: ConfigFiles = None,
    sets: Sets = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the data.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", help="Windows a step.")
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            "--batch-tokens",
            metavar="N",
            help="Tokens a step, padding included, in place of --batch-size.",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", metavar="RATE", help="Peak rate of the backbone."),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", metavar="N", help="Stop after N steps."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Seed of the run.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option("--precision", help="Type of activations.")
    ] = None,
    xla: Annotated[
        bool | None,
        typer.Option("--xla/--no-xla", help="Compile; on a GPU when not given."),
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option("--strategy", help="tf.distribute strategy.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Run folder; runs/RECIPE-DATE-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="DIR",
            help="Go on with a run; its own configuration counts.",
            autocompletion=complete_runs,
        ),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="With --resume: go on although its data or nlpcli changed.",
        ),
    ] = False,
    force: Force = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count and skip bad lines.")
    ] = False,
    longest_line: LongestLine = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be trained; write nothing."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Forbid the download of a model.")
    ] = False,
) -> None:
    """Train, score on dev, keep best and last weights."""
    from nlpcli.cli.console import duration, open_progress, quiet_imports
    from nlpcli.cli.output import print_text
    from nlpcli.cli.standard import drop_gone
    from nlpcli.cli.table import pairs
    from nlpcli.config.loader import resolve
    from nlpcli.errors import UsageError
    from nlpcli.recipe import find_recipe

    find_recipe(recipe).require("train", "is not trained")
    flags = {
        "backbone.model": ("--model", model),
        "data.train": ("--data", data),
        "data.dev": ("--dev", dev),
        "data.skip_bad": ("--skip-bad", skip_bad or None),
        "data.longest_line": ("--longest-line", longest_line),
        "train.epochs": ("--epochs", epochs),
        "train.batch_size": ("--batch-size", batch_size),
        "train.batch_tokens": ("--batch-tokens", batch_tokens),
        "train.lr": ("--lr", lr),
        "train.max_steps": ("--max-steps", max_steps),
        "seed": ("--seed", seed),
        "runtime.precision": ("--precision", precision),
        "runtime.xla": ("--xla", None if xla is None else "on" if xla else "off"),
        "runtime.strategy": ("--strategy", strategy),
    }
    given = {key: value for key, (_, value) in flags.items() if value is not None}
    if resume is not None:
        names = [flags[key][0] for key in given]
        names += ["--config"] * bool(config) + ["--set"] * bool(sets)
        names += ["--out"] * (out is not None) + ["--force"] * force
        names += ["--dry-run"] * dry_run
        if names:
            raise UsageError(
                f"--resume: the run's own configuration counts; leave out "
                f"{', '.join(names)}"
            )
    elif accept_changes:
        raise UsageError("--accept-changes: goes together with --resume")
    resolved = resolve(recipe, config or [], sets or [], given)
    if dry_run:
        with quiet_imports():
            from nlpcli.engine.train import plan_training

        plan = plan_training(resolved, offline=offline)
        plan.pop("config", None)
        print_text(pairs(plan))
        return

    with quiet_imports():
        from nlpcli.engine.train import train as train_run

    result = train_run(
        resolved,
        out=out,
        force=force,
        resume=resume,
        offline=offline,
        progress=open_progress(),
        accept_changes=accept_changes,
    )
    if result.stopped_by.name == "SIGHUP":
        drop_gone()
    scores = {k: v for k, v in result.scores.items() if not isinstance(v, dict)}
    summary = {
        "run": result.run,
        "status": result.status,
        "steps": result.steps,
        "time": duration(result.seconds),
    }
    print_text(pairs({**summary, **scores}))
    if result.status == "interrupted":
        raise typer.Exit(128 + result.stopped_by)
