"""The small samples that ship with the package, one folder a recipe."""

from __future__ import annotations

from pathlib import Path

from nlpcli.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent
_INSIDE = _PACKAGE / "data"  # of an installed package; a checkout holds it beside
_DATA = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent / "data"


def sample(recipe: str, split: str) -> Path:
    """The shipped file of a recipe's ``train`` or ``dev`` split, or NotFoundError."""
    name = recipe.replace("-", "_")
    for path in sorted((_DATA / name).glob(f"{split}.*")):
        return path
    raise NotFoundError(
        f"recipe {recipe}: no {split} sample ships with it; give the data file"
    )


def shipped_run(recipe: str) -> Path | None:
    """The run folder of the trained model that ships with a recipe, if one does."""
    name = recipe.replace("-", "_")
    folder = _DATA / name / "model"
    return folder if (folder / "config.yaml").is_file() else None
