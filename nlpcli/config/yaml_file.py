"""YAML as configuration layers: strict, plain data only, each key with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nlpcli.config.scalars import Loader
from nlpcli.errors import ConfigError, NotFoundError, UsageError

KeyPath = tuple[str, ...]

# what the constructors raise on text that does not fit its tag: !!timestamp 2024-13-45
_CONSTRUCTOR_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


class Layer(NamedTuple):
    """One source of configuration values: a file, ``--set`` or the flags.

    ``lines`` are 1-based; ``texts`` are values as they were typed.
    """

    origin: str
    values: dict[Any, Any]
    lines: Mapping[KeyPath, int] = {}
    texts: Mapping[KeyPath, str] = {}

    def where(self, path: KeyPath) -> str | None:
        """``file:line`` (or the origin alone) of a key; None when it is not here."""
        here: Any = self.values
        for key in path:
            if not isinstance(here, dict) or key not in here:
                return None
            here = here[key]
        line = self.lines.get(path)
        return self.origin if line is None else f"{self.origin}:{line}"


def read_yaml(path: str | Path) -> Layer:
    """Read a YAML mapping; an empty file is an empty one.

    Raises NotFoundError for a missing file and ConfigError (``file:line:column``) for
    broken syntax, a key given twice, an alias, or what is no mapping.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: expected a YAML file, found none") from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: expected UTF-8, got {error}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot read: {error.strerror}"]) from error
    return parse_yaml(text, str(path))


def parse_set(assignment: str) -> Layer:
    """The layer of one ``--set key.path=value``; the value is read as YAML.

    ``--flag key.path=value`` is what a flag stands for, and names it in messages.
    What is no YAML stays text: the declared type decides later. Raises UsageError when
    there is no key or no ``=``.
    """
    origin = "--set"
    if assignment.startswith("--"):
        origin, _, assignment = assignment.partition(" ")
    key, equals, text = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise UsageError(f"--set: expected KEY.PATH=VALUE, got {assignment!r}")
    try:
        value = parse_yaml(f"value: {text}", origin).values["value"]
    except ConfigError:
        value = text
    return nested(origin, path, value, text)


def nested(origin: str, path: KeyPath, value: Any, text: str | None = None) -> Layer:
    """A layer that holds one value."""
    values: Any = value
    for part in reversed(path):
        values = {part: values}
    return Layer(origin, values, {}, {} if text is None else {path: text})


def parse_yaml(text: str, origin: str) -> Layer:
    """The layer of a YAML text; ConfigError as ``read_yaml`` raises it."""
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        if root is None:
            return Layer(origin, {})
        lines, problems = _inspect(root, origin)
        if not problems and not isinstance(root, yaml.MappingNode):
            problems = [f"{origin}:1: expected a mapping (key: value)"]
        if problems:
            raise ConfigError(problems)
        return Layer(origin, loader.construct_document(root), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        what = error.problem or error.context
        raise ConfigError([f"{place}: expected YAML, {what}"]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"{origin}:{line}: expected YAML, got character {error.character!r}"
        raise ConfigError([problem]) from error
    except RecursionError as error:
        raise ConfigError([f"{origin}: expected YAML, nested too deeply"]) from error
    except _CONSTRUCTOR_ERRORS as error:
        raise ConfigError([f"{origin}: expected plain YAML values, {error}"]) from error


def _inspect(root: yaml.Node, origin: str) -> tuple[dict[KeyPath, int], list[str]]:
    """Where each key stands, and what YAML allows but a configuration should not."""
    lines: dict[KeyPath, int] = {}
    problems: list[str] = []
    seen: set[int] = set()
    for path, node, line in _walk(root, (), root.start_mark.line + 1, seen):
        if node is None:
            problems.append(
                f"{origin}:{line}: {'.'.join(path)}: expected a plain value, "
                "got an anchor that is used again"
            )
        elif path in lines:
            problems.append(
                f"{origin}:{line}: {'.'.join(path)}: given twice "
                f"(first on line {lines[path]})"
            )
        else:
            lines[path] = line
    return lines, problems


def _walk(
    node: yaml.Node, path: KeyPath, line: int, seen: set[int]
) -> Iterator[tuple[KeyPath, yaml.Node | None, int]]:
    """Path, node and line, depth first; a node met again comes as None, unwalked."""
    if id(node) in seen:
        yield path, None, line
        return
    seen.add(id(node))
    if path:
        yield path, node, line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            yield from _walk(value, (*path, name), key.start_mark.line + 1, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = (*path, f"[{index}]")
            yield from _walk(item, place, item.start_mark.line + 1, seen)
