"""``nlpcli export RECIPE DST``: a folder that other tools load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.options import Force, Json, Recipe, Run

EXAMPLES = """\
Examples:
  nlpcli export ner my-encoder --to hf
  nlpcli export ner my-encoder --run runs/rbt3 --force

A head that transformers has goes with the encoder: ner with task.head softmax, classify
with task.pooling pooler, the output head of what writes. What is lost is told."""

app = verb("export")


@app.command("export", cls=Command, epilog=EXAMPLES)
def export(
    recipe: Recipe,
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder to write.")
    ],
    to: Annotated[
        Literal["hf"],
        typer.Option(
            "--to",
            help="hf: as transformers loads it, with what it has of the head.",
        ),
    ] = "hf",
    run: Run = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Write a run as a folder other tools load."""
    from nlpcli.cli.console import quiet_imports
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.runs import chosen_run
    from nlpcli.cli.table import pairs
    from nlpcli.recipe import find_recipe

    chosen = chosen_run(run, find_recipe(recipe).name)

    with quiet_imports():
        from nlpcli.engine.export import export_run

    report = export_run(chosen, destination, to=to, force=force)
    if as_json:
        print_json(report)
    else:
        print_text(pairs(report))
