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
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, distributions
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from nlpcli import recipes
from nlpcli.config.yaml_file import Layer, read_yaml
from nlpcli.errors import ConfigError, NlpcliError, NotFoundError, UsageError

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
        return _own(wanted, folder)
    for point in _points():
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
    found = {name: _own(name, folder) for name, folder in _shipped().items()}
    for point in _points(warn=True):
        name = _command_name(point.name)
        if name in found:
            logger.warning(
                "recipe %s of %s is hidden by %s", name, point.value, found[name].folder
            )
            continue
        try:
            found[name] = _foreign(point)
        except NlpcliError as error:
            logger.warning("recipe %s left out: %s", name, error)
    return [found[name] for name in sorted(found)]


def _command_name(name: str) -> str:
    return name.replace("_", "-")


def _shipped() -> dict[str, Path]:
    """Folders of our own that hold a recipe, by command name."""
    return {
        _command_name(folder.name): folder
        for root in recipes.__path__
        for folder in sorted(Path(root).glob("*"))
        if _holds_recipe(folder)
    }


def _own(name: str, folder: Path) -> RecipeEntry:
    return _entry(name, folder, f"{recipes.__name__}.{folder.name}")


def _points(warn: bool = False) -> Iterator[EntryPoint]:
    """The entry points of our group; a package whose metadata is broken has none."""
    seen = set()
    for package in distributions():
        try:
            points = list(package.entry_points.select(group=GROUP))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's files hold
            if warn:
                place = getattr(package, "_path", "a package")
                logger.warning("%s: entry points left out: %s", place, _what(error))
            continue
        for point in points:
            if (point.name, point.value) not in seen:  # a package found on two paths
                seen.add((point.name, point.value))
                yield point


def _foreign(point: EntryPoint) -> RecipeEntry:
    """The recipe that another package's entry point names, found without its code.

    Raises NotFoundError or ConfigError.
    """
    place = f"package {point.value} (entry point {point.name} of {GROUP})"
    try:
        for folder in _folders(point.value):
            if _holds_recipe(folder):
                return _entry(_command_name(point.name), folder, point.value)
    except NlpcliError:
        raise
    except Exception as error:  # whatever a stranger's files and names hold
        raise ConfigError([f"{place}: {_what(error)}"]) from error
    raise NotFoundError(f"{place}: expected recipe.py and config.yaml in it")


def _folders(package: str) -> list[Path]:
    """Where a package may lie; importlib would import the packages that it is in."""
    top, *inner = package.split(".")
    if not all(part.isidentifier() for part in (top, *inner)):
        return []
    spec = find_spec(top)
    roots = (spec.submodule_search_locations or []) if spec else []
    return [Path(root, *inner) for root in roots]


def _what(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _holds_recipe(folder: Path) -> bool:
    return (folder / "recipe.py").is_file() and (folder / "config.yaml").is_file()


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
