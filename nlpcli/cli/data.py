"""``nlpcli data``: look at a data file, or rewrite it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_models, complete_recipes
from nlpcli.cli.options import Force, Json

app = verb(
    "data",
    help="Say what is in a data file, or convert it.",
    epilog="Examples:\n  nlpcli data check train.jsonl --task ner\n"
    "  nlpcli data convert --task ner train.bmes train.jsonl",
)

Task = Annotated[
    str,
    typer.Option(
        "--task",
        metavar="RECIPE",
        help="Recipe the data is for.",
        autocompletion=complete_recipes,
    ),
]
Scheme = Literal["BIO", "IOB1", "BMES", "BIOES", "BILOU"]


@app.command(
    "check",
    cls=Command,
    help="Read a file as train would; say what is in it.",
    epilog="Examples:\n  nlpcli data check train.jsonl --task ner\n"
    "  nlpcli data check train.jsonl --task ner --model rbt3 --max-length 128\n\n"
    "Exits with 4 when lines are bad.",
)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    task: Task,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Read N examples at most."),
    ] = None,
    max_length: Annotated[
        int,
        typer.Option("--max-length", min=8, metavar="N", help="As data.max_length."),
    ] = 256,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            help="Count this model's tokens; otherwise characters.",
            autocompletion=complete_models,
        ),
    ] = None,
    nested: Annotated[
        bool, typer.Option("--nested", help="Overlapping answers are allowed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Report on a file."""
    from nlpcli.cli.data_report import report_text
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.recipe import find_recipe

    part = find_recipe(task).module("check")
    report = part.check(
        file,
        nested=nested,
        max_length=max_length,
        tokenizer=_tokenizer(model),
        limit=limit,
    )
    if as_json:
        print_json(report)
    else:
        print_text(report_text(report))
    if report["bad_lines"]:
        raise typer.Exit(4)


@app.command(
    "convert",
    cls=Command,
    help="Rewrite a file in another format.",
    epilog="Examples:\n  nlpcli data convert --task ner train.bmes train.jsonl\n"
    "  nlpcli data convert --task ner train.jsonl train.bio --scheme BIO\n\n"
    "OUT is JSON Lines when its name ends in .jsonl, otherwise tagged columns; .gz\n"
    "compresses either.",
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN")],
    destination: Annotated[Path, typer.Argument(metavar="OUT")],
    task: Task,
    scheme: Annotated[
        Scheme, typer.Option("--scheme", help="Tags of a column file OUT.")
    ] = "BIO",
    source_scheme: Annotated[
        Scheme | None,
        typer.Option("--from-scheme", help="Tags of IN; recognised when not given."),
    ] = None,
    joiner: Annotated[
        str,
        typer.Option("--joiner", metavar="TEXT", help="Stands between tokens of IN."),
    ] = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend tags that the scheme forbids.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count and leave out bad lines.")
    ] = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Rewrite a file."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs
    from nlpcli.recipe import find_recipe

    part = find_recipe(task).module("convert")
    report = part.convert(
        source,
        destination,
        scheme,
        source_scheme=source_scheme,
        joiner=joiner,
        repair=repair,
        skip_bad=skip_bad,
        force=force,
    )
    if as_json:
        print_json(report)
    else:
        print_text(pairs(report))


def _tokenizer(model: str | None) -> Any:
    if model is None:
        return None
    if model == "tiny":
        from nlpcli.text.tokenizer import tiny_tokenizer

        return tiny_tokenizer()
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.text.tokenizer import load_tokenizer

    return load_tokenizer(resolve_model(model))
