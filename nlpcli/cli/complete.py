"""Words the shell offers: recipes, models, runs and configuration keys.

Completion stays silent: whatever goes wrong here, the shell offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from nlpcli.files.json_text import in_a_cell

Words = list[tuple[str, str]]


def _quiet(find: Callable[..., Words]) -> Callable[..., Words]:
    from functools import wraps

    @wraps(find)
    def safely(*args: Any, **kwargs: Any) -> Words:
        try:
            found = find(*args, **kwargs)
            # the shell shows them as they are
            return [(x, in_a_cell(told)) for x, told in found if in_a_cell(x) == x]
        except Exception:  # noqa: BLE001 - no traceback in the middle of a prompt
            return []

    return safely


@_quiet
def complete_recipes(incomplete: str) -> Words:
    """Names of recipes with their summaries."""
    from nlpcli.recipe import list_recipes

    return [(entry.name, entry.summary) for entry in list_recipes()]


@_quiet
def complete_models(incomplete: str) -> Words:
    """Names of the model registry."""
    from nlpcli.checkpoints.registry import MODELS

    return [(name, model.family) for name, model in MODELS.items()]


@_quiet
def complete_runs(incomplete: str) -> Words:
    """Folders of runs, newest first."""
    from nlpcli.engine.run_dir import list_runs

    return [(str(run.path), f"{run.recipe} {run.status}") for run in list_runs()]


@_quiet
def complete_keys(context: typer.Context, incomplete: str) -> Words:
    """``key=`` for each configuration key of the recipe on the line."""
    from nlpcli.cli.command import recipe_named
    from nlpcli.config.loader import schema

    rows = schema(recipe_named(context).task_type())
    return [(f"{row['key']}=", row["doc"]) for row in rows]
