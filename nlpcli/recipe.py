"""Recipes found by name; nothing of one is imported before it is asked for.

A recipe is a package with ``config.yaml`` (its defaults; the ``recipe`` section holds
summary and verbs), ``options.py`` (the ``TaskOptions`` dataclass, free of keras, so
that configuration and data are checked at once; ``form()`` is what a line of data is,
a method ``conflicts`` yields keys that do not go together, and why) and ``recipe.py``
with ``build_recipe(setup)``, whose result is a nlpcli.tasks.protocol.Recipe.

This is the only module that reaches for a recipe.
"""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from nlpcli.config.yaml_file import Layer, read_yaml
from nlpcli.errors import ConfigError, NotFoundError, UsageError

logger = logging.getLogger("nlpcli")

GROUP = "nlpcli.recipes"


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

    def require(self, verb: str, told: str) -> RecipeEntry:
        """Raise UsageError, with what it does instead, unless it has a verb."""
        if verb not in self.verbs:
            raise UsageError(
                f"recipe {self.name}: {told}, it has the verbs {', '.join(self.verbs)}"
            )
        return self

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
