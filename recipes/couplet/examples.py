"""Couplets: a first line and the second that answers it, from JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_text import dumps
from nlpcli.records.lines import SHOWN, decode_lines, parse_object, where
from recipes.couplet.form import without_spaces


@dataclass(frozen=True)
class CoupletExample:
    """A first line as it was written; a prompt has no second. ``line`` is "file:12"."""

    text: str
    second: str | None = None
    line: str = ""

    @property
    def first(self) -> str:
        """The characters of the first line."""
        return without_spaces(self.text)


def read_examples(
    path: str | Path, longest: int | None = None
) -> Iterator[CoupletExample | DataError]:
    """Read JSON Lines of first and second, ``.gz`` or not.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it; so does one with more than ``longest`` characters a side.

    Raises DataError for a file with nothing in it, NotFoundError for a missing one.
    """
    empty = True
    for number, line in decode_lines(path):
        if isinstance(line, DataError):
            empty = False
            yield line
            continue
        if not line.strip():
            continue
        empty = False
        place = where(path, number)
        try:
            yield parse_example(parse_object(line, place), place, longest)
        except DataError as error:
            yield error
    if empty:
        raise DataError(f"{path}: expected JSON Lines, got an empty file")


def parse_example(
    row: dict[str, Any], line: str, longest: int | None = None
) -> CoupletExample:
    """Check one JSON object; DataError begins with ``line``."""
    return couplet(_side(row, "first", line), _side(row, "second", line), line, longest)


def couplet(
    first: str, second: str, line: str, longest: int | None = None
) -> CoupletExample:
    """An example from two sides; DataError, which begins with ``line``, if it is none.

    Spaces between characters are no part of a side.
    """
    first, second = without_spaces(first), without_spaces(second)
    for name, side in (("first", first), ("second", second)):
        if not side:
            raise DataError(f'{line}: expected text for "{name}", got none')
    if len(first) != len(second):
        raise DataError(
            f"{line}: expected two sides of one length, got {len(first)} and "
            f"{len(second)} characters: {_shorten(f'{first} / {second}')!r}"
        )
    if longest is not None and len(first) > longest:
        raise DataError(
            f"{line}: expected at most {longest} characters a side, got {len(first)} "
            "(data.max_length)"
        )
    return CoupletExample(first, second, line)


def json_line(example: CoupletExample) -> str:
    """The canonical JSON line of an example with gold, without its line end."""
    return dumps({"first": example.first, "second": example.second})


def _side(row: dict[str, Any], key: str, line: str) -> str:
    if key not in row:
        keys = ", ".join(f'"{key}"' for key in row) or "none"
        raise DataError(
            f'{line}: expected the key "{key}", got the keys {keys} ("nlpcli data '
            'convert" reads in.txt and out.txt, and columns)'
        )
    value = row[key]
    if not isinstance(value, str):
        raise DataError(
            f'{line}: expected a string for "{key}", got {_shorten(dumps(value))}'
        )
    return value


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
