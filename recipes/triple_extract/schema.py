"""Schema files: which predicates there are, and the types that they join."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import parse_object, read_lines, where

Types = tuple[str, str]  # of subject and object
Schema = dict[str, list[Types]]  # by predicate, in the order of the file
VALUE = "@value"


def read_schema(path: str | Path) -> Schema:
    """Predicates and their types: JSON Lines as DuIE's, or one JSON list of the same.

    ``{"subject_type", "predicate", "object_type"}``; a predicate may stand there
    several times. Of an ``object_type`` with several slots ``@value`` is the
    predicate's own and each other one a predicate ``predicate/slot``. Raises DataError
    for what is no such row and NotFoundError for a missing file.
    """
    schema: Schema = {}
    for row, place in _rows(path):
        subject, predicate = (
            _text(row, key, place) for key in ("subject_type", "predicate")
        )
        for name, type_ in slots(predicate, row.get("object_type"), place):
            known = schema.setdefault(name, [])
            if (subject, type_) not in known:
                known.append((subject, type_))
    if not schema:
        raise DataError(f"{path}: expected predicates, got an empty file")
    return schema


def slots(predicate: str, value: Any, place: str) -> Iterator[tuple[str, str]]:
    """A predicate and its value; of a complex value each slot, empty ones left out.

    Raises DataError for what is neither a string nor an object of strings.
    """
    if isinstance(value, str):
        yield predicate, value
        return
    if not isinstance(value, Mapping) or not all(
        isinstance(part, str) for part in value.values()
    ):
        raise DataError(
            f"{place}: expected a string or an object of strings for {predicate}, "
            f"got {dumps(value)[:40]}"
        )
    for slot, part in value.items():
        if slot == VALUE:
            yield predicate, part
        elif part:
            yield f"{predicate}/{slot}", part


def _rows(path: str | Path) -> Iterator[tuple[dict[str, Any], str]]:
    lines = [(number, line) for number, line in read_lines(path) if line.strip()]
    if not lines or not lines[0][1].lstrip().startswith("["):
        for number, line in lines:
            yield parse_object(line, where(path, number)), where(path, number)
        return
    try:
        values = json.loads("\n".join(line for _, line in lines))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a JSON list ({error})") from error
    for number, value in enumerate(values, start=1):
        place = f"{path}: row {number}"
        if not isinstance(value, dict):
            raise DataError(f"{place}: expected a JSON object, got {dumps(value)[:40]}")
        yield value, place


def _text(row: Mapping[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f'{place}: expected text for "{key}", got {dumps(value)[:40]}')
    return value
