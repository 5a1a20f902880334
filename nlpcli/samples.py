"""The small samples that ship with the package, one folder a recipe."""

from __future__ import annotations

from pathlib import Path

from nlpcli.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def sample(recipe: str, split: str) -> Path:
    """The shipped file of a recipe's ``train`` or ``dev`` split.

    An installed package holds it inside, a checkout beside. Raises NotFoundError.
    """
    name = recipe.replace("-", "_")
    for root in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        for path in sorted((root / name).glob(f"{split}.*")):
            return path
    raise NotFoundError(
        f"recipe {recipe}: no {split} sample ships with it; give the data file"
    )


def shipped_run(recipe: str) -> Path | None:
    """The run folder of the trained model that ships with a recipe, if one does."""
    name = recipe.replace("-", "_")
    for root in (_PACKAGE / "data", _PACKAGE.parent / "data"):
        folder = root / name / "model"
        if (folder / "config.yaml").is_file():
            return folder
    return None
