"""Recipes: what each promises the engine, and how one is found by name.

This is the only module that reaches for a recipe.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nlpcli.config.yaml_file import Layer, read_yaml
from nlpcli.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:  # numpy takes a tenth of a second, which listing can do without
    from nlpcli.text.batching import Features, Field
    from nlpcli.text.windows import Window

logger = logging.getLogger("nlpcli")

GROUP = "nlpcli.recipes"


class EncodedWindow(NamedTuple):
    """One window of an example as the model reads it, and where it lies in it."""

    features: Features
    window: Window


class Recipe(Protocol):
    """What one task is. The engine calls these methods and never asks which task.

    A recipe is a package with ``config.yaml`` (its defaults; the ``recipe`` section
    holds summary and verbs), ``options.py`` (the ``TaskOptions`` dataclass, free of
    keras, so that configuration is checked at once; a method ``conflicts`` yields keys
    that do not go together, and why) and ``recipe.py`` with
    ``build_recipe(config, tokenizer) -> Recipe``.
    """

    tokenizer: Any
    fields: Mapping[str, Field]
    main_score: str

    def read(self, path: str | Path) -> Iterator[Any | DataError]:
        """The examples of a file with their gold answers.

        A bad line comes as a DataError in its place; the reader decides to raise it
        or to count it.
        """

    def prompt(self, text: str) -> Any:
        """An example without gold, from raw text; raises DataError if it cannot be."""

    def learn(self, example: Any) -> None:
        """Take in what training data alone can tell, such as the labels."""

    def check(self, example: Any) -> None:
        """Raise DataError for a development example that the model cannot get right."""

    def state(self) -> dict[str, Any]:
        """All that ``learn`` gathered, as JSON values, for the checkpoint."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state`` returned."""

    def encode(self, examples: Sequence[Any], gold: bool) -> list[list[EncodedWindow]]:
        """Unpadded features of each example's windows; with ``gold`` the labels too."""

    def build(self, backbone: Any) -> Any:
        """Backbone and heads as one TaskModel."""

    def predict(self, forward: Any, batch: Features) -> list[Any]:
        """Run a padded batch through the model and a decoder: a part for each row."""

    def merge(
        self, example: Any, parts: Sequence[tuple[Window, Any]]
    ) -> dict[str, Any]:
        """The answer to an example from the parts of its windows, ready for JSON."""

    def gold(self, example: Any) -> Any:
        """The gold answer of an example, ready for JSON."""

    def score(
        self, examples: Sequence[Any], answers: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Scores by name; ``main_score`` is the one that chooses the best weights."""


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe that was found; nothing of it is imported before it is asked for."""

    name: str
    summary: str
    verbs: tuple[str, ...]
    folder: Path
    package: str

    def load(self) -> ModuleType:
        """The module with ``build_recipe``; this one imports keras."""
        return self.module("recipe")

    def module(self, part: str) -> ModuleType:
        """One module of the recipe's package."""
        return import_module(f"{self.package}.{part}")

    def task_type(self) -> type:
        """The dataclass of the ``task`` section."""
        task_type: type = self.module("options").TaskOptions
        return task_type

    def defaults(self) -> Layer:
        """The recipe's own layer of the configuration."""
        layer = read_yaml(self.folder / "config.yaml")
        values = {key: v for key, v in layer.values.items() if key != "recipe"}
        return layer._replace(values=values)


def find_recipe(name: str) -> RecipeEntry:
    """The recipe of that name; ``triple-extract`` and ``triple_extract`` are one.

    Raises NotFoundError with the nearest names.
    """
    wanted = _command_name(name)
    if folder := _shipped().get(wanted):
        return _entry(wanted, folder, f"recipes.{folder.name}")
    for point in entry_points(group=GROUP):
        if _command_name(point.name) == wanted:
            return _foreign(point)
    names = [entry.name for entry in list_recipes()]
    near = difflib.get_close_matches(wanted, names, n=3)
    hint = f", did you mean {' or '.join(near)}?" if near else ""
    known = ", ".join(names) or "none is installed"
    raise NotFoundError(f"recipe {name}: unknown{hint} (there are: {known})")


def list_recipes() -> list[RecipeEntry]:
    """All recipes by name: the shipped ones and those of other installed packages.

    One of another package that cannot be read is left out with a warning; a shipped
    one of the same name comes first.
    """
    found = {
        name: _entry(name, folder, f"recipes.{folder.name}")
        for name, folder in _shipped().items()
    }
    for point in entry_points(group=GROUP):
        name = _command_name(point.name)
        if name in found:
            logger.warning(
                "recipe %s of %s is hidden by %s", name, point.value, found[name].folder
            )
            continue
        try:
            found[name] = _foreign(point)
        except (ConfigError, NotFoundError) as error:
            logger.warning("recipe %s left out: %s", name, error)
    return [found[name] for name in sorted(found)]


def _command_name(name: str) -> str:
    return name.replace("_", "-")


def _shipped() -> dict[str, Path]:
    """Folders of the ``recipes`` package that hold a recipe, by command name."""
    spec = find_spec("recipes")
    roots = (spec.submodule_search_locations or []) if spec else []
    return {
        _command_name(folder.name): folder
        for root in roots
        for folder in sorted(Path(root).iterdir())
        if (folder / "recipe.py").is_file() and (folder / "config.yaml").is_file()
    }


def _foreign(point: EntryPoint) -> RecipeEntry:
    """The recipe that another package's entry point names, found without its code."""
    try:
        spec = find_spec(point.value)
    except (ImportError, ValueError) as error:
        raise NotFoundError(f"package {point.value}: {error}") from error
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location)
        if (folder / "recipe.py").is_file() and (folder / "config.yaml").is_file():
            return _entry(_command_name(point.name), folder, point.value)
    raise NotFoundError(
        f"package {point.value} (entry point {point.name} of {GROUP}): expected "
        "recipe.py and config.yaml in it"
    )


def _entry(name: str, folder: Path, package: str) -> RecipeEntry:
    path = folder / "config.yaml"
    about = read_yaml(path).values.get("recipe")
    about = about if isinstance(about, dict) else {}
    summary, verbs = about.get("summary"), about.get("verbs")
    problems = []
    if not isinstance(summary, str):
        problems.append(f"recipe.summary: expected text (from {path})")
    if not isinstance(verbs, list) or not all(isinstance(v, str) for v in verbs):
        problems.append(f"recipe.verbs: expected a list of verbs (from {path})")
    if problems:
        raise ConfigError(problems)
    return RecipeEntry(name, str(summary), tuple(verbs or ()), folder, package)
