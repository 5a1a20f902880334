"""Ape210K and Math23K as published to canonical JSON Lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.atomic import refuse_existing, write_lines
from nlpcli.records.lines import decode_lines, parse_object, where
from recipes.math_qa.cleaning import UnfitRow
from recipes.math_qa.examples import json_line, parse_example

# Canonical key -> the published ones, best first; the second is cut into words.
_KEYS = {
    "question": ("question", "original_text", "segmented_text"),
    "equation": ("equation",),
    "answer": ("answer", "ans"),
}


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    skip_bad: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Rewrite a file of problems, cleaned, as JSON Lines; ``.gz`` compresses.

    It reads one object a line (Ape210K), objects over several lines one after another
    (Math23K) and a JSON list of objects, with the published keys or the canonical.

    Returns the counts: examples, rows skipped as bad, and under ``unfit`` those of
    them that cleaning refused, by reason. The destination appears whole or not at
    all; the first bad row raises DataError unless ``skip_bad``.
    """
    destination = Path(destination)
    refuse_existing(destination, force)
    written: list[str] = []
    skipped = 0
    unfit: Counter[str] = Counter()
    for line, row in read_objects(source):
        try:
            if isinstance(row, DataError):
                raise row
            written.append(json_line(parse_example(_canonical(row), line)) + "\n")
        except DataError as error:
            if not skip_bad:
                raise
            skipped += 1
            if isinstance(error, UnfitRow):
                unfit[error.reason] += 1
    if not written and not skipped:
        raise DataError(f"{source}: expected JSON objects, got an empty file")
    write_lines(destination, written)
    return {
        "from": str(source),
        "to": "jsonl",
        "examples": len(written),
        "skipped": skipped,
        "unfit": dict(unfit.most_common()),
    }


def read_objects(path: str | Path) -> Iterator[tuple[str, dict[str, Any] | DataError]]:
    """The JSON objects of a file, over one line or several, each with its "file:12".

    What is no object comes out as a DataError in its place; behind a broken one the
    next line that opens an object goes on.
    """
    buffer: list[str] = []
    start = 0
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            yield where(path, number), line
            continue
        opens = line.lstrip(_BETWEEN).startswith("{")
        if buffer and opens:
            yield where(path, start), _broken(buffer, where(path, start))
            buffer.clear()
        if not buffer:
            if not line.strip(_BETWEEN):
                continue
            start = number
        buffer.append(line)
        if line.rstrip(_BETWEEN).endswith("}"):
            rows = _parsed("\n".join(buffer))
            for row in rows:
                yield where(path, start), row
            if rows:
                buffer.clear()
        elif len(buffer) == 1 and not opens:
            yield where(path, start), _broken(buffer, where(path, start))
            buffer.clear()
    if buffer:
        yield where(path, start), _broken(buffer, where(path, start))


_BETWEEN = " \t[],"  # the lines of a JSON list begin and end so


def _parsed(text: str) -> list[dict[str, Any]]:
    """The objects of a text, with commas between them; none when it is not only that.

    Before its last line a text is not yet one.
    """
    try:
        rows = json.loads(f"[{text.strip(_BETWEEN)}]")
    except (ValueError, RecursionError):
        return []
    return rows if all(isinstance(row, dict) for row in rows) else []


def _broken(lines: list[str], place: str) -> DataError:
    try:
        parse_object("\n".join(lines), place)
    except DataError as error:
        return error
    return DataError(f"{place}: expected a JSON object")


def _canonical(row: dict[str, Any]) -> dict[str, Any]:
    """The row under canonical keys; a number for an answer becomes text."""
    values: dict[str, Any] = {}
    for key, names in _KEYS.items():
        for name in reversed(names):
            if name in row:
                values[key] = row[name]
    if "question" in values and not {"question", "original_text"} & row.keys():
        values["question"] = str(values["question"]).replace(" ", "")
    if isinstance(values.get("answer"), (int, float)):
        values["answer"] = str(values["answer"])
    return values
