"""The examples of a file: opened once, read once, bad lines in their place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import E, Form, Mark
from nlpcli.records.lines import Lines, Spooled
from nlpcli.records.row import Row, parse_object


def read(form: Form[E], source: str | Path | Spooled) -> Iterator[E | DataError]:
    """The examples of a file as ``train`` reads it: canonical lines, or a format that
    the form reads directly.

    A bad line comes out as a DataError in its place, so the caller chooses to stop or
    to count it. Raises DataError for a file with nothing in it, NotFoundError for a
    missing one.
    """
    with Lines(source) as lines:
        _, items = open_items(form, lines, every=False)
        for item in items:
            if not isinstance(item, Mark):
                yield item


def open_items(
    form: Form[E], lines: Lines, every: bool, known: str | None = None
) -> tuple[str, Iterator[Any]]:
    """The format of an input, by name, and its examples, bad lines and marks.

    ``every``: all published formats, not only those that train reads; ``known`` names
    the format where it is said.
    """
    for name, reader in form.published.items():
        if name == known or (
            known is None and (every or reader.direct) and reader.recognises(lines)
        ):
            return reader.read(lines)
    if lines.first() is None:
        bad = next((x for _, x in lines.head() if isinstance(x, DataError)), None)
        raise bad or DataError(
            f"{lines.name}: expected {form.wanted}, got an empty file"
        )
    return "jsonl", json_items(form, lines)


def json_items(form: Form[E], lines: Lines) -> Iterator[E | DataError]:
    """The examples of canonical JSON Lines."""
    for row in json_rows(lines, form.hint):
        if isinstance(row, DataError):
            yield row
            continue
        try:
            example = form.parse(row)
        except DataError as error:
            yield error
            continue
        yield from row.problems
        yield example


def json_rows(lines: Lines, hint: str = "") -> Iterator[Row | DataError]:
    """The objects of JSON Lines, blank lines passed over."""
    for number, text in lines:
        if isinstance(text, DataError):
            yield text
        elif text.strip():
            origin = lines.origin(number)
            try:
                yield Row(parse_object(text, origin), origin, hint)
            except DataError as error:
                yield error
