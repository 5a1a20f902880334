"""``nlpcli recipes``: what there is to train."""

from __future__ import annotations

from nlpcli.cli.command import Command, verb
from nlpcli.cli.options import Json

EXAMPLES = "Examples:\n  nlpcli recipes\n  nlpcli recipes --json"

app = verb("recipes")


@app.command("recipes", cls=Command, epilog=EXAMPLES)
def show(as_json: Json = False) -> None:
    """List the recipes and the verbs they support."""
    from nlpcli.cli.output import print_json, print_text
    from nlpcli.cli.table import table
    from nlpcli.recipe import list_recipes

    rows = [
        {
            "recipe": entry.name,
            "summary": entry.summary,
            "verbs": list(entry.verbs),
        }
        for entry in list_recipes()
    ]
    if as_json:
        print_json(rows)
    else:
        print_text(table(rows, ["recipe", "summary", "verbs"]))
