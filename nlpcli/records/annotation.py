"""doccano and Label Studio, what people annotate with: readers for any form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nlpcli.errors import DataError
from nlpcli.files.json_file import NotJson, parse_json
from nlpcli.files.json_text import dumps
from nlpcli.records.doccano import doccano, is_doccano, read_doccano
from nlpcli.records.form import E, Form, Reader
from nlpcli.records.label_studio import (
    LIST,
    is_list,
    is_task,
    label_studio,
    read_label_studio,
)
from nlpcli.records.lines import Lines
from nlpcli.records.marks import Marks, canonical
from nlpcli.records.read import parsed
from nlpcli.records.row import Row

_LOOKED_AT = 20  # lines


def annotation_readers(form: Form[E], kind: str) -> dict[str, Reader[E]]:
    """The two formats for a form whose canonical rows have ``kind``: "entities",
    "spo_list" or "label"."""

    def reader(name: str, marks: Callable[[Lines, str], Any]) -> Any:
        def read(lines: Lines) -> tuple[str, Iterator[E | DataError]]:
            rows = _rows(marks(lines, kind), kind)
            return name, (item for row in rows for item in parsed(form, row))

        return read

    def is_label_studio(lines: Lines) -> bool:
        texts = _texts(lines)
        if texts and texts[0].startswith("["):
            return is_list("".join(texts))
        return any(is_task(row) for row in _objects(texts))

    return {
        "doccano": Reader(
            lambda lines: any(is_doccano(x, kind) for x in _objects(_texts(lines))),
            reader("doccano", read_doccano),
            write=lambda example: dumps(doccano(form.row(example))) + "\n",
        ),
        "label-studio": Reader(
            is_label_studio,
            reader("label-studio", read_label_studio),
            write=lambda example: dumps(label_studio(form.row(example))),
            frame=LIST,
        ),
    }


def _rows(found: Iterator[Marks | DataError], kind: str) -> Iterator[Row | DataError]:
    """Canonical rows; texts have several labels when one of the file has."""
    several = False
    if kind == "label":
        found = iter(kept := list(found))
        several = any(isinstance(x, Marks) and len(x.names) > 1 for x in kept)
    for marks in found:
        try:
            if isinstance(marks, DataError):
                raise marks
            yield canonical(marks, kind, several)
        except DataError as error:
            yield error


def _texts(lines: Lines) -> list[str]:
    texts = [text.strip() for _, text in lines.head() if isinstance(text, str)]
    return [text for text in texts if text]


def _objects(texts: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects among the first lines."""
    for text in texts[:_LOOKED_AT]:
        try:
            value = parse_json(text) if text.startswith("{") else None
        except NotJson:
            continue
        if isinstance(value, dict):
            yield value
