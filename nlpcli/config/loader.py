"""From layers of plain values to one RunConfig, or every problem at once.

Later layers win: dataclass defaults, the recipe's config.yaml, ``--config`` files, then
flags and ``--set``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from nlpcli.config import RunConfig
from nlpcli.config.nearest import nearest
from nlpcli.config.scalars import Dumper
from nlpcli.config.types import Mismatch, convert, describe, shown
from nlpcli.config.yaml_file import (
    KeyPath,
    Layer,
    nested,
    parse_set,
    parse_yaml,
    read_yaml,
)
from nlpcli.errors import ConfigError, UsageError
from nlpcli.files.json_text import readable
from nlpcli.recipe import find_recipe

_ABSENT = object()
FLAGS = "the command line"
TYPED = (FLAGS, "--set")


def resolve(
    recipe: str,
    config_files: Iterable[str | Path] = (),
    sets: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of a run, all layers merged.

    ``flags`` are values by key path (``{"train.epochs": 5}``). Raises ConfigError with
    every problem, NotFoundError for a recipe or file that is not there and UsageError
    for a ``--set`` that is no assignment.
    """
    entry = find_recipe(recipe)
    layers = [entry.defaults()]
    layers += [read_yaml(path) for path in config_files]
    layers += [
        nested(FLAGS, tuple(key.split(".")), value)
        for key, value in (flags or {}).items()
    ]
    layers += [parse_set(assignment) for assignment in sets]
    return build(entry.name, layers, entry.task_type())


def load_config(path: Path) -> RunConfig:
    """Read back what ``to_yaml`` wrote: a resolved configuration that names its recipe.

    Raises NotFoundError and ConfigError as ``resolve`` does.
    """
    layer = read_yaml(path)
    name = layer.values.get("recipe")
    if not isinstance(name, str):
        raise ConfigError([f"recipe: expected text, got {shown(name)} (from {path})"])
    entry = find_recipe(name)
    return build(entry.name, [layer], entry.task_type())


def with_task_sets(config: RunConfig, sets: Iterable[str]) -> RunConfig:
    """A run's configuration with ``task.key=value`` over it.

    Raises UsageError for a key outside ``task``, which decided how the run was
    trained, and what ``resolve`` raises.
    """
    layers = [parse_set(assignment) for assignment in sets]
    if not layers:
        return config
    for layer in layers:
        if strange := [str(key) for key in layer.values if key != "task"]:
            raise UsageError(
                f"--set: expected a key of the section task, got {strange[0]}; the "
                "rest of the configuration is the run's"
            )
    entry = find_recipe(config.recipe)
    own = Layer("the run", to_dict(config))
    return build(config.recipe, [own, *layers], entry.task_type())


def build(recipe: str, layers: Sequence[Layer], task_type: type) -> RunConfig:
    """Merge layers and build the dataclasses strictly.

    Raises ConfigError that lists every unknown key (with the nearest known one), every
    missing key, wrong type, value out of bounds and combination that cannot work.
    """
    builder = _Builder([Layer(*layer) for layer in layers], task_type)
    values = merge(layer.values for layer in builder.layers)
    builder.choose(values, ("train", "batch_size"), ("train", "batch_tokens"))
    values.setdefault("recipe", recipe)
    config: RunConfig | None = builder.section(RunConfig, values, ())
    if config is not None:
        if config.recipe != recipe:
            builder.add(("recipe",), f"expected {recipe}, got {shown(config.recipe)}")
        for keys, what in _conflicts(config):
            if builder.faulty.isdisjoint(keys):
                builder.add(keys[0], what)
    if config is None or builder.problems:
        raise ConfigError(builder.problems)
    return config


