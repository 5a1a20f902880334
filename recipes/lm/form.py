"""A line of text for a language model: JSON, or a line of a plain file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nlpcli.errors import DataError
from nlpcli.records.form import Facts, Form, Reader
from nlpcli.records.lines import Lines
from nlpcli.records.row import Row


@dataclass(frozen=True)
class TextExample:
    """A line, and the right answer where it has one."""

    row: Row
    answer: str | None = None

    @property
    def text(self) -> str:
        """What the line says."""
        return str(self.row.get("text", ""))

    @property
    def origin(self) -> str:
        """Where it stands."""
        return self.row.origin


class TextForm(Form[TextExample]):
    """``{"text": ...}`` with further keys of a template, or plain text."""

    wanted = "lines of text"
    then = "evaluate measures those in windows"

    def parse(self, row: Row) -> TextExample:
        key = next((key for key in ("answer", "label") if key in row), None)
        return TextExample(row, None if key is None else row.string(key))

    def row(self, example: TextExample) -> dict[str, Any]:
        return dict(example.row.values)

    def facts(self, example: TextExample) -> Facts:
        text = example.text
        return Facts([text], [[text]], text, example.answer)

    @property
    def published(self) -> Mapping[str, Reader[TextExample]]:
        return {"text": Reader(_is_plain, _read, direct=True)}


def _is_plain(lines: Lines) -> bool:
    first = lines.first()
    return first is not None and not first.lstrip().startswith("{")


def _read(lines: Lines) -> tuple[str, Iterator[TextExample | DataError]]:
    return "text", _examples(lines)


def _examples(lines: Lines) -> Iterator[TextExample | DataError]:
    for number, line in lines:
        if isinstance(line, DataError):
            yield line
        elif line.strip():
            yield TextExample(Row({"text": line}, lines.origin(number)))
