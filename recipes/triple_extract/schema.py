"""Schema files: which predicates there are, and the types that they join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.records.lines import origin_of, read_lines
from nlpcli.records.row import Row, parse_object, shown

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
    seen: set[tuple[str, Types]] = set()
    for row in _rows(path):
        subject, predicate = (_name(row, key) for key in ("subject_type", "predicate"))
        for name, type_ in slots(row, predicate, row.get("object_type")):
            types = subject, type_
            if (name, types) not in seen:
                seen.add((name, types))
                schema.setdefault(name, []).append(types)
    if not schema:
        raise DataError(f"{path}: expected predicates, got an empty file")
    return schema


def slots(row: Row, predicate: str, value: Any) -> Iterator[tuple[str, str]]:
    """A predicate and its value; of a complex value each slot, empty ones left out.

    Raises DataError for what is neither a string nor an object of strings.
    """
    parts = {VALUE: value} if isinstance(value, str) else value
    if not isinstance(parts, Mapping) or not all(
        isinstance(part, str) for part in parts.values()
    ):
        raise row.error(
            f"expected a string or an object of strings for {predicate}, "
            f"got {shown(value)}"
        )
    for slot, part in parts.items():
        if slot == VALUE:
            yield predicate, part
        elif part:
            yield f"{predicate}/{slot}", part


def _rows(path: str | Path) -> Iterator[Row]:
    lines = [(number, text) for number, text in read_lines(path) if text.strip()]
    if not lines or not lines[0][1].lstrip().startswith("["):
        for number, text in lines:
            origin = origin_of(path, number)
            yield Row(parse_object(text, origin), origin)
        return
    try:
        rows = parse_json("\n".join(text for _, text in lines))
    except NotJson as error:
        raise DataError(f"{path}: expected a JSON list ({error})") from error
    yield from Row({"rows": rows}, str(path)).objects("rows", "row")


def _name(row: Row, key: str) -> str:
    if not (name := row.string(key)):
        raise row.error(f'expected text for "{key}", got none')
    return name