def merge(layers: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    """One mapping, sections merged key by key; an empty section says nothing."""
    merged: dict[Any, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            known = merged.get(key)
            if isinstance(value, dict):
                under = known if isinstance(known, dict) else {}
                merged[key] = merge([under, value])
            elif value is not None or not isinstance(known, dict):
                merged[key] = value
    return merged


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Plain values, ready for YAML and JSON, which ``build`` reads back."""
    return {key: _plain(value) for key, value in dataclasses.asdict(config).items()}


def to_yaml(config: RunConfig) -> str:
    """A configuration as the YAML text that ``load_config`` reads back."""
    return _yaml_text(to_dict(config))


def diff(config: RunConfig, default: RunConfig | None = None) -> str:
    """What differs from the recipe's defaults (or from ``default``), as YAML text.

    The text is a configuration file for ``--config``; it is empty when nothing differs.
    """
    other = resolve(config.recipe) if default is None else default
    changed = _difference(to_dict(config), to_dict(other))
    return _yaml_text(changed) if changed else ""


def schema(
    task_type: type, key: str = "", defaults: RunConfig | None = None
) -> list[dict[str, Any]]:
    """A row (key, type, default, doc) for each key, or for those under ``key``.

    The default is that of the dataclass, or of ``defaults`` (a recipe's own) if given.
    Raises ConfigError when ``key`` names nothing, with the nearest known one.
    """
    own = {} if defaults is None else to_dict(defaults)
    known = [k for k in _known_keys(RunConfig, task_type) if k.path != ("recipe",)]
    path = tuple(key.split(".")) if key else ()
    rows = [
        {
            "key": ".".join(k.path),
            "type": describe(k.declared, k.bounds),
            "default": _lookup(own, k.path, k.default),
            "doc": k.doc,
        }
        for k in known
        if k.path[: len(path)] == path
    ]
    if not rows:
        meant = _did_you_mean(path, [k.path for k in known])
        raise ConfigError([f"{key}: unknown key{meant}"])
    return rows


@dataclass(frozen=True)
class _Key:
    path: KeyPath
    declared: Any
    bounds: Mapping[str, float | None]
    default: Any
    doc: str


def _known_keys(section: type, task_type: type, path: KeyPath = ()) -> Iterator[_Key]:
    for field, declared in _fields(section, task_type):
        here = (*path, field.name)
        if dataclasses.is_dataclass(declared):
            yield from _known_keys(_as_type(declared), task_type, here)
        else:
            default = None if field.default is MISSING else _plain(field.default)
            bounds = field.metadata.get("bounds", {})
            yield _Key(here, declared, bounds, default, field.metadata.get("doc", ""))


def _fields(section: type, task_type: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(section)
    if section is RunConfig:
        hints["task"] = task_type
    return [(field, hints[field.name]) for field in dataclasses.fields(section)]


class _Builder:
    """Builds sections and collects problems, each with the place it comes from."""

    def __init__(self, layers: list[Layer], task_type: type) -> None:
        self.layers = layers
        self.task_type = task_type
        self.problems: list[str] = []
        self.faulty: set[KeyPath] = set()
        self.known = [key.path for key in _known_keys(RunConfig, task_type)]

    def add(self, path: KeyPath, what: str) -> None:
        """Note a problem, with the file and line (or option) of the last word on it."""
        origin = self._origin(path)
        come = f" (from {origin[0]})" if origin else ""
        self.problems.append(f"{'.'.join(map(str, path))}: {what}{come}")
        self.faulty.add(path)

    def choose(self, values: dict[Any, Any], usual: KeyPath, other: KeyPath) -> None:
        """Of two keys the one that the later layer gives; the other becomes null.

        Flags and ``--set`` are one layer here. Both in one are a problem.
        """
        if _lookup(values, other, None) is None:
            return
        if _lookup(values, usual, None) is not None:
            ranks = [self._rank(path) for path in (usual, other)]
            if ranks[0] == ranks[1]:
                self.add(other, f"expected this or {'.'.join(usual)}, got both")
                return
            if ranks[0] > ranks[1]:
                usual, other = other, usual
        under = values
        for key in usual[:-1]:
            under = under.setdefault(key, {})
        under[usual[-1]] = None

    def section(self, kind: type, values: Any, path: KeyPath) -> Any:
        """The dataclass of a section, with defaults in the place of what is wrong.

        None when that leaves a key without any value.
        """
        if values is None:
            values = {}
        if not isinstance(values, dict):
            self.add(path, f"expected a section (key: value), got {shown(values)}")
            values = {}
        fields = _fields(kind, self.task_type)
        names = {field.name for field, _ in fields}
        for key in values:
            if key not in names:
                unknown = (*path, key)
                self.add(unknown, f"unknown key{self._hint(unknown)}")
        built = {
            field.name: self._value(field, declared, values, (*path, field.name))
            for field, declared in fields
        }
        if any(value is _ABSENT for value in built.values()):
            return _ABSENT if path else None
        return kind(**built)

    def _value(
        self,
        field: dataclasses.Field[Any],
        declared: Any,
        values: dict[Any, Any],
        path: KeyPath,
    ) -> Any:
        if dataclasses.is_dataclass(declared):
            return self.section(_as_type(declared), values.get(field.name), path)
        bounds = field.metadata.get("bounds", {})
        default = _ABSENT if field.default is MISSING else field.default
        if field.name not in values:
            if default is _ABSENT:
                doc = field.metadata.get("doc", "")
                expected = describe(declared, bounds)
                self.add(path, f"missing, expected {expected} ({doc})")
            return default
        origin = self._origin(path)
        text = origin[1].texts.get(path) if origin else None
        try:
            return convert(values[field.name], declared, bounds, text)
        except Mismatch as error:
            expected = describe(declared, bounds)
            at = f" at {error.place}" if error.place else ""
            self.add(path, f"expected {expected}, got {shown(error.value)}{at}")
            return default

    def _origin(self, path: KeyPath) -> tuple[str, Layer] | None:
        for layer in reversed(self.layers):
            if (place := layer.where(path)) is not None:
                return place, layer
        return None

    def _rank(self, path: KeyPath) -> int:
        """The number of the last layer that gives a key."""
        given = [n for n, x in enumerate(self.layers) if x.where(path) is not None]
        typed = bool(given) and self.layers[given[-1]].origin in TYPED
        return len(self.layers) if typed else max(given, default=-1)

    def _hint(self, path: KeyPath) -> str:
        dotted = tuple(".".join(map(str, path)).split("."))
        if dotted != path and dotted in self.known:
            return f"; write it as a section, {': '.join(dotted)}"
        return _did_you_mean(path, self.known)


def _did_you_mean(path: KeyPath, known: Sequence[KeyPath]) -> str:
    found = nearest(path, known)
    return "" if found is None else f", did you mean {'.'.join(found)}?"


def _conflicts(config: RunConfig) -> Iterator[tuple[list[KeyPath], str]]:
    """Keys that do not go together, and why; the first is the one to change."""
    data, train = config.data, config.train
    if train.batch_size is None and train.batch_tokens is None:
        yield (
            [("train", "batch_size"), ("train", "batch_tokens")],
            "expected this or train.batch_tokens, got null for both",
        )
    if (train.batch_size or 0) % train.accumulate:
        yield (
            [("train", "accumulate"), ("train", "batch_size")],
            f"expected a divisor of train.batch_size ({train.batch_size}), "
            f"got {train.accumulate}",
        )
    if data.stride >= data.max_length:
        yield (
            [("data", "stride"), ("data", "max_length")],
            f"expected less than data.max_length ({data.max_length}), "
            f"got {data.stride}",
        )
    if conflicts := getattr(config.task, "conflicts", None):
        for keys, what in conflicts():
            yield [("task", key) for key in keys], what


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in ours.items():
        other = theirs.get(key, _ABSENT)
        if isinstance(value, dict) and isinstance(other, dict):
            if inner := _difference(value, other):
                changed[key] = inner
        elif value != other:
            changed[key] = value
    return changed


def _yaml_text(values: dict[str, Any]) -> str:
    def dumped(allow_unicode: bool) -> str:
        text: str = yaml.dump(
            values, Dumper=Dumper, allow_unicode=allow_unicode, sort_keys=False
        )
        return text

    text = dumped(True)
    # Unicode's own line ends (NEL, LS, PS) would be folded to spaces, and what a
    # terminal obeys would be spelled out as another value.
    whole = readable(text) == text and parse_yaml(text, "").values == values
    return text if whole else dumped(False)


def _lookup(values: Mapping[str, Any], path: KeyPath, otherwise: Any) -> Any:
    here: Any = values
    for key in path:
        if not isinstance(here, Mapping) or key not in here:
            return otherwise
        here = here[key]
    return here


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _as_type(declared: Any) -> type:
    kind: type = declared
    return kind
