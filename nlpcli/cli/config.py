"""``nlpcli config RECIPE``: the whole truth of a run, or all that is wrong with it."""

from __future__ import annotations

from typing import Annotated

import typer

from nlpcli.cli.command import RecipeCommand, verb
from nlpcli.cli.options import ConfigFiles, Recipe, Sets

EXAMPLES = """\
Examples:
  nlpcli config ner
  nlpcli config ner -c my.yaml --set train.epochs=5 --diff
  nlpcli config ner --schema train            type, default and meaning of keys"""

app = verb("config")


@app.command("config", cls=RecipeCommand, epilog=EXAMPLES)
def show(
    recipe: Recipe,
    config: ConfigFiles = None,
    sets: Sets = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="KEY",
            help="Type, default and meaning of a key or a section.",
        ),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Only what differs from the recipe's defaults."),
    ] = False,
) -> None:
    """Print the configuration, or all its errors."""
    from nlpcli.cli.output import print_text
    from nlpcli.cli.table import key_table
    from nlpcli.config.loader import diff as difference
    from nlpcli.config.loader import resolve, to_yaml
    from nlpcli.config.loader import schema as rows_of
    from nlpcli.recipe import find_recipe

    entry = find_recipe(recipe)
    if schema is not None:
        defaults = resolve(entry.name)
        print_text(key_table(rows_of(entry.task_type(), schema, defaults)))
        return
    resolved = resolve(entry.name, config or [], sets or [])
    text = difference(resolved) if diff else to_yaml(resolved)
    print_text(text.rstrip("\n"))
