"""``nlpcli data``: look at a data file, or rewrite it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nlpcli.cli.command import Command, verb
from nlpcli.cli.complete import complete_models, complete_recipes
from nlpcli.cli.options import Force, Json, LongestLine, LongestValue
from nlpcli.errors import UsageError

if TYPE_CHECKING:
    from nlpcli.config import RunConfig
    from nlpcli.records.form import Form

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
    longest_line: LongestLine = None,
    as_json: Json = False,
) -> None:
    """Report on a file."""
    from nlpcli.cli.data_report import report_text
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.config.loader import resolve
    from nlpcli.records.check import check as look

    config = resolve(task)
    report = look(
        _form(config, "check", nested=nested or None),
        file,
        max_length=max_length or config.data.max_length,
        tokenizer=None if model is None else _tokenizer(model),
        limit=limit,
        longest=longest_line or config.data.longest_line,
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
    "  nlpcli data convert --task math-qa Math_23K.json train.jsonl --skip-bad\n"
    "  nlpcli data convert --task ner train.jsonl tasks.json --to label-studio\n\n"
    "OUT is JSON Lines, unless --to or its name says otherwise (for ner a name that\n"
    "does not end in .jsonl gets tagged columns); .gz compresses.",
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN")],
    destination: Annotated[Path, typer.Argument(metavar="OUT")],
    task: Task,
    source_format: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FORMAT", help="Format of IN; recognised when not given."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="FORMAT", help="Format of OUT; otherwise its name says it."
        ),
    ] = None,
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
    longest_line: LongestValue = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Rewrite a file."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import pairs
    from nlpcli.config.loader import resolve
    from nlpcli.records.convert import convert as rewrite
    from nlpcli.records.lines import LONGEST_DOCUMENT

    form = _form(
        resolve(task),
        "convert",
        scheme=scheme,
        source_scheme=source_scheme,
        joiner=joiner or None,
        repair=repair or None,
    )
    report = rewrite(
        form,
        source,
        destination,
        source_format=source_format,
        to=to,
        skip_bad=skip_bad,
        force=force,
        longest=longest_line or LONGEST_DOCUMENT,
    )
    if as_json:
        print_json(report, destination)
    else:
        print_text(pairs(report), destination)


def _form(config: RunConfig, verb: str, **flags: Any) -> Form[Any]:
    """What a line of a recipe's data is, under the flags that were given.

    Raises UsageError for those that this form does not have.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    form: Form[Any] = config.task.form()
    strange = [
        f"{_FLAGS.get(name, '--' + name)}: recipe {config.recipe} has no such option "
        f"for data {verb}"
        for name in given
        if name not in form.flags
    ]
    if strange:
        raise UsageError("\n".join(strange))
    return form.with_flags(**given)


# Where a flag is not named as the field of the forms.
_FLAGS = {"source_scheme": "--from-scheme"}


def _tokenizer(model: str) -> Any:
    if model == "tiny":
        from nlpcli.text.tokenizers.load import tiny_tokenizer

        return tiny_tokenizer()
    from nlpcli.checkpoints.download import resolve_model
    from nlpcli.text.tokenizers.load import load_tokenizer

    return load_tokenizer(resolve_model(model))
