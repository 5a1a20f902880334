"""metrics.jsonl of a run: a line a step, read also when something is wrong with it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nlpcli.errors import DataError
from nlpcli.files.atomic import explained, write_atomic
from nlpcli.files.json_file import NotJson, parse_json_object
from nlpcli.files.json_text import plain
from nlpcli.files.own_file import open_own

logger = logging.getLogger("nlpcli")

LARGEST = 1e300  # beyond it sums overflow, and no curve has it


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line; what is not finite becomes null, and no link is followed."""
    line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n"
    access = os.O_RDWR | os.O_CREAT | os.O_APPEND
    with open_own(path, access, "to add to") as descriptor, explained(path):
        if os.fstat(descriptor).st_nlink == 1:
            _add(descriptor, line)
            return
    # a copy of the run, or somebody's file, has another name for it, and stays
    write_atomic(path, _whole_lines(path.read_bytes()) + line.encode("utf-8"))


def read(path: Path) -> list[dict[str, Any]]:
    """All rows; a last line that was cut short is not one. Raises DataError."""
    found = []
    for number, line in _lines(path):
        try:
            found.append(parse_json_object(line))
        except NotJson as error:
            raise DataError(f"{path}:{number}: expected a JSON object") from error
    return found


def read_sound(path: Path) -> list[dict[str, Any]]:
    """The rows that can be shown; one warning tells how many others there are."""
    found, odd = [], []
    for number, line in _lines(path):
        try:
            row = parse_json_object(line)
        except NotJson:
            row = {"step": None}
        if _is_sound(row):
            found.append(row)
        else:
            odd.append(number)
    if odd:
        logger.warning(
            "%s: %d odd %s left out, the first is %d",
            path,
            len(odd),
            "line" if len(odd) == 1 else "lines",
            odd[0],
        )
    return found


def trim(path: Path, step: int) -> None:
    """Drop the rows after a step, which a resumed run writes again."""
    kept = [row for row in read(path) if not is_number(row.get("step"), step + 1)]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in kept]
    write_atomic(path, "".join(lines))


def is_number(value: Any, least: float = -LARGEST) -> bool:
    """A number that can be counted with and drawn, from ``least`` on."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and least <= value <= LARGEST


def _lines(path: Path) -> list[tuple[int, bytes]]:
    if not os.path.lexists(path):
        return []
    if not path.is_file():
        raise DataError(f"{path}: expected a plain file")
    return list(enumerate(path.read_bytes().split(b"\n")[:-1], start=1))


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether the steps, losses and scores of a row are what they are called."""
    scores = row.get("dev", {})
    if not is_number(row.get("step")) or not isinstance(scores, dict):
        return False
    numbers = [row.get(name) for name in ("loss", "lr", "grad_norm")]
    numbers += [
        value for value in scores.values() if not isinstance(value, (str, bool))
    ]
    return all(value is None or is_number(value) for value in numbers)


def _add(descriptor: int, line: str) -> None:
    with os.fdopen(descriptor, "a+b", closefd=False) as stream:
        _drop_torn_line(stream)
        stream.write(line.encode("utf-8"))


def _drop_torn_line(stream: BinaryIO) -> None:
    """Cut a last line without its end, left by a process that was killed."""
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) != b"\n":
        stream.seek(0)
        stream.truncate(len(_whole_lines(stream.read())))


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
