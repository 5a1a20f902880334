"""The JSON objects of a file: each on a line or over several, or all in one list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.records.lines import BESIDE, Lines
from nlpcli.records.row import Row, parse_object

_BETWEEN = " \t[],"  # the lines of a JSON list begin and end so
# One without an end takes the rest. Possessive: to remember what was passed would take
# 2 GB for a string of 16 MB.
_STRING = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)')


def json_objects(lines: Lines) -> Iterator[Row | DataError]:
    """The objects, each with the place of the line it begins on.

    What is no object comes out as a DataError in its place; behind a broken one the
    next line that opens an object goes on.
    """
    for origin, text in _blocks(lines):
        if isinstance(text, DataError):
            yield text
            continue
        try:
            rows = [Row(values, origin) for values in _objects(text, origin)]
        except DataError as error:
            yield error
        else:
            yield from rows


def _blocks(lines: Lines) -> Iterator[tuple[str, str | DataError]]:
    """Lines joined until their braces are closed, so that each is parsed once."""
    pending: list[str] = []
    origin, depth, size = "", 0, 0
    for number, line in lines:
        if isinstance(line, DataError):
            yield lines.origin(number), line
            continue
        if pending and line.lstrip(_BETWEEN).startswith("{"):
            yield origin, "\n".join(pending)
            pending = []
        if not pending:
            if not line.strip(_BETWEEN):
                continue
            origin, depth, size, first = lines.origin(number), 0, 0, number
        pending.append(line)
        size += len(line) + BESIDE
        if size > lines.longest:
            yield origin, lines.too_long(first, "JSON object")
            pending = []
            continue
        bare = _STRING.sub("", line)
        depth += bare.count("{") - bare.count("}")
        if depth <= 0:
            yield origin, "\n".join(pending)
            pending = []
    if pending:
        yield origin, "\n".join(pending)


def _objects(text: str, origin: str) -> list[dict[str, Any]]:
    """The objects of a text, commas between them; DataError if it is not only that."""
    text = text.strip(_BETWEEN)
    try:
        rows = parse_json(f"[{text}]")
    except NotJson:
        rows = [None]
    if all(isinstance(row, dict) for row in rows):
        return list(rows)
    return [parse_object(text, origin)]
