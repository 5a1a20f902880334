"""``nlpcli data``: look at a data file, or rewrite it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_models, complete_recipes
from nlpcli.cli.options import Force, Json
from nlpcli.errors import UsageError

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
        int | None,
        typer.Option(
            "--max-length",
            min=8,
            metavar="N",
            help="As data.max_length; otherwise the recipe's own.",
        ),
    ] = None,
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

    function = find_recipe(task).module("check").check
    given = {"nested": nested, "max_length": max_length, "tokenizer": model}
    options = _accepted(function, task, {**given, "limit": limit})
    if model is not None:
        options["tokenizer"] = _tokenizer(model)
    report = function(file, **options)
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
    "  nlpcli data convert --task math-qa Math_23K.json train.jsonl --skip-bad\n\n"
    "Recipes that generate write JSON Lines. For ner OUT is JSON Lines when its name\n"
    "ends in .jsonl, otherwise tagged columns; .gz compresses either.",
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN")],
    destination: Annotated[Path, typer.Argument(metavar="OUT")],
    task: Task,
    scheme: Annotated[
        Scheme | None,
        typer.Option("--scheme", help="Tags of a column file OUT; BIO when not given."),
    ] = None,
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

    function = find_recipe(task).module("convert").convert
    given = {
        "scheme": scheme,
        "source_scheme": source_scheme,
        "joiner": joiner,
        "repair": repair,
        "skip_bad": skip_bad,
        "force": force,
    }
    report = function(source, destination, **_accepted(function, task, given))
    if as_json:
        print_json(report)
    else:
        print_text(pairs(report))


# Where a flag is not named as the parameter of the recipes' functions.
_FLAGS = {"tokenizer": "--model", "source_scheme": "--from-scheme"}


def _accepted(
    function: Callable[..., Any], task: str, options: dict[str, Any]
) -> dict[str, Any]:
    """The options that were given; the recipe's own defaults are for the others.

    Raises UsageError for those that this recipe's function does not have.
    """
    given = {name: value for name, value in options.items() if value}
    known = inspect.signature(function).parameters
    strange = [
        f"{_FLAGS.get(name, '--' + name.replace('_', '-'))}: recipe {task} has no such "
        f"option for data {function.__name__}"
        for name in given
        if name not in known
    ]
    if strange:
        raise UsageError("\n".join(strange))
    return given


def _tokenizer(model: str) -> Any:
    if model == "tiny":
        from nlpcli.text.tokenizers.load import tiny_tokenizer

        return tiny_tokenizer()
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.text.tokenizers.load import load_tokenizer

    return load_tokenizer(resolve_model(model))
